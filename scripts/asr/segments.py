"""What an engine has heard: segments and words with their times, in seconds."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

SHORTEST = 0.02  # seconds; Whisper's grid, and a subtitle of no length is shown by no player


@dataclass(frozen=True)
class Word:
    """`text` without white space around it; `probability` in [0, 1], None where the engine gives none."""

    start: float
    end: float
    text: str
    probability: float | None = None


@dataclass(frozen=True)
class Segment:
    """`text` is one line without white space around it; `words` is None where the engine was not asked for them."""

    start: float
    end: float
    text: str
    words: tuple[Word, ...] | None = None


def place(segments: Iterable[Segment], start: float, end: float) -> Iterator[Segment]:
    """Segments of a piece as segments of its recording: in order, not overlapping, each of some length, inside the piece.

    No text is lost: what would have no length is joined to the segment before it, or else gets all of the piece.

    Args:
        segments: their times count from the piece's start.
        start, end: of the piece, in the recording.
    """
    waiting, at = None, start
    for segment in segments:
        text = " ".join(segment.text.split())
        if not text:
            continue
        first = min(max(start + segment.start, at), end)
        last = min(max(start + segment.end, first), end)
        words = None if segment.words is None else tuple(_shift(segment.words, start, first, last))
        found = Segment(first, last, text, words)
        if waiting is not None and last - first < SHORTEST:
            words = None if waiting.words is None or words is None else waiting.words + words
            waiting = Segment(waiting.start, max(waiting.end, last), f"{waiting.text} {text}", words)
        elif last - first < SHORTEST:
            waiting = replace(found, start=min(first, max(start, end - SHORTEST)), end=end)
        else:
            if waiting is not None:
                yield waiting
            waiting = found
        at = waiting.end
    if waiting is not None:
        yield waiting


def _shift(words: Iterable[Word], start: float, first: float, last: float) -> Iterator[Word]:
    """Words inside their segment, none before the one before it."""
    at = first
    for word in words:
        begin = min(max(start + word.start, at), last)
        at = min(max(start + word.end, begin), last)
        yield replace(word, start=begin, end=at, text=word.text.strip())
