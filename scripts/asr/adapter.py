"""Adapters: a few weights beside a frozen Whisper, trained in its place and merged into it afterwards.

Source: LoRA, arXiv 2106.09685, by the peft library.
"""

from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import WhisperForConditionalGeneration

from asr.errors import UserError


def add_lora(
    model: WhisperForConditionalGeneration,
    *,
    rank: int,
    alpha: float,
    dropout: float,
    target_modules: list[str],
    token_rows: list[int],
    seed: int,
) -> PeftModel:
    """`model`, frozen, with a LoRA adapter on each of `target_modules`; random from `seed`, and at first without effect.

    Args:
        token_rows: tokens whose rows of the embedding are trained as well; input and output embedding stay tied.
    """
    torch.manual_seed(seed)
    rows = {"embed_tokens": token_rows} if token_rows else None
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=target_modules,
        trainable_token_indices=rows,
    )
    return get_peft_model(model, config)


def save_adapter(adapted: PeftModel, folder: Path) -> None:
    """Write the adapter's weights and configuration; the same adapter gives the same bytes."""
    config = adapted.peft_config["default"]
    config.target_modules = sorted(config.target_modules)  # peft holds a set, whose order changes from run to run
    adapted.save_pretrained(folder)


def load_adapter(model: WhisperForConditionalGeneration, folder: Path) -> PeftModel:
    """`model` with the adapter of `folder`.

    Raises:
        UserError: there is no adapter, or it does not fit the model.
    """
    if not (Path(folder) / "adapter_config.json").is_file():
        raise UserError(
            f"{folder}: no adapter_config.json; give the folder of an adapter, such as outputs/finetune_whisper"
        )
    try:
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
    difference = (merged(**batch).logits - before).abs().max().item()
    if not difference <= tolerance:
        raise UserError(
            f"merged logits differ from base + adapter by {difference:.1e}, more than tolerance: {tolerance:.1e}"
        )
    print(f"largest difference of a logit between base + adapter and merged: {difference:.1e}")
    return merged
