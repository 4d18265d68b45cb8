"""The sounds of the synthetic corpus: sentences spoken by espeak-ng, and noise in which nobody speaks.

    flac = recording(clip, seed=1)
    samples = speech("Guten Morgen! Wie spät ist es?", "de+f3", random.Random(1), Espeak())
    samples = noise("pink", random.Random(1))

Samples are float32 [samples] at `asr.espeak.SAMPLE_RATE`; what is left to chance is drawn from the `random.Random` given.
"""

import functools
import random

import numpy as np

from asr.audio import encode_flac
from asr.espeak import SAMPLE_RATE, Espeak
from asr.sentences import split_sentences


def recording(clip, seed: int) -> bytes:
    """A `Clip` of sample_speech as FLAC: Common Voice's MP3 takes ten times as long to encode."""
    draw = clip.random(seed)
    samples = noise(clip.sound, draw) if clip.corpus == "noise" else speech(clip.sentence, clip.sound, draw, _espeak())
    return encode_flac(samples, SAMPLE_RATE)


_espeak = functools.cache(Espeak)  # one a process


def speech(text: str, voice: str, draw: random.Random, espeak: Espeak) -> np.ndarray:
    """The sentences of `text` at one rate, pitch and level, 0.8 to 1.5 s apart, as commands are given."""
    rate, pitch, intonation = draw.randint(130, 190), draw.randint(30, 70), draw.randint(35, 65)
    parts = []
    for sentence in split_sentences(text):
        if parts:
            parts.append(np.zeros(int(draw.uniform(0.8, 1.5) * SAMPLE_RATE), np.float32))
        parts.append(espeak.speak(sentence, voice, rate, pitch, intonation).astype(np.float32))
    samples = np.concatenate(parts)
    return samples * (draw.uniform(0.2, 0.8) / np.abs(samples).max())


def noise(kind: str, draw: random.Random) -> np.ndarray:
    """1 to 5 s of "silence", "hum", "clicks", "white", "pink" or "brown", its peak from -60 to -6 dB of full scale."""
    count = int(draw.uniform(1, 5) * SAMPLE_RATE)
    rng = np.random.default_rng(draw.getrandbits(64))
    if kind == "silence":
        return np.zeros(count, np.float32)
    if kind == "hum":  # the mains and its odd harmonics
        time = np.arange(count) / SAMPLE_RATE
        samples = sum(np.sin(2 * np.pi * 50 * k * time + rng.uniform(0, 6)) / k for k in (1, 3, 5, 7))
    elif kind == "clicks":
        samples = 0.001 * rng.standard_normal(count)
        samples[rng.integers(0, count, 1 + 3 * count // SAMPLE_RATE)] = rng.choice([-1.0, 1.0])
    else:  # amplitude falls with frequency to the power of half the colour's exponent
        exponent = {"white": 0.0, "pink": 1.0, "brown": 2.0}[kind]
        spectrum = np.fft.rfft(rng.standard_normal(count))
        frequencies = np.maximum(np.fft.rfftfreq(count, 1 / SAMPLE_RATE), 20.0)  # Hz; below nobody hears it
        samples = np.fft.irfft(spectrum * frequencies ** (-exponent / 2), count)
    level = 10 ** (draw.uniform(-60, -6) / 20)
    return (samples * (level / np.abs(samples).max())).astype(np.float32)
