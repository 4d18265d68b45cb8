"""Start a training script on as many processes as the environment variable GPUS says (1 unless it is set), on one machine
or on each of NNODES.

    GPUS=2 python -P scripts/asr/launch.py scripts/train_german_model.py
    NNODES=2 NODE_RANK=1 MASTER=first-machine:29500 GPUS=8 python -P scripts/asr/launch.py scripts/train_german_model.py

The same as `torchrun --standalone --nproc_per_node=$GPUS scripts/train_german_model.py`, or with several machines as
`torchrun --nnodes=$NNODES --node_rank=$NODE_RANK --master_addr=… --master_port=… …`, but a failure ends in one message
instead of the launcher's traceback below it. FSDP=1 spreads the model over the processes, as recipes/fsdp.yaml says. -P
keeps this folder off the import path.
"""

import logging
import os
import signal
import sys
from pathlib import Path

# glibc gives every freed batch of logits back to the system and takes it anew, page by page, at the next step. With these
# bounds it keeps the memory; benchmarks/allocator.py shows what that brings.
GLIBC_BOUNDS = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**33)}
DEFAULT_PORT = 29500
FSDP_CONFIG = Path(__file__).resolve().parents[2] / "recipes/fsdp.yaml"
# After SIGTERM the processes write a checkpoint; torchrun would kill them after 30 s.
SAVE_SECONDS = {"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "600"}
# Told to end, before and after there was something to save.
TOLD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
TERMINATED = (*(-number for number in TOLD), *(128 + number for number in TOLD))


def main(arguments: list[str]) -> int:
    """The exit code of the script; for one process this one becomes the script, so that a signal finds it."""
    for name, value in (GLIBC_BOUNDS | SAVE_SECONDS).items():
        os.environ.setdefault(name, value)
    gpus = os.environ.get("GPUS") or "1"
    if not gpus.isdecimal() or int(gpus) == 0:
        return _fail(f"GPUS={gpus}: give a number of processes, such as GPUS=2")
    processes = int(gpus)
    try:
        machines = _machines()
    except ValueError as error:
        return _fail(str(error))
    if os.environ.get("FSDP") == "1":
        os.environ |= _fsdp()
    if processes == 1 and not machines:
        # One GPU, of however many: the trainer would spread a batch over all that a single process sees.
        first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        os.execve(sys.executable, [sys.executable, *arguments], os.environ | {"CUDA_VISIBLE_DEVICES": first})

    import torch

    if torch.cuda.is_available() and processes > (present := torch.cuda.device_count()):
        return _fail(f"GPUS={processes}: this machine shows {present}; give at most GPUS={present}")
    return _torchrun([*(machines or ["--standalone"]), f"--nproc_per_node={processes}", *arguments])


def _machines() -> list[str]:
    """torchrun's flags for several machines, none for one.

    Raises:
        ValueError: NNODES, NODE_RANK and MASTER do not go together; the message says what to give.
    """
    nodes, rank, master = (os.environ.get(name) or "" for name in ("NNODES", "NODE_RANK", "MASTER"))
    if nodes in ("", "1"):
        return []
    if not nodes.isdecimal() or int(nodes) == 0:
        raise ValueError(f"NNODES={nodes}: give a number of machines, such as NNODES=2")
    if not rank.isdecimal() or int(rank) >= int(nodes):
        raise ValueError(
            f"NODE_RANK={rank}: NNODES={nodes} machines are numbered from 0 to {int(nodes) - 1}; say on each which one it is"
        )
    host, _, port = master.partition(":")
    port = port or str(DEFAULT_PORT)
    if not host or not port.isdecimal():
        raise ValueError(
            f"MASTER={master}: give the address of the machine with NODE_RANK=0, the same on all machines, "
            f"such as MASTER=10.0.0.1 or MASTER=10.0.0.1:{DEFAULT_PORT}"
        )
    return [f"--nnodes={nodes}", f"--node_rank={rank}", f"--master_addr={host}", f"--master_port={port}"]


def _fsdp() -> dict[str, str]:
    """What `accelerate launch` would tell the processes of its configuration's `fsdp_config`."""
    from ruamel.yaml import YAML

    given = YAML(typ="safe").load(FSDP_CONFIG)["fsdp_config"]
    given["fsdp_transformer_cls_to_wrap"] = given.pop("fsdp_transformer_layer_cls_to_wrap")  # the one name that differs
    spelled = {
        name.upper(): str(value).lower() if isinstance(value, bool) else str(value) for name, value in given.items()
    }
    return {"ACCELERATE_USE_FSDP": "true", **spelled}


def _torchrun(arguments: list[str]) -> int:
    """The exit code of the processes: that of one that failed by itself, else 143 if they were told to end."""
    from torch.distributed import DistError
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    for name in ("agent.server.api", "multiprocessing.api"):  # the processes speak for themselves
        logging.getLogger(f"torch.distributed.elastic.{name}").setLevel(logging.CRITICAL)
    try:
        torchrun(arguments)
    except SignalException as error:
        return 128 + error.sigval
    except DistError as error:
        return _fail(
            f"MASTER={os.environ.get('MASTER')}: the machines did not find each other; start all of them, and check address, "
            f"port and firewall ({str(error).splitlines()[0]})"
        )
    except ChildFailedError as error:
        failures = [failure for failure in error.failures.values() if failure.exitcode not in TERMINATED]
        if not failures:
            return 128 + signal.SIGTERM
        if any(failure.exitcode > 0 for failure in failures):
            return 1
        failure = min(failures, key=lambda failure: failure.timestamp)
        return _fail(
            f"process {failure.local_rank} was ended by {signal.Signals(-failure.exitcode).name}"
            + (", as the system does when memory runs out" if failure.exitcode == -signal.SIGKILL else "")
            + "; the same command goes on from the last whole checkpoint"
        )
    return 0


def _fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
