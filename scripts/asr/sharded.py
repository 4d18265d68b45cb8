"""Models whose weights are spread over processes (FSDP), for what does not fit one device; accelerate does the spreading.

    trainer.train()
    gather(model)        # in all processes: the first one's model is whole again, and can be saved as ever

`recipes/fsdp.yaml` is accelerate's configuration; `FSDP=1` makes launch.py read it.
"""

import os

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.tensor import DTensor

from asr.errors import UserError


def check_shardable(model: nn.Module, is_sharded: bool, guided_attention: bool, keeps_state: bool) -> None:
    """Refuse what FSDP was asked for and cannot do; `is_sharded`: whether the trainer will spread the model.

    keeps_state: whether something beside the model goes into checkpoints, an average or AdaLoRA's ranks.

    Raises:
        UserError: there are not several GPUs, or a part of the training needs whole weights.
    """
    if os.environ.get("ACCELERATE_USE_FSDP") == "true" and not is_sharded:
        raise UserError("FSDP=1: a model is spread over several GPUs only; leave FSDP out here, or give GPUS=2")
    if is_sharded and guided_attention:
        raise UserError("FSDP=1: guided_attention_weight needs whole layers; leave FSDP out, or set the weight to 0")
    if is_sharded and keeps_state:
        raise UserError("FSDP=1: ema_decay and AdaLoRA need whole weights; leave FSDP out, or the two")
    adapter = getattr(model, "peft_config", {}).get("default")
    if is_sharded and getattr(adapter, "trainable_token_indices", None):
        raise UserError("FSDP=1: adapter.token_rows cannot be spread; leave FSDP out, or set token_rows: false")


def gather(model: nn.Module) -> None:
    """Put whole weights, on the CPU, in the place of a model's shares of weights; all processes must call it.

    Only the first process keeps them: the others are left with empty ones, for a model may be larger than a machine has
    memory for all its processes. A model that is not sharded stays as it is.
    """
    whole: dict[nn.Parameter, nn.Parameter] = {}  # tied weights stay tied
    first = not dist.is_initialized() or dist.get_rank() == 0
    for module in model.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            if isinstance(weight, DTensor):
                if weight not in whole:
                    value = weight.detach().full_tensor()  # all processes give their shares
                    value = value.cpu() if first else torch.empty(0)
                    whole[weight] = nn.Parameter(value, requires_grad=weight.requires_grad)
                module._parameters[name] = whole[weight]
