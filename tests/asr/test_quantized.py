"""A base in 8 or 4 bits trains an adapter, and an evaluation between does not change it."""

import importlib.util

import pytest
import torch
from transformers import WhisperFeatureExtractor

from asr.adapter import add_adapter
from asr.errors import UserError
from asr.quantized import held_in, keep_as_loaded

INSTALLED = importlib.util.find_spec("bitsandbytes") is not None


def test_none_is_nothing():
    assert held_in("none") == {}


@pytest.mark.skipif(INSTALLED, reason="bitsandbytes is installed")
@pytest.mark.parametrize("bits", ["8bit", "4bit"])
def test_without_bitsandbytes_the_remedy_is_named(bits):
    with pytest.raises(UserError, match=rf"adapter\.quantize: {bits} needs bitsandbytes: .*pip install bitsandbytes=="):
        held_in(bits)


@pytest.mark.skipif(not INSTALLED, reason="bitsandbytes is not installed: .venv/bin/pip install bitsandbytes==0.50.2")
@pytest.mark.parametrize("bits", ["8bit", "4bit"])
def test_an_evaluation_leaves_the_base_as_it_was(small_whisper, small_batch, whisper_vocabulary, tmp_path, bits):
    from asr.model import load_whisper, save_whisper
    from asr.short_context import allow_short_context

    save_whisper(tmp_path, small_whisper, whisper_vocabulary, WhisperFeatureExtractor(80))
    model, _, _ = load_whisper(tmp_path, dtype="float32", **held_in(bits))
    keep_as_loaded(model)
    allow_short_context(model)
    values = {
        "rank": 2,
        "alpha": 2,
        "dropout": 0.0,
        "target_modules": ["q_proj", "fc1"],
        "token_rows": [400],
        "seed": 0,
    }
    adapted = add_adapter(model, "lora", **values)
    before = adapted.train()(**small_batch).loss
    before.backward()
    assert any(weight.grad is not None and weight.grad.any() for weight in adapted.parameters())
    with torch.no_grad():
        adapted.eval()(**small_batch)
    assert torch.equal(adapted.train()(**small_batch).loss, before)
