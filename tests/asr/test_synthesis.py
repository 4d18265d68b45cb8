"""Sounds depend on what is drawn alone, and keep their length and level."""

import random

import numpy as np
import pytest

from asr.espeak import SAMPLE_RATE, Espeak
from asr.synthesis import noise, speech


@pytest.mark.parametrize("kind", ["silence", "hum", "clicks", "white", "pink", "brown"])
def test_noise(kind):
    for seed in range(10):
        samples = noise(kind, random.Random(seed))
        assert samples.dtype == np.float32
        assert 1 <= len(samples) / SAMPLE_RATE <= 5
        peak = np.abs(samples).max()
        assert peak == 0 if kind == "silence" else 10 ** (-60 / 20) * 0.999 <= peak <= 10 ** (-6 / 20) * 1.001
        np.testing.assert_array_equal(noise(kind, random.Random(seed)), samples)


def test_sentences_are_spoken_with_a_pause_between():
    espeak = Espeak()
    one = speech("Guten Morgen!", "de+f3", random.Random(1), espeak)
    two = speech("Guten Morgen! Guten Morgen!", "de+f3", random.Random(1), espeak)
    assert 0.8 <= (len(two) - 2 * len(one)) / SAMPLE_RATE <= 1.5
    for samples in (one, two):
        assert 0.199 <= np.abs(samples).max() <= 0.801
    np.testing.assert_array_equal(speech("Guten Morgen!", "de+f3", random.Random(1), espeak), one)
