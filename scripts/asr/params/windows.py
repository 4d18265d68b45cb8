"""How utterances become windows: the part of a training's section that `asr/windows.py` reads."""

from typing import Annotated

import pydantic
from pydantic import Field, NonNegativeFloat, PositiveInt

from asr.params.section import Group, Share

Seconds = Annotated[float, Field(gt=0, le=30)]  # of a window


class Windows(Group):
    """How utterances become the windows that the encoder hears (`asr/windows.py`)."""

    full_share: Share = Field(
        description="share of the steps from full_from on whose windows are padded to 30 s; the others are cut to their longest"
    )
    full_from: Share = Field(
        description="full and packed steps start after this share of the training; above 0 for random weights, which learn sooner so",
        lt=1,
    )
    full_batch: PositiveInt = Field(description="windows of a full step, over all devices")
    jitter_seconds: NonNegativeFloat = Field(
        description="up to so much silence before a window's first utterance, and after the longest of a cut context",
        le=1,  # the first timestamp is at most 1 s
    )
    packed_share: Share = Field(
        description="share of the full windows, and of the cut steps, that hold several utterances"
    )
    packed_batch: PositiveInt = Field(description="windows of a packed step of cut contexts, over all devices")
    packed_seconds: tuple[Seconds, Seconds] = Field(
        description="how long a packed window may be, drawn from this range for each; at most 30"
    )
    gap_seconds: tuple[NonNegativeFloat, NonNegativeFloat] = Field(
        description="silence between packed utterances, drawn from this range"
    )
    timestamps_share: Share = Field(description="share of the windows taught with timestamps")
    zero_padded_share: Share = Field(
        description="share of the full windows that are 0 after their last utterance, as faster-whisper pads the log-mel"
    )
    frequency_warp: Share = Field(
        description="each window's frequencies are scaled by a factor up to so far from 1, as if by another speaker",
        le=0.5,
    )

    @pydantic.model_validator(mode="after")
    def _check(self):
        for name, (low, high) in {"gap_seconds": self.gap_seconds, "packed_seconds": self.packed_seconds}.items():
            if low > high:
                raise ValueError(f"{name}: {low:g} is more than {high:g}; give the lower one first")
        return self
