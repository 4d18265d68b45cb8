"""Start a training script on as many processes as the environment variable GPUS says (1 unless it is set).

    GPUS=2 python -P scripts/asr/launch.py scripts/train_german_model.py

The same as `torchrun --standalone --nproc_per_node=$GPUS scripts/train_german_model.py`, but a failure ends in the
script's own message instead of the launcher's traceback below it. -P keeps this folder off the import path.
"""

import os
import subprocess
import sys


def main(arguments: list[str]) -> int:
    """The exit code of the script."""
    # glibc gives every freed batch of logits back to the system and takes it anew, page by page, at the next step: a
    # third of a step on a CPU. With these bounds it keeps the memory.
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(2**32))
    os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(2**33))
    processes = os.environ.get("GPUS") or "1"
    if not processes.isdecimal() or processes == "0":
        print(f"error: GPUS={processes}: give a number of processes, such as GPUS=2", file=sys.stderr)
        return 1
    if processes == "1":
        # One GPU, of however many: the trainer would spread a batch over all that a single process sees.
        first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        environment = os.environ | {"CUDA_VISIBLE_DEVICES": first}
        return subprocess.run([sys.executable, *arguments], env=environment).returncode

    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    try:
        torchrun(["--standalone", f"--nproc_per_node={processes}", *arguments])
    except ChildFailedError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
