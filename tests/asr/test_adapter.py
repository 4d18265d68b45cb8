"""An adapter is where it was asked for, trains with checkpointing as without, and is its base again when merged."""

import copy

import pytest
import torch

from asr.adapter import RankSchedule, add_adapter, merge, target_names
from asr.errors import UserError

MODULES = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]
RANKS = RankSchedule(10, target_rank=2, initial_share=0.1, final_share=0.3, interval_steps=1, orthogonality=0.5)


def adapt(model, method="lora", **changes):
    values = {"rank": 4, "alpha": 8, "dropout": 0.0, "target_modules": MODULES, "token_rows": [400, 401], "seed": 0}
    return add_adapter(model, method, **values | changes, ranks=RANKS)


def with_an_effect(adapted):
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name or "lora_E" in name or "trainable_tokens" in name:
                weight.normal_(std=0.3)
    return adapted


def gradients(adapted, batch):
    adapted.train()
    adapted.zero_grad()
    adapted(**batch).loss.backward()
    return {name: weight.grad for name, weight in adapted.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("method", ["lora", "adalora", "dora", "rslora"])
def test_merged_is_base_and_adapter_for_every_method(small_whisper, small_batch, method):
    base = copy.deepcopy(small_whisper)
    adapted = with_an_effect(adapt(small_whisper, method))
    inputs = {name: small_batch[name] for name in ("input_features", "decoder_input_ids")}
    with torch.no_grad():
        plain, expected = base.eval()(**inputs).logits, adapted.eval()(**inputs).logits
        merged = merge(adapted, inputs, tolerance=1e-4)
        assert torch.allclose(merged(**inputs).logits, expected, atol=1e-4)
    assert not torch.allclose(plain, expected, atol=1e-2)
    assert merged.state_dict().keys() == base.state_dict().keys()


def test_methods_are_what_they_are_called(small_whisper):
    configs = {
        method: adapt(copy.deepcopy(small_whisper), method).peft_config["default"] for method in ("dora", "rslora")
    }
    assert configs["dora"].use_dora and not configs["dora"].use_rslora
    assert configs["rslora"].use_rslora and not configs["rslora"].use_dora


def test_only_the_last_blocks_are_adapted(small_whisper):
    adapted = adapt(small_whisper, encoder_blocks=0, decoder_blocks=1, token_rows=[])
    trained = {name for name, weight in adapted.named_parameters() if weight.requires_grad}
    assert trained and all(".decoder.layers.1." in name for name in trained)
    assert {name.split(".lora_")[0].rpartition(".")[2] for name in trained} == set(MODULES)


def test_modules_and_blocks_that_the_model_does_not_have(small_whisper):
    with pytest.raises(UserError, match="target_modules: the model has no query; it has fc1, fc2, k_proj, out_proj"):
        target_names(small_whisper, ["q_proj", "query"], "all", "all")
    with pytest.raises(UserError, match="decoder_blocks: 9: the model has 2"):
        target_names(small_whisper, MODULES, "all", 9)


def test_gradients_reach_the_first_block_with_checkpointing(small_whisper, small_batch):
    """The input of `conv1` needs no gradient, and reentrant checkpointing gives none to what comes after such an input."""
    from asr.training import CHECKPOINTING

    adapted = with_an_effect(adapt(small_whisper))
    plain = gradients(adapted, small_batch)
    adapted.activation_checkpointing_enable(activation_checkpointing_kwargs=CHECKPOINTING)
    checkpointed = gradients(adapted, small_batch)
    assert plain.keys() == checkpointed.keys()
    assert any(".encoder.layers.0." in name and gradient.any() for name, gradient in checkpointed.items())
    assert all(torch.allclose(plain[name], checkpointed[name], atol=1e-6) for name in plain)
