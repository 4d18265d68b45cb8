"""Augmentation: recordings as other rooms, devices and speakers would have made them, drawn anew for each window.

    changes = Waveforms(settings)
    changes(waveform, rng)                # float32 [samples] at 16 kHz, as long as before
    mask(window, heard, settings, rng)    # SpecAugment on a log-mel window [mels, frames]

In: what a window is made of. Out: the same, changed with the probabilities of the settings; each draw comes from the
window's own generator, so that a plan trains alike whatever process makes the window.

Source: audiomentations for sound; SpecAugment, arXiv 1904.08779.
"""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr.whisper_shape import FRAME_SECONDS, SAMPLE_RATE

TELEPHONE_HERTZ = (300, 3400)  # ITU-T G.711's band
MASK = 0.0  # of a log-mel, as transformers' own SpecAugment puts


@dataclass(frozen=True)
class Augmentation:
    """What is changed how often; the fields are described in `params.Augment`."""

    noise_share: float = 0.0
    noise_dir: Path | None = None
    noise_decibels: tuple[float, float] = (5.0, 30.0)
    room_share: float = 0.0
    gain_share: float = 0.0
    gain_decibels: tuple[float, float] = (-12.0, 6.0)
    pitch_share: float = 0.0
    pitch_semitones: tuple[float, float] = (-2.0, 2.0)
    telephone_share: float = 0.0
    speed_share: float = 0.0
    speed: tuple[float, float] = (0.9, 1.1)
    mask_share: float = 0.0
    masks: int = 2
    mask_seconds: float = 1.0
    mask_bins: int = 12

    @property
    def of_sound(self) -> bool:
        """Whether it changes the sound, for which a cache of log-mels is too late."""
        shares = (self.noise_share, self.room_share, self.gain_share, self.pitch_share, self.telephone_share)
        return any(shares) or self.speed_share > 0


class Waveforms:
    """Changes of sound, in the order in which a recording meets them: voice, room, noise, telephone, level."""

    def __init__(self, settings: Augmentation):
        import audiomentations as library  # seconds, and only for those who augment

        low, high = settings.pitch_semitones
        pitch = library.PitchShift(low, high, p=settings.pitch_share)
        # Image sources alone: rays are drawn from a generator that nobody can seed.
        room = library.RoomSimulator(use_ray_tracing=False, p=settings.room_share)
        low, high = settings.noise_decibels
        if settings.noise_dir is None:
            noise = library.AddColorNoise(min_snr_db=low, max_snr_db=high, p=settings.noise_share)
        else:
            noise = library.AddBackgroundNoise(
                str(settings.noise_dir), min_snr_db=low, max_snr_db=high, p=settings.noise_share
            )
        lowest, highest = TELEPHONE_HERTZ
        telephone = library.Compose(
            [library.HighPassFilter(lowest, lowest, p=1.0), library.LowPassFilter(highest, highest, p=1.0)],
            p=settings.telephone_share,
        )
        gain = library.Gain(*settings.gain_decibels, p=settings.gain_share)
        self._changes = library.Compose([pitch, room, noise, telephone, gain])

    def __call__(self, waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """`waveform`, float32 `[samples]`, changed; echoes that outlast it are cut off."""
        with _seeded(int(rng.integers(2**32))):
            changed = self._changes(waveform.astype(np.float32), SAMPLE_RATE)
        return np.clip(changed[: len(waveform)], -1.0, 1.0).astype(np.float32)


class _seeded:
    """The generators of Python and numpy, which audiomentations draws from, seeded for a while and then as before."""

    def __init__(self, seed: int):
        self._seed = seed

    def __enter__(self) -> None:
        self._before = random.getstate(), np.random.get_state()
        random.seed(self._seed)
        np.random.seed(self._seed)

    def __exit__(self, *_) -> None:
        random.setstate(self._before[0])
        np.random.set_state(self._before[1])


def change_speed(waveform: np.ndarray, speed: float) -> np.ndarray:
    """Faster and higher above 1, as a tape is: float32 `[samples / speed]`."""
    import soxr

    return soxr.resample(waveform, speed * SAMPLE_RATE, SAMPLE_RATE).astype(np.float32)


def mask(window: np.ndarray, heard: int, settings: Augmentation, rng: np.random.Generator) -> None:
    """SpecAugment in place: bands of bins and stretches of frames, `settings.masks` of each, are put to `MASK`.

    Args:
        window: log-mel `[mels, frames]`.
        heard: frames that are sound; what pads the window is not masked.
    """
    if rng.random() >= settings.mask_share:
        return
    longest = min(round(settings.mask_seconds / FRAME_SECONDS), heard // 5)  # of a short clip something must be left
    for _ in range(settings.masks):
        bins = int(rng.integers(settings.mask_bins + 1))
        first = int(rng.integers(len(window) - bins + 1))
        window[first : first + bins, :heard] = MASK
        frames = int(rng.integers(longest + 1))
        first = int(rng.integers(heard - frames + 1))
        window[:, first : first + frames] = MASK
