"""Which decoded times are good for subtitles."""

import pytest

from asr.forgetting import has_valid_timestamps, language_accuracy

FIRST = 50364


def at(seconds: float) -> int:
    return FIRST + round(seconds / 0.02)


@pytest.mark.parametrize(
    ("tokens", "valid"),
    [
        ([at(0), 7, 8, at(1.2)], True),
        ([at(0), 7, at(0.6), at(0.6), 8, at(1.2)], True),
        ([at(0), 7, at(0.6), at(0.7), 8, at(1.2)], True),  # a pause
        ([at(0), 7, at(1.38)], True),  # within the slack
        ([at(0), 7, at(1.42)], False),  # behind the sound
        ([at(0), 7], False),  # left open
        ([7, at(1)], False),  # no beginning
        ([at(0), 7, at(0.8), at(0.6), 8, at(1.2)], False),  # back in time
        ([at(0), 7, at(0.6), at(0.6)], True),  # what follows would begin there
        ([at(0), 7, at(0.6), 8, at(1.2)], False),  # the second has no beginning
        ([at(0.5), 7, at(0.5)], False),  # no time passes
        ([at(0), at(1)], False),  # nothing is said in it
        ([], False),
    ],
)
def test_text_stands_between_times_that_grow_within_the_sound(tokens, valid):
    assert has_valid_timestamps(tokens, FIRST, seconds=1.2) is valid


def test_the_share_of_recordings_whose_language_is_identified():
    assert language_accuracy(["de", "nl", "de", "de"], "de") == 0.75
