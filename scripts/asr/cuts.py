"""Long recordings with timed texts, cut where a text ends into stretches that fit the encoder's window.

for stretch in cut(utterance, longest=30.0): ...
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from asr.recording import Recording
from asr.text import SPACELESS
from asr.utterance import Rejected, Segment, Utterance

OVERLAP_SECONDS = 0.2  # by which a segment may begin before the last one ends: times are rounded, and set by hand


def cut(utterance: Utterance, longest: float, always: bool = False) -> Iterator[Utterance | Rejected]:
    """The utterance as it is while its segments follow one another and end within `longest` seconds, else its stretches,
    each with as many segments as fit, from the start of the first to the end of the last.

    A stretch's id is the utterance's with the stretch's seconds: "talks/a.mp4#12.40-41.02". What cannot be in any, one
    segment longer than that, segments out of order or two at the same time, is a `Rejected`.

    Args:
        always: cut what fits, too: what is outside of its segments nobody has transcribed.
    """
    segments = utterance.segments
    follow = all(before.end - OVERLAP_SECONDS <= after.start for before, after in pairwise(segments))
    if not segments or (not always and follow and max(segment.end for segment in segments) <= longest):
        yield utterance
        return
    audio = utterance.audio if isinstance(utterance.audio, Recording) else Recording(utterance.audio)
    ids: Counter[str] = Counter()
    latest = 0.0  # start of the last segment so far
    at_once = _at_once(segments)
    for group in _groups(segments, at_once, longest):
        start, end = group[0].start, group[-1].end
        id = f"{utterance.id}#{start:.2f}-{end:.2f}"
        ids[id] += 1
        part = replace(
            utterance,
            id=id if ids[id] == 1 else f"{id}/{ids[id]}",  # two at the same time are two voices
            audio=audio.cut(start, end),
            text=join([segment.text for segment in group], utterance.text_language),
            seconds=end - start,
            segments=tuple(Segment(s.start - start, s.end - start, s.text) for s in group),
        )
        if any(s.end < s.start or s.start < 0 for s in group) or end <= start:
            yield reject(part, "bad_segments", f"a segment ends before it begins, or as it does: {part.text[:80]}")
        elif group[0] in at_once:
            yield reject(part, "bad_segments", f"two at the same time: {part.text[:80]}")
        elif start < latest:
            yield reject(part, "bad_segments", f"a segment begins before the one in front of it: {part.text[:80]}")
        elif end - start > longest:
            yield reject(part, "too_long", f"one segment of {end - start:.2f} s, at most {longest} s: {part.text[:80]}")
        else:
            latest = group[-1].start
            yield part


def join(texts: Sequence[str], language: str) -> str:
    """The text of segments one after the other."""
    return ("" if language in SPACELESS else " ").join(text.strip() for text in texts if text.strip())


def reject(utterance: Utterance, reason: str, detail: str) -> Rejected:
    """The utterance's rejection."""
    u = utterance
    return Rejected(u.id, u.source, u.split, u.speaker, reason, detail, u.audio)


def _at_once(segments: Sequence[Segment]) -> set[Segment]:
    """Segments that another one overlaps: a stretch with the text of one would have the voices of both."""
    found: set[Segment] = set()
    longest = None  # of those so far the one that ends last
    for segment in segments:
        if segment.end < segment.start:
            continue
        if longest and min(longest.end, segment.end) - max(longest.start, segment.start) > OVERLAP_SECONDS:
            found |= {longest, segment}
        if not longest or segment.end >= longest.end:
            longest = segment
    return found


def _groups(segments: Sequence[Segment], at_once: set[Segment], longest: float) -> Iterator[list[Segment]]:
    group: list[Segment] = []
    for segment in segments:
        # Rejected by themselves, without their neighbours.
        alone = any(s.end < s.start or s in at_once for s in (segment, *group[-1:]))
        if group and (
            alone or segment.end - group[0].start > longest or segment.start < group[-1].end - OVERLAP_SECONDS
        ):
            yield group
            group = []
        group.append(segment)
    if group:
        yield group
