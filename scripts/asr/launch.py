"""Start a training script on as many processes as the environment variable GPUS says (1 unless it is set).

    GPUS=2 python -P scripts/asr/launch.py scripts/train_german_model.py

The same as `torchrun --standalone --nproc_per_node=$GPUS scripts/train_german_model.py`, but a failure ends in the
script's own message instead of the launcher's traceback below it. -P keeps this folder off the import path.
"""

import os
import sys

# glibc gives every freed batch of logits back to the system and takes it anew, page by page, at the next step. With these
# bounds it keeps the memory; benchmarks/allocator.py shows what that brings.
GLIBC_BOUNDS = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**33)}


def main(arguments: list[str]) -> int:
    """The exit code of the script; for one process this one becomes the script, so that a signal finds it."""
    for name, value in GLIBC_BOUNDS.items():
        os.environ.setdefault(name, value)
    gpus = os.environ.get("GPUS") or "1"
    if not gpus.isdecimal() or int(gpus) == 0:
        return _fail(f"GPUS={gpus}: give a number of processes, such as GPUS=2")
    processes = int(gpus)
    if processes == 1:
        # One GPU, of however many: the trainer would spread a batch over all that a single process sees.
        first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        os.execve(sys.executable, [sys.executable, *arguments], os.environ | {"CUDA_VISIBLE_DEVICES": first})

    import torch
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    if torch.cuda.is_available() and processes > (present := torch.cuda.device_count()):
        return _fail(f"GPUS={processes}: this machine shows {present}; give at most GPUS={present}")
    try:
        torchrun(["--standalone", f"--nproc_per_node={processes}", *arguments])
    except ChildFailedError:
        return 1
    return 0


def _fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
