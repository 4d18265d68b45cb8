"""How well a model that is being trained understands clips that it does not learn from, and when it did so first.

    until = Until(HeldOut(prepared, model_dir, "general", labeler), target=0.1, every=50, most=600.0, name="ours")
    trainer.add_callback(until)
    trainer.train()                                   # ends when the target is reached
    until.seconds, until.steps, until.wer

Seconds are the processor's, of this process in user and system, and only those of the steps: what the evaluation takes
is not counted.
"""

import time
from pathlib import Path

import numpy as np
import torch
from transformers import TrainerCallback, WhisperForConditionalGeneration

from asr.audio import decode
from asr.decoding import max_tokens
from asr.features import compose, log_mels, mel_filters
from asr.labels import Labeler
from asr.scoring import score
from asr.utterance import load_split
from asr.whisper_shape import WINDOW_FRAMES

BATCH = 16


class HeldOut:
    """The test clips of a source, each padded to 30 s; they are decoded as `asr.transformers_engine.Transformers` does."""

    def __init__(self, prepared: Path, model_dir: Path, source: str, labeler: Labeler):
        rows = [row for row in load_split(prepared, "test") if row["source"] == source and row["text"]]
        clips = sorted(((decode(row["audio"]), row) for row in rows), key=lambda clip: -len(clip[0]))
        waveforms = [waveform for waveform, _ in clips]
        mels = log_mels(waveforms, mel_filters(model_dir), "cpu")
        self._features = torch.from_numpy(np.stack([compose([(mel, 0)], WINDOW_FRAMES) for mel in mels]))
        self._limits = [max_tokens(len(waveform)) for waveform in waveforms]
        self._references = [row["text"] for _, row in clips]
        self._language, self._labeler = rows[0]["language"], labeler

    @torch.no_grad()
    def wer(self, model: WhisperForConditionalGeneration) -> float:
        """Of greedy decoding without timestamps; the model is left in training mode."""
        model.eval()
        said = []
        for first in range(0, len(self._features), BATCH):
            written = model.generate(
                self._features[first : first + BATCH],
                language=self._language,
                task="transcribe",
                return_timestamps=False,
                num_beams=1,
                do_sample=False,
                max_new_tokens=self._limits[first],  # the longest clip comes first
            )
            for tokens, limit in zip(written.tolist(), self._limits[first:], strict=False):
                said.append(self._labeler.decode(tokens[:limit]))
        model.train()
        return score(self._references, said)["wer"]


class Until(TrainerCallback):
    """Ends a training when the target is reached, or when it has taken `most` seconds; says how far it is meanwhile."""

    def __init__(self, held_out: HeldOut, target: float, every: int, most: float, name: str):
        self._held_out, self._target, self._every, self._most, self._name = held_out, target, every, most, name
        self.seconds, self.steps, self.wer = 0.0, 0, float("inf")

    def on_train_begin(self, args, state, control, **kwargs):
        """The clock starts."""
        self._mark = time.process_time()

    def on_step_end(self, args, state, control, model, **kwargs):
        """It stands still while the model is judged."""
        self.seconds += time.process_time() - self._mark
        self.steps = state.global_step
        given_up = self.seconds >= self._most
        if self.steps % self._every == 0 or given_up or self.steps == state.max_steps:
            self.wer = self._held_out.wer(model)
            print(f"  {self._name}: step {self.steps}, {self.seconds:.0f} s, WER {self.wer:.4f}", flush=True)
            if self.wer <= self._target or given_up:
                control.should_training_stop = True
        self._mark = time.process_time()
