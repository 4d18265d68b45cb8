"""AdaLoRA under a trainer: ranks are really taken away, and a checkpoint holds all of them.

peft's AdaLoRA is plain LoRA unless `update_and_allocate` is called in every optimiser step. What it stores are the ranks
that are left; but until the last allocation one that was taken away may come back, with the vectors that it had. So a
checkpoint keeps every rank, and how important each weight has been so far. Source: AdaLoRA, arXiv 2303.10512.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import PeftModel
from peft.tuners.adalora import AdaLoraModel
from safetensors.torch import load_file, save_file

from asr.companion import Companion

SCORES, PATTERN = "rank_scores.safetensors", "rank_pattern.json"
KINDS = ("ipt", "exp_avg_ipt", "exp_avg_unc")  # the allocator's: importance of this step, its mean, how sure that is


class RankAllocation(Companion):
    """Calls an AdaLoRA's allocator, and keeps its state."""

    def __init__(self, adapted: PeftModel):
        self._adapted = adapted

    def on_optimizer_step(self, args, state, control, **kwargs):
        gradients = [p.grad for name, p in self._adapted.named_parameters() if "lora_" in name]
        # A step that was skipped, whose gradients are not finite or were put to zero, tells nothing about what is important.
        told = all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
        if told and any(gradient.any() for gradient in gradients):
            self._adapted.base_model.update_and_allocate(state.global_step + 1)

    @contextmanager
    def storing(self) -> Iterator[None]:
        with whole(self._adapted):
            yield

    def save(self, checkpoint: Path) -> None:
        allocator, config = self._adapted.base_model.rankallocator, self._adapted.peft_config["default"]
        scores = {f"{kind}:{name}": score for kind in KINDS for name, score in getattr(allocator, kind).items()}
        save_file({name: score.contiguous() for name, score in scores.items()}, checkpoint / SCORES)
        (checkpoint / PATTERN).write_text(json.dumps(config.rank_pattern), encoding="utf-8")

    def resume(self, checkpoint: Path) -> None:
        allocator, config = self._adapted.base_model.rankallocator, self._adapted.peft_config["default"]
        device = next(self._adapted.parameters()).device
        for name, score in load_file(checkpoint / SCORES, device=str(device)).items():
            kind, _, parameter = name.partition(":")
            getattr(allocator, kind)[parameter] = score
        config.rank_pattern = json.loads((checkpoint / PATTERN).read_text(encoding="utf-8"))


def is_adalora(model: torch.nn.Module) -> bool:
    return isinstance(getattr(model, "base_model", None), AdaLoraModel)


@contextmanager
def whole(adapted: PeftModel) -> Iterator[None]:
    """Within the block peft writes and reads all ranks, those taken away too, and a saved adapter says nothing of them."""
    with _rank_pattern(adapted, None):
        yield


@contextmanager
def pruned(adapted: PeftModel) -> Iterator[None]:
    """Within the block peft writes only the ranks that have an effect.

    Those are the ones whose singular value is not zero, which the allocator's own list does not always say: between two
    allocations a rank that was taken away has grown again.
    """
    named = [(name, parameter) for name, parameter in adapted.base_model.model.named_parameters() if "lora_E" in name]
    with _rank_pattern(adapted, {name: (value != 0).view(-1).tolist() for name, value in named}):
        yield


def ranks_left(adapted: PeftModel) -> tuple[int, int]:
    """How many ranks have an effect, and of how many."""
    values = [parameter for name, parameter in adapted.named_parameters() if "lora_E" in name]
    return sum(int(value.count_nonzero()) for value in values), sum(value.numel() for value in values)


@contextmanager
def _rank_pattern(adapted: PeftModel, pattern: dict | None) -> Iterator[None]:
    config = adapted.peft_config["default"]
    before = config.rank_pattern
    config.rank_pattern = pattern
    try:
        yield
    finally:
        config.rank_pattern = before
