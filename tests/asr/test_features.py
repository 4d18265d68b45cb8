"""A composed window is what Hugging Face's extractor gives, for real recordings, odd lengths and silence."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from transformers import WhisperFeatureExtractor

from asr.audio import decode
from asr.features import FeatureCache, compose, frames_of, log_mels, scale_frequencies, write_features
from asr.utterance import Utterance

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
TOLERANCE = 2e-3  # float16 keeps 11 bits of a log10 in [-10, 6], which the encoder's scale divides by 4

EXTRACTORS = {mels: WhisperFeatureExtractor(feature_size=mels) for mels in (80, 128)}


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def kept(waveforms: list[np.ndarray], mels: int) -> list[np.ndarray]:
    """Log-mels as the cache keeps them."""
    return [mel.astype(np.float16) for mel in log_mels(waveforms, EXTRACTORS[mels].mel_filters, "cpu")]


def assert_same_as_hugging_face(waveform: np.ndarray, mels: int) -> None:
    composed = compose([(kept([waveform], mels)[0], 0)], 3000)
    extractor = EXTRACTORS[mels]
    padded = np.zeros((1, 480_000), dtype=np.float32)
    padded[0, : len(waveform)] = waveform
    by_torch = extractor(waveform, sampling_rate=16_000, return_tensors="np").input_features[0]
    by_numpy = extractor._np_extract_fbank_features(padded, "cpu")[0]
    assert composed.shape == by_torch.shape == (mels, 3000)
    assert composed.dtype == np.float32
    assert np.abs(composed - by_torch).max() <= TOLERANCE
    assert np.abs(composed - by_numpy).max() <= TOLERANCE


@pytest.mark.parametrize("mels", [80, 128])
@pytest.mark.parametrize("language", ["de", "en", "ru", "zh-CN"])
def test_real_recordings_equal_hugging_face(language, mels):
    clips = sorted((SHARED / f"common_voice_{language}" / "clips").glob("*.mp3"))[:3]
    if not clips:
        pytest.skip(f"no real recordings in {SHARED}")
    for clip in clips:
        assert_same_as_hugging_face(decode(clip), mels)


@pytest.mark.parametrize(
    "samples", [1, 159, 160, 199, 201, 4_801, 16_000, 33_333, 479_399, 479_400, 479_799, 479_801, 479_999, 480_000]
)
def test_any_length_equals_hugging_face(samples):
    assert_same_as_hugging_face(noise(samples), 80)


def test_a_full_window_equals_hugging_face_at_128_mels():
    assert_same_as_hugging_face(noise(480_000), 128)


@pytest.mark.parametrize("samples", [8_000, 480_000])
def test_silence_equals_hugging_face(samples):
    assert_same_as_hugging_face(np.zeros(samples, dtype=np.float32), 80)


def test_a_batch_equals_one_by_one():
    waveforms = [noise(length, seed) for seed, length in enumerate([480_000, 1, 479_999, 16_000, 100_003])]
    filters = EXTRACTORS[80].mel_filters
    together = log_mels(waveforms, filters, "cpu")
    for waveform, mel in zip(waveforms, together, strict=True):
        alone = log_mels([waveform], filters, "cpu")[0]
        assert mel.shape == (frames_of(len(waveform)), 80)
        np.testing.assert_allclose(mel, alone, atol=1e-4)


@pytest.mark.parametrize("samples", [1, 160, 16_000, 33_333])
def test_only_frames_that_hear_something_are_kept(samples):
    padded = np.concatenate([np.ones(samples, np.float32), np.zeros(16_000, np.float32)])
    beyond = log_mels([padded], EXTRACTORS[80].mel_filters, "cpu")[0][frames_of(samples) :]
    assert len(beyond) > 0
    assert (beyond == -10).all()


def test_two_utterances_composed_equal_their_sum_where_they_do_not_touch():
    first, second, gap = noise(40_000, 1), noise(32_000, 2), 16_000
    start = len(first) + gap
    joined = np.concatenate([first, np.zeros(gap, np.float32), second])
    one, two = kept([first, second], 80)
    composed = compose([(one, 0), (two, start // 160)], 3000)
    expected = EXTRACTORS[80](joined, sampling_rate=16_000, return_tensors="np").input_features[0]
    borders = [start // 160 + offset for offset in (-1, 0, 1)]  # the second's start is reflected when it stands alone
    assert np.abs(np.delete(composed - expected, borders, axis=1)).max() <= TOLERANCE


def test_the_order_of_the_parts_does_not_matter_and_what_is_too_long_is_cut():
    one, two = kept([noise(16_000, 1), noise(16_000, 2)], 80)
    window = compose([(one, 0), (two, 50)], 120)
    np.testing.assert_array_equal(window, compose([(two, 50), (one, 0)], 120))
    assert window.shape == (80, 120)


@pytest.fixture
def cache(tmp_path: Path) -> tuple[FeatureCache, list[np.ndarray]]:
    mels = kept([noise(length, length) for length in (16_000, 8_000, 12_345)], 80)
    rows = [Utterance(f"s/{i}", b"", f"Satz {i}", "de", "", "s", "d", "train", 1.0).row() for i in range(3)]
    write_features(tmp_path / "train", 80, sum(map(len, mels)), zip(rows, mels, strict=True))
    return FeatureCache(tmp_path, "train"), mels


def test_the_cache_gives_back_what_was_written(cache):
    features, mels = cache
    assert len(features) == 3
    assert features.mels == 80
    assert features.utterances["text"][:] == ["Satz 0", "Satz 1", "Satz 2"]
    assert "audio" not in features.utterances.column_names
    for again in (features, pickle.loads(pickle.dumps(features))):
        for index, mel in enumerate(mels):
            np.testing.assert_array_equal(again.log_mel(index), mel)
    assert len(pickle.dumps(features)) < 1000
    assert not features.log_mel(0).flags.writeable


def tone(hertz: float, mels: int) -> np.ndarray:
    samples = 0.5 * np.sin(2 * np.pi * hertz * np.arange(16_000) / 16_000).astype(np.float32)
    return compose([(kept([samples], mels)[0], 0)], 100)


@pytest.mark.parametrize("mels", [80, 128])
def test_scaled_frequencies_are_those_of_a_higher_or_lower_tone(mels):
    for hertz, scale in ((1000.0, 1.1), (3000.0, 0.9), (500.0, 1.25)):
        scaled = scale_frequencies(tone(hertz, mels), scale)
        assert scaled.shape == (mels, 100) and scaled.dtype == np.float32
        loudest = [int(window[:, 50].argmax()) for window in (scaled, tone(hertz * scale, mels))]
        assert abs(loudest[0] - loudest[1]) <= 1


def test_frequencies_times_one_are_the_same():
    window = tone(700.0, 80)
    assert np.allclose(scale_frequencies(window, 1.0), window, atol=1e-6)
