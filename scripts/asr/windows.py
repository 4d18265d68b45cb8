"""Windows: which utterances the encoder hears together, how long it listens, and in which step.

`plan_steps` is a pure function of the seed: the same windows in the same steps for any number of devices, accumulation
steps and workers, so that GPUS=1 and GPUS=2 are one experiment and a resumed run goes on where it stopped.

What a window costs (benchmarks/windows.py): most utterances fill a sixth of the 30 s that Whisper pads them to. A step here
has windows that are *cut* to the longest of them, or *full*, padded to 30 s as every runtime does. A window holds one
utterance, or is *packed* with several.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from asr.whisper_shape import FRAME_SECONDS, MAX_TEXT_TOKENS
from asr.whisper_shape import WINDOW_FRAMES as FULL_FRAMES

POOLED_STEPS = 16  # short steps whose utterances are sorted by length together


@dataclass(frozen=True)
class Part:
    """An utterance's place in a window."""

    utterance: int  # row of the feature cache
    offset: int  # frames from the window's start


@dataclass(frozen=True)
class Window:
    """What the encoder hears at once."""

    parts: tuple[Part, ...]
    frames: int  # length of the context; even, since the encoder halves it
    timestamps: bool  # taught with timestamps
    zero_padded: bool  # 0 after the last utterance, as faster-whisper pads the log-mel; else what silence sounds like
    frequency_scale: float = 1.0  # of what is heard: above 1 a shorter vocal tract speaks
    step: int | None = None  # of the training


@dataclass(frozen=True)
class Source:
    """Utterances to draw from: rows of the feature cache, with their lengths in frames and in text tokens."""

    share: float
    rows: np.ndarray
    frames: np.ndarray
    tokens: np.ndarray
    languages: Sequence[str]


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


@dataclass
class _Stream:
    """A source's utterances in random order, each once before any comes again."""

    source: Source
    rng: np.random.Generator
    order: list[int] = field(default_factory=list)

    def peek(self) -> int:
        if not self.order:
            self.order = self.rng.permutation(len(self.source.rows)).tolist()
        return self.order[-1]

    def take(self) -> int:
        index = self.peek()
        self.order.pop()
        return index


def plan_steps(sources: Sequence[Source], shapes: Shapes, steps: int, batch: int, seed: int) -> Iterator[list[Window]]:
    """The windows of each optimiser step.

    Args:
        sources: what to draw from; a window's utterances all come from one source and are in one language.
        shapes: how windows are made.
        steps: how many steps.
        batch: windows of a step of cut contexts; a full one has `shapes.full_batch`, a packed one `shapes.packed_batch`.
        seed: decides every draw.

    Yields:
        Windows that share one cut context, or full ones of 3,000 frames.
    """
    rng = np.random.default_rng(seed)
    streams = [_Stream(source, rng) for source in sources]
    shares = np.array([source.share for source in sources]) / sum(source.share for source in sources)
    short_steps: list[list[_Placed]] = []
    for step in range(steps):
        late = step / steps >= shapes.full_from
        full = late and rng.random() < shapes.full_share
        packed = late and not full and rng.random() < shapes.packed_share
        if full or packed:
            drawn = rng.choice(len(streams), size=shapes.full_batch if full else shapes.packed_batch, p=shares)
            placed = [
                _pack(streams[i], shapes, rng)
                if packed or rng.random() < shapes.packed_share
                else _single(streams[i], shapes, rng)
                for i in drawn
            ]
        else:
            if not short_steps:
                drawn = rng.choice(len(streams), size=POOLED_STEPS * batch, p=shares)
                short_steps = _by_length([_single(streams[i], shapes, rng) for i in drawn], batch, rng)
            placed = short_steps.pop()
        frames = FULL_FRAMES if full else _cut_context(placed, shapes, rng)
        yield [
            Window(
                tuple(Part(int(source.rows[index]), offset) for index, offset in parts),
                frames,
                timestamps=rng.random() < shapes.timestamps_share,
                zero_padded=full and rng.random() < shapes.zero_padded_share,
                frequency_scale=1.0 + shapes.frequency_warp * rng.uniform(-1, 1),
                step=step,
            )
            for source, parts in placed
        ]


_Placed = tuple[Source, list[tuple[int, int]]]  # a source, and indices into it with their offsets in frames


def _single(stream: _Stream, shapes: Shapes, rng: np.random.Generator) -> _Placed:
    index = stream.take()
    return stream.source, [(index, min(_lead(shapes, rng), FULL_FRAMES - int(stream.source.frames[index])))]


def _lead(shapes: Shapes, rng: np.random.Generator) -> int:
    """Frames of silence before the first utterance: a recording begins with some, as does what a VAD cuts out of one."""
    return int(rng.uniform(0, shapes.jitter_seconds) / FRAME_SECONDS)


def _length(placed: _Placed) -> int:
    source, parts = placed
    index, offset = parts[-1]
    return offset + int(source.frames[index])


def _by_length(pool: list[_Placed], batch: int, rng: np.random.Generator) -> list[list[_Placed]]:
    """The pool as steps of like lengths, in random order: a step's context is cut to its longest, and all pay for it."""
    pool = sorted(pool, key=_length)
    batches = [pool[first : first + batch] for first in range(0, len(pool), batch)]
    return [batches[i] for i in rng.permutation(len(batches))]


def _pack(stream: _Stream, shapes: Shapes, rng: np.random.Generator) -> _Placed:
    """Utterances one after the other, with gaps, until the next does not fit into the window or into the decoder."""
    source = stream.source
    limit = min(int(rng.uniform(*shapes.packed_seconds) / FRAME_SECONDS), FULL_FRAMES)
    low, high = (seconds / FRAME_SECONDS for seconds in shapes.gap_seconds)
    first = stream.peek()
    # A window does not always begin with speech at once; an utterance of nearly 30 s leaves no room before it.
    offset = min(_lead(shapes, rng), max(limit - int(source.frames[first]), 0))
    parts, tokens = [], 0
    while True:
        index = stream.peek()
        tokens += int(source.tokens[index]) + 2  # its two timestamps
        fits = offset + source.frames[index] <= limit and tokens <= MAX_TEXT_TOKENS
        if parts and not (fits and source.languages[index] == source.languages[first]):
            return source, parts
        parts.append((stream.take(), offset))
        offset += int(source.frames[index]) + int(rng.uniform(low, high))


def _cut_context(placed: list[_Placed], shapes: Shapes, rng: np.random.Generator) -> int:
    """Frames that hold the longest utterance of the step, and a little silence, since runtimes end in silence too."""
    frames = max(map(_length, placed)) + int(rng.uniform(0, shapes.jitter_seconds) / FRAME_SECONDS)
    return min(frames + frames % 2, FULL_FRAMES)


class RankBatches:
    """A batch sampler: the micro-batches of one rank, in order, `accumulation` for each optimiser step.

    A step's windows are dealt out in equal, contiguous shares, first by accumulation step, then by rank.
    """

    def __init__(self, plan, steps: int, accumulation: int, rank: int, world: int):
        """`plan()` gives a fresh iterator over the windows of the steps."""
        self._plan, self._steps, self._accumulation, self._rank, self._world = plan, steps, accumulation, rank, world

    def __len__(self) -> int:
        return self._steps * self._accumulation

    def __iter__(self) -> Iterator[list[Window]]:
        for windows in self._plan():
            size = len(windows) // (self._accumulation * self._world)
            for i in range(self._accumulation):
                first = (i * self._world + self._rank) * size
                yield windows[first : first + size]
