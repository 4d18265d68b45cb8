"""Laws of the bootstrap: it covers what it says, speakers widen it, and the same model is no better than itself."""

import numpy as np
import pytest

from asr.intervals import Resamples


def test_the_interval_covers_the_true_rate_about_as_often_as_it_says():
    rng, covered = np.random.default_rng(0), 0
    for seed in range(200):
        words = rng.integers(3, 20, 200)
        interval = Resamples([""] * 200, resamples=400, seed=seed).interval(rng.binomial(words, 0.1), words)
        covered += interval.low <= 0.1 <= interval.high
    assert 180 <= covered <= 199


def test_of_normal_errors_it_is_as_wide_as_the_formula_says():
    words = np.full(2000, 10)
    errors = np.random.default_rng(1).binomial(words, 0.1)
    interval = Resamples([""] * 2000).interval(errors, words)
    expected = 2 * 1.96 * np.std(errors / words) / np.sqrt(2000)
    assert interval.high - interval.low == pytest.approx(expected, rel=0.05)
    assert interval.rate == errors.sum() / words.sum()


def test_utterances_of_one_speaker_stand_or_fall_together():
    rng = np.random.default_rng(2)
    of_speaker = rng.uniform(0, 0.4, 20)
    words = np.full(400, 10)
    errors = rng.binomial(words, np.repeat(of_speaker, 20))
    by_speaker = Resamples([f"s{i // 20}" for i in range(400)])
    by_utterance = Resamples([""] * 400)
    assert (by_speaker.unit, by_speaker.units) == ("speaker", 20)
    assert (by_utterance.unit, by_utterance.units) == ("utterance", 400)
    wide, narrow = (of.interval(errors, words) for of in (by_speaker, by_utterance))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_one_speaker_is_resampled_by_utterance():
    """Drawn by speaker, the only one would always be drawn, and nothing would be uncertain."""
    one = Resamples(["anna"] * 50)
    assert one.unit == "utterance"
    interval = one.interval([1, 0] * 25, [5] * 50)
    assert interval.high > interval.low


@pytest.mark.parametrize("speakers", [2, 4, 10])
def test_of_few_speakers_it_is_as_unsure_as_it_must_be(speakers):
    """Equal models, each speaker hard to understand in his own way for each of them: at most one pair in twenty is told apart."""
    rng, found, covered = np.random.default_rng(7), 0, 0
    names = [f"s{i % speakers}" for i in range(20 * speakers)]
    words = np.full(len(names), 10)
    for _ in range(400):
        hard = rng.uniform(0.05, 0.35, (2, speakers))
        first, second = (rng.binomial(words, np.tile(of, 20)) for of in hard)
        sets = Resamples(names)
        found += sets.compare(first, second, words).p < 0.05
        interval = sets.interval(first, words)
        covered += interval.low <= 0.2 <= interval.high
    assert found <= 36 and covered >= 360


def test_who_is_not_known_is_a_speaker_of_his_own():
    assert Resamples(["anna", "anna", "", "", "bert"]).units == 4


def test_a_model_against_itself_is_a_draw():
    errors, words = [0, 1, 2, 0], [5, 5, 5, 5]
    same = Resamples([""] * 4).compare(errors, errors, words)
    assert (same.difference, same.low, same.high, same.p, same.wins, same.smallest) == (0, 0, 0, 1.0, 0.5, None)


def test_a_clear_difference_is_found_and_swapped_it_is_the_opposite():
    rng = np.random.default_rng(3)
    words = np.full(1000, 10)
    good, bad = rng.binomial(words, 0.05), rng.binomial(words, 0.08)
    sets = Resamples([""] * 1000)
    one, two = sets.compare(good, bad, words), sets.compare(bad, good, words)
    assert one.high < 0 and one.p < 0.01 and one.wins > 0.99
    assert (two.difference, two.low, two.high) == pytest.approx((-one.difference, -one.high, -one.low))
    assert one.p == two.p and one.wins == pytest.approx(1 - two.wins)


