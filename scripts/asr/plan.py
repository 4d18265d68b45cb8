"""The plan of a training: the windows of each optimiser step.

`plan_steps` is a pure function of the seed: the same windows in the same steps for any number of devices, accumulation
steps and workers, so that GPUS=1 and GPUS=2 are one experiment and a resumed run goes on where it stopped. What is drawn
later, when a window is made (noise, masks, the words of a prompt), is drawn from the window's own seed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from asr.draws import Draws
from asr.whisper_shape import FRAME_SECONDS, MAX_TEXT_TOKENS, WINDOW_SECONDS
from asr.whisper_shape import WINDOW_FRAMES as FULL_FRAMES
from asr.windows import Part, Shapes, Source, Window

LEAST_CUT_OFF = 50  # frames that are heard of an utterance which the window's end cuts off


@dataclass(frozen=True)
class _Placed:
    """A window before it is known in which step it comes."""

    parts: tuple[Part, ...]
    end: int  # frames that are sound
    cut_off: Part | None = None
    previous: tuple[int, ...] = ()
    told_as: int | None = None


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
    plan = _Plan(sources, shapes, batch, seed)
    for step in range(steps):
        yield plan.step(step, late=step / steps >= shapes.full_from)


class _Plan:
    def __init__(self, sources: Sequence[Source], shapes: Shapes, batch: int, seed: int):
        self.shapes, self.batch = shapes, batch
        # The second generator draws what was added later, so that plans without it are what they were.
        self.rng, self.later = np.random.default_rng(seed), np.random.default_rng([seed, 1])
        self.draws: list[Draws | None] = [Draws(source, shapes, self.rng, self.later) for source in sources]
        self.shares = np.array([source.share for source in sources]) / sum(source.share for source in sources)
        if shapes.no_speech_share:
            self.draws.append(None)
            self.shares = np.append(self.shares * (1 - shapes.no_speech_share), shapes.no_speech_share)
        self.short_steps: list[list[_Placed]] = []
        self.left: list[_Placed] = []

    def step(self, number: int, late: bool) -> list[Window]:
        rng, shapes = self.rng, self.shapes
        full = late and rng.random() < shapes.full_share
        packed = late and not full and rng.random() < shapes.packed_share
        if full or packed:
            drawn = self.drawn(shapes.full_batch if full else shapes.packed_batch)
            placed = [self.packed(draws, full, always=packed) for draws in drawn]
        else:
            while not self.short_steps:
                pool = self.left + [self.single(draws) for draws in self.drawn(shapes.pooled_steps * self.batch)]
                self.short_steps, self.left = _by_length(pool, self.batch, shapes, rng)
            placed = self.short_steps.pop()
        frames = FULL_FRAMES if full else self.cut_context(placed)
        return [self.window(place, full, frames, number) for place in placed]

    def drawn(self, size: int) -> list[Draws | None]:
        """A source for each window; None: nobody speaks in it."""
        return [self.draws[i] for i in self.rng.choice(len(self.draws), size=size, p=self.shares)]

    def window(self, place: _Placed, full: bool, frames: int, step: int) -> Window:
        rng, shapes = self.rng, self.shapes
        timestamps = rng.random() < shapes.timestamps_share
        return Window(
            place.parts,
            frames,
            timestamps=timestamps,
            zero_padded=full and rng.random() < shapes.zero_padded_share,
            frequency_scale=1.0 + shapes.frequency_warp * rng.uniform(-1, 1),
            step=step,
            seed=int(self.later.integers(2**31)),
            cut_off=place.cut_off if timestamps else None,  # without them nothing can be taught of it
            previous=place.previous,
            heard=place.end,
            told_as=place.told_as,
        )

    def no_speech(self) -> _Placed:
        """As long as some utterance and told the same, so that neither length nor prompt tells that nobody speaks."""
        draws = self.draws[self.later.integers(len(self.draws) - 1)]
        index = int(self.later.integers(len(draws.source.rows)))
        row, frames = int(draws.source.rows[index]), int(draws.source.frames[index])
        return _Placed((), frames, previous=self.previous(draws, index), told_as=row)

    def single(self, draws: Draws | None) -> _Placed:
        if draws is None:
            return self.no_speech()
        index = draws.take(draws.peek())
        offset = min(self.lead(), FULL_FRAMES - draws.frames(index))
        part = draws.part(index, offset)
        return _Placed((part,), offset + draws.frames(index), previous=self.previous(draws, index))

    def packed(self, draws: Draws | None, full: bool, always: bool) -> _Placed:
        if draws is None:
            return self.no_speech()
        return self.pack(draws, full) if always or self.rng.random() < self.shapes.packed_share else self.single(draws)

    def pack(self, draws: Draws, full: bool) -> _Placed:
        """Utterances one after the other, with gaps, until none fits into the rest of the window and of the decoder.

        Where the next one is too long it may be heard in part, as of a full window the end comes while somebody speaks; else
        the longest of the coming ones that fits is taken before it.
        """
        rng, shapes = self.rng, self.shapes
        limit = min(int(rng.uniform(*shapes.packed_seconds) / FRAME_SECONDS), FULL_FRAMES)
        low, high = (seconds / FRAME_SECONDS for seconds in shapes.gap_seconds)
        first = draws.peek()
        one_speaker = shapes.one_speaker_share > 0 and self.later.random() < shapes.one_speaker_share
        may_cut_off = full and shapes.cut_off_share > 0 and self.later.random() < shapes.cut_off_share
        # A window does not always begin with speech at once; an utterance of nearly 30 s leaves no room before it.
        offset = min(self.lead(), max(limit - draws.frames(first), 0))
        parts, cut_off, tokens, end, index = [], None, MAX_TEXT_TOKENS, 0, first
        while index is not None:
            parts.append(draws.part(draws.take(index), offset))
            tokens -= draws.tokens(index)
            end = offset + draws.frames(index)
            offset = end + int(rng.uniform(low, high))
            index = draws.peek(first, one_speaker)
            if index is None or draws.fits(index, limit - offset, tokens):
                continue
            goes_on = offset + LEAST_CUT_OFF <= FULL_FRAMES < offset + draws.frames(index)
            if may_cut_off and goes_on and draws.tokens(index) <= tokens:
                cut_off = draws.part(index, offset)  # it is not taken: it comes again, whole
                break
            index = draws.longest(limit - offset, tokens, first, one_speaker)
        return _Placed(tuple(parts), FULL_FRAMES if cut_off else end, cut_off, self.previous(draws, first))

    def previous(self, draws: Draws, index: int) -> tuple[int, ...]:
        told = self.shapes.previous_share > 0 and self.later.random() < self.shapes.previous_share
        return draws.previous(index) if told else ()

    def lead(self) -> int:
        """Frames of silence before the first utterance: a recording begins with some, as does what a VAD cuts out of one."""
        return int(self.rng.uniform(0, self.shapes.jitter_seconds) / FRAME_SECONDS)

    def cut_context(self, placed: list[_Placed]) -> int:
        """Frames that hold the longest window of the step, and a little silence, since runtimes end in silence too."""
        frames = max(place.end for place in placed)
        frames += int(self.rng.uniform(0, self.shapes.jitter_seconds) / FRAME_SECONDS)
        return min(frames + frames % 2, FULL_FRAMES)


def _by_length(
    pool: list[_Placed], batch: int, shapes: Shapes, rng: np.random.Generator
) -> tuple[list[list[_Placed]], list[_Placed]]:
    """The pool as steps of like lengths, in random order: a step's context is cut to its longest, and all pay for it.

    What does not fill a step of `step_seconds` is left for the next pool.
    """
    pool = sorted(pool, key=lambda place: place.end)
    batches, left = [], []
    if shapes.step_seconds:
        least = min(int(shapes.step_seconds / WINDOW_SECONDS), batch)  # what devices and accumulation divide
        while pool:
            longest = min(pool[-1].end * FRAME_SECONDS + shapes.jitter_seconds, WINDOW_SECONDS)
            size = min(batch, int(shapes.step_seconds / longest))
            size -= size % least
            if size > len(pool):
                left = pool
                break
            batches.append(pool[-size:])
            del pool[-size:]
    else:
        batches = [pool[first : first + batch] for first in range(0, len(pool), batch)]
    return [batches[i] for i in rng.permutation(len(batches))], left
