"""How utterances become what the encoder hears and the decoder reads: windows, augmentation and prompts of a training."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from asr.params.section import Group, Share

Seconds = Annotated[float, Field(gt=0, le=30)]  # of a window
Range = tuple[float, float]

# What a kind of windows decides by itself; the parameters that it leaves to `params.yaml` are not in its row.
KINDS: dict[str, dict[str, Any]] = {
    "single": {
        "full_share": 1.0,
        "full_from": 0.0,
        "full_batch": 0,
        "packed_share": 0.0,
        "packed_batch": 0,
        "packed_seconds": (30.0, 30.0),
        "gap_seconds": (0.0, 0.0),
        "one_speaker_share": 0.0,
        "cut_off_share": 0.0,
        "step_seconds": 0.0,
        "look_ahead": 0,
        "pooled_steps": 1,
    },
    "packed": {
        "full_share": 1.0,
        "full_from": 0.0,
        "full_batch": 0,
        "packed_batch": 0,
        "step_seconds": 0.0,
        "pooled_steps": 1,
    },
    "short": {},
}


class Windows(Group):
    """How utterances become the windows that the encoder hears (`asr/windows.py`)."""

    kind: Literal["single", "packed", "short"] = Field(
        description="single: one utterance, padded to 30 s, as most guides do; packed: several in 30 s; short: contexts "
        "cut to the longest of a step, and a share of full ones"
    )
    full_share: Share = Field(
        default=0.1,
        description="short: share of the steps from full_from on whose windows are padded to 30 s, as runtimes pad them",
    )
    full_from: Share = Field(
        default=0.0,
        description="short: full and packed steps start after this share of the training; above 0 for random weights, "
        "which learn sooner so",
        lt=1,
    )
    full_batch: NonNegativeInt = Field(
        default=0, description="short: windows of a full step, over all devices; 0: global_batch"
    )
    packed_share: Share = Field(
        default=1.0, description="share of the full windows, and of the cut steps, that hold several utterances"
    )
    packed_batch: NonNegativeInt = Field(
        default=0, description="short: windows of a packed step of cut contexts, over all devices; 0: global_batch"
    )
    packed_seconds: tuple[Seconds, Seconds] = Field(
        default=(30.0, 30.0), description="how long a packed window may be, drawn from this range for each; at most 30"
    )
    gap_seconds: tuple[NonNegativeFloat, NonNegativeFloat] = Field(
        default=(0.1, 1.0), description="silence between packed utterances, drawn from this range"
    )
    look_ahead: NonNegativeInt = Field(
        default=200,
        description="the end of a packed window is filled with the longest that fits of so many coming utterances; 0: it is not",
    )
    pooled_steps: PositiveInt = Field(
        default=64,
        description="short: single utterances of so many steps are sorted by length together; more waste less of a step's "
        "context, and make its lengths more alike",
    )
    one_speaker_share: Share = Field(
        default=0.5,
        description="share of the packed windows in which one speaker says all, as long as he has more to say",
    )
    cut_off_share: Share = Field(
        default=0.0,
        description="share of the packed windows of 30 s that may end while somebody speaks; with timestamps, the start of "
        "what is cut off is taught",
    )
    step_seconds: NonNegativeFloat = Field(
        default=0.0,
        description="short: a cut step has at most so many seconds of windows, over all devices, so that steps of short "
        "utterances have more windows, up to global_batch; 0: always global_batch",
    )
    jitter_seconds: NonNegativeFloat = Field(
        default=0.0,
        description="up to so much silence before a window's first utterance, and after the longest of a cut context",
        le=1,  # the first timestamp is at most 1 s
    )
    timestamps_share: Share = Field(default=0.5, description="share of the windows taught with timestamps")
    previous_share: Share = Field(
        default=0.0, description="share of the windows that are read after what was said before, in <|startofprev|>"
    )
    no_speech_share: Share = Field(
        default=0.0, description="share of the windows in which nobody speaks: silence and noise, made up", lt=1
    )
    zero_padded_share: Share = Field(
        default=0.25,
        description="share of the full windows that are 0 after their last utterance, as faster-whisper pads the log-mel",
    )
    frequency_warp: Share = Field(
        default=0.0,
        description="each window's frequencies are scaled by a factor up to so far from 1, as if by another speaker",
        le=0.5,
    )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _decided_by_kind(cls, values: Any) -> Any:
        decided = KINDS.get(values.get("kind"), {}) if isinstance(values, dict) else {}
        given = {name: values.get(name, value) for name, value in decided.items()}
        given = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
        if useless := [name for name, value in decided.items() if given[name] != value]:
            them = "it" if len(useless) == 1 else "them"
            raise ValueError(
                f"{', '.join(useless)}: kind: {values['kind']} has no use for {them}; remove {them}, or choose another kind"
            )
        return decided | values if decided else values

    @pydantic.model_validator(mode="after")
    def _check(self):
        for name, (low, high) in {"gap_seconds": self.gap_seconds, "packed_seconds": self.packed_seconds}.items():
            if low > high:
                raise ValueError(f"{name}: {low:g} is more than {high:g}; give the lower one first")
        if 0 < self.step_seconds < 30:
            raise ValueError(f"step_seconds: {self.step_seconds:g} do not hold a window of 30 s; give 30 or more, or 0")
        return self


class Augment(Group):
    """Changes of what is heard, drawn for each window. Those of the sound need `features_dir: outputs/prepare_audio`."""

    noise_share: Share = Field(default=0.0, description="share of the windows with noise behind the speech")
    noise_dir: Path | None = Field(
        default=None, description="recordings of noise, for that and for windows without speech; none: made up"
    )
    noise_decibels: Range = Field(default=(5.0, 30.0), description="by how much the speech is louder than the noise")
    room_share: Share = Field(default=0.0, description="share of the windows spoken in a made-up room")
    gain_share: Share = Field(default=0.0, description="share of the windows that are louder or softer")
    gain_decibels: Range = Field(default=(-12.0, 6.0), description="by how much")
    pitch_share: Share = Field(default=0.0, description="share of the windows that are higher or lower")
    pitch_semitones: Range = Field(default=(-2.0, 2.0), description="by how much")
    telephone_share: Share = Field(default=0.0, description="share of the windows heard from 300 to 3,400 Hz alone")
    speed_share: Share = Field(default=0.0, description="share of the utterances that are said faster or slower")
    speed: tuple[PositiveFloat, PositiveFloat] = Field(
        default=(0.9, 1.1), description="how fast they are said; above 1 they are shorter and higher"
    )
    mask_share: Share = Field(
        default=0.0, description="SpecAugment (arXiv 1904.08779): share of the windows with masks"
    )
    masks: PositiveInt = Field(default=2, description="masks of either kind")
    mask_seconds: PositiveFloat = Field(default=1.0, description="a mask in time is at most so long")
    mask_bins: PositiveInt = Field(default=12, description="a mask in frequency is at most so many mel bins high")

    @pydantic.model_validator(mode="after")
    def _check(self):
        for name in ("noise_decibels", "gain_decibels", "pitch_semitones", "speed"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name}: {low:g} is more than {high:g}; give the lower one first")
        return self


class Domain(Group):
    """How the decoder is told what a recording is about."""

    mode: Literal["none", "prompt", "token"] = Field(
        default="none",
        description="prompt: text after <|startofprev|>, which every runtime can give as initial_prompt; token: a new "
        "token there, which only transformers reads as what it is",
    )
    share: Share = Field(
        default=0.5, description="share of the windows that are told; with 1.0 a model needs to be told"
    )
    texts: dict[str, str] = Field(
        default_factory=dict, description="prompt: what is said of each domain; its name where nothing is given"
    )


class Words(Group):
    """Words that a prompt lists, said or not, as runtimes take hotwords."""

    share: Share = Field(default=0.0, description="share of the windows whose prompt lists words")
    listed: list[str] = Field(default_factory=list, description="the words")
    most: PositiveInt = Field(default=20, description="words in a prompt at most")

    @pydantic.model_validator(mode="after")
    def _check(self):
        if self.share and not self.listed:
            raise ValueError("listed: missing; give the words, or share: 0")
        return self
