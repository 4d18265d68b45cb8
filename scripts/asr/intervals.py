"""How sure an error rate is, and a difference of two: the bootstrap over a test set's speakers.

    sets = Resamples(speakers)                      # one name an utterance; "" where nobody knows
    sets.interval(errors, words)                    # Interval(0.042, 0.035, 0.050)
    sets.compare(errors, other_errors, words)       # Difference(-0.010, -0.014, -0.006, p=0.0004, wins=0.9998, …)

A speaker's utterances stand or fall together, so that speakers are drawn and not utterances; where no speaker is known, or
only one, an utterance is drawn, and `unit` says so. Drawn from a few the bootstrap is far too sure (of two equal models it tells
every third pair apart with three speakers), so below `FEW` the intervals are Student's, of the speakers' own rates. What nobody can
know, as from one utterance, is NaN, which keeps no limit. Rates are fractions.

Source: Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation", ICASSP 2004; by blocks,
arXiv 1912.09508; of no error at all, Clopper and Pearson 1934; a ratio's standard error from clusters, Cochran, "Sampling Techniques", chapter 6.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import stats

RESAMPLES = 10_000
LEVEL = 0.95
POWER = 1.96 + 0.84  # standard errors that a difference must be for a test at 5 % to find it in 4 of 5 test sets
FEW = 20  # speakers, or utterances
CHUNK = 10**6  # draws at once


@dataclass(frozen=True)
class Interval:
    """A rate, and within which bounds it lies with 95 %."""

    rate: float
    low: float
    high: float

    def bounds(self, name: str) -> dict[str, float]:
        """`{"wer_low": …, "wer_high": …}`; nothing where they are not known."""
        return {} if np.isnan(self.high) else {f"{name}_low": self.low, f"{name}_high": self.high}


@dataclass(frozen=True)
class Difference:
    """One model's rate less another's on the same utterances; below 0 the first is better."""

    difference: float
    low: float
    high: float
    p: float  # two-sided: how often chance alone would show as much
    wins: float  # share of the resampled test sets in which the first makes fewer errors; a draw is half a win
    smallest: float | None  # the smallest true one of such a pair that such a test set would show in four of five cases


class Resamples:
    """A test set, drawn anew many times from its own speakers or utterances; the same ones for each model."""

    def __init__(self, speakers: Sequence[str], resamples: int = RESAMPLES, seed: int = 0):
        """`speakers`: one an utterance, "" where nobody knows. Raises `ValueError` if there is no utterance."""
        if not len(speakers):
            raise ValueError("no utterance to resample")
        known = {speaker for speaker in speakers if speaker}
        self.unit = "speaker" if len(known) > 1 else "utterance"
        # An utterance without a speaker is one of its own.
        names = [speaker or f"\0{i}" for i, speaker in enumerate(speakers)] if len(known) > 1 else range(len(speakers))
        self._group = np.unique(list(names), return_inverse=True)[1]
        self.units = int(self._group.max()) + 1
        self._resamples, self._seed = resamples, seed
        self._of_words: dict[bytes, np.ndarray] = {}

    def interval(self, errors: Sequence[float], words: Sequence[float]) -> Interval:
        """The rate of a corpus; `errors` and `words` of each utterance."""
        errors, words = np.asarray(errors, np.float64), np.asarray(words, np.float64)
        rate = float(errors.sum() / max(words.sum(), 1))
        if not errors.any():
            return Interval(0.0, 0.0, self._at_most(words))
        if self._few:
            margin = self._deviation(errors, words) * _student(self.units - 1)
            return Interval(rate, float(np.maximum(rate - margin, 0.0)), rate + margin)
        return Interval(rate, *_bounds(self._rates(errors, words)))

    def _at_most(self, words: np.ndarray) -> float:
        """The upper bound where there is no error: Clopper's and Pearson's, and of a few speakers no less than that of one error."""
        by_words = float(1 - ((1 - LEVEL) / 2) ** (1 / max(words.sum(), 1)))
        if not self._few:
            return by_words
        of_one = 1 / max(words.sum(), 1) + self._deviation(np.zeros(len(words)), words) * _student(self.units - 1)
        return float(np.maximum(by_words, of_one))

    def compare(self, errors: Sequence[float], others: Sequence[float], words: Sequence[float]) -> Difference:
        """The first's rate less the other's."""
        gained = np.asarray(errors, np.float64) - np.asarray(others, np.float64)
        words = np.asarray(words, np.float64)
        if self._few:
            return self._compare_few(gained, words)
        drawn = self._rates(gained, words)
        low, high = _bounds(drawn)
        more, fewer, size = np.sum(drawn > 0), np.sum(drawn < 0), len(drawn)
        # The observed test set counts as one of those drawn, so that p is never 0.
        p = min(1.0, 2 * (min(size - more, size - fewer) + 1) / (size + 1))
        wins = (fewer + (size - more - fewer) / 2) / size
        difference = float(gained.sum() / max(words.sum(), 1))
        return Difference(difference, low, high, float(p), float(wins), POWER * float(drawn.std()) or None)

    @property
    def _few(self) -> bool:
        return self.units < FEW

    def _compare_few(self, gained: np.ndarray, words: np.ndarray) -> Difference:
        difference = float(gained.sum() / max(words.sum(), 1))
        if not gained.any():
            return Difference(0.0, 0.0, 0.0, 1.0, 0.5, None)
        deviation, freedom = self._deviation(gained, words), self.units - 1
        if np.isnan(deviation):
            return Difference(difference, deviation, deviation, 1.0, 0.5, None)
        margin = deviation * _student(freedom)
        below = float(stats.t.cdf(-difference / deviation, freedom))  # how sure it is that the first makes fewer errors
        p = min(1.0, 2 * min(below, 1 - below))
        smallest = deviation * (_student(freedom) + float(stats.t.ppf(0.8, freedom)))
        return Difference(difference, difference - margin, difference + margin, p, below, smallest or None)

    def _deviation(self, values: np.ndarray, words: np.ndarray) -> float:
        """Of the ratio of both sums, from the speakers' deviations from it; NaN of one alone.

        No less than if one error had been made by whoever said the least: a few who are all alike are not so for certain.
        """
        if self.units == 1:
            return float("nan")
        of_values, of_words = (np.bincount(self._group, weights=of, minlength=self.units) for of in (values, words))
        total = max(of_words.sum(), 1)
        one = np.zeros(self.units)
        one[np.where(of_words > 0, of_words, np.inf).argmin()] = 1
        off = max(np.sum((of - of.sum() / total * of_words) ** 2) for of in (of_values, one))
        return float(np.sqrt(self.units / (self.units - 1) * off) / total)

    def _sums(self, values: np.ndarray) -> np.ndarray:
        """float64 [resamples]: the sum of each resampled test set."""
        of_units = np.bincount(self._group, weights=values, minlength=self.units).astype(np.float32)
        rows = max(CHUNK // self.units, 1)
        starts = range(0, self._resamples, rows)
        parts = [self._drawn[first : first + rows].astype(np.float32) @ of_units for first in starts]
        return np.concatenate(parts).astype(np.float64)

    def _rates(self, errors: np.ndarray, words: np.ndarray) -> np.ndarray:
        """float64 `[drawn]`: errors a word of each resampled test set in which a word is said; of the others there is none."""
        drawn, said = self._sums(errors), self._said(words)
        return drawn[said > 0] / said[said > 0] if said.any() else drawn

    def _said(self, words: np.ndarray) -> np.ndarray:
        """The sums of words, or of characters, which are the same for each model."""
        key = words.tobytes()
        if key not in self._of_words:
            self._of_words[key] = self._sums(words)
        return self._of_words[key]

    @cached_property
    def _drawn(self) -> np.ndarray:
        """uint16 [resamples, units]: how often each unit was drawn."""
        rng, rows = np.random.default_rng(self._seed), max(CHUNK // self.units, 1)
        drawn = np.empty((self._resamples, self.units), np.uint16)
        for first in range(0, self._resamples, rows):
            count = min(rows, self._resamples - first)
            draws = rng.integers(self.units, size=(count, self.units), dtype=np.int32)
            for row, units in enumerate(draws, first):
                drawn[row] = np.bincount(units, minlength=self.units)
        return drawn


def known(figures: Mapping) -> dict:
    """A difference's fields with None in place of what is not known, for which JSON has no number."""
    return {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in figures.items()}


def _student(freedom: int) -> float:
    """How many standard errors a two-sided 95 % interval reaches; NaN of no freedom."""
    return float(stats.t.ppf((1 + LEVEL) / 2, freedom))


def _bounds(drawn: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
