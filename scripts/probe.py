"""How large a batch fits: the largest `device_batch` for a training of this recipe on this machine, found by trying.

In: the model that the training starts from, and its section of `params.yaml`. Out: a line a try, with the memory it took,
and the answer; nothing is written. A command, not a stage. STAGE chooses the training (train_german_model unless it is
set), MEMORY_GB the memory to stay below (in 1e9 bytes; what is free unless it is set), GPUS for how many processes.

    make probe RECIPE=german MEMORY_GB=16
"""

import json
import os
import re
import signal
import subprocess
import sys

from asr.command import run_stage
from asr.environment import above_zero
from asr.errors import UserError
from asr.params import FinetuneWhisper, TrainGermanModel, TrainingSection

STAGES = {"train_german_model": TrainGermanModel, "finetune_whisper": FinetuneWhisper}
# What libraries say as they end a process that gets no memory; the system says nothing, and kills it.
NO_MEMORY = re.compile(r"memory allocation of|bad_alloc|[Cc]annot allocate memory|MemoryError")
TRIAL = "PROBE_WINDOWS"  # in the environment of a try: its batch


def main(params: TrainingSection) -> None:
    from asr.probe import free_memory, largest_batch

    limit = _memory() or free_memory()
    most = max(params.global_batch, params.windows.full_batch, params.windows.packed_batch)

    def fits(windows: int) -> bool:
        took = _try(windows, limit)
        print(f"{windows:5} windows  {'do not fit' if took is None else f'{took / 1e9:.1f} GB'}", flush=True)
        peaks[windows] = took
        return took is not None

    peaks = {}
    print(f"limit {limit / 1e9:.1f} GB; windows of 30 s with the longest labels", flush=True)
    fitting = [windows for windows, fitted in largest_batch(fits, most).items() if fitted]
    if not fitting:
        raise UserError(
            f"not even one window fits {limit / 1e9:.1f} GB; set gradient_checkpointing: true or optimizer: adafactor, start "
            "from a smaller model, or train an adapter (STAGE=finetune_whisper)"
        )
    best = max(fitting)
    why = "; no step of this recipe has more" if best == most else ""
    print(f"device_batch: {best}    # {peaks[best] / 1e9:.1f} GB of {limit / 1e9:.1f} GB{why}")


def _memory() -> float | None:
    text = os.environ.get("MEMORY_GB")
    if not text:
        return None
    gigabytes = above_zero(text)
    if gigabytes is None:
        raise UserError(f"MEMORY_GB={text}: give a number of 1e9 bytes above 0, such as MEMORY_GB=16")
    return gigabytes * 1e9


def _try(windows: int, limit: float) -> int | None:
    """Bytes that a training with so many windows takes, in a process of its own; None: more than `limit`."""
    environment = os.environ | {TRIAL: str(windows), "MEMORY_GB": str(limit / 1e9)}
    done = subprocess.run([sys.executable, *sys.argv], env=environment, capture_output=True, text=True)
    if done.returncode == -signal.SIGKILL or (done.returncode and NO_MEMORY.search(done.stderr)):
        return None
    if done.returncode:
        raise UserError(f"a try with {windows} windows failed, and not for want of memory:\n{done.stderr.strip()}")
    return json.loads(done.stdout.splitlines()[-1])


def trial(params: TrainingSection) -> None:
    """One try, in this process: prints the bytes that it took, or null."""
    from asr.adapted import adapt
    from asr.domain_tokens import add_domain_tokens, domains_of
    from asr.features import open_features
    from asr.model import load_whisper
    from asr.probe import trial
    from asr.quantized import held_in, keep_as_loaded
    from asr.short_context import allow_short_context
    from asr.trainable import train_part
    from asr.training_settings import TrainingSettings

    adapts = isinstance(params, FinetuneWhisper)
    held = held_in(params.adapter.quantize) if adapts else {}
    model, tokenizer, _ = load_whisper(params.model_dir, dtype="float32", **held)
    keep_as_loaded(model)
    allow_short_context(model)
    told = params.domain.mode == "token"
    cache = open_features(params.features_dir, "train", model.config.num_mel_bins)
    if adapts:
        chosen = params.adapter.model_dump()
        model, *_ = adapt(model, tokenizer, cache, params.sources, chosen, told, params.steps, params.seed)
    else:
        domains = domains_of(cache.utterances, params.sources) if told else []
        rows = list(add_domain_tokens(model, tokenizer, domains).values())
        train_part(model, **params.trainable.model_dump(), token_rows=rows)
    settings = TrainingSettings.of(params.model_dump())
    processes = int(os.environ.get("GPUS") or 1) * int(os.environ.get("NNODES") or 1)
    try:
        print(json.dumps(trial(model, tokenizer, settings, int(os.environ[TRIAL]), _memory(), processes)))
    except MemoryError:
        print("null")


if __name__ == "__main__":
    stage = os.environ.get("STAGE") or "train_german_model"
    if stage not in STAGES:
        sys.exit(f"error: STAGE={stage}: no training; give one of {', '.join(STAGES)}")
    run_stage(STAGES[stage], trial if TRIAL in os.environ else main)
