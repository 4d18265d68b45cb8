"""A long recording's stretches together hold what it held."""

import random
from itertools import pairwise
from pathlib import Path

import pytest

from asr.cuts import cut, join
from asr.recording import Recording
from asr.utterance import Rejected, Segment, Utterance


def utterance(segments: list[Segment], start: float = 0.0, language: str = "de") -> Utterance:
    audio = Recording(Path("a.mp4"), start=start)
    text = join([s.text for s in segments], language)
    return Utterance("s/a.mp4", audio, text, language, "s/A", "s", "d", "train", 999.0, tuple(segments))


def in_order(seed: int, number: int = 40) -> list[Segment]:
    """Segments of 1 to 12 s with pauses, some without one."""
    rng, time, segments = random.Random(seed), 0.0, []
    for i in range(number):
        time += rng.choice([0.0, 0.4, rng.uniform(0, 8)])
        end = time + rng.uniform(1, 12)
        segments.append(Segment(time, end, f"Satz {i}."))
        time = end
    return segments


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("start", [0.0, 100.0])
def test_stretches_fit_and_hold_all_segments_in_order(seed, start):
    segments = in_order(seed)
    parts = list(cut(utterance(segments, start), longest=30.0))
    assert len(parts) > 1
    assert len({part.id for part in parts}) == len(parts)
    restored = []
    for part in parts:
        length = part.audio.end - part.audio.start
        assert length <= 30.0 + 1e-9
        assert part.seconds == pytest.approx(length)
        assert (part.segments[0].start, part.segments[-1].end) == pytest.approx((0.0, length))
        assert part.text == join([s.text for s in part.segments], "de")
        shift = part.audio.start - start
        restored += [(s.start + shift, s.end + shift, s.text) for s in part.segments]
    assert [text for *_, text in restored] == [s.text for s in segments]
    assert [time for *times, _ in restored for time in times] == pytest.approx(
        [t for s in segments for t in (s.start, s.end)]
    )


@pytest.mark.parametrize("seed", range(5))
def test_no_stretch_could_hold_the_next_ones_first_segment(seed):
    parts = list(cut(utterance(in_order(seed)), longest=30.0))
    for part, following in pairwise(parts):
        assert following.audio.start + following.segments[0].end - part.audio.start > 30.0


def test_what_fits_is_unchanged():
    for segments in ([], [Segment(2.0, 30.0, "Ja")], [Segment(0, 20, "A"), Segment(19.9, 30, "B")]):
        assert list(cut(utterance(segments), longest=30.0)) == [utterance(segments)]


def test_overlapping_segments_are_in_different_stretches():
    segments = [Segment(0, 10, "A"), Segment(8, 18, "B"), Segment(18, 29, "C"), Segment(29, 40, "D")]
    parts = list(cut(utterance(segments), longest=30.0))
    assert [part.text for part in parts] == ["A", "B C", "D"]
    assert [(part.audio.start, part.audio.end) for part in parts] == [(0, 10), (8, 29), (29, 40)]
    assert [part.text for part in cut(utterance(segments[:2]), longest=30.0)] == ["A", "B"]  # also where all would fit


def test_two_voices_at_the_same_time_have_two_ids():
    parts = list(cut(utterance([Segment(0, 20, "A"), Segment(0, 20, "B"), Segment(30, 40, "C")]), longest=30.0))
    assert [part.id for part in parts] == ["s/a.mp4#0.00-20.00", "s/a.mp4#0.00-20.00/2", "s/a.mp4#30.00-40.00"]


@pytest.mark.parametrize(
    ("segments", "reasons"),
    [
        ([Segment(0, 31, "A"), Segment(31, 40, "B")], ["too_long", ""]),
        (
            [Segment(0, 9, "A"), Segment(20, 15, "B"), Segment(21, 22, "C"), Segment(50, 60, "D")],
            ["", "bad_segments", "", ""],
        ),
        ([Segment(0, 9, "A"), Segment(90, 15, "B"), Segment(21, 40, "C")], ["", "bad_segments", ""]),
        ([Segment(100, 110, "A"), Segment(3, 5, "B")], ["", "bad_segments"]),
        ([Segment(40, 40, "A"), Segment(80, 90, "B")], ["bad_segments", ""]),
    ],
    ids=[
        "one too long",
        "ends before it begins",
        "begins far off",
        "out of order, its last one within the window",
        "no length",
    ],
)
def test_what_cannot_be_cut_is_rejected_and_the_rest_is_not(segments, reasons):
    items = list(cut(utterance(segments), longest=30.0))
    assert [item.reason if isinstance(item, Rejected) else "" for item in items] == reasons


def test_a_stretch_of_bytes_is_cut_too():
    long = utterance([Segment(0, 20, "A"), Segment(20, 40, "B")])
    parts = list(cut(Utterance(**(vars(long) | {"audio": b"flac"})), longest=30.0))
    assert [part.audio for part in parts] == [Recording(b"flac", start=0, end=20), Recording(b"flac", start=20, end=40)]


def test_text_is_joined_as_the_language_writes_it():
    assert join([" Ja. ", "", "Nein."], "de") == "Ja. Nein."
    assert join(["近几年，", "不但"], "zh") == "近几年，不但"
