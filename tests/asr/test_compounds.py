"""Joined or split a compound is no error; everything else is."""

import random

import pytest
from rapidfuzz.distance import Levenshtein

from asr.compounds import compound_errors


@pytest.mark.parametrize(
    ("reference", "hypothesis", "errors"),
    [
        ("die haus tür", "die haustür", 0),
        ("die haustür ist zu", "die haus tür ist zu", 0),
        ("donau dampf schiff fahrt", "donaudampfschifffahrt", 0),
        ("eine haus tür", "ein haustür", 1),
        ("haus tür", "haus tor", 1),
        ("haustür", "haus", 1),
        ("a b c", "", 3),
        ("", "a", 1),
        ("", "", 0),
        ("haus tür haus tür", "haustür haustür", 0),
    ],
)
def test_counted_by_hand(reference, hypothesis, errors):
    assert compound_errors(reference.split(), hypothesis.split()) == errors


def test_it_is_never_more_than_the_plain_distance_and_equal_where_nothing_can_be_joined():
    rng = random.Random(0)
    for _ in range(300):
        one, two = ([rng.choice("abcd") for _ in range(rng.randint(0, 8))] for _ in range(2))
        assert compound_errors(one, two) == Levenshtein.distance(one, two)
        one, two = ([rng.choice(("a", "b", "ab", "ba", "aba")) for _ in range(rng.randint(0, 8))] for _ in range(2))
        assert compound_errors(one, two) <= Levenshtein.distance(one, two)
        assert compound_errors(one, two) == compound_errors(two, one)
