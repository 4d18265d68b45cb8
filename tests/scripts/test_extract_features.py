"""The cache holds every utterance at its own length, in order, as Hugging Face's extractor would hear it."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from transformers import WhisperFeatureExtractor

import extract_features
from asr.audio import decode, encode_flac
from asr.errors import UserError
from asr.features import AudioFeatures, FeatureCache, compose, open_features
from asr.params import ExtractFeatures
from asr.shards import ShardWriter
from asr.utterance import Utterance, columns, load_split

LENGTHS = [16_000, 480_000, 5_001, 100_000, 33_333, 8_000, 160, 250_000]  # samples


def write_split(folder: Path, split: str, lengths: list[int]) -> None:
    rng = np.random.default_rng(0)
    with ShardWriter(folder / split, columns(), shard_bytes=300_000) as shards:  # several shards
        for number, length in enumerate(lengths):
            audio = encode_flac((0.1 * rng.standard_normal(length)).astype(np.float32))
            shards.write(Utterance(f"s/{number}", audio, "Ja.", "de", "", "s", "d", split, length / 16_000).row())


def run(folder: Path, mels: int = 80, **changes) -> Path:
    WhisperFeatureExtractor(feature_size=mels).save_pretrained(folder / "model")
    values = {
        "output_dir": folder / "out",
        "audio_dir": folder / "audio",
        "model_dir": folder / "model",
        "splits": ["train"],
        "batch_seconds": 40,
    }
    extract_features.main(ExtractFeatures(**values | changes))
    return folder / "out"


@pytest.mark.parametrize("mels", [80, 128])
def test_the_cache_composes_to_what_hugging_face_extracts(tmp_path, mels):
    write_split(tmp_path / "audio", "train", LENGTHS)
    cache = FeatureCache(run(tmp_path, mels), "train")
    rows = load_split(tmp_path / "audio", "train")
    assert cache.utterances["id"][:] == rows["id"][:]
    assert cache.mels == mels
    extractor = WhisperFeatureExtractor(feature_size=mels)
    for index, row in enumerate(rows):
        expected = extractor(decode(row["audio"]), sampling_rate=16_000, return_tensors="np").input_features[0]
        composed = compose([(cache.log_mel(index), 0)], 3000)
        assert np.abs(composed - expected).max() <= 2e-3


def test_without_a_cache_the_shards_give_the_same(tmp_path):
    write_split(tmp_path / "audio", "train", LENGTHS)
    cached = open_features(run(tmp_path), "train", 80)
    computed = open_features(tmp_path / "audio", "train", 80)
    assert (type(cached), type(computed)) == (FeatureCache, AudioFeatures)
    for features in (computed, pickle.loads(pickle.dumps(computed))):
        assert len(features) == len(cached)
        assert features.mels == cached.mels
        assert features.utterances["frames"][:] == cached.utterances["frames"][:]
        assert features.utterances.column_names == [c for c in cached.utterances.column_names if c != "first_frame"]
        for index in range(len(cached)):
            assert features.log_mel(index).dtype == np.float16
            difference = compose([(features.log_mel(index), 0)], 3000) - compose([(cached.log_mel(index), 0)], 3000)
            assert np.abs(difference).max() <= 2e-3


@pytest.mark.parametrize("batch_seconds", [0.1, 1000])
def test_batches_do_not_matter(tmp_path, batch_seconds):
    write_split(tmp_path / "audio", "train", LENGTHS)
    first = FeatureCache(run(tmp_path), "train")
    second = FeatureCache(run(tmp_path, batch_seconds=batch_seconds, output_dir=tmp_path / "again"), "train")
    for index in range(len(LENGTHS)):
        difference = compose([(first.log_mel(index), 0)], 3000) - compose([(second.log_mel(index), 0)], 3000)
        assert np.abs(difference).max() <= 2e-3
    assert first.utterances[:] == second.utterances[:]


def test_two_runs_give_the_same_bytes(tmp_path):
    write_split(tmp_path / "audio", "train", LENGTHS)
    outs = [run(tmp_path, output_dir=tmp_path / name) for name in ("one", "two")]
    contents = [{path.relative_to(out): path.read_bytes() for path in out.rglob("*.*")} for out in outs]
    assert contents[0] == contents[1]


@pytest.mark.parametrize(
    ("prepare", "changes", "message"),
    [
        (lambda audio: None, {}, "audio: no such folder; run the stage prepare_audio first"),
        (
            lambda audio: write_split(audio, "train", LENGTHS[:1]),
            {"splits": ["train", "dev"]},
            "audio/dev: no utterances",
        ),
        (
            lambda audio: write_split(audio, "train", [480_001]),
            {},
            r"split train, s/0: 30.00 s; training reads up to 30 s",
        ),
        (
            lambda audio: write_split(audio, "train", [160]),
            {"model_dir": Path("no")},
            "no/preprocessor_config.json: no such",
        ),
    ],
    ids=["no audio", "empty split", "over 30 s", "no model"],
)
def test_what_the_user_can_mend_leaves_nothing(tmp_path, prepare, changes, message):
    prepare(tmp_path / "audio")
    with pytest.raises(UserError, match=message):
        run(tmp_path, **changes)
    assert not list(tmp_path.glob("out*"))
