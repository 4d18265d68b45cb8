"""Every export opens in faster-whisper, says what the model says, and misfits are refused."""

import json
import random
import shutil

import librosa
import numpy as np
import pytest
import torch
from ctranslate2 import StorageView
from faster_whisper import BatchedInferencePipeline, WhisperModel
from transformers import WhisperFeatureExtractor

import convert_to_faster
from asr.errors import UserError
from asr.espeak import Espeak
from asr.model import load_whisper, save_whisper
from asr.new_model import new_whisper
from asr.params import ConvertToFaster
from asr.synthesis import speech
from asr.vocabulary import whisper_tokenizer

FILES = {"config.json", "lineage.json", "model.bin", "preprocessor_config.json", "README.md", "tokenizer.json"}
FILES |= {"vocabulary.json"}


def save(folder, mels):
    model = new_whisper(mels=mels, width=64, heads=2, encoder_layers=1, decoder_layers=3, seed=0)
    torch.manual_seed(0)
    with torch.no_grad():  # larger weights, so that it says several words, clearly apart from others
        model.model.decoder.embed_positions.weight.normal_(0, 1)
        for layer in model.model.decoder.layers:
            for part in (layer.fc1, layer.fc2, layer.encoder_attn.v_proj, layer.encoder_attn.out_proj):
                part.weight.normal_(0, 0.1)
    save_whisper(folder, model, whisper_tokenizer(mels), WhisperFeatureExtractor(mels))
    return folder


def run(model_dir, output_dir, quantizations, chunk_seconds=30):
    convert_to_faster.main(
        ConvertToFaster(
            model_dir=model_dir, output_dir=output_dir, quantizations=quantizations, chunk_seconds=chunk_seconds
        )
    )
    return output_dir


@pytest.fixture(scope="module", params=[80, 128], ids=["80 mels", "128 mels"])
def exported(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("faster")
    model_dir = save(folder / "model", request.param)
    return model_dir, run(model_dir, folder / "out", ["float32", "float16", "int8"])


def test_each_quantisation_has_the_files_that_its_readers_want(exported):
    model_dir, out = exported
    assert {path.name for path in out.iterdir()} == {"float32", "float16", "int8"}
    vocabulary = load_whisper(model_dir)[1].get_vocab()
    for export in out.iterdir():
        assert {path.name for path in export.iterdir()} == FILES
        assert json.loads((export / "lineage.json").read_text())["params"] == {
            "quantization": export.name,
            "chunk_seconds": 30,
        }
        for name in ("tokenizer.json", "preprocessor_config.json"):
            assert (export / name).read_bytes() == (model_dir / name).read_bytes()
        tokens = json.loads((export / "vocabulary.json").read_text())
        assert {token: index for index, token in enumerate(tokens)} == vocabulary
    sizes = {export.name: (export / "model.bin").stat().st_size for export in out.iterdir()}
    assert sizes["float32"] > 1.8 * sizes["float16"] > 1.8 * sizes["int8"]


def test_faster_whisper_joins_sentences_up_to_the_chunk_and_pads_to_30_s_as_ever(exported, tmp_path):
    model_dir, out = exported
    shorter = run(model_dir, tmp_path / "out", ["float32"], chunk_seconds=5)
    text = "Schalte bitte das Licht in der Küche an. " * 6
    sound = librosa.resample(speech(text, "de+m3", random.Random(1), Espeak()), orig_sr=22_050, target_sr=16_000)
    windows = {}
    for folder in (out, shorter):
        batched = BatchedInferencePipeline(WhisperModel(str(folder / "float32")))
        heard = windows[folder] = []
        batched.forward = lambda features, *_, heard=heard: heard.append(features.shape) or []
        segments, _ = batched.transcribe(sound, language="de", vad_filter=True)
        list(segments)
    mels = load_whisper(model_dir)[0].config.num_mel_bins
    assert windows == {out: [(1, mels, 3000)], shorter: [(6, mels, 3000)]}


def test_heads_and_languages_are_the_models(exported):
    model_dir, out = exported
    config = json.loads((out / "int8" / "config.json").read_text())
    generation = load_whisper(model_dir)[0].generation_config
    assert config["alignment_heads"] == generation.alignment_heads == [[1, 0], [1, 1], [2, 0], [2, 1]]
    assert config["lang_ids"] == sorted(generation.lang_to_id.values())
    assert config["suppress_ids"] == generation.suppress_tokens
    assert config["suppress_ids_begin"] == generation.begin_suppress_tokens


@pytest.mark.parametrize("quantization", ["float32", "float16"])
def test_an_export_opens_on_a_cpu_and_decodes_what_the_model_decodes(exported, quantization):
    model_dir, out = exported
    model, _, feature_extractor = load_whisper(model_dir, getattr(torch, quantization))
    audio = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    features = feature_extractor(audio, sampling_rate=16000, return_tensors="pt").input_features
    expected = model.float().generate(input_features=features, language="de", task="transcribe", max_new_tokens=8)
    prompt = ["<|startoftranscript|>", "<|de|>", "<|transcribe|>", "<|notimestamps|>"]
    faster = WhisperModel(str(out / quantization), device="cpu", compute_type="float32").model
    # The same features: faster-whisper's own pad a short clip with zeros.
    got = faster.generate(StorageView.from_array(features.numpy()), [prompt], beam_size=1, max_length=4 + 8)[0]
    got = got.sequences_ids[0]
    assert len(set(got)) > 3 and got == expected[0].tolist()[: len(got)]


def test_words_get_times_from_the_alignment_heads(exported):
    _, out = exported
    faster = WhisperModel(str(out / "int8"), device="cpu")
    audio = np.random.default_rng(0).normal(0, 0.1, 32000).astype(np.float32)
    options = {"language": "de", "temperature": 0, "max_new_tokens": 8, "no_speech_threshold": None}
    segments = list(faster.transcribe(audio, word_timestamps=True, **options)[0])
    assert segments and segments[0].words
    for segment in segments:
        assert all(0 <= word.start <= word.end <= 30 for word in segment.words)


def test_the_lines_in_the_card_open_it(exported, run_card):
    assert run_card(exported[1] / "int8").endswith("\n")


def test_converting_again_gives_the_same_bytes(exported, tmp_path):
    model_dir, out = exported
    again = run(model_dir, tmp_path / "again", ["int8"])
    for path in (
        out / "int8" / name for name in FILES - {"lineage.json", "README.md"}
    ):  # a commit may have come in between
        assert path.read_bytes() == (again / "int8" / path.name).read_bytes(), path.name


@pytest.mark.parametrize("count", [1, 2])
def test_added_tokens_are_refused_with_the_reason(exported, tmp_path, count):
    model, tokenizer, feature_extractor = load_whisper(exported[0])
    tokenizer.add_tokens([f"<|kitchen{number}|>" for number in range(count)])
    model.resize_token_embeddings(len(tokenizer))
    save_whisper(tmp_path / "more", model, tokenizer, feature_extractor)
    with pytest.raises(UserError, match=f"{len(tokenizer)} tokens.*timestamp"):
        run(tmp_path / "more", tmp_path / "out", ["int8"])
    assert not (tmp_path / "out").exists()


def test_damaged_weights_are_one_clear_message(exported, tmp_path):
    shutil.copytree(exported[0], tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="weights cannot be read, make or copy the model again"):
        run(tmp_path / "model", tmp_path / "out", ["int8"])
    assert not (tmp_path / "out").exists()


def test_a_model_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere: no such folder; .*merge_lora"):
        run(tmp_path / "nowhere", tmp_path / "out", ["int8"])
