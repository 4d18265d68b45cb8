"""Sounds in which nobody speaks, made up: without any in training a model writes something for every silence.

    no_speech(rng, samples=48_000)                                  # silence, or noise of some colour and loudness
    no_speech(rng, samples=48_000, recordings=[Path("fan.wav")])    # or a stretch of a recording of noise

Source of the colours: power falls with frequency as f^-exponent (white 0, pink 1, brown 2).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from asr.audio import decode
from asr.errors import UserError
from asr.whisper_shape import WINDOW_SAMPLES

SILENT_SHARE = 0.3  # nothing at all, as between two calls
EXPONENTS = (0.0, 1.0, 2.0)
DECIBELS = (-70.0, -20.0)  # of full scale, root mean square
SUFFIXES = {".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a"}


def recordings_in(folder: Path) -> list[Path]:
    """The recordings below a folder, by name.

    Raises:
        UserError: there is none.
    """
    found = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise UserError(
            f"{folder}: no recording of noise in it ({' '.join(sorted(SUFFIXES))}); correct augment.noise_dir"
        )
    return found


def no_speech(rng: np.random.Generator, samples: int, recordings: Sequence[Path] = ()) -> np.ndarray:
    """float32 `[samples]` at 16 kHz."""
    if rng.random() < SILENT_SHARE:
        return np.zeros(samples, np.float32)
    if recordings and rng.random() < 0.5:
        return _stretch(decode(recordings[rng.integers(len(recordings))]), samples, rng)
    return _colored(rng, samples)


def _stretch(waveform: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
    """From anywhere in a recording; one that is too short comes again and again."""
    repeated = np.resize(waveform, max(samples, len(waveform)))
    first = int(rng.integers(len(repeated) - samples + 1))
    return repeated[first : first + samples].astype(np.float32)


def _colored(rng: np.random.Generator, samples: int) -> np.ndarray:
    assert 0 < samples <= WINDOW_SAMPLES
    spectrum = np.fft.rfft(rng.normal(size=samples))
    spectrum *= np.arange(1, len(spectrum) + 1) ** (-float(rng.choice(EXPONENTS)) / 2)
    noise = np.fft.irfft(spectrum, samples)
    loudness = 10 ** (rng.uniform(*DECIBELS) / 20)
    return np.clip(noise * loudness / max(np.sqrt(np.mean(noise**2)), 1e-9), -1.0, 1.0).astype(np.float32)
