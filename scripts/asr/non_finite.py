"""Losses that are not finite: which utterances gave them, and how many steps in a row may be skipped for them.

One step with such a loss would make every weight nan. `<run_dir>/non_finite.jsonl` gets a line for each process that had
one: `{"step": 12, "rank": 0, "loss": "nan", "grad_norm": "nan", "ids": ["general/17", …]}`.
"""

import json
import math
from itertools import chain
from pathlib import Path

import torch

from asr.errors import UserError
from asr.processes import from_all


class NonFinite:
    """The losses of the current step, and the count of steps in a row that were skipped."""

    def __init__(self, file: Path, most: int, writes: bool):
        """file: what is written; most: so many steps in a row end the training; writes: whether this process writes."""
        self._file, self._most, self._writes = file, most, writes
        self._losses: list[tuple[list[list[str]], torch.Tensor]] = []
        self._skipped = 0

    def note(self, ids: list[list[str]], loss: torch.Tensor) -> None:
        """A micro-batch: the ids of each window's utterances, and the loss."""
        self._losses.append((ids, loss.detach()))

    def found(self, grad_norm: float) -> bool:
        """Whether this process must not make the step that these losses and gradients ask for."""
        return not math.isfinite(grad_norm) or not all(math.isfinite(loss) for _, loss in self._losses)

    def step_made(self) -> None:
        """The step was fine in all processes."""
        self._losses, self._skipped = [], 0

    def step_skipped(self, step: int, grad_norm: float) -> None:
        """Write down whose loss it was; where none was, the gradients were at fault, and any of the step's windows.

        Raises:
            UserError: it was the last of `most` steps in a row. All processes raise it.
        """
        bad = [(ids, float(loss)) for ids, loss in self._losses if not math.isfinite(loss)]
        everybody = from_all((bad, [(ids, float(loss)) for ids, loss in self._losses]))
        any_bad = any(bad for bad, _ in everybody)
        lines = [
            {"step": step, "rank": rank, "loss": str(loss), "grad_norm": str(grad_norm), "ids": list(chain(*ids))}
            for rank, (bad, losses) in enumerate(everybody)
            for ids, loss in (bad if any_bad else losses)
        ]
        self._losses = []
        self._skipped += 1
        if self._writes:
            with self._file.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
            print(
                f"step {step}: the loss is not finite; the step is skipped, its utterances are in {self._file}",
                flush=True,
            )
        if self._skipped >= self._most:
            raise UserError(
                f"{self._file}: the loss was not finite {self._skipped} times in a row, last at step {step}; look at the "
                "utterances listed there, or lower learning_rate; the weights are those of the last good step, and the "
                "same command goes on from the last whole checkpoint (max_non_finite says how many are too many)"
            )
