"""transformers' trainer, made hard to lose: what ends a run must leave a whole checkpoint, and one bad batch ends none.

In: what `Seq2SeqTrainer` takes, and `max_non_finite`. `train_on()` trains, from the last whole checkpoint if there is one.
A subclass calls `note_loss` for each micro-batch.
"""

from pathlib import Path

import torch
from transformers import Seq2SeqTrainer

from asr.checkpoints import (
    checkpoint_at,
    cut_off,
    discard,
    is_whole,
    keep_last_two,
    last_whole_checkpoint,
    seal,
    step_of,
)
from asr.environment import dist_timeout
from asr.errors import UserError
from asr.interruption import Interruption, StopWithCheckpoint, outlive_signals
from asr.non_finite import NonFinite
from asr.processes import any_process
from asr.watchdog import Watchdog


class SafeTrainer(Seq2SeqTrainer):
    """`Seq2SeqTrainer` with checkpoints that are whole, and steps that all processes agree on."""

    def __init__(self, *, max_non_finite: int, **kwargs):
        super().__init__(**kwargs)
        self._run_dir, self._first = Path(self.args.output_dir), self.is_world_process_zero()
        self._non_finite = NonFinite(self._run_dir / "non_finite.jsonl", max_non_finite, writes=self._first)
        self._interruption, self._watchdog = Interruption(), Watchdog(dist_timeout())
        self.add_callback(StopWithCheckpoint(self._interruption))

    def train_on(self) -> None:
        """Train from the last whole checkpoint on; the first process says which it is, and which were cut off."""
        checkpoint = last_whole_checkpoint(self._run_dir)
        if self._first:
            for broken in cut_off(self._run_dir):
                print(
                    f"{broken} is not whole: a run was ended while it wrote it, or it has lost a file since", flush=True
                )
            if checkpoint:
                print(f"resuming from step {step_of(checkpoint)}: {checkpoint}", flush=True)
            elif cut_off(self._run_dir):
                print("no whole checkpoint: starting from step 0", flush=True)
        if checkpoint and (checkpoint / "pytorch_model_fsdp.bin").exists() != self.is_fsdp_enabled:
            raise UserError(
                f"{checkpoint}: was written {'without' if self.is_fsdp_enabled else 'with'} FSDP=1; go on as it was "
                "begun, or delete that folder's checkpoints to start anew"
            )
        with self._interruption, self._watchdog:
            self.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)

    def note_loss(self, ids: list[list[str]] | None, loss: torch.Tensor) -> None:
        """A micro-batch of the step: the ids of each window's utterances, and the loss."""
        self._non_finite.note(ids or [], loss)

    def _init_training_state(self, *args):
        """As ever; but a best checkpoint that is broken meanwhile cannot be what the training ends with."""
        done = super()._init_training_state(*args)
        best = self.state.best_global_step
        if best is not None and not is_whole(checkpoint_at(self._run_dir, best)):
            if self._first:
                print(
                    f"the best checkpoint, of step {best}, is not whole: the best of those to come is taken", flush=True
                )
            self.state.best_global_step = self.state.best_model_checkpoint = self.state.best_metric = None
        return done

    def get_eval_dataloader(self, *args, **kwargs):
        loader = super().get_eval_dataloader(*args, **kwargs)
        loader.worker_init_fn = outlive_signals
        return loader

    def training_step(self, *args, **kwargs):
        self._watchdog.progress(self.state.global_step)
        return super().training_step(*args, **kwargs)

    def prediction_step(self, *args, **kwargs):
        self._watchdog.progress(self.state.global_step)
        return super().prediction_step(*args, **kwargs)

    def _get_grad_norm(self, model, grad_norm=None):
        """Between the gradients and the optimiser: all processes decide together whether it may step, and whether to go on."""
        grad_norm = super()._get_grad_norm(model, grad_norm)
        scaler = self.accelerator.scaler  # float16's skips an overflow of the gradients by itself, and learns from it
        norm = 0.0 if scaler else float(grad_norm)
        skip, self._interruption.agreed = any_process(
            [self._non_finite.found(norm), self._interruption.asked], self.args.device
        )
        if skip:
            self._non_finite.step_skipped(self.state.global_step + 1, float(grad_norm))
            self._hold_optimizer(scaler)
        else:
            self._non_finite.step_made()
        return grad_norm

    def _hold_optimizer(self, scaler) -> None:
        """Let the optimiser's next step do nothing, and show gradients of zero to callbacks that read them."""
        for group in self.optimizer.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    weight.grad.zero_()  # with these alone it would still step, by its momentum and weight decay
        self.accelerator.gradient_state._set_sync_gradients(False)  # as between two micro-batches
        if scaler:
            scaler.update()

    def log(self, logs, *args, **kwargs):
        if "loss" in logs:
            self._tr_loss.nan_to_num_(0.0)  # one that is not finite is in this point of the curve, not in all to come
        super().log(logs, *args, **kwargs)

    def _issue_warnings_after_load(self, load_result):
        """As ever; but that a checkpoint holds a tied weight once is nothing to warn of."""
        tied = set(getattr(self.model, "all_tied_weights_keys", ()))
        missing = [name for name in load_result.missing_keys if name not in tied]
        super()._issue_warnings_after_load(load_result._replace(missing_keys=missing))

    def _save_checkpoint(self, model, trial):
        """Save so that whatever ends the run meanwhile, a whole checkpoint is there; keep the last two and the best."""
        folder = checkpoint_at(self._run_dir, self.state.global_step)
        if self._first:
            discard(folder)  # what an earlier run left of it
        self.accelerator.wait_for_everyone()
        try:
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self._first:
                seal(folder)
        except Exception:
            if self._first:
                discard(folder)  # a full disk needs the room
            raise
        if self._first:
            keep_last_two(self._run_dir, best=self.state.best_global_step)
        self._watchdog.progress(self.state.global_step)
        # A signal during an evaluation need not wait for another step. And nobody ends before the checkpoint is sealed.
        (self._interruption.agreed,) = any_process([self._interruption.asked], self.args.device)
