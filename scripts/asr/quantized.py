"""A frozen base in 8 or 4 bits, for an adapter to be trained beside it, by bitsandbytes.

8 bits: LLM.int8 (arXiv 2208.07339). 4 bits: nf4 with its own scales quantised, as in QLoRA (arXiv 2305.14314).
"""

import logging
import os

import torch
from torch import nn
from transformers import BitsAndBytesConfig

from asr.errors import UserError
from asr.optimizer import BITSANDBYTES


def held_in(bits: str) -> dict:
    """What `from_pretrained` is told to hold a base so: "none", "8bit" or "4bit".

    Raises:
        UserError: bitsandbytes is not installed, or cannot compute so on this device.
    """
    if bits == "none":
        return {}
    remedy = "or give adapter.quantize: none"
    try:
        import bitsandbytes
    except ImportError:
        raise UserError(
            f"adapter.quantize: {bits} needs bitsandbytes: .venv/bin/pip install {BITSANDBYTES}; {remedy}"
        ) from None
    gpu = torch.cuda.is_available()
    # A quantised model cannot be moved, so each process loads it where it will train.
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if gpu else torch.device("cpu")
    compute = torch.bfloat16 if gpu and torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    try:
        if bits == "8bit":
            layer = bitsandbytes.nn.Linear8bitLt(64, 64, has_fp16_weights=False)
        else:
            layer = bitsandbytes.nn.Linear4bit(64, 64, quant_type="nf4", compute_dtype=compute)
        inputs = torch.ones(1, 64, device=device, requires_grad=True)
        layer.to(device)(inputs).sum().backward()
    except Exception as error:  # a missing kernel shows as whatever the backend raises
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"adapter.quantize: {bits} does not run on {device}: {reason}; {remedy}") from error
    if bits == "8bit":
        # It says in every layer of every step that the inputs are rounded to float16 there.
        logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
        config = BitsAndBytesConfig(load_in_8bit=True)
    else:
        config = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=compute,
        )
    return {"quantization_config": config, "device_map": {"": device}}


def keep_as_loaded(model: nn.Module) -> None:
    """Keep an evaluation from repacking 4-bit weights.

    On CPUs with AVX512-BF16 bitsandbytes packs them anew for inference, at the first forward that needs no gradient; the
    training after it would read them wrongly, and widths that 32 does not divide fail.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
