"""The sections of the two trainings."""

from pathlib import Path
from typing import Literal

import pydantic
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from asr.params.section import Group, Section, Share
from asr.params.windows import Windows


class TrainingSection(Section):
    """What `train_german_model` and `finetune_whisper` share."""

    output_dir: Path = Field(description="folder to write")
    model_dir: Path = Field(description="the model to start from")
    features_dir: Path = Field(
        description="extract_features' folder, or prepare_audio's: log-mels are then computed anew in every step"
    )
    sources: dict[str, PositiveFloat] = Field(
        description="sources to train on, with the share of the utterances drawn from each", min_length=1
    )
    eval_sources: list[str] = Field(description="sources whose dev split decides on the best checkpoint", min_length=1)
    eval_utterances: PositiveInt = Field(description="at most so many dev utterances, the same ones each time")
    seed: NonNegativeInt = Field(description="decides the order of the data and everything else that is drawn")
    steps: PositiveInt = Field(description="optimiser steps")
    global_batch: PositiveInt = Field(description="windows a step, over all devices and accumulation")
    device_batch: PositiveInt = Field(description="windows that a device holds at once; the rest is accumulated")
    optimizer: Literal["adamw_torch", "adamw_torch_fused", "adafactor"] = Field(
        description="adafactor keeps almost no state: 8 bytes a weight less than AdamW"
    )
    learning_rate: PositiveFloat = Field(description="peak")
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = Field(description="what follows the warm-up")
    warmup_steps: NonNegativeInt = Field(description="steps of linear warm-up")
    weight_decay: NonNegativeFloat = Field(description="AdamW's")
    max_grad_norm: PositiveFloat = Field(description="gradients are clipped to this norm")
    gradient_checkpointing: bool = Field(description="about 40 % less memory for about 30 % more time")
    eval_steps: PositiveInt = Field(description="steps between evaluations, which are also the checkpoints")
    eval_batch: PositiveInt = Field(description="windows that a device decodes at once")
    log_steps: PositiveInt = Field(description="steps between points of the loss curve")
    loader_workers: NonNegativeInt = Field(
        description="processes a device that build batches; 0: the training process itself"
    )
    max_non_finite: PositiveInt = Field(
        default=3, description="so many steps in a row whose loss is not finite end the training; each one is skipped"
    )
    windows: Windows = Field(description="how utterances become windows")

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
    """Full-parameter training."""

    ctc_weight: NonNegativeFloat = Field(
        description="weight of a CTC loss that teaches the encoder to spell; for random weights only, else 0"
    )
    guided_attention_weight: NonNegativeFloat = Field(
        description="weight of a loss that shows the decoder where a token is said; for random weights only, else 0"
    )
    sampled_tokens: NonNegativeInt = Field(
        description="tokens that the corpus never says, drawn anew each step to stand for all of them; 0: all"
    )


class Lora(Group):
    """LoRA (arXiv 2106.09685)."""

    rank: PositiveInt = Field(description="rank of the update of each matrix")
    alpha: PositiveFloat = Field(description="the update is scaled by alpha / rank")
    dropout: Share = Field(description="dropout on the adapter's input", lt=1)
    target_modules: list[Literal["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]] = Field(
        description="matrices that are adapted", min_length=1
    )
    token_rows: bool = Field(
        description="also train the embedding's rows of the transcripts' tokens; for a base that never learnt them"
    )


class FinetuneWhisper(TrainingSection):
    """Adaptation with few weights."""

    lora: Lora = Field(description="the adapter")
