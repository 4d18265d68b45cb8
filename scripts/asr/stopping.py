"""When a training ends before its last step, and what its evaluations cost.

Whether it has ended follows from the history of its evaluations alone, which every checkpoint holds; so a run that is
killed after it has stopped early does not train on when it is run again.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from transformers import TrainerCallback

MOST = 0.10  # share of the time that evaluations may take without a word


def without_gain(history: Sequence[dict], metric: str) -> int:
    """How many evaluations there were since the best one, the first of equals.

    Args:
        history: a trainer's `log_history`.
        metric: an error rate: "wer" or "cer".
    """
    rates = [row[f"eval_{metric}"] for row in history if f"eval_{metric}" in row]
    return len(rates) - 1 - rates.index(min(rates)) if rates else 0


def last_step(checkpoint: Path | None, steps: int, metric: str, patience: int) -> int:
    """The step that ends a training of `steps`: the checkpoint's, if it had stopped early there."""
    if checkpoint is None or not patience:
        return steps
    state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    return state["global_step"] if without_gain(state["log_history"], metric) >= patience else steps


class EarlyStopping(TrainerCallback):
    """Ends a training after `patience` evaluations without a better one."""

    def __init__(self, metric: str, patience: int):
        self._metric, self._patience = metric, patience

    def on_evaluate(self, args, state, control, **kwargs):
        if (count := without_gain(state.log_history, self._metric)) >= self._patience:
            control.should_training_stop = True
            if state.is_world_process_zero:
                print(
                    f"stopping at step {state.global_step}: no better {self._metric.upper()} in {count} evaluation(s)",
                    flush=True,
                )


class EvaluationShare(TrainerCallback):
    """Says at the end what share of the time the evaluations took, and what to do if that is much: after the first one already."""

    def __init__(self, clock):
        self._clock, self._spent = clock, 0.0

    def on_train_begin(self, args, state, control, **kwargs):
        self._began, self._first = self._clock(), state.global_step

    def on_evaluate(self, args, state, control, metrics, **kwargs):
        first = not self._spent
        self._spent += metrics["eval_runtime"]
        if first and state.global_step < state.max_steps and state.is_world_process_zero:
            self._say("evaluations take", only_if_much=True)

    def on_train_end(self, args, state, control, **kwargs):
        if not state.is_world_process_zero or state.global_step == self._first:
            return
        self._say("evaluations took")

    def _say(self, what: str, only_if_much: bool = False) -> None:
        share = self._spent / max(self._clock() - self._began, 1e-9)
        line = f"{what} {share:.0%} of the time"
        if share > MOST:
            line += f", more than {MOST:.0%}: give fewer eval_utterances or larger eval_steps"
        if share > MOST or not only_if_much:
            print(line, flush=True)
