"""An export of the same weights is equal to its model; one of others is not, and the figures say in what."""

import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from ctranslate2.converters import TransformersConverter
from datasets.arrow_writer import ArrowWriter
from one_sentence import teach
from transformers import WhisperFeatureExtractor

from asr.errors import UserError
from asr.faster_engine import FasterWhisper
from asr.heard import Heard
from asr.model import load_whisper, save_whisper
from asr.new_model import new_whisper
from asr.parity import Limits, Parity, misses, proof_of
from asr.transformers_engine import Transformers
from asr.utterance import Utterance, columns
from asr.vocabulary import whisper_tokenizer

SENTENCE = "Schalte das Licht ein."
LIMITS = Limits(encoder_cosine=0.999, log_probability=0.01, identical=1.0, error_difference=0.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small model that has learnt a sentence, and what CTranslate2 makes of it and of one with other weights."""
    folder = tmp_path_factory.mktemp("parity")
    model = new_whisper(mels=80, width=64, heads=2, encoder_layers=1, decoder_layers=1, seed=0)
    torch.manual_seed(0)
    teach(model, whisper_tokenizer(80), " " + SENTENCE)
    save_whisper(folder / "model", model, whisper_tokenizer(80), WhisperFeatureExtractor())
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.05 * weight.std() * torch.randn_like(weight) if weight.dim() > 1 else 0
    save_whisper(folder / "other", model, whisper_tokenizer(80), WhisperFeatureExtractor())
    files = ["tokenizer.json", "preprocessor_config.json"]
    for name, source, quantization in (
        ("same", "model", "float32"),
        ("int8", "model", "int8"),
        ("other", "other", "float32"),
    ):
        TransformersConverter(str(folder / source), copy_files=files).convert(
            str(folder / "ct2" / name), quantization=quantization
        )
    return folder


@pytest.fixture(scope="module")
def heard():
    rng = np.random.default_rng(0)
    waveforms = [rng.normal(0, 0.1, round(16000 * seconds)).astype(np.float32) for seconds in (1.0, 2.5, 4.0)]
    return Heard(waveforms, [SENTENCE, SENTENCE, "Licht aus."], ["", "", ""], "de")


@pytest.fixture(scope="module")
def measured(made, heard):
    parity = Parity(made / "model", heard, batch=2)
    return {
        name: parity.of(FasterWhisper(made / "ct2" / name, 2, 1, 1), made / "ct2" / name, load_seconds=0.5)
        for name in ("same", "int8", "other")
    }


def test_the_same_weights_are_equal(measured):
    same = measured["same"]
    assert misses(same, LIMITS) == []
    assert same["encoder"]["lowest_cosine"] > 0.9999 and same["encoder"]["maximum_error"] < 1e-3
    assert same["log_probabilities"]["maximum_difference"] < 1e-3
    assert same["identical_transcripts"] == 1.0
    assert same["errors"]["difference"] == 0 and same["errors"]["model"] == same["errors"]["export"]
    assert same["recordings"] == 3 and same["seconds"] == 7.5 and same["load_seconds"] == 0.5
    json.dumps(same, allow_nan=False)


def test_coarser_weights_are_a_little_off_and_other_weights_are_named(measured):
    assert (
        measured["int8"]["log_probabilities"]["mean_difference"]
        > measured["same"]["log_probabilities"]["mean_difference"]
    )
    assert measured["int8"]["megabytes"] < measured["same"]["megabytes"]
    missed = misses(measured["other"], LIMITS)
    assert any(line.startswith("cosine of the encoder's output 0.") for line in missed)
    assert any("log-probabilities" in line for line in missed)


def test_the_figures_of_model_and_export_have_intervals_and_those_of_the_model_before_are_beside_them(
    made, heard, measured
):
    assert measured["same"]["figures"].keys() == {"after", "export"}
    parity = Parity(made / "model", heard, batch=2, before_dir=made / "other")
    engine = FasterWhisper(made / "ct2/same", 2, 1, 1)
    with_before = parity.of(engine, made / "ct2/same", load_seconds=0.5)["figures"]
    assert with_before.items() >= measured["same"]["figures"].items() and with_before["after"] == with_before["export"]
    itself = Parity(made / "other", heard, batch=2).of(engine, made / "ct2/same", load_seconds=0.5)["figures"]
    assert with_before["before"] == itself["after"]
    for figures in with_before.values():
        assert figures["words"] == 10 and figures["profile"].startswith("asr-german-mixed-evals ")
        for rate in ("wer", "cer"):
            assert figures[f"{rate}_low"] <= figures[rate] <= figures[f"{rate}_high"]
    errors = measured["same"]["errors"]
    assert with_before["after"]["wer"] == errors["model"] > 0


def test_what_an_engine_does_not_tell_is_not_judged(measured):
    untold = measured["other"] | {"encoder": None, "log_probabilities": None}
    assert not any(
        "cosine" in line or "log-prob" in line
        for line in misses(untold, replace(LIMITS, identical=0, error_difference=1))
    )


def test_what_is_no_number_is_not_equal(measured):
    broken = measured["same"] | {"encoder": {"lowest_cosine": float("nan"), "maximum_error": 0.0}}
    assert misses(broken, LIMITS) == ["cosine of the encoder's output nan, at least 0.999"]


def test_probabilities_are_those_of_the_models_own_softmax(made, heard):
    engine = Transformers(made / "model", 1)
    prompt, text = engine.prompt("de"), engine.tokens(SENTENCE, "de")
    model, tokenizer, extractor = load_whisper(made / "model", dtype="float32")
    features = extractor(heard.waveforms[0], sampling_rate=16000, return_tensors="pt").input_features
    with torch.no_grad():
        logits = model(features, decoder_input_ids=torch.tensor([[*prompt, *text]])).logits[0]
    for i, token in enumerate(text):
        expected = logits[len(prompt) - 1 + i, : tokenizer.eos_token_id].log_softmax(-1)[token]
        assert engine.log_probabilities(heard.waveforms[0], prompt, text)[i] == pytest.approx(float(expected), abs=1e-3)


def test_the_model_is_opened_by_the_first_proof_and_not_while_it_is_converted(made, heard, tmp_path):
    soundfile.write(file := io.BytesIO(), heard.waveforms[0], 16_000, format="FLAC")
    (tmp_path / "audio" / "dev").mkdir(parents=True)
    with ArrowWriter(path=str(tmp_path / "audio" / "dev" / "00000.arrow"), features=columns()) as writer:
        writer.write(Utterance("a/0", file.getvalue(), SENTENCE, "de", "", "a", "", "dev", 1.0).row())
        writer.finalize()
    shutil.copytree(made / "model", tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"no weights")
    proof = proof_of(
        tmp_path / "model", {"audio_dir": tmp_path / "audio", "utterances": 1, "before_dir": None, **vars(LIMITS)}
    )
    with pytest.raises(UserError, match="the weights cannot be read"):
        proof(lambda: None, tmp_path)
