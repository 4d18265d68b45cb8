"""A new Whisper is a right one; saved it comes back."""

import json
from pathlib import Path

import pytest
import torch
from transformers import WhisperFeatureExtractor

from asr.errors import UserError
from asr.model import load_whisper, save_whisper
from asr.new_model import new_whisper
from asr.vocabulary import generation_config, whisper_tokenizer

TINY = Path(__file__).parents[3] / "shared" / "data" / "whisper_tiny_config"


def small(mels=80, seed=0):
    return new_whisper(mels=mels, width=32, heads=2, encoder_layers=2, decoder_layers=3, seed=seed)


@pytest.fixture(scope="module", params=[80, 128])
def folder(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("whisper") / str(request.param)
    save_whisper(path, small(request.param), whisper_tokenizer(request.param), WhisperFeatureExtractor(request.param))
    return path


@pytest.mark.skipif(not TINY.is_dir(), reason=f"{TINY} is absent: nothing to compare the configuration with")
def test_configuration_is_that_of_whisper_tiny():
    ours = generation_config(whisper_tokenizer(80), decoder_layers=4, heads=6).to_dict()
    theirs = json.loads((TINY / "generation_config.json").read_text())
    for key in theirs.keys() - {
        "transformers_version",
        "forced_decoder_ids",
        "alignment_heads",
        "max_initial_timestamp_index",
    }:
        assert ours[key] == theirs[key], key
    assert ours.get("forced_decoder_ids") is None
    assert ours["alignment_heads"] == [[layer, head] for layer in (2, 3) for head in range(6)]
    config, tiny = small().config.to_dict(), json.loads((TINY / "config.json").read_text())
    sizes = {"d_model", "num_hidden_layers"} | {
        f"{part}_{of}" for part in ("encoder", "decoder") for of in ("layers", "ffn_dim", "attention_heads")
    }
    for key in tiny.keys() & config.keys() - sizes - {"architectures", "transformers_version", "_name_or_path"}:
        assert config[key] == tiny[key], key
    features = json.loads((TINY / "preprocessor_config.json").read_text())
    assert features.items() - WhisperFeatureExtractor(80).to_dict().items() == {("processor_class", "WhisperProcessor")}


def test_128_mels_have_cantonese_and_shifted_tasks():
    config = small(128).generation_config
    assert config.lang_to_id["<|yue|>"] == 50358
    assert config.task_to_id == {"translate": 50359, "transcribe": 50360}
    assert (config.no_timestamps_token_id, config.prev_sot_token_id) == (50364, 50362)
    assert config.suppress_tokens[-6:] == [50258, 50359, 50360, 50361, 50362, 50363]


def test_saved_and_loaded_it_is_the_same(folder):
    mels = int(folder.name)
    model, tokenizer, feature_extractor = load_whisper(folder)
    original = small(mels)
    assert all(torch.equal(a, b) for a, b in zip(original.parameters(), model.parameters(), strict=True))
    assert model.dtype == torch.float32 and model.generation_config.lang_to_id == original.generation_config.lang_to_id
    expected = whisper_tokenizer(mels)
    assert tokenizer.get_vocab() == expected.get_vocab() and tokenizer.all_special_ids == expected.all_special_ids
    assert tokenizer.encode(" Grüße<|1.00|>") == expected.encode(" Grüße<|1.00|>")
    assert feature_extractor.feature_size == mels


def test_saving_again_gives_the_same_bytes(folder, tmp_path):
    save_whisper(tmp_path / "again", *load_whisper(folder))
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(path.name for path in (tmp_path / "again").iterdir())
    for name in names:
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_files_for_other_tools_hold_the_whole_vocabulary(folder):
    vocabulary, added = (json.loads((folder / name).read_text()) for name in ("vocab.json", "added_tokens.json"))
    ids = [*vocabulary.values(), *added.values()]
    assert sorted(ids) == list(range(json.loads((folder / "config.json").read_text())["vocab_size"]))
    assert len((folder / "merges.txt").read_text().splitlines()) == 50001
    assert str(folder) not in "".join(path.read_text() for path in folder.glob("*.json"))


def test_transformers_4_can_read_the_tokenizer(folder):
    """As 4.57.6 loads it, fast and slow: `extra_special_tokens` would have to be a dict there, and is a list in 5."""
    special, config = (
        json.loads((folder / name).read_text()) for name in ("special_tokens_map.json", "tokenizer_config.json")
    )
    assert "extra_special_tokens" not in config
    expected = [token for token in whisper_tokenizer(int(folder.name)).extra_special_tokens if token != "<|endoftext|>"]
    assert len(expected) > 100
    assert config["additional_special_tokens"] == special["additional_special_tokens"] == expected
    assert json.loads((folder / "normalizer.json").read_text())["colour"] == "color"
    assert load_whisper(folder)[1].normalize("Colour") == "color"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "preprocessor_config.json"])
def test_a_missing_file_is_named(folder, tmp_path, name):
    for path in folder.iterdir():
        if path.name not in (name, "vocab.json"):
            (tmp_path / path.name).symlink_to(path)
    with pytest.raises(UserError, match=name):
        load_whisper(tmp_path)


def test_another_kind_of_model_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UserError, match="bert"):
        load_whisper(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("config.json", '{"model_type": "whisper", ', "config.json: not a model's configuration"),
        ("config.json", "[]", "config.json: not a model's configuration"),
        ("config.json", '{"model_type": "whisper", "d_model": "wide"}', "config.json: not a Whisper's configuration"),
        ("preprocessor_config.json", "{", "preprocessor_config.json cannot be read"),
        ("tokenizer.json", "{", "the tokenizer cannot be read"),
    ],
)
def test_a_damaged_file_is_named(folder, tmp_path, name, text, message):
    for path in folder.iterdir():
        if path.name != name:
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        load_whisper(tmp_path)


def test_damaged_weights_are_a_clear_error(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes()[: 1000 if path.suffix == ".safetensors" else None])
    with pytest.raises(UserError, match="weights cannot be read"):
        load_whisper(tmp_path)


def test_a_tokenizer_without_timestamps_gets_them(folder, tmp_path):
    mels = int(folder.name)
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["added_tokens"] = [token for token in tokenizer["added_tokens"] if not token["content"][2].isdigit()]
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert load_whisper(tmp_path)[1].get_vocab() == whisper_tokenizer(mels).get_vocab()


def test_a_generation_config_of_2022_is_completed(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    old = {"alignment_heads": [[2, 1]], "forced_decoder_ids": [[1, None], [2, 50359]], "suppress_tokens": [1, 2]}
    (tmp_path / "generation_config.json").unlink()
    (tmp_path / "generation_config.json").write_text(json.dumps(old))
    got, new = load_whisper(tmp_path)[0].generation_config, load_whisper(folder)[0].generation_config
    assert (got.alignment_heads, got.suppress_tokens, got.forced_decoder_ids) == ([[2, 1]], [1, 2], None)
    assert (got.lang_to_id, got.task_to_id, got.max_length) == (new.lang_to_id, new.task_to_id, 448)
