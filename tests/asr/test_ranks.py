"""AdaLoRA takes ranks away, which it does not by itself; its checkpoints and its adapter lose nothing."""

import copy
from types import SimpleNamespace

import pytest
import torch

from asr.adapter import RankSchedule, add_adapter, load_adapter, save_adapter
from asr.ranks import RankAllocation, ranks_left, whole

STEPS = 12


@pytest.fixture
def adapted(small_whisper):
    return adalora(small_whisper)


def adalora(model):
    ranks = RankSchedule(STEPS, target_rank=2, initial_share=0.2, final_share=0.2, interval_steps=1, orthogonality=0.5)
    values = {"rank": 6, "alpha": 6, "dropout": 0.0, "target_modules": ["q_proj", "fc1"], "token_rows": [400]}
    return add_adapter(model, "adalora", **values, seed=0, ranks=ranks)


def optimizer_of(adapted):
    return torch.optim.AdamW([weight for weight in adapted.parameters() if weight.requires_grad], lr=1e-2)


def train(adapted, batch, optimizer, allocation, steps):
    adapted.train()
    for step in steps:
        adapted(**batch).loss.backward()
        optimizer.step()
        if allocation is not None:
            allocation.on_optimizer_step(None, SimpleNamespace(global_step=step), None)
        optimizer.zero_grad()


def test_ranks_go_to_the_target_with_the_callback_and_none_goes_without(adapted, small_batch):
    untouched = copy.deepcopy(adapted)
    matrices = len([name for name, _ in adapted.named_parameters() if "lora_E" in name])
    train(adapted, small_batch, optimizer_of(adapted), RankAllocation(adapted), range(STEPS))
    assert ranks_left(adapted) == (2 * matrices, 6 * matrices)
    train(untouched, small_batch, optimizer_of(untouched), None, range(STEPS))
    assert ranks_left(untouched) == (6 * matrices, 6 * matrices)


def test_a_step_without_whole_gradients_says_nothing_about_importance(adapted, small_batch):
    allocation = RankAllocation(adapted)
    state = SimpleNamespace(global_step=3)
    allocation.on_optimizer_step(None, state, None)  # no gradient: the step was skipped
    adapted(**small_batch).loss.backward()
    next(p for name, p in adapted.named_parameters() if "lora_A" in name).grad[0, 0] = float("nan")
    allocation.on_optimizer_step(None, state, None)
    assert adapted.base_model.rankallocator.ipt == {}


@pytest.mark.parametrize("killed_at", [1, 6, 11])
def test_killed_and_resumed_it_is_the_same_bit_for_bit(adapted, small_batch, tmp_path, killed_at):
    resumed = copy.deepcopy(adapted)
    optimizer, allocation = optimizer_of(adapted), RankAllocation(adapted)
    train(adapted, small_batch, optimizer, allocation, range(killed_at))
    with allocation.storing():
        adapted.save_pretrained(tmp_path)
    allocation.save(tmp_path)
    state = copy.deepcopy(optimizer.state_dict())

    again = RankAllocation(resumed)
    with again.storing():
        resumed.load_adapter(tmp_path, "default", is_trainable=True)
    again.resume(tmp_path)
    optimizer_again = optimizer_of(resumed)
    optimizer_again.load_state_dict(state)
    for model, its_optimizer, its_allocation in (
        (adapted, optimizer, allocation),
        (resumed, optimizer_again, again),
    ):
        train(model, small_batch, its_optimizer, its_allocation, range(killed_at, STEPS))
    assert ranks_left(adapted) == ranks_left(resumed)
    assert all(torch.equal(one, other) for one, other in zip(adapted.parameters(), resumed.parameters(), strict=True))


@pytest.mark.parametrize("steps", [5, STEPS])
def test_what_is_delivered_is_what_was_trained_without_the_ranks_that_do_nothing(
    adapted, small_whisper, small_batch, tmp_path, steps
):
    from asr.new_model import new_whisper
    from asr.short_context import allow_short_context

    train(adapted, small_batch, optimizer_of(adapted), RankAllocation(adapted), range(steps))
    with torch.no_grad():
        expected = adapted.eval()(**small_batch).logits
    save_adapter(adapted, tmp_path / "pruned")
    with whole(adapted):
        adapted.save_pretrained(tmp_path / "whole")
    base = new_whisper(mels=80, width=16, heads=2, encoder_layers=2, decoder_layers=2, seed=0)
    allow_short_context(base)
    with torch.no_grad():
        assert torch.allclose(load_adapter(base, tmp_path / "pruned").eval()(**small_batch).logits, expected, atol=1e-6)
    sizes = {name: (tmp_path / name / "adapter_model.safetensors").stat().st_size for name in ("pruned", "whole")}
    assert sizes["pruned"] < sizes["whole"]
