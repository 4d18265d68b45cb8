"""Checkpoints of one experiment, `<run_dir>/checkpoint-<step>/`: whole or not there, and which of them are kept.

A checkpoint is many files of several libraries. The last one, `whole.json`, lists the others with their sizes and is
written when all of them are on the disk; a checkpoint without it, or with a file of another size, was cut off.
"""

import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from asr.errors import UserError
from asr.paths import only_writer
from asr.processes import from_all

SEAL = "whole.json"


@contextmanager
def opened_run_dir(run_dir: Path, first: bool) -> Iterator[None]:
    """The folder, made and locked by the first process of a run, proved to be writable and the same for all processes.

    Raises:
        UserError: it is not, or another run is writing it.
    """
    with ExitStack() as stack:
        proof = Path(run_dir) / f"proof-{uuid.uuid4().hex}"
        if first:
            try:
                stack.enter_context(only_writer(run_dir))
                proof.touch()
            except OSError as error:
                raise UserError(
                    f"{run_dir.absolute()}: checkpoints cannot be written here ({error.strerror}); mend that, or let "
                    "LOG_DIR in .env name another folder"
                ) from error
        proof = proof.with_name(from_all(proof.name)[0])
        seen = from_all(proof.exists())
        if first:
            proof.unlink()
        if not all(seen):
            raise UserError(
                f"{run_dir.absolute()}: process {seen.index(False)} does not see what process 0 writes here; let LOG_DIR "
                "in .env name a folder on a disk that all machines share"
            )
        yield


def checkpoint_at(run_dir: Path, step: int) -> Path:
    """Where the checkpoint of a step is; the trainer calls it so."""
    return Path(run_dir) / f"checkpoint-{step}"


def step_of(checkpoint: Path) -> int:
    """Optimiser steps that had been made when it was written."""
    return int(checkpoint.name.split("-")[1])


def last_whole_checkpoint(run_dir: Path) -> Path | None:
    """The newest checkpoint that was written to its end and has lost nothing since."""
    return next((path for path in reversed(_checkpoints(run_dir)) if is_whole(path)), None)


def is_whole(checkpoint: Path) -> bool:
    """Whether every file that the checkpoint was sealed with is there, in its length."""
    try:
        sizes = json.loads((checkpoint / SEAL).read_text(encoding="utf-8"))
        return all((checkpoint / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


def seal(checkpoint: Path) -> None:
    """Declare a checkpoint whole: its files are brought to the disk first, so that a power cut cannot empty them later."""
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != SEAL)
    for path in files:
        _to_disk(path)
    sizes = {str(path.relative_to(checkpoint)): path.stat().st_size for path in files}
    partial = checkpoint / f"{SEAL}.partial"
    partial.write_text(json.dumps(sizes, indent=1) + "\n", encoding="utf-8")
    _to_disk(partial)
    partial.rename(checkpoint / SEAL)
    _to_disk(checkpoint)


def discard(checkpoint: Path) -> None:
    """Delete a checkpoint, if it is there; one that is half deleted does not look whole."""
    (checkpoint / SEAL).unlink(missing_ok=True)
    if checkpoint.exists():
        shutil.rmtree(checkpoint)


def keep_last_two(run_dir: Path, best: int | None) -> None:
    """Delete all checkpoints but the last two whole ones and that of step `best`: a disk may lose part of the last."""
    whole = [path for path in _checkpoints(run_dir) if is_whole(path)]
    for checkpoint in _checkpoints(run_dir):
        if checkpoint not in whole[-2:] and step_of(checkpoint) != best:
            discard(checkpoint)


def cut_off(run_dir: Path) -> list[Path]:
    """What a run that was ended while it saved has left, oldest first: nothing can be resumed from it."""
    return [path for path in _checkpoints(run_dir) if not is_whole(path)]


def remove_checkpoints(run_dir: Path) -> None:
    """Delete the checkpoints of a training that has delivered its model; TensorBoard's events stay."""
    for checkpoint in _checkpoints(run_dir):
        discard(checkpoint)


def _checkpoints(run_dir: Path) -> list[Path]:
    found = [path for path in Path(run_dir).glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
    return sorted(found, key=step_of)


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
