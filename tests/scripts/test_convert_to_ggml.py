"""The stage writes a folder a type, each opened by whisper.cpp, and leaves nothing that looks whole when it cannot."""

import json

import numpy as np
import pytest
import torch
from datasets import Dataset
from huggingface_hub import ModelCard
from transformers import WhisperFeatureExtractor

import asr.ggml
import convert_to_ggml
from asr.audio import encode_flac
from asr.errors import UserError
from asr.lineage import sha256
from asr.model import load_whisper, save_whisper
from asr.new_model import new_whisper
from asr.params import ConvertToGgml
from asr.utterance import Utterance, columns
from asr.vocabulary import whisper_tokenizer
from asr.whisper_cpp import WhisperCpp

TYPES = ["f32", "f16", "q8_0", "q5_1", "q5_0"]


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ggml") / "model"
    model = new_whisper(mels=80, width=32, heads=2, encoder_layers=1, decoder_layers=1, seed=0)
    save_whisper(folder, model, whisper_tokenizer(80), WhisperFeatureExtractor())
    return folder


def run(model_dir, output_dir, types):
    convert_to_ggml.main(ConvertToGgml(model_dir=model_dir, output_dir=output_dir, types=types))
    return output_dir


def test_each_type_is_a_folder_that_whisper_cpp_opens(model_dir, tmp_path, capfd):
    out = run(model_dir, tmp_path / "out", [*TYPES, "f16"])
    said = capfd.readouterr()
    assert [line.split(":")[0] for line in said.out.splitlines()] == [str(out / name) for name in TYPES]
    assert "f16 is the largest that it runs" in said.out.splitlines()[0] and not said.err
    assert {path.name for path in out.iterdir()} == set(TYPES)
    sizes = []
    for name in TYPES:
        beside = {"generation_config.json", "lineage.json", "README.md"}
        assert {path.name for path in (out / name).iterdir()} == {"ggml-model.bin", *beside}
        lineage = json.loads((out / name / "lineage.json").read_text())
        assert lineage["params"] == {"type": name} and lineage["inputs"]["model"]["sha256"] == sha256(model_dir)
        assert WhisperCpp(out / name / "ggml-model.bin", 1).prompt("de") == [50258, 50261, 50359, 50363]
        sizes.append((out / name / "ggml-model.bin").stat().st_size)
    assert sizes == sorted(sizes, reverse=True)


def test_the_lines_in_the_card_open_it(model_dir, tmp_path, run_card):
    assert run_card(run(model_dir, tmp_path / "out", ["f16"]) / "f16").endswith("\n")


def test_converting_again_gives_the_same_bytes(model_dir, tmp_path):
    for folder in ("once", "again"):
        run(model_dir, tmp_path / folder, ["q5_1"])
    once, again = (tmp_path / folder / "q5_1/ggml-model.bin" for folder in ("once", "again"))
    assert once.read_bytes() == again.read_bytes()


def test_a_proved_export_tells_what_the_proof_has_measured(model_dir, tmp_path):
    audio_dir = tmp_path / "audio"
    noise = np.random.default_rng(0).normal(0, 0.1, 8000)
    rows = [
        Utterance(f"dev/{i}", encode_flac(noise), "Licht an.", "de", f"{i % 2}", "general", "", "dev", 0.5).row()
        for i in range(3)
    ]
    Dataset.from_list(rows, features=columns()).save_to_disk(tmp_path / "saved")
    (audio_dir / "dev").mkdir(parents=True)
    next((tmp_path / "saved").glob("*.arrow")).rename(audio_dir / "dev/00000.arrow")
    parity = {"audio_dir": audio_dir, "before_dir": model_dir, "utterances": 2, "encoder_cosine": 0.9}
    parity |= {"log_probability": 1.0, "identical": 0.0, "error_difference": 1.0}
    out = tmp_path / "out"
    convert_to_ggml.main(ConvertToGgml(model_dir=model_dir, output_dir=out, types=["q8_0"], parity=parity))
    measured = json.loads((out / "q8_0" / "parity.json").read_text())
    proof = json.loads((out / "q8_0" / "lineage.json").read_text())["metrics"]["dev"]
    assert proof.items() <= measured.items() and proof["figures"]["before"] == proof["figures"]["after"]
    card = ModelCard.load(out / "q8_0" / "README.md")
    assert card.data.language == ["de"] and "| dev, 2 recordings | 4 |" in card.text
    parity["before_dir"] = tmp_path / "nowhere"
    with pytest.raises(UserError, match=r"nowhere: no such folder; .*parity.before_dir"):
        convert_to_ggml.main(ConvertToGgml(model_dir=model_dir, output_dir=out, types=["f16"], parity=parity))


def test_added_tokens_are_refused_with_the_reason(model_dir, tmp_path):
    model, tokenizer, feature_extractor = load_whisper(model_dir)
    tokenizer.add_tokens(["<|kitchen|>"])
    model.resize_token_embeddings(len(tokenizer))
    save_whisper(tmp_path / "more", model, tokenizer, feature_extractor)
    with pytest.raises(UserError, match=r"51866 tokens, of which <\|kitchen\|> are new; whisper.cpp"):
        run(tmp_path / "more", tmp_path / "out", ["f16"])
    assert not (tmp_path / "out").exists()


def test_a_file_that_whisper_cpp_cannot_open_is_not_left(model_dir, tmp_path, monkeypatch):
    run(model_dir, tmp_path / "out", ["f16"])
    before = sha256(tmp_path / "out")
    monkeypatch.setattr(asr.ggml, "MAGIC", 0x67676D66)  # of the next version of the form, which whisper.cpp never read
    with pytest.raises(UserError, match=r"q8_0/ggml-model.bin: whisper.cpp cannot open it; .*bad magic"):
        run(model_dir, tmp_path / "out", ["q8_0"])
    assert sha256(tmp_path / "out") == before and not (tmp_path / "out.partial").exists()


def test_damaged_weights_are_one_clear_message(model_dir, tmp_path):
    model, tokenizer, feature_extractor = load_whisper(model_dir)
    with torch.no_grad():
        model.model.decoder.layer_norm.weight[3] = torch.inf
    save_whisper(tmp_path / "model", model, tokenizer, feature_extractor)
    with pytest.raises(UserError, match=r"model.decoder.layer_norm.weight holds values that are no finite numbers"):
        run(tmp_path / "model", tmp_path / "out", ["f16"])
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"model.safetensors: \S+ cannot be read; make or copy the model again"):
        run(tmp_path / "model", tmp_path / "out", ["f16"])
    assert not (tmp_path / "out").exists()


def test_a_model_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere: no such folder; .*merge_lora"):
        run(tmp_path / "nowhere", tmp_path / "out", ["f16"])
