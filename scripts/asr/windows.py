"""Windows: what the encoder hears at once and the decoder is taught, what they are made of, and who gets which.

    Source(...), Shapes(...)                    in: utterances to draw from, and how windows are made
    [Window((Part(17, 0), Part(4, 320)), ...)]  out of `plan.plan_steps`: which utterances, where, how long a context
    RankBatches(...)                            the micro-batches of one device

What a window costs (benchmarks/windows.py): most utterances fill a sixth of the 30 s that Whisper pads them to. A step here
has windows that are *cut* to the longest of them, or *full*, padded to 30 s as every runtime does. A window holds one
utterance, or is *packed* with several.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Part:
    """An utterance's place in a window."""

    utterance: int  # row of the feature cache
    offset: int  # frames from the window's start
    speed: float = 1.0  # of what is heard: above 1 it is shorter


@dataclass(frozen=True)
class Window:
    """What the encoder hears at once."""

    parts: tuple[Part, ...]  # none: nobody speaks, and the sound is made up
    frames: int  # length of the context; even, since the encoder halves it
    timestamps: bool  # taught with timestamps
    zero_padded: bool  # 0 after the last utterance, as faster-whisper pads the log-mel; else what silence sounds like
    frequency_scale: float = 1.0  # of what is heard: above 1 a shorter vocal tract speaks
    step: int | None = None  # of the training
    seed: int | None = None  # of all that is drawn when the window is made; None: nothing is
    cut_off: Part | None = None  # an utterance that goes on after the window's end
    previous: tuple[int, ...] = ()  # rows whose texts the decoder reads as what was said before
    heard: int = 0  # frames that are sound; with no parts
    told_as: int | None = (
        None  # with no parts: the row whose language and domain it is told; else "no prompt" meant "nobody speaks"
    )


@dataclass(frozen=True)
class Source:
    """Utterances to draw from: rows of the feature cache, with their lengths in frames and in text tokens."""

    share: float
    rows: np.ndarray
    frames: np.ndarray
    tokens: np.ndarray
    languages: Sequence[str]
    speakers: Sequence[str] = ()  # "" where nobody knows
    domains: Sequence[str] = ()
    before: np.ndarray | None = None  # by row of the cache: that of what was said just before; -1 where there is none


@dataclass(frozen=True)
class Shapes:
    """How windows are made; the fields are described in `params.Windows`."""

    full_share: float
    full_batch: int
    jitter_seconds: float
    full_from: float
    packed_share: float
    packed_batch: int
    packed_seconds: tuple[float, float]
    gap_seconds: tuple[float, float]
    timestamps_share: float
    zero_padded_share: float
    frequency_warp: float
    look_ahead: int = 0
    pooled_steps: int = 1
    one_speaker_share: float = 0.0
    cut_off_share: float = 0.0
    no_speech_share: float = 0.0
    previous_share: float = 0.0
    step_seconds: float = 0.0
    speed_share: float = 0.0
    speed: tuple[float, float] = (1.0, 1.0)


class RankBatches:
    """A batch sampler: the micro-batches of one rank, in order, `accumulation` for each optimiser step.

    A step's windows are dealt out in contiguous shares, first by accumulation step, then by rank: equal ones, or where a
    step is bounded by seconds, as equal as can be.
    """

    def __init__(self, plan, steps: int, accumulation: int, rank: int, world: int):
        """`plan()` gives a fresh iterator over the windows of the steps."""
        self._plan, self._steps, self._accumulation, self._rank, self._world = plan, steps, accumulation, rank, world

    def __len__(self) -> int:
        return self._steps * self._accumulation

    def __iter__(self) -> Iterator[list[Window]]:
        for windows in self._plan():
            shares = self._accumulation * self._world
            for i in range(self._accumulation):
                share = i * self._world + self._rank
                yield windows[len(windows) * share // shares : len(windows) * (share + 1) // shares]
