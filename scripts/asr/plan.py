"""The plan of a training: the windows of each optimiser step.

`plan_steps` is a pure function of the seed: the same windows in the same steps for any number of devices, accumulation
steps and workers, so that GPUS=1 and GPUS=2 are one experiment and a resumed run goes on where it stopped. What is drawn
later, when a window is made (noise, masks, the words of a prompt), is drawn from the window's own seed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from asr.draws import Draws
from asr.whisper_shape import FRAME_SECONDS, MAX_TEXT_TOKENS
from asr.whisper_shape import WINDOW_FRAMES as FULL_FRAMES
from asr.windows import Part, Shapes, Source, Window

POOLED_STEPS = 16  # short steps whose utterances are sorted by length together
LEAST_CUT_OFF = 50  # frames that are heard of an utterance which the window's end cuts off


@dataclass(frozen=True)
class _Placed:
    """A window before it is known in which step it comes."""

    parts: tuple[Part, ...]
    end: int  # frames that are sound
    cut_off: Part | None = None
    previous: tuple[int, ...] = ()


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
    rng, later = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    all_draws = [Draws(source, shapes, rng, later) for source in sources]
    shares = np.array([source.share for source in sources]) / sum(source.share for source in sources)
    if shapes.no_speech_share:
        shares = np.append(shares * (1 - shapes.no_speech_share), shapes.no_speech_share)

    def draw(size: int) -> list[Draws | None]:
        return [all_draws[i] if i < len(all_draws) else None for i in rng.choice(len(shares), size=size, p=shares)]

    short_steps: list[list[_Placed]] = []
    left: list[_Placed] = []
    for step in range(steps):
        late = step / steps >= shapes.full_from
        full = late and rng.random() < shapes.full_share
        packed = late and not full and rng.random() < shapes.packed_share
        if full or packed:
            placed = [
                _no_speech(all_draws, later)
                if draws is None
                else _pack(draws, shapes, rng, later, full)
                if packed or rng.random() < shapes.packed_share
                else _single(draws, shapes, rng, later)
                for draws in draw(shapes.full_batch if full else shapes.packed_batch)
            ]
        else:
            while not short_steps:
                pool = left + [
                    _no_speech(all_draws, later) if draws is None else _single(draws, shapes, rng, later)
                    for draws in draw(POOLED_STEPS * batch)
                ]
                short_steps, left = _by_length(pool, batch, shapes.step_seconds, rng)
            placed = short_steps.pop()
        frames = FULL_FRAMES if full else _cut_context(placed, shapes, rng)
        yield [_window(place, full, frames, shapes, step, rng, later) for place in placed]


def _window(place: _Placed, full: bool, frames: int, shapes: Shapes, step: int, rng, later) -> Window:
    timestamps = rng.random() < shapes.timestamps_share
    return Window(
        place.parts,
        frames,
        timestamps=timestamps,
        zero_padded=full and rng.random() < shapes.zero_padded_share,
        frequency_scale=1.0 + shapes.frequency_warp * rng.uniform(-1, 1),
        step=step,
        seed=int(later.integers(2**31)),
        cut_off=place.cut_off if timestamps else None,  # without them nothing can be taught of it
        previous=place.previous,
        heard=place.end,
    )


def _no_speech(all_draws: Sequence[Draws], later: np.random.Generator) -> _Placed:
    """As long as some utterance, so that no length tells that nobody speaks."""
    frames = all_draws[later.integers(len(all_draws))].source.frames
    return _Placed((), int(frames[later.integers(len(frames))]))


def _single(draws: Draws, shapes: Shapes, rng: np.random.Generator, later: np.random.Generator) -> _Placed:
    index = draws.take(draws.peek())
    offset = min(_lead(shapes, rng), FULL_FRAMES - draws.frames(index))
    end = offset + draws.frames(index)
    return _Placed((draws.part(index, offset),), end, previous=_previous(draws, index, shapes, later))


def _previous(draws: Draws, index: int, shapes: Shapes, later: np.random.Generator) -> tuple[int, ...]:
    if not shapes.previous_share or later.random() >= shapes.previous_share:
        return ()
    return draws.previous(index)


def _lead(shapes: Shapes, rng: np.random.Generator) -> int:
    """Frames of silence before the first utterance: a recording begins with some, as does what a VAD cuts out of one."""
    return int(rng.uniform(0, shapes.jitter_seconds) / FRAME_SECONDS)


def _by_length(
    pool: list[_Placed], batch: int, step_seconds: float, rng: np.random.Generator
) -> tuple[list[list[_Placed]], list[_Placed]]:
    """The pool as steps of like lengths, in random order: a step's context is cut to its longest, and all pay for it.

    What does not make a step of `step_seconds` is left for the next pool.
    """
    pool = sorted(pool, key=lambda place: place.end)
    batches, left = [], []
    if step_seconds:
        while pool:
            size = min(batch, int(step_seconds / (pool[-1].end * FRAME_SECONDS)))
            if size > len(pool):
                left = pool
                break
            batches.append(pool[-size:])
            del pool[-size:]
    else:
        batches = [pool[first : first + batch] for first in range(0, len(pool), batch)]
    return [batches[i] for i in rng.permutation(len(batches))], left


def _pack(draws: Draws, shapes: Shapes, rng: np.random.Generator, later: np.random.Generator, full: bool) -> _Placed:
    """Utterances one after the other, with gaps, until the next does not fit into the window or into the decoder.

    The next one may be heard in part: of a full window the end comes while somebody speaks.
    """
    limit = min(int(rng.uniform(*shapes.packed_seconds) / FRAME_SECONDS), FULL_FRAMES)
    low, high = (seconds / FRAME_SECONDS for seconds in shapes.gap_seconds)
    first = draws.peek()
    one_speaker = shapes.one_speaker_share > 0 and later.random() < shapes.one_speaker_share
    # A window does not always begin with speech at once; an utterance of nearly 30 s leaves no room before it.
    offset = min(_lead(shapes, rng), max(limit - draws.frames(first), 0))
    parts, tokens, end, index = [], 0, 0, first
    while True:
        tokens += 0 if index is None else int(draws.source.tokens[index]) + 2  # its two timestamps
        fits = index is not None and offset + draws.frames(index) <= limit and tokens <= MAX_TEXT_TOKENS
        if parts and not fits:
            break
        parts.append(draws.part(draws.take(index), offset))
        end = offset + draws.frames(index)
        offset = end + int(rng.uniform(low, high))
        index = draws.peek(first, one_speaker)
    cut_off = None
    if full and index is not None and shapes.cut_off_share and later.random() < shapes.cut_off_share:
        goes_on = offset + LEAST_CUT_OFF <= FULL_FRAMES < offset + draws.frames(index)
        cut_off = draws.part(index, offset) if goes_on else None  # heard in part, it is not taken: it comes again
    end = FULL_FRAMES if cut_off else end
    return _Placed(tuple(parts), end, cut_off, _previous(draws, first, shapes, later))


def _cut_context(placed: list[_Placed], shapes: Shapes, rng: np.random.Generator) -> int:
    """Frames that hold the longest window of the step, and a little silence, since runtimes end in silence too."""
    frames = max(place.end for place in placed) + int(rng.uniform(0, shapes.jitter_seconds) / FRAME_SECONDS)
    return min(frames + frames % 2, FULL_FRAMES)
