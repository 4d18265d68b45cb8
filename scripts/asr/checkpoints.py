"""Checkpoints of one experiment, `<run_dir>/checkpoint-<step>/`: the last whole one, and their end."""

import json
import re
import shutil
from pathlib import Path


def last_whole_checkpoint(run_dir: Path) -> Path | None:
    """The newest checkpoint that was written to its end.

    The trainer writes `trainer_state.json` last, so a checkpoint without one that can be read was cut off; the trainer
    overwrites it when it comes to the same step.
    """
    return next((path for path in reversed(_checkpoints(run_dir)) if _is_whole(path)), None)


def remove_checkpoints(run_dir: Path) -> None:
    """Delete the checkpoints of a training that has delivered its model; TensorBoard's events stay."""
    for checkpoint in _checkpoints(run_dir):
        shutil.rmtree(checkpoint)


def _checkpoints(run_dir: Path) -> list[Path]:
    found = [path for path in Path(run_dir).glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
    return sorted(found, key=lambda path: int(path.name.split("-")[1]))


def _is_whole(checkpoint: Path) -> bool:
    try:
        state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
        return checkpoint.name == f"checkpoint-{state['global_step']}"
    except (OSError, ValueError, KeyError):
        return False
