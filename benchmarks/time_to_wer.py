"""What it takes until a new model understands: processor seconds of training until the sample's test set has a WER of 0.10.

Ours is the sample's recipe as it stands in params.yaml. The guides' way has the same corpus, the same shape, batch,
optimiser, learning rate and schedule, but each utterance alone in a window of 30 s, features by `datasets.map`, their
collator and transformers' own loss (benchmarks/guides.py); once from transformers' own random weights, as who trains by
them would start, and once from the weights that the recipe starts from. All decode the same unseen clips, each padded to
30 s, greedily, every so many steps. Counted is what the steps take, of one thread, user and system; neither what the
evaluations take nor what the features took before. The reference is given up when it has taken `--most` times as much.
Needs what `make repro` makes.

    python benchmarks/time_to_wer.py
    python benchmarks/time_to_wer.py --most 4 --every 100
"""

import argparse
import os
import sys
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from side_by_side import GLIBC_BOUNDS, alone

OURS = "ours, the recipe"
FROM_RANDOM = "guides, from transformers' random weights"
FROM_BASE = "guides, from the recipe's first weights"
TARGET = 3.0
SOURCE = "general"  # that is trained on by the guides' way, and judged


@dataclass(frozen=True)
class Reached:
    """How far a side came."""

    way: str
    seconds: float  # of a processor, in training alone
    steps: int
    wer: float


def ours(outputs: Path, target: float, every: int, steps: int, most: float) -> Reached:
    """Train by the recipe."""
    import torch
    from held_out import Until
    from synthetic import SAMPLE
    from trainers import our_trainer
    from transformers import set_seed

    from asr.batches import WindowDataset
    from asr.features import open_features
    from asr.labels import Labeler
    from asr.loss import training_loss
    from asr.model import load_whisper
    from asr.plan import plan_steps
    from asr.sampled_vocabulary import SampledVocabulary
    from asr.selection import sources_of, tokens_of
    from asr.short_context import allow_short_context
    from asr.training_settings import TrainingSettings

    torch.set_num_threads(1)
    settings = TrainingSettings.of(SAMPLE.train_german_model.model_dump())
    set_seed(settings.seed)
    model, tokenizer, _ = load_whisper(outputs / "base_model", dtype="float32")
    allow_short_context(model)
    labeler = Labeler(tokenizer)
    cache = open_features(outputs / "extract_features", "train", model.config.num_mel_bins)
    sources = sources_of(cache, settings.sources, labeler)
    plan = list(plan_steps(sources, settings.windows, settings.steps, settings.global_batch, settings.seed))
    size = model.config.vocab_size
    taught = [*tokens_of(cache, settings.sources, labeler), *range(labeler.end, size)]
    vocabulary = SampledVocabulary(taught, size, settings.sampled_tokens, settings.seed)
    until = Until(_held_out(outputs, labeler), target, every, most, OURS)
    with TemporaryDirectory() as folder:
        dataset = WindowDataset(cache, labeler)
        trainer = our_trainer(model, labeler, dataset, plan, _arguments(Path(folder), settings, steps), [until])
        with training_loss(model, labeler, settings.ctc_weight, settings.guided_attention_weight, vocabulary):
            trainer.train()
    return Reached(OURS, until.seconds, until.steps, until.wer)


def theirs(way: str, outputs: Path, mapped: Path, target: float, every: int, steps: int, most: float) -> Reached:
    """Train by the guides."""
    import torch
    from datasets import Dataset
    from guides import plain_whisper
    from held_out import Until
    from synthetic import SAMPLE
    from trainers import guides_trainer

    from asr.labels import Labeler
    from asr.model import load_whisper
    from asr.training_settings import TrainingSettings

    torch.set_num_threads(1)
    settings = TrainingSettings.of(SAMPLE.train_german_model.model_dump())
    model, tokenizer, extractor = load_whisper(outputs / "base_model", dtype="float32")
    if way == FROM_RANDOM:
        model = plain_whisper(model, settings.seed)
    until = Until(_held_out(outputs, Labeler(tokenizer)), target, every, most, way)
    with TemporaryDirectory() as folder:
        arguments = _arguments(Path(folder), settings, steps)
        guides_trainer(model, tokenizer, extractor, Dataset.from_file(str(mapped)), arguments, [until]).train()
    return Reached(way, until.seconds, until.steps, until.wer)


def map_train(outputs: Path, file: Path) -> float:
    """The guides' features of the train split, into `file`; returns the processor seconds that they took."""
    import time

    import numpy as np
    import torch
    from guides import map_features

    from asr.model import load_without_weights
    from asr.utterance import load_split

    torch.set_num_threads(1)
    _, tokenizer, extractor = load_without_weights(outputs / "base_model")
    split = load_split(outputs / "prepare_audio", "train")
    chosen = split.select(np.flatnonzero(np.array(split["source"][:]) == SOURCE))
    start = time.process_time()
    map_features(chosen, tokenizer, extractor, file)
    return time.process_time() - start


def _arguments(folder: Path, settings, steps: int):
    from trainers import training_arguments

    return training_arguments(
        folder,
        steps or settings.steps,
        settings.global_batch,
        optim=settings.optimizer,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup_steps,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        use_cpu=True,
        seed=settings.seed,
    )


def _held_out(outputs: Path, labeler):
    from held_out import HeldOut

    return HeldOut(outputs / "prepare_audio", outputs / "base_model", SOURCE, labeler)


def line(reached: Reached, first: Reached, target: float) -> str:
    """What a side took, and how many times that is what ours took."""
    times = reached.seconds / first.seconds
    said = f"{reached.way}: WER {reached.wer:.4f} after {reached.seconds:.0f} processor seconds, {reached.steps} steps"
    if reached is first:
        return said
    return f"{said}: " + (f"{times:.1f} times" if reached.wer <= target else f"more than {times:.1f} times")


def main(given) -> None:
    """Train each side and print what it took."""
    for stage in ("base_model", "prepare_audio", "extract_features"):
        if not (given.outputs / stage).is_dir():
            sys.exit(f"error: {given.outputs / stage}: no such folder; run `make repro`, or give --outputs")
    os.environ |= GLIBC_BOUNDS | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    plan = given.target, given.every, given.steps
    with TemporaryDirectory() as folder:
        mapped = Path(folder) / "map.arrow"
        making = alone(map_train, given.outputs, mapped)
        first = alone(ours, given.outputs, *plan, float("inf")).result()
        print(line(first, first, given.target), flush=True)
        if first.wer > given.target:
            sys.exit(f"error: ours did not reach {given.target} in its {first.steps} steps; another seed may")
        print(f"features by datasets.map, not counted: {making.result():.0f} processor seconds", flush=True)
        limit = given.most * first.seconds
        sides = [alone(theirs, way, given.outputs, mapped, *plan, limit) for way in (FROM_RANDOM, FROM_BASE)]
        for side in as_completed(sides):
            print(line(side.result(), first, given.target), flush=True)
    print(f"target: {TARGET:g} times")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="the sample's folder (default outputs)")
    parser.add_argument("--target", type=float, default=0.10, help="WER that is to be reached (default 0.10)")
    parser.add_argument("--every", type=int, default=50, help="steps between evaluations (default 50)")
    parser.add_argument("--most", type=float, default=6.0, help="times ours after which a side is given up (default 6)")
    parser.add_argument("--steps", type=int, default=0, help="of a training's schedule (default: the recipe's)")
    main(parser.parse_args())
