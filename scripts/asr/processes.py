"""What the processes of one training tell each other: flags, values, and that one of them is gone.

    stop, failed = any_process([told_to_stop, loss_is_nan], device)

With one process each of these returns what it was given.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist

from asr.errors import UserError

# What gloo says when a connection ends or stays silent; NCCL's errors have a class of their own.
_GLOO_LOST = re.compile(r"connection|timed out|broken pipe|socket", re.IGNORECASE)
# The launcher knows why a process is gone, and ends those that are left. One that nobody ends, on another machine, speaks.
SILENCE_SECONDS = 5.0


def any_process(flags: list[bool], device: torch.device) -> list[bool]:
    """Of each flag, whether any process has raised it: one small all-reduce."""
    if not dist.is_initialized():
        return flags
    raised = torch.tensor(flags, dtype=torch.int32, device=device)
    dist.all_reduce(raised, op=dist.ReduceOp.MAX)
    return [bool(flag) for flag in raised.tolist()]


def from_all(value: Any) -> list[Any]:
    """The value of each process, by rank."""
    if not dist.is_initialized():
        return [value]
    values = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def lost_contact(error: BaseException) -> bool:
    """Whether an error means that another process has ended, hangs or cannot be reached."""
    if isinstance(error, (dist.DistBackendError, dist.DistNetworkError, dist.DistStoreError)):
        return True
    return type(error) is RuntimeError and "gloo" in str(error) and bool(_GLOO_LOST.search(str(error)))


@contextmanager
def contact_loss_explained() -> Iterator[None]:
    """Turn a library's page about a broken connection into a sentence.

    Raises:
        UserError: contact with another process was lost in the block.
    """
    try:
        yield
    except RuntimeError as error:
        if not lost_contact(error):
            raise
        time.sleep(SILENCE_SECONDS)
        raise UserError(
            "another process of this training has ended or cannot be reached; look for its message, and run the same command "
            f"again: it goes on from the last whole checkpoint ({str(error).splitlines()[0]})"
        ) from error
