"""Both ways to train by transformers' trainer, with the same optimiser, so that only the way differs.

    arguments = training_arguments(folder, steps=8, batch=4, optim="adamw_torch_fused", learning_rate=1e-5)
    ours = our_trainer(model, labeler, dataset, plan, arguments)         # `plan`: the windows of each step
    theirs = guides_trainer(model, tokenizer, extractor, dataset, arguments)
    ours.train()

Neither evaluates, saves or logs by itself.
"""

import copy
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from datasets import Dataset
from guides import GuidesCollator
from torch.utils.data import DataLoader
from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments, TrainerCallback
from transformers.trainer_callback import PrinterCallback

from asr.batches import Collator, WindowDataset
from asr.labels import Labeler
from asr.trainer import WhisperTrainer
from asr.windows import RankBatches, Window

NON_FINITE = 10  # steps in a row after which ours gives up


def training_arguments(folder: Path, steps: int, batch: int, **chosen) -> Seq2SeqTrainingArguments:
    """What both trainers are given; `batch` windows a step."""
    quiet = {
        "save_strategy": "no",
        "eval_strategy": "no",
        "logging_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
    }
    return Seq2SeqTrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=batch,
        remove_unused_columns=False,
        label_names=["labels"],
        **quiet | {"seed": 0} | chosen,
    )


def our_trainer(
    model, labeler: Labeler, dataset: WindowDataset, plan: list[list[Window]], arguments, callbacks=()
) -> WhisperTrainer:
    """Ours, over the windows of each step; within `asr.loss.training_loss`. A list that is changed later is read anew."""
    trainer = WhisperTrainer(
        batches=RankBatches(lambda: iter(plan), len(plan), accumulation=1, rank=0, world=1),
        labeler=labeler,
        max_non_finite=NON_FINITE,
        model=model,
        args=copy.copy(arguments),
        train_dataset=dataset,
        data_collator=Collator(labeler.end),
        callbacks=list(callbacks),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def guides_trainer(model, tokenizer, extractor, dataset: Dataset, arguments, callbacks=()) -> Seq2SeqTrainer:
    """Theirs, over what `guides.map_features` has made."""
    start = model.generation_config.decoder_start_token_id
    trainer = Seq2SeqTrainer(
        model=model,
        args=copy.copy(arguments),
        train_dataset=dataset,
        data_collator=GuidesCollator(tokenizer, extractor, start),
        processing_class=extractor,
        callbacks=list(callbacks),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


class Waited:
    """A loader that knows how long the training has waited for its batches; `seen(batch)` is told of each.

    Batches that the device waits for while it has nothing to do, and those that it does not yet need: an upper bound.
    """

    def __init__(self, loader: DataLoader, seen=lambda batch: None):
        self._loader, self._seen, self.seconds = loader, seen, 0.0

    def __len__(self) -> int:
        return len(self._loader)

    def __getattr__(self, name: str):
        return getattr(self._loader, name)

    def __iter__(self) -> Iterator[dict]:
        batches = iter(self._loader)
        while True:
            start = time.perf_counter()
            batch = next(batches, None)
            self.seconds += time.perf_counter() - start
            if batch is None:
                return
            self._seen(batch)
            yield batch


class Clock(TrainerCallback):
    """How long the steps took after the first `warm_up`, and how long they waited for their batches."""

    def __init__(self, waited: Waited, warm_up: int):
        self._loader, self._warm_up = waited, warm_up

    def on_step_end(self, args, state, control, **kwargs):
        """The device is waited for where the clock starts and where it stops, and nowhere between."""
        if state.global_step not in (self._warm_up, state.max_steps):
            return
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter(), self._loader.seconds
        if state.global_step == self._warm_up:
            self._start = now
        else:
            self.seconds, self.waited = (end - start for end, start in zip(now, self._start, strict=True))
