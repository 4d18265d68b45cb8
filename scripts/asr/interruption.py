"""SIGTERM, Ctrl-C and a closed terminal during a training: noted at once, obeyed where a checkpoint can be written.

    with Interruption() as interruption:
        trainer.train()          # at the end of each step all processes ask whether one of them was told to stop

Machines are taken back with SIGTERM (Slurm, Kubernetes, spot instances, `docker stop`). The run then saves, and ends with
status 128 + the signal's number, 143, 130 or 129, as a shell reports it. Whatever comes after a Ctrl-C ends it at once: the
launcher of several processes makes SIGTERM of a second one.
"""

import multiprocessing
import os
import signal
import time

from transformers import TrainerCallback

from asr.processes import lost_contact

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
ONE_KEY_SECONDS = 1.0  # one Ctrl-C may come twice: from the terminal, and from the launcher
HINT = b"stopping with a checkpoint after this step; Ctrl-C once more ends it without\n"


class Interruption:
    """Whether this process was told to stop (`asked`), and whether all processes know (`agreed`)."""

    def __init__(self):
        self.asked = self.agreed = False
        self.by, self._since = signal.SIGTERM, 0.0

    def __enter__(self) -> "Interruption":
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, kind, error, trace) -> None:
        """Once there is nothing to save the signals end the process as ever; one that came too late is made up for."""
        # Nobody else could end the loaders' workers that outlive the signal: the library sends the same one.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for worker in multiprocessing.active_children():
            worker.kill()
            worker.join()
        for number, before in self._before.items():
            signal.signal(number, before)
        if self.asked and (error is None or lost_contact(error)):
            raise SystemExit(self.status)

    @property
    def status(self) -> int:
        """The exit status of a run that was stopped so."""
        return 128 + self.by

    def _note(self, number, frame) -> None:
        now = time.monotonic()
        if not self.asked:
            self.asked, self.by, self._since = True, signal.Signals(number), now
            if number == signal.SIGINT and os.environ.get("RANK", "0") == "0":
                os.write(2, HINT)  # `print` may be what was interrupted
        elif self.by == signal.SIGINT and now - self._since > ONE_KEY_SECONDS:
            raise KeyboardInterrupt


def outlive_signals(worker: int) -> None:
    """For a `DataLoader`'s `worker_init_fn`: a signal to the whole group shall leave the last step its batches."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class StopWithCheckpoint(TrainerCallback):
    """Ends a training that all processes have agreed to stop, once its checkpoint is whole."""

    def __init__(self, interruption: Interruption):
        self._interruption = interruption

    def on_step_end(self, args, state, control, **kwargs):
        if self._interruption.agreed:
            # The losses since the last point of the curve are not in a checkpoint: they are a point of their own.
            control.should_save = control.should_log = True

    def on_save(self, args, state, control, **kwargs):
        if self._interruption.agreed:
            if state.is_world_process_zero:
                print(
                    f"stopped by {self._interruption.by.name} at step {state.global_step}/{state.max_steps}; the checkpoint "
                    "is written, and the same command goes on from it",
                    flush=True,
                )
            raise SystemExit(self._interruption.status)
