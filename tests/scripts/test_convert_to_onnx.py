"""Every export runs in onnxruntime, says what the model says, and has beside it what its readers want."""

import json
import shutil

import numpy as np
import pytest
import torch
from one_sentence import teach
from transformers import WhisperFeatureExtractor

import convert_to_onnx
from asr.domain_tokens import add_domain_tokens
from asr.errors import UserError
from asr.model import load_whisper, save_whisper
from asr.new_model import new_whisper
from asr.onnx_engine import Onnx
from asr.params import ConvertToOnnx
from asr.transformers_engine import Transformers
from asr.vocabulary import whisper_tokenizer

SENTENCE = "Schalte bitte das Licht in der Küche an."
GRAPHS = {"encoder_model.onnx", "decoder_model.onnx", "decoder_with_past_model.onnx"}


def run(model_dir, output_dir, dtypes):
    convert_to_onnx.main(ConvertToOnnx(model_dir=model_dir, output_dir=output_dir, dtypes=dtypes))
    return output_dir


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model that has learnt one sentence, and its exports."""
    folder, mels = tmp_path_factory.mktemp("onnx"), 128  # as large-v3 and turbo have; the graphs' tests have 80 too
    model = new_whisper(mels, width=64, heads=2, encoder_layers=1, decoder_layers=1, seed=0)
    tokenizer = whisper_tokenizer(mels)
    teach(model, tokenizer, SENTENCE)
    save_whisper(folder / "model", model, tokenizer, WhisperFeatureExtractor(mels))
    return folder / "model", run(folder / "model", folder / "out", ["float32", "int8"])


def test_each_dtype_has_the_graphs_and_what_the_model_has_beside_its_weights(exported):
    model_dir, out = exported
    assert {path.name for path in out.iterdir()} == {"float32", "int8"}
    beside = {path.name for path in model_dir.iterdir()} - {"model.safetensors"}
    for export in out.iterdir():
        assert {path.name for path in export.iterdir()} == GRAPHS | beside | {"lineage.json", "README.md"}
        for name in beside:
            assert (export / name).read_bytes() == (model_dir / name).read_bytes(), name
        lineage = json.loads((export / "lineage.json").read_text())
        assert lineage["params"] == {"dtype": export.name} and "new_tokens" not in lineage
        assert lineage["versions"].keys() >= {"onnx", "onnxruntime", "torch"}
    sizes = {export.name: (export / "decoder_model.onnx").stat().st_size for export in out.iterdir()}
    assert sizes["int8"] < 0.6 * sizes["float32"]


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_an_export_says_what_the_model_says(exported, dtype):
    model_dir, out = exported
    rng = np.random.default_rng(0)
    clips = [rng.normal(0, 0.1, length).astype(np.float32) for length in (16000, 48000, 32000)]
    expected = dict(Transformers(model_dir, batch=2)(clips, "de"))
    assert set(expected.values()) == {SENTENCE}
    assert dict(Onnx(out / dtype, batch=2).greedy(clips, "de")) == expected


def test_int8_alone_leaves_no_float32(exported, tmp_path):
    out = run(exported[0], tmp_path / "out", ["int8"])
    assert [path.name for path in out.iterdir()] == ["int8"]
    for name in GRAPHS:
        assert (out / "int8" / name).read_bytes() == (exported[1] / "int8" / name).read_bytes()


def test_new_tokens_are_allowed_if_they_are_never_written(exported, tmp_path):
    model, tokenizer, feature_extractor = load_whisper(exported[0])
    add_domain_tokens(model, tokenizer, ["kitchen"])
    save_whisper(tmp_path / "model", model, tokenizer, feature_extractor)
    out = run(tmp_path / "model", tmp_path / "out", ["float32"])
    assert json.loads((out / "float32" / "lineage.json").read_text())["new_tokens"] == ["<|domain:kitchen|>"]
    engine, new = Onnx(out / "float32", batch=1), len(tokenizer) - 1
    assert engine.token("<|domain:kitchen|>") == new
    second = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    prompt = [tokenizer.convert_tokens_to_ids("<|startofprev|>"), new, 50258, 50261]
    assert new not in engine.tokens(second, prompt, 8)


def test_new_tokens_that_may_be_written_are_refused_with_the_reason(exported, tmp_path):
    model, tokenizer, feature_extractor = load_whisper(exported[0])
    tokenizer.add_tokens(["<|kitchen|>"])
    model.resize_token_embeddings(len(tokenizer))
    save_whisper(tmp_path / "model", model, tokenizer, feature_extractor)
    with pytest.raises(UserError, match=r"may write, <\|kitchen\|>.*timestamps"):
        run(tmp_path / "model", tmp_path / "out", ["float32"])
    assert not (tmp_path / "out").exists()


def test_weights_that_are_not_finite_leave_no_export(exported, tmp_path):
    model, tokenizer, feature_extractor = load_whisper(exported[0])
    with torch.no_grad():
        model.model.encoder.layers[0].fc1.bias[0] = torch.nan
    save_whisper(tmp_path / "model", model, tokenizer, feature_extractor)
    with pytest.raises(UserError, match="not finite"):
        run(tmp_path / "model", tmp_path / "out", ["float32"])
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.partial").exists()


def test_damaged_weights_are_one_clear_message(exported, tmp_path):
    shutil.copytree(exported[0], tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="weights cannot be read, make or copy the model again"):
        run(tmp_path / "model", tmp_path / "out", ["float32"])
    assert not (tmp_path / "out").exists()


def test_a_model_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere: no such folder; .*merge_lora"):
        run(tmp_path / "nowhere", tmp_path / "out", ["float32"])
