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
import os
import sys

from side_by_side import alone

TERAFLOPS = {  # dense bfloat16 as the makers' data sheets have it, by what the card calls itself; the first that fits
    "H100 PCIe": 756.0,
    "H100 NVL": 835.0,
    "H100": 989.4,
    "H200": 989.4,
    "A100": 312.0,
    "L40S": 362.0,
    "RTX 4090": 165.2,
}
TARGETS = "utilisation 45 %, 5 times the guides' audio hours, loading at most 3 %"
TOKENS = {"one utterance": 30, "packed": 200}  # of a window's labels, for what is only computed


def table(found: dict, teraflops: float | None) -> str:
    """One line a side (`gpu_steps.Measured`); its ratio is of hours of speech an hour, to the first side's."""
    rows = [["", "audio h / h", "ratio", "utilisation", "loading", "GB"]]
    first = next(iter(found.values()))
    for side, of in found.items():
        speed, ratio = of.speech / of.seconds, of.speech / of.seconds * first.seconds / first.speech
        used = f"{of.flops / of.seconds / teraflops / 1e12:.1%}" if teraflops else "?"
        rows.append(
            [side, f"{speed:.1f}", f"{ratio:.2f}", used, f"{of.waited / of.seconds:.1%}", f"{of.gigabytes:.1f}"]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows
    )


def computed(shape: str, limit_gb: float) -> str:
    """The largest batches that the reckoning allows, and what takes the memory of one."""
    from reckoning import largest_batch, memory
    from synthetic import SETTINGS

    of, lines = SETTINGS[shape], []
    for training in ("full", "lora"):
        for kind, tokens in TOKENS.items():
            alone, several = (largest_batch(of, training, tokens, limit_gb * 1e9, devices) for devices in (1, 2))
            lines.append(
                f"{shape}, {training}, windows of {kind}, {limit_gb:g} GB: {alone} on one GPU, {several} on each of several (computed)"
            )
        parts = memory(of, training, 1, TOKENS["packed"])
        listed = ", ".join(f"{name} {size / 1e9:.2f}" for name, size in parts.items())
        lines.append(f"    one packed window, GB: {listed}")
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
    # One GPU, of however many: the trainer would spread a batch over all that it sees.
    os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    import torch
    from gpu_steps import SIDES, Plan, largest, measure

    if given.device == "cpu":
        if given.limit_gb:
            sys.exit("error: --limit-gb: only a GPU's memory can be limited; --computed says what is reckoned")
        name, teraflops = "CPU", given.peak_tflops
    elif not torch.cuda.is_available():
        sys.exit("error: no GPU here; try the code with --device cpu --shape tiny --steps 2, or see --computed")
    else:
        name = torch.cuda.get_device_name(0)
        teraflops, whole = peak(name, given.peak_tflops), torch.cuda.get_device_properties(0).total_memory / 1e9
        if (given.limit_gb or 0) > whole:
            sys.exit(f"error: --limit-gb {given.limit_gb:g}: the card has {whole:.1f}; give at most so many")
    for training in given.training:
        choice = training, given.device, given.shape
        if given.limit_gb:
            for side in SIDES:
                found = alone(largest, Plan(side, *choice, batch=1, steps=1, loader_workers=0), given.limit_gb).result()
                print(f"{given.shape}, {training}, {side}: {found} windows in {given.limit_gb:g} GB", flush=True)
            continue
        print(f"{given.shape}, {training}, {given.batch} windows of 30 s a step, {name}", flush=True)
        size = given.batch, given.steps, given.loader_workers
        found = {side: alone(measure, Plan(side, *choice, *size)).result() for side in SIDES}
        print(f"{table(found, teraflops)}\n", flush=True)
    print(computed(given.shape, given.limit_gb or 16.0))
    print(f"targets: {TARGETS}")


def flags() -> argparse.ArgumentParser:
    """The command line."""
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
    return parser


if __name__ == "__main__":
    main(flags().parse_args())
