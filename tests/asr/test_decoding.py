"""Engines on a small Whisper: transformers and CTranslate2 say the same, and no clip depends on its neighbours."""

import numpy as np
import pytest
import torch
from ctranslate2.converters import TransformersConverter
from faster_whisper import WhisperModel
from transformers import WhisperFeatureExtractor

from asr.decoding import max_tokens
from asr.errors import UserError
from asr.faster_engine import FasterWhisper
from asr.model import load_whisper, save_whisper
from asr.new_model import new_whisper
from asr.transformers_engine import Transformers
from asr.vocabulary import whisper_tokenizer


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A Whisper from random weights, in transformers' form and as CTranslate2 float32; it rambles."""
    folder = tmp_path_factory.mktemp("engines")
    model = new_whisper(mels=80, width=32, heads=2, encoder_layers=1, decoder_layers=1, seed=0)
    with torch.no_grad():  # larger weights, so that it says several words, and other ones for another clip
        model.model.decoder.embed_positions.weight.mul_(50)
        for part in (
            model.model.decoder.layers[0].encoder_attn.v_proj,
            model.model.decoder.layers[0].encoder_attn.out_proj,
        ):
            part.weight.mul_(10)
    save_whisper(folder / "model", model, whisper_tokenizer(80), WhisperFeatureExtractor())
    files = ["tokenizer.json", "preprocessor_config.json"]
    TransformersConverter(str(folder / "model"), copy_files=files).convert(
        str(folder / "float32"), quantization="float32"
    )
    return folder


@pytest.fixture(scope="module")
def clips():
    """Noise and hum of 0.2 to 0.9 s."""
    rng = np.random.default_rng(0)
    seconds = [0.5, 0.2, 0.9, 0.4]
    noise = [rng.normal(0, 0.1, int(16000 * s)) for s in seconds]
    return [(n + i * 0.1 * np.sin(np.arange(len(n)) * 0.05 * i)).astype(np.float32) for i, n in enumerate(noise)]


@pytest.fixture(scope="module")
def transformers(folders):
    return Transformers(folders / "model", batch=2)


@pytest.fixture(scope="module")
def faster(folders):
    return FasterWhisper(folders / "float32", batch=2, beam_size=2, threads=1)


def texts(engine, clips, language="de") -> list[str]:
    found = dict(engine(clips, language))
    return [found[i] for i in range(len(clips))]


def test_greedy_engines_give_the_same_transcripts(transformers, faster, clips):
    said = texts(transformers, clips)
    assert all(said)
    assert len(set(said)) > 1
    assert texts(faster.greedy, clips) == said


def test_a_transcript_depends_on_its_clip_alone(folders, transformers, faster, clips):
    said = texts(transformers, clips)
    assert texts(transformers, clips[::-1]) == said[::-1]
    assert texts(Transformers(folders / "model", batch=4), clips) == said
    assert texts(faster.greedy, clips[2:]) == said[2:]


def test_the_start_is_what_transformers_says_by_itself_whatever_the_batch(folders, transformers, clips):
    """Language: transformers' own detect_language. No speech: the share of all probability, a clip at a time."""
    model, tokenizer, extractor = load_whisper(folders / "model", dtype="float32")
    features = extractor([clip for clip in clips], sampling_rate=16000, return_tensors="pt").input_features
    with torch.inference_mode():
        languages = tokenizer.convert_ids_to_tokens(model.detect_language(features).tolist())
        logits = model(features, decoder_input_ids=torch.full((len(clips), 1), 50258)).logits[:, 0]
    found = dict(transformers.starts(clips))
    assert [f"<|{found[i].language}|>" for i in range(len(clips))] == languages
    silent = logits.softmax(-1)[:, tokenizer.convert_tokens_to_ids("<|nospeech|>")]
    assert [found[i].no_speech for i in range(len(clips))] == pytest.approx(silent.tolist(), rel=1e-3)


def test_tokens_with_timestamps_begin_with_one_and_depend_on_their_clip_alone(folders, transformers, clips):
    found = dict(transformers.with_timestamps(clips, "de"))
    assert all(tokens[0] >= 50364 and 50257 not in tokens for tokens in found.values())
    assert dict(Transformers(folders / "model", batch=1).with_timestamps(clips, "de")) == found


def test_rambling_is_cut_at_what_speech_could_hold():
    assert max_tokens(0) == 16
    assert max_tokens(2 * 16000) == 46
    assert max_tokens(30 * 16000) == 224


def test_a_recording_without_speech_is_no_error(faster):
    assert texts(faster.batched, [np.zeros(40 * 16000, np.float32)]) == [""]  # the voice filter leaves nothing


def test_a_remembered_encoding_is_the_encoders(folders):
    first, second = np.random.default_rng(0).normal(size=(2, 80, 3000)).astype(np.float32)
    fresh, used = (FasterWhisper(folders / "float32", batch=2, beam_size=2, threads=1)._model for _ in range(2))
    for window in (first, second, first):
        plain = WhisperModel.encode(fresh, window)
        assert np.array_equal(np.array(used.encode(window)), np.array(plain))
    assert used.encode(first) is used.encode(first)
    saved = used.seconds_saved
    assert saved > 0  # of the encoder's time, which is added where a way to decode is timed
    used.encode(second)
    assert used.seconds_saved > saved
    used.MOST_BYTES = 0
    third = first + second
    assert used.encode(third) is not used.encode(third)


def test_no_clips_no_texts(transformers, faster):
    assert texts(transformers, []) == texts(faster.greedy, []) == texts(faster.batched, []) == []


def test_greedy_engines_refuse_what_they_would_cut_off(transformers, faster):
    long = [np.zeros(31 * 16000, np.float32)]
    for engine in (transformers, faster.greedy):
        with pytest.raises(ValueError, match="30 s"):
            texts(engine, long)


def test_an_unknown_language_is_named(transformers, faster, clips):
    for engine in (transformers, faster.greedy, faster.default):
        with pytest.raises(UserError, match="qq"):
            texts(engine, clips, "qq")


@pytest.mark.parametrize("name", ["tokenizer.json", "preprocessor_config.json"])
def test_a_damaged_export_is_named(folders, tmp_path, name):
    for path in (folders / "float32").iterdir():
        if path.name != name:
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / name).write_text("{")
    with pytest.raises(UserError, match="faster-whisper cannot open it"):
        FasterWhisper(tmp_path, batch=1, beam_size=1, threads=1)


def test_a_folder_that_is_no_export_is_named(tmp_path):
    (tmp_path / "model.bin").write_bytes(b"half a download")
    with pytest.raises(UserError, match="faster-whisper cannot open it"):
        FasterWhisper(tmp_path, batch=1, beam_size=1, threads=1)
