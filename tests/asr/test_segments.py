"""Whatever an engine says of times, a recording's segments are in order and apart, and no text is lost."""

import random

from asr.segments import Segment, Word, place


def test_segments_are_in_order_apart_and_inside_their_piece_whatever_the_engine_says():
    draw = random.Random(0)
    for _ in range(500):
        start, length = draw.uniform(0, 100), draw.uniform(0.1, 30)
        given = []
        for number in range(draw.randint(0, 6)):
            times = [draw.choice([draw.uniform(-1, 35), 0.0, length]) for _ in range(4)]
            words = (Word(times[2], times[3], f" w{number} "),) if draw.random() < 0.9 else None
            given.append(Segment(times[0], times[1], draw.choice([f" w{number}\n", "  "]), words))
        placed = list(place(given, start, start + length))
        assert " ".join(segment.text for segment in placed).split() == [
            word for segment in given for word in segment.text.split()
        ]
        at = start
        for segment in placed:
            assert at <= segment.start < segment.end <= start + length
            assert segment.text == " ".join(segment.text.split()) != ""
            inside = segment.start
            for word in segment.words or ():
                assert inside <= word.start <= word.end <= segment.end
                inside = word.end
            at = segment.end


def test_times_count_from_the_recordings_start():
    word = Word(0.5, 1.0, " Ja,", 0.9)
    (segment,) = place([Segment(0.5, 2.0, " Ja, gut.", (word,))], 60.0, 63.0)
    assert segment == Segment(60.5, 62.0, "Ja, gut.", (Word(60.5, 61.0, "Ja,", 0.9),))
