"""Changes of sound and masks: as often as is said, by the seed alone, and never of what pads a window."""

import random

import numpy as np
import pytest

from asr.augmentation import MASK, Augmentation, Waveforms, change_speed, mask
from asr.whisper_shape import SAMPLE_RATE

TONE = 0.1 * np.sin(2 * np.pi * 440 * np.arange(SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
SHARES = ["noise_share", "room_share", "gain_share", "pitch_share", "telephone_share"]


def changed(seed=0, waveform=TONE, **settings):
    return Waveforms(Augmentation(**settings))(waveform, np.random.default_rng(seed))


@pytest.mark.parametrize("share", SHARES)
def test_each_change_is_a_function_of_the_seed(share):
    one, again, other = changed(1, **{share: 1.0}), changed(1, **{share: 1.0}), changed(2, **{share: 1.0})
    assert one.dtype == np.float32 and one.shape == TONE.shape and np.abs(one).max() <= 1.0
    assert np.array_equal(one, again)
    assert not np.allclose(one, TONE, atol=1e-4)
    assert share == "telephone_share" or not np.array_equal(one, other)


def test_without_a_share_nothing_changes():
    assert np.allclose(changed(), TONE)
    assert not Augmentation().of_sound and Augmentation(speed_share=0.1).of_sound


def test_a_share_is_a_probability():
    changes = Waveforms(Augmentation(gain_share=0.3))
    rng = np.random.default_rng(0)
    assert np.mean([not np.allclose(changes(TONE, rng), TONE) for _ in range(200)]) == pytest.approx(0.3, abs=0.08)


def test_nobody_elses_draws_are_touched():
    random.seed(7)
    np.random.seed(7)
    expected = random.random(), np.random.random()
    random.seed(7)
    np.random.seed(7)
    changed(noise_share=1.0)
    assert (random.random(), np.random.random()) == expected


def test_noise_is_as_loud_as_is_said():
    for decibels in (0.0, 20.0):
        noise = changed(noise_share=1.0, noise_decibels=(decibels, decibels)) - TONE
        ratio = 10 * np.log10(np.mean(TONE**2) / np.mean(noise**2))
        assert ratio == pytest.approx(decibels, abs=1.0)


def test_noise_comes_from_a_folder(tmp_path):
    import soundfile

    hum = 0.5 * np.sin(2 * np.pi * 50 * np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE)
    soundfile.write(tmp_path / "hum.wav", hum, SAMPLE_RATE)
    noise = changed(noise_share=1.0, noise_dir=tmp_path, noise_decibels=(0.0, 0.0)) - TONE
    spectrum = np.abs(np.fft.rfft(noise))
    assert spectrum.argmax() == pytest.approx(50, abs=2)


def test_a_telephone_lets_only_its_band_through():
    white = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE).astype(np.float32)
    power = np.abs(np.fft.rfft(changed(waveform=white, telephone_share=1.0))) ** 2
    band, low, high = power[500:3000].mean(), power[20:100].mean(), power[6000:].mean()
    assert low < 0.2 * band and high < 0.2 * band


@pytest.mark.parametrize("speed", [0.8, 1.25])
def test_speed_makes_it_shorter_and_higher(speed):
    faster = change_speed(TONE, speed)
    assert len(faster) == pytest.approx(len(TONE) / speed, abs=2)
    hertz = np.abs(np.fft.rfft(faster)).argmax() * SAMPLE_RATE / len(faster)
    assert hertz == pytest.approx(440 * speed, rel=0.01)


def test_masks_lie_where_something_is_heard():
    settings = Augmentation(mask_share=1.0, masks=2, mask_seconds=0.5, mask_bins=10)
    hidden = []
    for seed in range(200):
        window = np.ones((80, 600), np.float32)
        mask(window, 400, settings, np.random.default_rng(seed))
        assert (window[:, 400:] == 1).all()
        masked = window[:, :400] == MASK
        assert masked.all(axis=0).sum() <= 2 * 50 and masked.all(axis=1).sum() <= 2 * 10
        hidden.append(masked.mean())
    assert 0.1 < np.mean(hidden) < 0.5


def test_of_a_short_clip_most_is_left_and_a_share_is_a_probability():
    settings = Augmentation(mask_share=0.5, mask_seconds=5.0)
    touched = 0
    for seed in range(100):
        window = np.ones((80, 40), np.float32)
        mask(window, 40, settings, np.random.default_rng(seed))
        assert (window == MASK).all(axis=0).sum() <= 2 * 8
        touched += (window == MASK).any()
    assert 30 < touched < 70
