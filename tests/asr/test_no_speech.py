"""Sounds in which nobody speaks: silence and noise of many kinds, by the seed alone."""

import numpy as np
import pytest
import soundfile

from asr.errors import UserError
from asr.no_speech import no_speech, recordings_in
from asr.whisper_shape import SAMPLE_RATE


def test_many_kinds_and_the_same_again():
    sounds = [no_speech(np.random.default_rng(seed), SAMPLE_RATE) for seed in range(100)]
    assert all(sound.dtype == np.float32 and len(sound) == SAMPLE_RATE and np.abs(sound).max() <= 1 for sound in sounds)
    silent = np.mean([not sound.any() for sound in sounds])
    assert 0.15 < silent < 0.5
    levels = [20 * np.log10(np.sqrt(np.mean(sound**2))) for sound in sounds if sound.any()]
    assert min(levels) < -60 and max(levels) > -30 and max(levels) <= -19.5
    assert np.array_equal(sounds[5], no_speech(np.random.default_rng(5), SAMPLE_RATE))
    tilts = [np.corrcoef(sound[1:], sound[:-1])[0, 1] for sound in sounds if sound.any()]
    assert min(tilts) < 0.1 and max(tilts) > 0.9  # white and brown


def test_recordings_are_taken_from_anywhere_and_repeated_where_they_are_short(tmp_path):
    ramp = np.linspace(-0.5, 0.5, SAMPLE_RATE, dtype=np.float32)
    soundfile.write(tmp_path / "ramp.flac", ramp, SAMPLE_RATE, subtype="PCM_24")
    found = recordings_in(tmp_path)
    stretches = [no_speech(np.random.default_rng(seed), SAMPLE_RATE // 4, found) for seed in range(60)]
    rising = [stretch for stretch in stretches if np.allclose(np.diff(stretch), 1 / SAMPLE_RATE, atol=2e-5)]
    assert len(rising) > 10 and np.ptp([stretch[0] for stretch in rising]) > 0.3
    long = [no_speech(np.random.default_rng(seed), 2 * SAMPLE_RATE, found) for seed in range(30)]
    assert any(np.allclose(sound[:SAMPLE_RATE], sound[SAMPLE_RATE:], atol=1e-6) and sound.any() for sound in long)


def test_a_folder_without_recordings_is_said(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match=r"no recording of noise in it .*augment\.noise_dir"):
        recordings_in(tmp_path)
