"""An adapter names its base, and is merged into no other."""

import json

import pytest
from transformers import WhisperConfig

from asr.base import check_base, describe_base, read_base, write_base
from asr.errors import UserError

CONFIG = WhisperConfig(vocab_size=51867, d_model=16, encoder_layers=2, decoder_layers=1)
TOKENS = ["<|domain:a|>", "<|domain:b|>"]
BEFORE = WhisperConfig(vocab_size=51865, d_model=16, encoder_layers=2, decoder_layers=1)


@pytest.fixture
def model(tmp_path):
    (folder := tmp_path / "model").mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


@pytest.fixture
def adapter(tmp_path, model):
    (folder := tmp_path / "adapter").mkdir()
    write_base(folder, describe_base(model, CONFIG, TOKENS))
    return folder


def test_its_own_base_is_known_and_the_tokens_that_came_after_it(adapter, model):
    assert check_base(adapter, model, BEFORE) == TOKENS
    assert str(model) not in (adapter / "base.json").read_text()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"d_model": 32}, "width 16, but .* has 32"),
        ({"decoder_layers": 2}, "decoder_layers 1, but .* has 2"),
        ({"vocab_size": 51866}, "vocabulary 51865, but .* has 51866"),
    ],
)
def test_another_size_is_named(adapter, model, change, told):
    other = WhisperConfig(**{**BEFORE.to_dict(), **change})
    with pytest.raises(UserError, match=f"an adapter for another base: {told}; give the model that it was trained on"):
        check_base(adapter, model, other)


def test_other_weights_of_the_same_size_are_another_base(adapter, model):
    (model / "model.safetensors").write_bytes(b"others")
    with pytest.raises(UserError, match="an adapter for another base: weights "):
        check_base(adapter, model, BEFORE)


def test_an_adapter_of_another_tool_says_nothing_and_a_damaged_file_is_named(adapter, model, capsys):
    (adapter / "base.json").write_text("{")
    with pytest.raises(UserError, match=r"base\.json: cannot be read"):
        read_base(adapter)
    (adapter / "base.json").unlink()
    assert check_base(adapter, model, BEFORE) == []
    assert "no base.json, so nobody can tell" in capsys.readouterr().out


def test_what_it_says_is_sorted_out_by_names(adapter):
    assert json.loads((adapter / "base.json").read_text()).keys() == {
        "weights", "vocabulary", "width", "encoder_layers", "decoder_layers", "new_tokens"
    }  # fmt: skip
