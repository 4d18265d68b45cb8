"""SIGTERM during a training: noted at once, obeyed where a checkpoint can be written.

    with Interruption() as interruption:
        trainer.train()          # at the end of each step all processes ask whether one of them was told to stop

Machines are taken back with this signal (Slurm, Kubernetes, spot instances, `docker stop`). The run then saves, and ends
with status 143 = 128 + SIGTERM, as a shell reports it.
"""

import multiprocessing
import signal

from transformers import TrainerCallback

from asr.processes import lost_contact

STATUS = 128 + signal.SIGTERM


class Interruption:
    """Whether this process was told to stop (`asked`), and whether all processes know (`agreed`)."""

    def __init__(self):
        self.asked = self.agreed = False

    def __enter__(self) -> "Interruption":
        self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, kind, error, trace) -> None:
        """Once there is nothing to save the signal ends the process as ever; one that came too late is made up for."""
        # Nobody else could end the loaders' workers that outlive the signal: the library sends the same one.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for worker in multiprocessing.active_children():
            worker.kill()
            worker.join()
        signal.signal(signal.SIGTERM, self._before)
        if self.asked and (error is None or lost_contact(error)):
            raise SystemExit(STATUS)

    def _note(self, number, frame) -> None:
        self.asked = True


def outlive_sigterm(worker: int) -> None:
    """For a `DataLoader`'s `worker_init_fn`: a signal to the whole group shall leave the last step its batches."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


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
                    f"stopped by SIGTERM at step {state.global_step}/{state.max_steps}; the checkpoint is written, "
                    "and the same command goes on from it",
                    flush=True,
                )
            raise SystemExit(STATUS)
