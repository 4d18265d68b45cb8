"""A training's steps on a device, measured: what benchmarks/gpu_training.py compares.

    measure(Plan("packed into 30 s", "full", "cuda", "turbo", batch=8, steps=20, loader_workers=4))
    largest(Plan("packed into 30 s", "lora", "cuda", "turbo", batch=1, steps=1, loader_workers=0), limit_gb=16)

Either is called in a process of its own, so that a GPU's memory is only theirs.
"""

import gc
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from guides import map_noise
from reckoning import ADAPTED, RANK, flops
from synthetic import (
    PRETRAINED_WINDOWS,
    SETTINGS,
    cross_entropy,
    labeler,
    planned_steps,
    random_features,
    seconds_of,
    whisper,
)
from trainers import Clock, Waited, guides_trainer, our_trainer, training_arguments
from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments, WhisperFeatureExtractor

from asr.adapter import add_adapter
from asr.batches import WindowDataset
from asr.selection import sources_of
from asr.vocabulary import whisper_tokenizer

REFERENCE = "guides, one utterance a 30 s window"
SIDES = {  # share of steps of 30 s, share of packed windows, times the windows
    REFERENCE: (None, None, 1),
    "packed into 30 s": (1.0, 1.0, 1),
    "short contexts": (0.0, 0.0, 4),
}

WARM_UP = 3  # steps that do not count
GIGABYTE = 1e9


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    side: str
    training: str  # "full" or "lora"
    device: str
    shape: str
    batch: int  # windows of 30 s; short contexts have more
    steps: int
    loader_workers: int


@dataclass(frozen=True)
class Measured:
    """What the steps took that count."""

    seconds: float
    speech: float  # seconds
    flops: float
    waited: float  # seconds
    gigabytes: float  # the most that tensors held


def measure(plan: Plan) -> Measured:
    """Train for some steps, in a process that nothing else has used."""
    with TemporaryDirectory() as folder:
        trainer, speech, context = _trainer(plan, Path(folder))
        made = []  # operations of each batch

        def seen(batch: dict) -> None:
            windows, decoded = batch["labels"].shape
            projected = decoded if plan.side == REFERENCE else int((batch["labels"] != -100).sum()) / windows
            frames = batch["input_features"].shape[-1]
            made.append(windows * flops(SETTINGS[plan.shape], frames, decoded, projected, plan.training))

        waited = Waited(trainer.get_train_dataloader(), seen)
        trainer.get_train_dataloader = lambda: waited
        clock = Clock(waited, WARM_UP)
        trainer.add_callback(clock)
        with context:
            trainer.train()
    counted = slice(WARM_UP, WARM_UP + plan.steps)
    return Measured(clock.seconds, sum(speech[counted]), sum(made[counted]), clock.waited, _held(plan.device))


def largest(plan: Plan, limit_gb: float) -> int:
    """The most windows a step that can be trained with so much of the GPU's memory; 0 if not even one."""
    whole = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(limit_gb * GIGABYTE / whole)
    below, above = 0, 1
    while _fits(replace(plan, batch=above)):
        below, above = above, 2 * above
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (middle, above) if _fits(replace(plan, batch=middle)) else (below, middle)
    return below * SIDES[plan.side][2]


def _fits(plan: Plan) -> bool:
    gc.collect()  # a step that has failed holds its tensors until then
    torch.cuda.empty_cache()
    try:
        measure(plan)
    except torch.OutOfMemoryError:
        return False
    return True


def _trainer(plan: Plan, folder: Path) -> tuple[Seq2SeqTrainer, list[float], AbstractContextManager]:
    """A trainer, the seconds of speech of each of its steps, and the context in which it trains."""
    full_share, packed_share, times = SIDES[plan.side]
    batch, steps = times * plan.batch, WARM_UP + plan.steps
    cache = random_features(plan.shape)
    lengths = np.array(cache.utterances["seconds"][:])
    plain = trained = whisper(plan.shape)
    if plan.training == "lora":
        trained = add_adapter(
            plain, "lora", rank=RANK, alpha=RANK, dropout=0.0, target_modules=ADAPTED, token_rows=[], seed=0
        )
    arguments = _arguments(plan, folder, batch, steps)
    if full_share is None:
        rows = np.arange(steps * batch) % len(lengths)
        tokenizer, extractor = whisper_tokenizer(cache.mels), WhisperFeatureExtractor(feature_size=cache.mels)
        used = cache.utterances.select(range(min(len(rows), len(lengths))))
        dataset = map_noise(used["seconds"][:], used["text"][:], tokenizer, extractor, folder / "map.arrow")
        trainer = guides_trainer(trained, tokenizer, extractor, dataset.select(rows), arguments)
        return trainer, lengths[rows].reshape(steps, batch).sum(1).tolist(), nullcontext()
    taught = labeler(cache.mels)
    sources = sources_of(cache, {"synthetic": 1.0}, taught)
    windows = list(islice(planned_steps(sources, full_share, packed_share, batch, PRETRAINED_WINDOWS), steps))
    trainer = our_trainer(trained, taught, WindowDataset(cache, taught), windows, arguments)
    return trainer, [seconds_of(step, lengths) for step in windows], cross_entropy(plain)


def _arguments(plan: Plan, folder: Path, batch: int, steps: int) -> Seq2SeqTrainingArguments:
    return training_arguments(
        folder,
        steps,
        batch,
        optim="adafactor" if plan.training == "full" else "adamw_torch_fused",
        learning_rate=1e-5,
        max_grad_norm=1.0,
        bf16=True,
        tf32=True if plan.device == "cuda" else None,
        use_cpu=plan.device == "cpu",
        activation_checkpointing=True,
        activation_checkpointing_kwargs={"use_reentrant": False},
        dataloader_num_workers=plan.loader_workers,
        train_sampling_strategy="sequential",
    )


def _held(device: str) -> float:
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / GIGABYTE
    # On a CPU all that the process held.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / GIGABYTE
