"""The engine over onnxruntime writes what transformers writes, and says what it lacks."""

import shutil

import numpy as np
import pytest
import torch
from transformers import WhisperFeatureExtractor

from asr.decoding import max_tokens
from asr.errors import UserError
from asr.model import load_whisper, save_whisper
from asr.new_model import new_whisper
from asr.onnx_engine import Onnx
from asr.onnx_export import export_onnx
from asr.transformers_engine import Transformers
from asr.vocabulary import whisper_tokenizer

PROMPT = [50258, 50261, 50359, 50363]  # SOT, German, transcribe, no timestamps
END = 50257


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A Whisper from random weights, in transformers' form and in ONNX; it rambles."""
    folder = tmp_path_factory.mktemp("onnx_engine")
    model = new_whisper(mels=80, width=32, heads=2, encoder_layers=1, decoder_layers=2, seed=0).eval()
    with torch.no_grad():  # larger weights, so that it says several words, and other ones for another clip
        model.model.decoder.embed_positions.weight.mul_(50)
        for layer in model.model.decoder.layers:
            for part in (layer.encoder_attn.v_proj, layer.encoder_attn.out_proj):
                part.weight.mul_(10)
    save_whisper(folder, model, whisper_tokenizer(80), WhisperFeatureExtractor())
    export_onnx(model, folder)
    return folder


@pytest.fixture(scope="module")
def clips():
    """Noise and hum of 0.2 to 0.9 s."""
    rng = np.random.default_rng(0)
    noise = [rng.normal(0, 0.1, int(16000 * seconds)) for seconds in (0.5, 0.2, 0.9, 0.4)]
    return [(n + i * 0.1 * np.sin(np.arange(len(n)) * 0.05 * i)).astype(np.float32) for i, n in enumerate(noise)]


@pytest.fixture(scope="module")
def transformers(folder):
    return Transformers(folder, batch=2)


@pytest.fixture(scope="module")
def engine(folder):
    return Onnx(folder, batch=2, threads=1)


def texts(engine, clips, language="de") -> list[str]:
    found = dict(engine(clips, language))
    return [found[i] for i in range(len(clips))]


def features_of(clip) -> torch.Tensor:
    return WhisperFeatureExtractor()(clip, sampling_rate=16000, return_tensors="pt").input_features


def test_it_transcribes_as_transformers_does(transformers, engine, clips):
    said = texts(transformers, clips)
    assert all(said) and len(set(said)) > 1
    assert texts(engine.greedy, clips) == said
    assert texts(engine.greedy, clips, "en") == texts(transformers, clips, "en")


def test_a_transcript_depends_on_its_clip_alone(folder, engine, clips):
    said = texts(engine.greedy, clips)
    assert texts(engine.greedy, clips[::-1]) == said[::-1]
    assert texts(Onnx(folder, batch=4).greedy, clips) == said
    assert texts(engine.greedy, clips[2:]) == said[2:]


def test_the_encoder_says_what_the_models_says(transformers, engine, clips):
    with torch.no_grad():
        expected = transformers._model.model.encoder(features_of(clips[2])).last_hidden_state[0].numpy()
    got = engine.encoded(clips[2])
    assert got.shape == (1500, 32) and got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=1e-3)  # features from another path


@pytest.mark.parametrize("prompt", [PROMPT, [50361, 400, 500, *PROMPT]], ids=["plain", "with what was said before"])
def test_log_probabilities_are_the_models_among_text(transformers, engine, clips, prompt):
    text = [400, 13, 50256, 7, 1234]
    with torch.no_grad():
        logits = transformers._model(
            input_features=features_of(clips[0]), decoder_input_ids=torch.tensor([[*prompt, *text]])
        ).logits[0, len(prompt) - 1 : -1, :END]
    expected = logits.log_softmax(-1)[range(len(text)), text].numpy()
    got = engine.log_probabilities(clips[0], prompt, text)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=1e-3)
    assert engine.log_probabilities(clips[0], prompt, []).shape == (0,)


def test_the_probabilities_of_all_text_add_up_to_one(engine, clips):
    logits = [engine.log_probabilities(clips[1], PROMPT, [token])[0] for token in range(0, END, 5000)]
    assert 0 < np.exp(logits).sum() < 1
    later = engine.log_probabilities(clips[1], PROMPT, [400, 500])
    assert later[0] == pytest.approx(engine.log_probabilities(clips[1], PROMPT, [400])[0], abs=1e-5)


def test_tokens_of_one_window_are_those_of_greedy(transformers, engine, clips):
    most = max_tokens(len(clips[0]))
    tokens = engine.tokens(clips[0], PROMPT, most)
    assert 0 < len(tokens) <= most and END not in tokens
    text = transformers._tokenizer.decode([token for token in tokens if token < END]).strip()
    assert text == texts(engine.greedy, clips)[0]
    assert engine.tokens(clips[0], PROMPT, 3) == tokens[:3]


def test_a_filter_sees_what_was_said_and_decides_what_may_follow(engine, clips):
    seen = []

    def only(said, logits):
        assert logits.shape == (51865,)
        seen.append(list(said))
        logits[:] = -np.inf
        logits[END if len(said) == 3 else 50364 + len(said)] = 0

    assert engine.tokens(clips[0], PROMPT[:3], 20, only) == [50364, 50365, 50366]
    assert seen == [[], [50364], [50364, 50365], [50364, 50365, 50366]]


def test_the_decoders_positions_are_the_limit(engine, clips):
    def never_end(said, logits):
        logits[END] = -np.inf

    assert len(engine.tokens(clips[0], [50361, *[400] * 435, *PROMPT], 100, never_end)) == 448 - 440


def test_an_unknown_language_is_named(engine, clips):
    with pytest.raises(UserError, match=r"does not know <\|xx\|>"):
        list(engine.greedy(clips, "xx"))


def test_a_clip_of_over_30_s_is_refused(engine):
    with pytest.raises(ValueError, match="over 30 s"):
        list(engine.greedy([np.zeros(16000 * 31, np.float32)], "de"))


FILES = ["encoder_model.onnx", "decoder_model.onnx", "decoder_with_past_model.onnx"]
BESIDE = ["tokenizer.json", "preprocessor_config.json", "generation_config.json"]


@pytest.mark.parametrize("name", FILES + BESIDE)
def test_a_missing_file_is_named(folder, tmp_path, name):
    for path in folder.iterdir():
        if path.name != name:
            (tmp_path / path.name).symlink_to(path)
    with pytest.raises(UserError, match=f"no {name}"):
        Onnx(tmp_path, batch=1)


@pytest.mark.parametrize("name", [FILES[0], BESIDE[0], BESIDE[2]])
def test_half_a_file_is_named(folder, tmp_path, name):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=rf"{name}.*make the export again"):
        Onnx(tmp_path, batch=1)


def test_a_generation_config_that_is_a_list_is_named(folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / BESIDE[2]).write_text("[]")
    with pytest.raises(UserError, match=rf"{BESIDE[2]}: cannot be read; make the export again: no JSON object"):
        Onnx(tmp_path, batch=1)


def test_what_generation_never_writes_it_never_writes(folder, tmp_path, engine, clips):
    first = engine.tokens(clips[0], PROMPT, 1)[0]
    model, tokenizer, feature_extractor = load_whisper(folder)
    model.generation_config.suppress_tokens = [*model.generation_config.suppress_tokens, first]
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    save_whisper(tmp_path, model, tokenizer, feature_extractor)
    assert first not in Onnx(tmp_path, batch=1).tokens(clips[0], PROMPT, 30)
