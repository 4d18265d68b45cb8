"""Joined or split a compound is no error; everything else is."""

import random

import pytest
from rapidfuzz.distance import Levenshtein

from asr.compounds import _fewest, compound_errors


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
        ("haus tür schloss", "haus haustürschloss", 1),
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


def test_long_texts_are_cut_at_right_words_and_nothing_is_lost_by_it():
    rng = random.Random(1)
    for _ in range(200):
        said = [rng.choice(("a", "b", "ab", "ba", "aba", "c")) for _ in range(60)]
        heard = list(said)
        for place in sorted(rng.sample(range(59), 3), reverse=True):
            heard[place : place + 2] = rng.choice(([heard[place] + heard[place + 1]], [heard[place]], ["x", "y", "z"]))
        assert compound_errors(said, heard) == _fewest(said, heard)


def test_an_hour_of_words_takes_little():
    said = [f"w{i % 700}" for i in range(9000)]
    heard = [word if i % 21 else "falsch" for i, word in enumerate(said)]
    assert compound_errors(said, heard) == Levenshtein.distance(said, heard)
