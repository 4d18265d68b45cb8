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


def test_what_is_outside_of_the_segments_goes_where_it_must():
    segments = [Segment(2.0, 4.0, "Ja"), Segment(5.0, 9.0, "Nein")]
    (part,) = cut(utterance(segments, start=10.0), longest=30.0, always=True)
    assert (part.id, part.audio.start, part.audio.end, part.seconds) == ("s/a.mp4#2.00-9.00", 12.0, 19.0, 7.0)
    assert part.segments == (Segment(0.0, 2.0, "Ja"), Segment(3.0, 7.0, "Nein"))


@pytest.mark.parametrize("seed", range(30))
def test_no_stretch_holds_a_voice_that_its_text_lacks(seed):
    rng = random.Random(seed)
    starts = sorted(rng.uniform(0, 60) for _ in range(12))
    segments = [Segment(start, start + rng.uniform(0.5, 6), f"Satz {i}.") for i, start in enumerate(starts)]
    items = list(cut(utterance(segments), longest=30.0, always=True))
    texts = [item.text.split("Satz ")[1:] for item in items if isinstance(item, Utterance)]
    assert sum(map(len, texts)) + sum(isinstance(item, Rejected) for item in items) == len(segments)
    for item in items:
        if isinstance(item, Utterance):
            heard = [s for s in segments if min(s.end, item.audio.end) - max(s.start, item.audio.start) > 0.2]
            assert item.text == join([s.text for s in heard], "de")


def test_two_voices_at_the_same_time_are_rejected_each_with_its_id():
    segments = [
        Segment(0, 20, "A"),
        Segment(0, 20, "B"),
        Segment(20, 25, "C"),
        Segment(24, 29, "D"),
        Segment(30, 40, "E"),
    ]
    items = list(cut(utterance(segments), longest=30.0))
    assert [item.id for item in items] == [
        "s/a.mp4#0.00-20.00", "s/a.mp4#0.00-20.00/2", "s/a.mp4#20.00-25.00", "s/a.mp4#24.00-29.00", "s/a.mp4#30.00-40.00",
    ]  # fmt: skip
    assert [getattr(item, "reason", "") for item in items] == 4 * ["bad_segments"] + [""]
    assert items[0].detail == "two at the same time: A"


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
