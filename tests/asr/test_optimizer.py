"""A rate for each part, the same decay as before, and one message where 8 bits do not run."""

import importlib.util

import pytest
import torch

from asr.errors import UserError
from asr.optimizer import part_of, require_8bit, set_rates


@pytest.fixture
def optimizer(small_whisper):
    decays = [weight for name, weight in small_whisper.named_parameters() if weight.requires_grad and weight.ndim > 1]
    others = [weight for name, weight in small_whisper.named_parameters() if weight.requires_grad and weight.ndim == 1]
    groups = [{"params": decays, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=1e-3)


def rates_of(optimizer, model):
    by_id = {id(weight): group for group in optimizer.param_groups for weight in group["params"]}
    return {name: by_id[id(weight)] for name, weight in model.named_parameters() if weight.requires_grad}


def test_every_weight_has_the_rate_of_its_part_and_the_decay_that_it_had(optimizer, small_whisper):
    before = {name: group["weight_decay"] for name, group in rates_of(optimizer, small_whisper).items()}
    set_rates(optimizer, small_whisper, {"encoder": 1e-6, "decoder": 1e-5, "embedding": 1e-7})
    after = rates_of(optimizer, small_whisper)
    assert {name: group["weight_decay"] for name, group in after.items()} == before
    for name, group in after.items():
        assert group["lr"] == {"encoder": 1e-6, "decoder": 1e-5, "embedding": 1e-7}[part_of(name)]
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(before)


def test_the_embedding_is_the_decoders_and_what_has_no_rate_keeps_the_optimisers_and_comes_first(
    optimizer, small_whisper
):
    set_rates(optimizer, small_whisper, {"decoder": 1e-5})
    after = rates_of(optimizer, small_whisper)
    assert after["model.decoder.embed_tokens.weight"]["lr"] == 1e-5
    assert after["model.encoder.conv1.weight"]["lr"] == 1e-3 == optimizer.param_groups[0]["lr"]


def test_a_schedule_scales_every_rate(optimizer, small_whisper):
    set_rates(optimizer, small_whisper, {"encoder": 1e-6})
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5)
    assert {*schedule.get_last_lr()} == {0.5e-3, 0.5e-6}


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("model.encoder.conv1.weight", "encoder"),
        ("base_model.model.model.encoder.layers.0.fc1.lora_A.default.weight", "encoder"),
        ("model.decoder.layers.0.encoder_attn.q_proj.weight", "decoder"),
        ("model.decoder.embed_positions.weight", "decoder"),
        ("base_model.model.model.decoder.embed_tokens.token_adapter.trainable_tokens_delta.default", "embedding"),
        ("ctc_head.weight", ""),
    ],
)
def test_parts_by_name_with_an_adapter_and_without(name, part):
    assert part_of(name) == part


def test_8_bits_run_or_are_refused_with_the_remedy(monkeypatch):
    if importlib.util.find_spec("bitsandbytes"):
        import bitsandbytes

        require_8bit(torch.device("cpu"))

        def no_kernel(_):
            raise NotImplementedError("no kernel for this device")

        monkeypatch.setattr(bitsandbytes.optim.AdamW8bit, "step", no_kernel)
    with pytest.raises(UserError, match=r"optimizer: adamw_8bit .*give optimizer: adamw_torch_fused"):
        require_8bit(torch.device("cpu"))
