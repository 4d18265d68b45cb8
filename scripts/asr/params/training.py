"""The sections of the two trainings."""

from pathlib import Path
from typing import Literal

import pydantic
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from asr.params.section import Section, Share
from asr.params.ways import Adapter, Trainable
from asr.params.windows import Augment, Domain, Windows, Words


class TrainingSection(Section):
    """What `train_german_model` and `finetune_whisper` share."""

    output_dir: Path = Field(description="folder to write")
    model_dir: Path = Field(description="the model to start from")
    features_dir: Path = Field(
        description="extract_features' folder, or prepare_audio's: log-mels are then computed anew in every step"
    )
    sources: dict[str, PositiveFloat] = Field(
        description="sources to train on, and how often each is drawn beside the others: 3 and 1 are 0.75 and 0.25",
        min_length=1,
    )
    eval_sources: list[str] = Field(description="sources whose dev split decides on the best checkpoint", min_length=1)
    eval_utterances: PositiveInt = Field(description="at most so many dev utterances, the same ones each time")
    seed: NonNegativeInt = Field(description="decides the order of the data and everything else that is drawn")
    steps: PositiveInt = Field(description="optimiser steps")
    global_batch: PositiveInt = Field(description="windows a step, over all devices and accumulation")
    device_batch: PositiveInt = Field(description="windows that a device holds at once; the rest is accumulated")
    optimizer: Literal["adamw_torch", "adamw_torch_fused", "adamw_8bit", "adafactor"] = Field(
        description="adafactor keeps almost no state, 8 bytes a weight less than AdamW; adamw_8bit 6 less, by bitsandbytes"
    )
    learning_rate: PositiveFloat = Field(description="peak")
    learning_rates: dict[Literal["encoder", "decoder", "embedding"], PositiveFloat] = Field(
        default={}, description="peaks of parts that have their own; the embedding is the decoder's unless it is named"
    )
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = Field(description="what follows the warm-up")
    warmup_steps: NonNegativeInt = Field(description="steps of linear warm-up")
    weight_decay: NonNegativeFloat = Field(description="AdamW's")
    max_grad_norm: PositiveFloat = Field(description="gradients are clipped to this norm")
    ema_decay: Share = Field(
        default=0.0,
        lt=1,
        description="what is judged and delivered is a running average that keeps this share a step; 0: the weights themselves",
    )
    gradient_checkpointing: bool = Field(description="about 40 % less memory for about 30 % more time")
    eval_steps: PositiveInt = Field(description="steps between evaluations, which are also the checkpoints")
    eval_batch: PositiveInt = Field(description="windows that a device decodes at once")
    best_by: Literal["wer", "cer"] = Field(
        default="wer", description="error rate that decides on the best checkpoint; cer for languages without spaces"
    )
    early_stopping: NonNegativeInt = Field(
        default=0, description="stop after so many evaluations in a row without a better one; 0: never"
    )
    log_steps: PositiveInt = Field(description="steps between points of the loss curve")
    loader_workers: NonNegativeInt = Field(
        description="processes a device that build batches; 0: the training process itself"
    )
    max_non_finite: PositiveInt = Field(
        default=3, description="so many steps in a row whose loss is not finite end the training; each one is skipped"
    )
    windows: Windows = Field(description="how utterances become windows")
    augment: Augment = Field(default_factory=Augment, description="changes of what is heard")
    domain: Domain = Field(default_factory=Domain, description="how the decoder is told the domain")
    words: Words = Field(default_factory=Words, description="words listed in prompts")

    @pydantic.model_validator(mode="after")
    def _check(self):
        if self.steps % self.eval_steps:
            raise ValueError(
                f"steps: {self.steps} is not a multiple of eval_steps: {self.eval_steps}, so the last steps would not be judged"
            )
        if self.warmup_steps >= self.steps:
            raise ValueError(f"warmup_steps: {self.warmup_steps} must be fewer than steps: {self.steps}")
        if self.log_steps > self.steps:
            raise ValueError(f"log_steps: {self.log_steps} must be at most steps: {self.steps}")
        return self


class TrainGermanModel(TrainingSection):
    """Full-parameter training, or of a part of the weights."""

    ctc_weight: NonNegativeFloat = Field(
        description="weight of a CTC loss that teaches the encoder to spell; for random weights only, else 0"
    )
    guided_attention_weight: NonNegativeFloat = Field(
        description="weight of a loss that shows the decoder where a token is said; for random weights only, else 0"
    )
    sampled_tokens: NonNegativeInt = Field(
        description="tokens that the corpus never says, drawn anew each step to stand for all of them; 0: all"
    )
    trainable: Trainable = Field(default=Trainable(), description="which weights are trained; the others stay")

    @pydantic.model_validator(mode="after")
    def _check_trainable(self):
        if self.ctc_weight and self.trainable.what != "all":
            raise ValueError(
                f"ctc_weight: {self.ctc_weight:g} teaches the whole encoder; with trainable.what: {self.trainable.what} give ctc_weight: 0"
            )
        frozen = {"all": (), "encoder_frozen": ("encoder",), "last_blocks": ("embedding",)}[self.trainable.what]
        if self.domain.mode == "token":
            frozen = tuple(part for part in frozen if part != "embedding")  # the tokens' rows are trained
        if named := [part for part in frozen if part in self.learning_rates]:
            raise ValueError(
                f"learning_rates.{named[0]}: trainable.what: {self.trainable.what} does not train it; remove the rate"
            )
        return self


class FinetuneWhisper(TrainingSection):
    """Adaptation with few weights."""

    adapter: Adapter = Field(description="the few weights, and what they are beside")

    @pydantic.model_validator(mode="after")
    def _check_adapter(self):
        adapter = self.adapter
        if adapter.method == "adalora" and self.early_stopping:
            raise ValueError(
                f"early_stopping: {self.early_stopping}: AdaLoRA takes ranks away until late; an early end would deliver them all; "
                "give early_stopping: 0, or another method"
            )
        if adapter.method == "adalora" and self.ema_decay:
            raise ValueError(
                f"ema_decay: {self.ema_decay:g}: an average keeps what AdaLoRA takes away; give ema_decay: 0, or another method"
            )
        if (
            adapter.method == "adalora"
            and round(self.steps * (1 - adapter.adalora.final_share))
            <= round(self.steps * adapter.adalora.initial_share) + 1
        ):
            raise ValueError(
                f"steps: {self.steps} leave none in which adapter.adalora takes ranks away; give more steps"
            )
        return self
