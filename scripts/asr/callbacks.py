"""What a training tells: lines in a log and curves in TensorBoard while it runs, the curves as files when it has ended."""

import csv
import importlib.util
import os
import sys
import time
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter
from transformers import TrainerCallback
from transformers.integrations import TensorBoardCallback

from asr.errors import UserError

# A curve's columns: what the trainer logs, and what they are called in the file.
CURVES = {
    "loss": {"loss": "loss", "learning_rate": "learning_rate", "grad_norm": "grad_norm"},
    "wer": {"eval_wer": "wer", "eval_cer": "cer"},
}


def on_terminal() -> bool:
    """Whether somebody is watching a bar move; a log gets plain lines instead."""
    return sys.stderr.isatty()


def trackers(run_dir: Path) -> list[str]:
    """Where curves go beside TensorBoard: Weights & Biases, if `.env` holds its key; its own files go into `run_dir`.

    Raises:
        UserError: the key is there and the package is not.
    """
    if "WANDB_API_KEY" not in os.environ:
        return []
    if importlib.util.find_spec("wandb") is None:
        raise UserError(
            "WANDB_API_KEY is set, but wandb is not installed: .venv/bin/pip install wandb, or clear the key"
        )
    os.environ.setdefault("WANDB_DIR", str(run_dir))
    return ["wandb"]


class LogLines(TrainerCallback):
    """One line a logged step: step, loss or error rates, and the time left. On a terminal the bar tells the loss."""

    def on_train_begin(self, args, state, control, **kwargs):
        self._started, self._first = time.monotonic(), state.global_step

    def on_log(self, args, state, control, logs=None, **kwargs):
        if not state.is_world_process_zero or not logs:
            return
        step = f"step {state.global_step}/{state.max_steps}"
        if "eval_wer" in logs:
            print(f"{step}  WER {logs['eval_wer']:.4f}  CER {logs['eval_cer']:.4f}", flush=True)
        elif "loss" in logs and not on_terminal():
            print(
                f"{step}  loss {logs['loss']:.4f}  lr {logs['learning_rate']:.2e}  {self._left(state)} left", flush=True
            )

    def _left(self, state) -> str:
        a_step = (time.monotonic() - self._started) / max(state.global_step - self._first, 1)
        minutes, seconds = divmod(int(a_step * (state.max_steps - state.global_step)), 60)
        return f"{minutes}:{seconds:02d}"


class EventFiles(TensorBoardCallback):
    """TensorBoard's events in one folder, opened by the first process alone when training begins.

    Points that a killed run wrote past its last checkpoint are purged when it resumes.
    """

    def __init__(self, folder: Path):
        super().__init__(tb_writer=None)
        self._folder = folder

    def on_train_begin(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            self.tb_writer = SummaryWriter(log_dir=str(self._folder), purge_step=state.global_step + 1)
            super().on_train_begin(args, state, control, **kwargs)


def save_curves(folder: Path, history: list[dict]) -> None:
    """A trainer's `log_history` as `loss.csv` and `wer.csv`, which `dvc plots show` draws."""
    for name, columns in CURVES.items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["step", *columns.values()])
            rows = (row for row in history if next(iter(columns)) in row)
            writer.writerows([row["step"], *(row.get(column) for column in columns)] for row in rows)
