"""Figures of groups add up, and models are compared on the same utterances."""

import random

import pytest

from asr.judging import JudgedSet, Utterances, band, grouped
from asr.normaliser import Normaliser

WORDS = ["licht", "an", "aus", "küche", "bitte", "zwölf", "straße", "die"]


def made(name, count, seed, language="de"):
    rng = random.Random(seed)
    said = [" ".join(rng.choices(WORDS, k=rng.randint(2, 8))) for _ in range(count)]
    heard = {
        model: [" ".join(w if rng.random() > wrong else rng.choice(WORDS) for w in text.split()) for text in said]
        for model, wrong in (("base", 0.4), ("tuned", 0.1))
    }
    of = Utterances(
        [f"{name}/{i}" for i in range(count)], said, language, [rng.uniform(0.5, 40) for _ in said],
        [f"s{i % 5}" if i % 7 else "" for i in range(count)], ["home"] * count,
    )  # fmt: skip
    return JudgedSet(of, heard, Normaliser.of("words"))


def test_groups_add_up_over_test_sets():
    sets = [made("a", 60, 0), made("b", 40, 1)]
    groups = grouped(sets)
    assert set(groups) == {"speaker", "duration"}  # of one domain there is nothing to compare
    for model in ("base", "tuned"):
        words = sum(judged.figures(model)["words"] for judged in sets)
        assert sum(values[model]["words"] for values in groups["duration"].values()) == words
        assert sum(values[model]["words"] for values in groups["speaker"].values()) < words  # some are not known


def test_the_better_model_is_better_and_its_interval_holds_its_rate():
    judged = made("a", 200, 2)
    assert judged.resampled_by == "speaker"
    difference = judged.difference("tuned", "base")
    assert difference.high < 0 and difference.wins > 0.99
    figures = judged.figures("tuned")
    assert figures["wer_low"] <= figures["wer"] <= figures["wer_high"]
    assert difference.difference == pytest.approx(figures["wer"] - judged.figures("base")["wer"])


def test_a_transcript_without_end_is_counted():
    of = Utterances(["1", "2"], ["ja", "nein"], "de", [1.0, 1.0], ["", ""], ["", ""])
    judged = JudgedSet(of, {"m": ["ja", "nein " * 40]}, Normaliser.of("words"))
    assert judged.figures("m")["rambling"] == 0.5 and judged.resampled_by == "utterance"


def test_bands_of_durations_are_in_order():
    bands = [band(seconds) for seconds in (0.5, 2, 2.1, 7, 15, 30, 31)]
    assert bands == ["00 to 02 s", "00 to 02 s", "02 to 05 s", "05 to 10 s", "10 to 20 s", "20 to 30 s", "over 30 s"]
