"""What training makes of a GPU: hours of speech an hour, how much of its speed the model uses, memory, waiting for data.

large-v3-turbo's shape with random weights, in bfloat16, in full (Adafactor) and as an adapter of rank 32 (AdamW), both
with gradient checkpointing: the guides' way, one utterance a window of 30 s (benchmarks/guides.py), and ours, packed
windows and short contexts, each through its own trainer on noise of 5.0 s on average. Sides run one after the other, each
in a process of its own. The model's operations are reckoned from what a step takes (benchmarks/reckoning.py) and divided
by what the card can do in dense bfloat16. Loading is the share of a step that waits for its batch.

    python benchmarks/gpu_training.py
    python benchmarks/gpu_training.py --limit-gb 16                 # the largest batch that fits, instead of speed
    python benchmarks/gpu_training.py --computed                    # the same reckoned, on any machine
    python benchmarks/gpu_training.py --device cpu --shape tiny --steps 2 --batch 1
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from side_by_side import alone

REFERENCE = "guides, one utterance a 30 s window"
SIDES = {  # share of steps of 30 s, share of packed windows, times the windows
    REFERENCE: (None, None, 1),
    "packed into 30 s": (1.0, 1.0, 1),
    "short contexts": (0.0, 0.0, 4),
}
TERAFLOPS = {  # dense bfloat16 as the makers' data sheets have it, by what the card calls itself; the first that fits
    "H100 PCIe": 756.0,
    "H100 NVL": 835.0,
    "H100": 989.4,
    "H200": 989.4,
    "A100": 312.0,
    "L40S": 362.0,
    "RTX 4090": 165.2,
}
WARM_UP = 3  # steps that do not count
TARGETS = "utilisation 45 %, 5 times the guides' audio hours, loading at most 3 %"
TOKENS = {REFERENCE: 30, "packed into 30 s": 200}  # of a window's labels, for what is only computed
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
    from reckoning import flops
    from synthetic import SETTINGS
    from trainers import Clock, Waited

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
    import gc

    import torch

    whole = torch.cuda.get_device_properties(0).total_memory
    if limit_gb * GIGABYTE > whole:
        raise ValueError(f"--limit-gb {limit_gb:g}: the card has {whole / GIGABYTE:.1f}")
    torch.cuda.set_per_process_memory_fraction(limit_gb * GIGABYTE / whole)

    def fits(batch: int) -> bool:
        tried = Plan(plan.side, plan.training, plan.device, plan.shape, batch, 1, loader_workers=0)
        try:
            measure(tried)
        except torch.OutOfMemoryError:
            return False
        finally:
            gc.collect()
            torch.cuda.empty_cache()
        return True

    below, above = 0, 1
    while fits(above):
        below, above = above, 2 * above
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (middle, above) if fits(middle) else (below, middle)
    return below * SIDES[plan.side][2]


def _trainer(plan: Plan, folder: Path):
    """A trainer, the seconds of speech of each of its steps, and the context in which it trains."""
    from contextlib import nullcontext
    from itertools import islice

    import numpy as np
    from guides import map_noise
    from synthetic import cross_entropy, labeler, planned_steps, random_features, seconds_of, whisper
    from trainers import guides_trainer, our_trainer
    from transformers import WhisperFeatureExtractor

    from asr.adapter import add_lora
    from asr.batches import WindowDataset
    from asr.selection import sources_of
    from asr.vocabulary import whisper_tokenizer

    full_share, packed_share, times = SIDES[plan.side]
    batch, steps = times * plan.batch, WARM_UP + plan.steps
    cache = random_features(plan.shape)
    lengths = np.array(cache.utterances["seconds"][:])
    plain = trained = whisper(plan.shape)
    if plan.training == "lora":
        trained = add_lora(plain, **_adapter(), dropout=0.0, token_rows=[], seed=0)
    arguments = _arguments(plan, folder, batch, steps)
    if full_share is None:
        rows = np.arange(steps * batch) % len(lengths)
        tokenizer, extractor = whisper_tokenizer(cache.mels), WhisperFeatureExtractor(feature_size=cache.mels)
        used = cache.utterances.select(range(min(len(rows), len(lengths))))
        dataset = map_noise(used["seconds"][:], used["text"][:], tokenizer, extractor, folder / "map.arrow")
        trainer = guides_trainer(trained, tokenizer, extractor, dataset.select(rows), arguments)
        return trainer, lengths[rows].reshape(steps, batch).sum(1).tolist(), nullcontext()
    taught = labeler(cache.mels)
    windows = list(
        islice(planned_steps(sources_of(cache, {"synthetic": 1.0}, taught), full_share, packed_share, batch), steps)
    )
    trainer = our_trainer(trained, taught, WindowDataset(cache, taught), windows, arguments)
    return trainer, [seconds_of(step, lengths) for step in windows], cross_entropy(plain)


def _adapter() -> dict:
    from reckoning import RANK

    return {"rank": RANK, "alpha": RANK, "target_modules": ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]}


def _arguments(plan: Plan, folder: Path, batch: int, steps: int):
    from trainers import training_arguments

    return training_arguments(
        folder,
        steps,
        batch,
        optim="adafactor" if plan.training == "full" else "adamw_torch_fused",
        learning_rate=1e-5,
        max_grad_norm=1.0,
        bf16=True,
        use_cpu=plan.device == "cpu",
        activation_checkpointing=True,
        activation_checkpointing_kwargs={"use_reentrant": False},
        dataloader_num_workers=plan.loader_workers,
        train_sampling_strategy="sequential",
    )


def _held(device: str) -> float:
    import torch

    if device == "cuda":
        return torch.cuda.max_memory_allocated() / GIGABYTE
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / GIGABYTE


def table(found: dict[str, Measured], teraflops: float | None) -> str:
    """One line a side; its ratio is of hours of speech an hour."""
    rows = [["", "audio h / h", "ratio", "utilisation", "loading", "GB", "s / step"]]
    reference = found[REFERENCE].speech / found[REFERENCE].seconds
    for side, of in found.items():
        speed = of.speech / of.seconds
        used = f"{of.flops / of.seconds / teraflops / 1e12:.1%}" if teraflops else "?"
        rows.append(
            [
                side,
                f"{speed:.1f}",
                f"{speed / reference:.2f}",
                used,
                f"{of.waited / of.seconds:.1%}",
                f"{of.gigabytes:.1f}",
            ]
        )
    widths = [max(map(len, column)) for column in zip(*(row[:6] for row in rows), strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:6], widths[1:])]).rstrip() for row in rows
    )


def computed(shape: str, limit_gb: float) -> str:
    """The largest batches that the reckoning allows, and what takes the memory of one."""
    from reckoning import largest_batch, memory
    from synthetic import SETTINGS

    lines = []
    for training in ("full", "lora"):
        for side, tokens in TOKENS.items():
            most = [
                largest_batch(SETTINGS[shape], training, tokens, limit_gb * GIGABYTE, devices) for devices in (1, 2)
            ]
            lines.append(
                f"{shape}, {training}, {side}: {most[0]} windows on one GPU, {most[1]} on each of several (computed)"
            )
        parts = memory(SETTINGS[shape], training, 1, TOKENS["packed into 30 s"])
        lines.append(
            "    one packed window, GB: " + ", ".join(f"{name} {size / GIGABYTE:.2f}" for name, size in parts.items())
        )
    return "\n".join(lines)


def peak(name: str, given: float | None) -> float:
    """Teraflops of the card."""
    known = [figure for part, figure in TERAFLOPS.items() if all(word in name for word in part.split())]
    if given is None and not known:
        sys.exit(f"error: {name}: what it can do is not known here; give it: --peak-tflops 100")
    return given or known[0]


def main(given) -> None:
    """Measure each way to train on each side, and print."""
    if given.computed:
        print(computed(given.shape, given.limit_gb or 16.0))
        return
    import torch

    if given.device == "cuda" and not torch.cuda.is_available():
        sys.exit(
            "error: no GPU here; start this where there is one, or try the code: --device cpu --shape tiny --steps 2"
        )
    if given.device == "cpu" and given.limit_gb:
        sys.exit("error: --limit-gb: only a GPU's memory can be limited; what is reckoned says --computed")
    name = torch.cuda.get_device_name(0) if given.device == "cuda" else "CPU"
    teraflops = peak(name, given.peak_tflops) if given.device == "cuda" else given.peak_tflops
    for training in given.training:
        plans = {
            side: Plan(side, training, given.device, given.shape, given.batch, given.steps, given.loader_workers)
            for side in SIDES
        }
        if given.limit_gb:
            for side, plan in plans.items():
                print(
                    f"{training}, {side}: {alone(largest, plan, given.limit_gb).result()} windows in {given.limit_gb:g} GB",
                    flush=True,
                )
            continue
        print(f"{given.shape}, {training}, {given.batch} windows of 30 s a step, {name}", flush=True)
        print(
            f"{table({side: alone(measure, plan).result() for side, plan in plans.items()}, teraflops)}\n", flush=True
        )
    print(computed(given.shape, given.limit_gb or 16.0))
    print(f"targets: {TARGETS}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="default cuda")
    parser.add_argument("--shape", choices=["turbo", "tiny", "sample"], default="turbo", help="default turbo")
    parser.add_argument(
        "--training", choices=["full", "lora"], nargs="+", default=["full", "lora"], help="default both"
    )
    parser.add_argument("--batch", type=int, default=8, help="windows of 30 s a step (default 8)")
    parser.add_argument("--steps", type=int, default=20, help="steps that count (default 20)")
    parser.add_argument("--loader-workers", type=int, default=4, help="processes that load batches (default 4)")
    parser.add_argument("--peak-tflops", type=float, help="of the card in dense bfloat16, if it is not known here")
    parser.add_argument("--limit-gb", type=float, help="find the largest batch in so many GB of 1e9 bytes")
    parser.add_argument("--computed", action="store_true", help="only reckon the largest batch, in 16 GB or --limit-gb")
    main(parser.parse_args())
