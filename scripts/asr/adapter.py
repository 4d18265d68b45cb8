"""Adapters: a few weights beside a frozen Whisper, trained in its place and merged into it afterwards, by the peft library.

    adapted = add_adapter(model, "dora", rank=32, alpha=32, ...)
    save_adapter(adapted, folder)
    merged = merge(load_adapter(model, folder), batch, tolerance=1e-4)

Sources: LoRA, arXiv 2106.09685; AdaLoRA, 2303.10512; DoRA, 2402.09353; rsLoRA, 2312.03732.
"""

import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import AdaLoraConfig, LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import WhisperForConditionalGeneration

from asr.errors import UserError
from asr.ranks import is_adalora, pruned, ranks_left
from asr.trainable import last_layers

warnings.filterwarnings(
    "ignore", message="`is_gradient_checkpointing` is deprecated"
)  # peft asks transformers as of old


@dataclass(frozen=True)
class RankSchedule:
    """AdaLoRA's; the fields are described in `params.AdaLora`."""

    steps: int  # of the training
    target_rank: int
    initial_share: float
    final_share: float
    interval_steps: int
    orthogonality: float


def add_adapter(
    model: WhisperForConditionalGeneration,
    method: str,
    *,
    rank: int,
    alpha: float,
    dropout: float,
    target_modules: list[str],
    token_rows: list[int],
    seed: int,
    encoder_blocks: int | str = "all",
    decoder_blocks: int | str = "all",
    ranks: RankSchedule | None = None,
) -> PeftModel:
    """`model`, frozen, with an adapter on each of `target_modules`; random from `seed`, and at first without effect.

    Args:
        method: "lora", "adalora" (which needs `ranks`), "dora" or "rslora".
        token_rows: tokens whose rows of the embedding are trained as well; input and output embedding stay tied.
        encoder_blocks, decoder_blocks: only so many of the last blocks are adapted.

    Raises:
        UserError: the model has no such modules, or fewer blocks.
    """
    targets = target_names(model, target_modules, encoder_blocks, decoder_blocks)
    torch.manual_seed(seed)
    shared = {
        "lora_alpha": alpha,
        "lora_dropout": dropout,
        "target_modules": targets,
        "trainable_token_indices": {"embed_tokens": token_rows} if token_rows else None,
    }
    if method == "adalora":
        return get_peft_model(model, AdaLoraConfig(**shared, **_schedule(rank, ranks)))
    config = LoraConfig(r=rank, use_dora=method == "dora", use_rslora=method == "rslora", **shared)
    return get_peft_model(model, config)


def target_names(
    model: WhisperForConditionalGeneration, modules: list[str], encoder_blocks: int | str, decoder_blocks: int | str
) -> list[str]:
    """What peft is to adapt: `modules` by their last names, or by their full ones where only some blocks are adapted.

    Raises:
        UserError: the model has no such modules, or fewer blocks.
    """
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    last_names = {name.rpartition(".")[2] for name in linear} - {"proj_out"}
    if unknown := [module for module in modules if module not in last_names]:
        raise UserError(f"target_modules: the model has no {unknown[0]}; it has {', '.join(sorted(last_names))}")
    if (encoder_blocks, decoder_blocks) == ("all", "all"):
        return modules
    chosen = set()
    for part, count in (("encoder", encoder_blocks), ("decoder", decoder_blocks)):
        total = len(getattr(model.model, part).layers)
        count = total if count == "all" else len(last_layers(model, part, count))
        chosen |= {f"model.{part}.layers.{number}." for number in range(total - count, total)}
    return [name for name in linear if name.rpartition(".")[2] in modules and name.startswith(tuple(chosen))]


def _schedule(rank: int, ranks: RankSchedule) -> dict:
    return {
        "init_r": rank,
        "target_r": ranks.target_rank,
        "total_step": ranks.steps,  # of the optimiser: with samples ranks would hardly go
        "tinit": round(ranks.steps * ranks.initial_share),
        "tfinal": round(ranks.steps * ranks.final_share),
        "deltaT": ranks.interval_steps,
        "orth_reg_weight": ranks.orthogonality,
    }


def save_adapter(adapted: PeftModel, folder: Path) -> None:
    """Write the adapter's weights and configuration; the same adapter gives the same bytes."""
    config = adapted.peft_config["default"]
    config.target_modules = sorted(config.target_modules)  # peft holds a set, whose order changes from run to run
    with pruned(adapted) if is_adalora(adapted) else nullcontext(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Adapter 'default'.*LoRA tensor")  # a matrix may lose all of its ranks
        adapted.save_pretrained(folder)
    if is_adalora(adapted):
        left, total = ranks_left(adapted)
        print(f"AdaLoRA kept {left} of {total} ranks", flush=True)


def require_adapter(folder: Path) -> None:
    """Raises `UserError` if there is no adapter of peft's in the folder."""
    if not (Path(folder) / "adapter_config.json").is_file():
        raise UserError(
            f"{folder}: no adapter_config.json; give the folder of an adapter, such as outputs/finetune_whisper"
        )


def load_adapter(model: WhisperForConditionalGeneration, folder: Path) -> PeftModel:
    """`model` with the adapter of `folder`.

    Raises:
        UserError: there is no adapter, or it does not fit the model.
    """
    require_adapter(folder)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The following rank_pattern keys")  # AdaLoRA's are those of its weights
            warnings.filterwarnings("ignore", "Initializing zero-element")
            return PeftModel.from_pretrained(model, str(folder))
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"{folder}: the adapter does not fit the model; give the model that it was trained on: {error}"
        ) from None


@torch.no_grad()
def merge(adapted: PeftModel, batch: dict[str, torch.Tensor], tolerance: float) -> WhisperForConditionalGeneration:
    """The plain Whisper that base and adapter together are, proved on a batch.

    Args:
        adapted: base and adapter in float32; a lower precision would round the sum.
        batch: `input_features` and `decoder_input_ids` of real audio.
        tolerance: largest difference of a logit that may be.

    Raises:
        UserError: some logit differs by more.
    """
    adapted.eval()
    before = adapted(**batch).logits
    merged = adapted.merge_and_unload()
    prove(merged, before, batch, tolerance)
    return merged


@torch.no_grad()
def prove(merged: WhisperForConditionalGeneration, expected: torch.Tensor, batch: dict, tolerance: float) -> None:
    """Compare the merged model's logits with those of base and adapter.

    Raises:
        UserError: some logit differs by more than `tolerance`.
    """
    difference = (merged(**batch).logits - expected).abs().max().item()
    if not difference <= tolerance:
        raise UserError(
            f"merged logits differ from base + adapter by {difference:.1e}, more than tolerance: {tolerance:.1e}"
        )
    print(f"largest difference of a logit between base + adapter and merged: {difference:.1e}")
