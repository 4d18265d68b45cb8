"""The ways to train: which weights, and beside what."""

from typing import Literal

import pydantic
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from asr.params.section import Group, Share


class Trainable(Group):
    """Which weights `train_german_model` trains (`asr/trainable.py`)."""

    what: Literal["all", "encoder_frozen", "last_blocks"] = Field(
        default="all", description="all weights, all but the encoder's, or those of the last blocks"
    )
    encoder_blocks: NonNegativeInt = Field(default=0, description="last encoder blocks that last_blocks trains")
    decoder_blocks: NonNegativeInt = Field(
        default=0, description="last decoder blocks whose attention and MLP last_blocks trains"
    )

    @pydantic.model_validator(mode="after")
    def _check(self):
        if (self.what == "last_blocks") != (self.encoder_blocks + self.decoder_blocks > 0):
            raise ValueError(
                f"what: {self.what} with encoder_blocks: {self.encoder_blocks} and decoder_blocks: {self.decoder_blocks}; "
                "last_blocks needs a number of blocks, the others take none"
            )
        return self


class AdaLora(Group):
    """AdaLoRA (arXiv 2303.10512): ranks move to the matrices that need them, by optimiser steps."""

    target_rank: PositiveInt = Field(
        default=8, description="mean rank of a matrix at the end; it starts at adapter.rank"
    )
    initial_share: Share = Field(default=0.1, description="share of the steps before any rank is taken away")
    final_share: Share = Field(default=0.3, description="share of the steps after the last one is taken away")
    interval_steps: PositiveInt = Field(default=1, description="steps between allocations")
    orthogonality: NonNegativeFloat = Field(default=0.5, description="weight of the loss that keeps directions apart")

    @pydantic.model_validator(mode="after")
    def _check(self):
        if self.initial_share + self.final_share >= 1:
            raise ValueError(
                f"initial_share: {self.initial_share:g} and final_share: {self.final_share:g} leave no steps in which ranks are taken away"
            )
        return self


class Adapter(Group):
    """What `finetune_whisper` trains (`asr/adapter.py`)."""

    method: Literal["lora", "adalora", "dora", "rslora", "layers"] = Field(
        default="lora",
        description="LoRA (arXiv 2106.09685), AdaLoRA, DoRA (2402.09353), rsLoRA (2312.03732), or the last blocks themselves",
    )
    rank: PositiveInt = Field(default=32, description="rank of the update of each matrix")
    alpha: PositiveFloat = Field(
        default=32, description="the update is scaled by alpha / rank, by rsLoRA by alpha / the root of rank"
    )
    dropout: Share = Field(default=0.0, description="dropout on the adapter's input", lt=1)
    target_modules: list[Literal["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]] = Field(
        default=["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"],
        description="matrices that are adapted",
        min_length=1,
    )
    encoder_blocks: NonNegativeInt | Literal["all"] = Field(
        default="all", description="last encoder blocks that are adapted, or trained by layers"
    )
    decoder_blocks: NonNegativeInt | Literal["all"] = Field(
        default="all", description="last decoder blocks that are adapted, or trained by layers"
    )
    token_rows: bool = Field(
        default=False,
        description="also train the embedding's rows of the transcripts' tokens; for a base that never learnt them",
    )
    quantize: Literal["none", "8bit", "4bit"] = Field(
        default="none", description="hold the frozen base in LLM.int8 or nf4 (QLoRA, arXiv 2305.14314), by bitsandbytes"
    )
    adalora: AdaLora = Field(default=AdaLora(), description="what the method adalora needs beside rank and alpha")

    @pydantic.model_validator(mode="after")
    def _check(self):
        if (self.encoder_blocks, self.decoder_blocks) == (0, 0):
            raise ValueError("encoder_blocks: 0 and decoder_blocks: 0 leave nothing to adapt; give a number, or all")
        if self.method == "adalora" and self.adalora.target_rank >= self.rank:
            raise ValueError(
                f"adalora.target_rank: {self.adalora.target_rank} must be less than rank: {self.rank}, from which it comes down"
            )
        if self.method == "layers":
            if "all" in (self.encoder_blocks, self.decoder_blocks):
                raise ValueError(
                    "method: layers trains the last blocks; give encoder_blocks and decoder_blocks as numbers"
                )
            if self.quantize != "none":
                raise ValueError(
                    f"quantize: {self.quantize}: method: layers trains the weights themselves; give quantize: none"
                )
            if self.token_rows:
                raise ValueError("token_rows: method: layers leaves the embedding as it is; give token_rows: false")
        return self
