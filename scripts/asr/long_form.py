"""A recording of any length to segments, piece by piece: decoded, cut at silences, transcribed, forgotten.

    heard = LongForm(Path("talk.mp4"), engine, language=None)
    for segment in heard: ...
    heard.language, heard.seconds, heard.cut_off

The language, if it is not given, is detected once, on the first speech that fills the engine's window.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from asr.engines import Engine
from asr.pieces import THRESHOLD, Piece, cut
from asr.progress import progress
from asr.segments import Segment, place
from asr.stream import Truncated, blocks, seconds
from asr.whisper_shape import SAMPLE_RATE


class LongForm:
    """Segments of one recording, with times in it; what else is known of it once they have been read.

    language, probability: None where nobody speaks; a language that was given has no probability.
    seconds: that were decoded; pieces: in which somebody speaks; speech: their seconds.
    cut_off: why the recording ends too early; "" if it does not.
    """

    def __init__(
        self,
        path: Path,
        engine: Engine,
        language: str | None = None,
        prompt: str = "",
        words: bool = False,
        piece_seconds: float | None = None,
        threshold: float = THRESHOLD,
    ):
        """`piece_seconds`: the longest piece, at most 30; None: what the engine was trained to hear. See `pieces.cut`."""
        self._path, self._engine, self._prompt, self._words = path, engine, prompt, words
        self._piece_seconds, self._threshold = piece_seconds or engine.seconds, threshold
        self.language, self.probability = language, None
        self.seconds, self.speech, self.pieces, self.cut_off = 0.0, 0.0, 0, ""

    def __iter__(self) -> Iterator[Segment]:
        """Raises `audio.CorruptAudio` if the recording cannot be read."""
        pieces = cut(self._blocks(), self._piece_seconds, self._threshold)
        if self.language is None:
            pieces = self._detect(pieces)
        for piece in pieces:
            self.pieces += 1
            self.speech += piece.seconds
            heard = self._engine.segments(piece.waveform, self.language, self._prompt, self._words)
            yield from place(heard, piece.start, piece.end)

    def _blocks(self) -> Iterator[np.ndarray]:
        length = seconds(self._path)
        total = None if length is None else round(length)
        try:
            for block in progress(blocks(self._path), total, self._path.name, "s", lambda block: _whole(len(block))):
                self.seconds += len(block) / SAMPLE_RATE
                yield block
        except Truncated as error:
            self.cut_off = str(error)

    def _detect(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """The pieces as they are, once the language of the first is known."""
        first, pieces = [], iter(pieces)
        for piece in pieces:
            first.append(piece)
            if sum(piece.seconds for piece in first) >= self._engine.seconds:
                break
        if first:
            speech = np.concatenate([piece.waveform for piece in first])
            self.language, self.probability = self._engine.detect_language(
                speech[: round(self._engine.seconds * SAMPLE_RATE)]
            )
        yield from chain(first, pieces)


def _whole(samples: int) -> int:
    return round(samples / SAMPLE_RATE)
