"""What training costs: seconds of real speech that are trained on in a second, whole steps, and the memory that they take.

Guides pad each utterance to a window of 30 s, have `datasets.map` make features before, and train with `Seq2SeqTrainer`
and Whisper's own loss (benchmarks/guides.py). Ours packs several utterances into a window, or cuts the windows of a step
to its longest. Both sides go through their own trainer, from the loader to the optimiser: whisper-tiny's shape, random
weights, float32, the same clips, AdamW, clipping and number of threads. A step has as many windows of 30 s on either side;
one of short contexts has four times as many, which are fewer seconds of context. Gaps between packed utterances and all
else of the windows are what recipes for pretrained weights have (`PRETRAINED_WINDOWS` in benchmarks/synthetic.py).
Memory is what weights, gradients, optimiser and activations take together at their most, measured in further processes.

    python benchmarks/training.py
    python benchmarks/training.py --clips cv-corpus/de --batch 4
"""

import io
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from recordings import REPOSITORY, add_flags, command, corpora_of, sources_of, stage_values
from side_by_side import GIVE_BACK, GLIBC_BOUNDS, Job, Side, flags, megabytes, table, take_turns

REFERENCE = "one utterance a 30 s window (guides)"
SIDES = {  # share of steps of 30 s, share of packed windows, times the windows, steps a turn; the reference has no shares
    REFERENCE: (None, None, 1, 2),
    "packed into 30 s": (1.0, 1.0, 1, 2),
    "short contexts": (0.0, 0.0, 4, 4),
}
TARGETS = {"packed into 30 s": 4.5, "short contexts": 6.0}
TURNS = 1000  # more than any run has


def jobs(way: str, place: Path, setting: str, batch: int) -> Iterator[Job]:
    """Turns of whole training steps on what `prepare` has put into `place`."""
    full_share, packed_share, times, steps = SIDES[way]
    of_step = times * batch
    make = _guides if full_share is None else partial(_ours, shares=(full_share, packed_share))
    yield from make(place, setting, of_step, steps)


def _arguments(folder: Path, steps: int, batch: int):
    from trainers import training_arguments

    chosen = {"optim": "adamw_torch_fused", "learning_rate": 1e-5, "max_grad_norm": 1.0, "use_cpu": True}
    return training_arguments(folder, steps, batch, **chosen)


def _guides(place: Path, setting: str, batch: int, steps: int) -> Iterator[Job]:
    import numpy as np
    from datasets import Dataset
    from guides import plain_whisper
    from synthetic import whisper
    from trainers import guides_trainer
    from transformers import WhisperFeatureExtractor

    from asr.utterance import load_split
    from asr.vocabulary import whisper_tokenizer

    dataset = Dataset.from_file(str(place / "map.arrow"))
    seconds = np.array(load_split(place / "prepared", "train")["seconds"][:])
    model = plain_whisper(whisper(setting), seed=0)
    given = whisper_tokenizer(80), WhisperFeatureExtractor(feature_size=80), dataset
    trainer = guides_trainer(model, *given, _arguments(place, steps, batch))
    order = np.random.default_rng(0).permutation(TURNS * batch * steps) % len(dataset)
    for rows in order.reshape(TURNS, -1):
        trainer.train_dataset = dataset.select(rows)
        yield float(seconds[rows].sum()), trainer.train


def _ours(place: Path, setting: str, batch: int, steps: int, shares: tuple[float, float]) -> Iterator[Job]:
    from itertools import islice

    from synthetic import PRETRAINED_WINDOWS, cross_entropy, labeler, planned_steps, seconds_of, whisper
    from trainers import our_trainer

    from asr.batches import WindowDataset
    from asr.features import open_features
    from asr.selection import sources_of

    cache = open_features(place / "features", "train", mels=80)
    lengths = cache.utterances["seconds"][:]
    # As much of each corpus as it has.
    names = cache.utterances["source"][:]
    sources = sources_of(cache, {name: float(names.count(name)) for name in sorted(set(names))}, labeler())
    steps_without_end = planned_steps(sources, *shares, batch, PRETRAINED_WINDOWS)
    model = whisper(setting)
    plan = list(islice(steps_without_end, steps))
    trainer = our_trainer(model, labeler(), WindowDataset(cache, labeler()), plan, _arguments(place, steps, batch))
    with cross_entropy(model):
        while True:
            yield sum(seconds_of(windows, lengths) for windows in plan), trainer.train
            plan[:] = islice(steps_without_end, steps)


def prepare(place: Path, corpora: list[tuple[Path, str]], threads: dict[str, str]) -> dict[str, float]:
    """Put the clips into `place`: as prepare_audio and extract_features make them, and as `datasets.map` does.

    Returns:
        seconds that the features took: `datasets.map` and `extract_features`.
    """
    from guides import map_features
    from transformers import WhisperFeatureExtractor

    from asr.params import ExtractFeatures
    from asr.utterance import load_split
    from asr.vocabulary import whisper_tokenizer
    from extract_features import main as extract

    line = command(stage_values(sources_of(corpora), place / "prepared"))
    subprocess.run(line, cwd=REPOSITORY, env=os.environ | threads, check=True, stdout=subprocess.DEVNULL)
    extractor = WhisperFeatureExtractor(feature_size=80)
    extractor.save_pretrained(place / "model")
    start = time.perf_counter()
    map_features(load_split(place / "prepared", "train"), whisper_tokenizer(80), extractor, place / "map.arrow")
    mapped = time.perf_counter()
    folders = {"audio_dir": place / "prepared", "model_dir": place / "model", "output_dir": place / "features"}
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):  # no bar in the middle of a table
        extract(ExtractFeatures(**folders, splits=["train"], batch_seconds=30))
    return {"datasets.map": mapped - start, "extract_features": time.perf_counter() - mapped}


def weights_megabytes(setting: str) -> float:
    """Of the model in float32, which is there before the first step."""
    from synthetic import whisper

    return sum(4 * parameter.numel() for parameter in whisper(setting).parameters()) / 1e6


def main(given) -> None:
    """Prepare, measure, print."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "WORKERS"), str(given.workers))
    corpora = corpora_of(given.clips)
    os.environ |= threads
    with TemporaryDirectory() as name:
        place = Path(name)
        took = prepare(place, corpora, threads)
        arguments = place, given.setting, given.batch
        sides = {way: Side(jobs, way, *arguments, bounds=GLIBC_BOUNDS | threads) for way in SIDES}
        turns = take_turns(sides, given.rounds)
        frugal = {way: Side(jobs, way, *arguments, bounds=GIVE_BACK | threads) for way in SIDES}
        memory = {
            way: weights_megabytes(given.setting) + most for way, most in megabytes(take_turns(frugal, 1)).items()
        }
    print(f"{given.setting}, {given.batch} windows of 30 s a step, {given.workers} threads")
    print(table(turns, "speech-seconds / s", REFERENCE, memory))
    print("targets: " + ", ".join(f"{way} {target:g} times" for way, target in TARGETS.items()))
    print("features, before training: " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in took.items()))


if __name__ == "__main__":
    parser = flags(__doc__, rounds=3)
    add_flags(parser)
    parser.add_argument("--batch", type=int, default=8, help="windows of 30 s a step (default 8)")
    parser.add_argument(
        "--setting", choices=["tiny", "sample"], default="tiny", help="the model's shape (default tiny)"
    )
    main(parser.parse_args())
