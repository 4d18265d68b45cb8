"""A long recording cut where nobody speaks, into pieces that a model hears at once.

    for piece in cut(blocks(Path("talk.mp4")), most_seconds=30): ...

Goes through the sound once and holds no more of it than a piece. Silences longer than `SILENCE_SECONDS` are left out; a
piece that would be too long ends in the widest pause of its second half, or where speech is least likely.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from asr.voice_activity import WINDOW, WINDOW_SECONDS, VoiceActivity
from asr.whisper_shape import SAMPLE_RATE

THRESHOLD = 0.5  # silero's own, as are the two below in faster-whisper
BELOW = 0.15  # speech goes on until its probability falls so far below the threshold
SILENCE_SECONDS = 2.0  # ends a piece
PAD_SECONDS = 0.4  # of what is before and after speech
PAUSE_WINDOWS = 3  # 0.1 s; shorter ones are closures of a plosive

_SILENCE = round(SILENCE_SECONDS / WINDOW_SECONDS)
_PAD = round(PAD_SECONDS / WINDOW_SECONDS)


@dataclass(frozen=True)
class Piece:
    """`waveform`: float32 `[samples]`, 16 kHz; `start`: seconds from the recording's start."""

    start: float
    waveform: np.ndarray

    @property
    def seconds(self) -> float:
        return len(self.waveform) / SAMPLE_RATE

    @property
    def end(self) -> float:
        return self.start + self.seconds


def cut(blocks: Iterable[np.ndarray], most_seconds: float, threshold: float = THRESHOLD) -> Iterator[Piece]:
    """Pieces in order, none overlapping another.

    Args:
        blocks: float32 `[samples]`, 16 kHz.
        most_seconds: of a piece.
        threshold: probability from which sound is taken for speech; 0 takes everything for it.
    """
    most = int(most_seconds / WINDOW_SECONDS)
    activity = VoiceActivity()
    first, on = 0, False  # window that the sound held starts with, and whether somebody spoke just before
    sound, likely = np.zeros(0, np.float32), np.zeros(0, np.float32)
    for block in itertools.chain(blocks, [None]):
        told = activity.finish() if block is None else activity(block)
        sound = sound if block is None else np.concatenate([sound, block])
        likely = np.concatenate([likely, told])
        while len(likely):
            speech = _speech(likely, threshold, on)
            if (found := _next(likely, speech, most, final=block is None)) is None:
                break
            start, end, rest = found
            if end > start:
                yield Piece((first + start) * WINDOW_SECONDS, sound[start * WINDOW : end * WINDOW])
            on = bool(speech[rest - 1])  # a cut through speech leaves it open
            sound, likely, first = sound[rest * WINDOW :], likely[rest:], first + rest


def _next(likely: np.ndarray, speech: np.ndarray, most: int, final: bool) -> tuple[int, int, int] | None:
    """Windows at which the next piece starts and ends, and from which on they are still needed; None: wait for more.

    The first two are alike where there is nothing but silence to leave out.
    """
    spoken = np.flatnonzero(speech)
    if not len(spoken):
        rest = len(likely) if final else len(likely) - _PAD
        return (0, 0, rest) if rest > 0 else None
    start = max(0, spoken[0] - _PAD)
    silences = [(a, b) for a, b in _runs(~speech) if a > spoken[0] and b - a >= _SILENCE]
    # What is still open ends here if the recording does.
    stop = silences[0][0] if silences else len(likely) if final else None
    if stop is not None:
        stop = min(spoken[spoken < stop][-1] + 1 + _PAD, len(likely))
        if stop - start <= most:
            return start, stop, stop
    if len(likely) - start < most:
        return None
    middle = _cut(likely[start : start + most], speech[start : start + most]) + start
    return start, min(middle, spoken[spoken < middle][-1] + 1 + _PAD), middle


def _speech(likely: np.ndarray, threshold: float, on: bool = False) -> np.ndarray:
    """bool `[windows]`: speech begins at the threshold and ends below a lower one; `on`: it has begun already."""
    speech = np.zeros(len(likely), bool)
    lower = max(threshold - BELOW, min(threshold, 0.01))  # a low threshold is not none at all
    for i, probability in enumerate(likely.tolist()):
        on = probability >= (lower if on else threshold)
        speech[i] = on
    return speech


def _runs(marked: np.ndarray) -> list[tuple[int, int]]:
    """First window and the one after the last of each stretch that is marked."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], marked.view(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _cut(likely: np.ndarray, speech: np.ndarray) -> int:
    """The window before which to cut what is too long."""
    spoken, half = np.flatnonzero(speech)[0], len(likely) // 2
    pauses = [(a, b) for a, b in _runs(~speech) if a > spoken and b - a >= PAUSE_WINDOWS]
    if pauses := [pause for pause in pauses if sum(pause) // 2 >= half] or pauses:
        a, b = max(pauses, key=lambda pause: pause[1] - pause[0])
        return (a + b + 1) // 2
    smooth = np.convolve(likely, np.ones(5) / 5, mode="same")
    return int(half + np.argmin(smooth[half:-2])) if len(likely) - 2 > half else len(likely)