def test_chance_alone_is_rarely_significant():
    rng, found = np.random.default_rng(4), 0
    for seed in range(200):
        words = np.full(200, 10)
        first, second = rng.binomial(words, 0.1), rng.binomial(words, 0.1)
        found += Resamples([""] * 200, resamples=400, seed=seed).compare(first, second, words).p < 0.05
    assert found <= 20


def test_the_smallest_difference_is_found_in_about_four_of_five_test_sets():
    rng, words = np.random.default_rng(5), np.full(500, 10)
    smallest = Resamples([""] * 500).compare(rng.binomial(words, 0.1), rng.binomial(words, 0.1), words).smallest
    found = 0
    for seed in range(100):
        first, second = rng.binomial(words, 0.1 - smallest / 2), rng.binomial(words, 0.1 + smallest / 2)
        found += Resamples([""] * 500, resamples=400, seed=seed).compare(first, second, words).p < 0.05
    assert 65 <= found <= 92


def test_the_same_seed_gives_the_same_figures_and_no_utterance_is_an_error():
    errors, words = [0, 1, 2, 0], [5, 5, 5, 5]
    assert Resamples([""] * 4).interval(errors, words) == Resamples([""] * 4).interval(errors, words)
    with pytest.raises(ValueError, match="no utterance"):
        Resamples([])


def test_draws_in_which_nothing_is_said_have_no_rate():
    """One utterance of 21 has words; of draws without it, every third, there is no rate, and of the others it is 5 at most."""
    found = Resamples([""] * 21).interval([0] + [1] * 20, [4] + [0] * 20)
    assert found.rate == 5 and found.high <= 5


@pytest.mark.parametrize("words", [10, 49])  # of 49 the deviation of two that are alike is rounded to 2e-18
def test_few_that_are_all_alike_are_not_certainly_so(words):
    two, ten = Resamples(["a", "b"]), Resamples(list("abcdefghij"))
    one = two.compare([1, 1], [0, 0], [words] * 2)
    assert one.low < 0 < one.high and one.p > 0.05
    assert two.interval([1, 1], [words] * 2).low == 0
    many = ten.compare([0] * 10, [2] * 10, [words] * 10)
    assert many.low < many.difference < many.high < 0 and many.p < 0.05


def test_one_utterance_tells_nothing_and_no_error_is_no_proof_of_none():
    one = Resamples([""])
    alone = one.compare([0], [3], [6])
    assert np.isnan([alone.low, alone.high]).all() and alone.p == 1 and alone.difference == -0.5
    assert one.compare([3], [3], [6]).high == 0  # the same transcript is the same
    assert np.isnan(one.interval([3], [6]).high)
    assert np.isnan(one.interval([0], [1000]).high)
    none = Resamples([""] * 500).interval([0] * 500, [6] * 500)
    assert none.high == pytest.approx(1.23e-3, abs=1e-5)  # Clopper and Pearson's of 0 in 3,000


def test_no_error_is_no_surer_than_one_of_whoever_said_the_least():
    sets, words = Resamples(["a"] * 9 + ["b"]), [20] + [10] * 8 + [5]
    one = sets.interval([0] * 9 + [1], words)
    assert sets.interval([0] * 10, words).high == pytest.approx(one.high)


@pytest.mark.parametrize("speakers", [2, 4, 19])
def test_no_error_of_a_few_speakers_is_known_no_better_than_one(speakers):
    sets, words = Resamples([f"s{i % speakers}" for i in range(100)]), [6] * 100
    none, one = (sets.interval([error] + [0] * 99, words) for error in (0, 1))
    assert none.rate == none.low == 0 and none.high == pytest.approx(max(one.high, 0.00613), abs=1e-5)


def test_few_utterances_are_as_unsure_as_few_speakers():
    """Of equal models about 2.5 % of tests may say that the first is certainly better."""
    rng, certain = np.random.default_rng(0), 0
    for _ in range(400):
        first, second = rng.binomial(6, 0.3, size=(2, 8))
        certain += Resamples([""] * 8).compare(first, second, [6] * 8).high < 0
    assert certain <= 16
