"""The optimiser's groups: a learning rate for each part of the model, and no decay where nothing may move.

    set_rates(optimizer, model, {"encoder": 1e-6, "decoder": 1e-5})

Also whether the 8-bit AdamW of bitsandbytes runs on this device.
"""

from collections.abc import Mapping

import torch
from torch import nn

from asr.errors import UserError

BITSANDBYTES = "bitsandbytes==0.50.2"


def part_of(name: str) -> str:
    """The part that a parameter belongs to, by its name: "embedding", "decoder", "encoder", or "" for a loss's own head."""
    if ".embed_tokens." in name:
        return "embedding"
    return next((part for part in ("encoder", "decoder") if f"model.{part}." in name), "")


def set_rates(optimizer: torch.optim.Optimizer, model: nn.Module, rates: Mapping[str, float]) -> None:
    """Divide the optimiser's groups by part, each with its peak of `rates`; the others keep the optimiser's.

    Rates of "encoder", "decoder" and "embedding"; the embedding takes the decoder's unless it is named. What decays and
    what does not stays so, but for an embedding of which only some rows are trained: it does not, or all rows would.
    Parts without a rate of their own come first: the trainer logs the first group's.
    """
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = []
    for group in optimizer.param_groups:
        divided: dict[tuple, list] = {}
        for parameter in group["params"]:
            part = part_of(names[id(parameter)])
            fallback = rates.get("decoder") if part == "embedding" else None
            rate = rates.get(part, fallback) or group["lr"]
            decay = 0.0 if hasattr(parameter, "trained_rows") else group["weight_decay"]
            divided.setdefault((rate, decay), []).append(parameter)
        for (rate, decay), parameters in divided.items():
            groups.append({**group, "params": parameters, "lr": rate, "weight_decay": decay})
    base = optimizer.defaults["lr"]
    optimizer.param_groups[:] = sorted(groups, key=lambda group: group["lr"] != base)


def require_8bit(device: torch.device) -> None:
    """Take one step of 8-bit AdamW on `device`.

    Raises:
        UserError: bitsandbytes is not installed, or has no kernel for the device.
    """
    remedy = "give optimizer: adamw_torch_fused, or adafactor where memory is short"
    try:
        import bitsandbytes
    except ImportError:
        raise UserError(
            f"optimizer: adamw_8bit needs bitsandbytes: .venv/bin/pip install {BITSANDBYTES}; or {remedy}"
        ) from None
    weight = nn.Parameter(torch.ones(4096, device=device))  # fewer are kept in 32 bits
    weight.grad = torch.ones_like(weight)
    try:
        bitsandbytes.optim.AdamW8bit([weight]).step()
    except Exception as error:  # a missing kernel shows as whatever the backend raises
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"optimizer: adamw_8bit does not run on {device}: {reason}; {remedy}") from error
