"""The largest batch that fits: found by trying, each try a training of two steps in a process of its own.

    peak = trial(model, tokenizer, settings, windows=4, limit=16e9)          # bytes, or MemoryError
    tries = largest_batch(fits, most=16)                                     # {4: True, 8: False, 6: True, 7: False}

The windows are the worst that there are: 30 s, and 448 tokens of which each is taught. Two steps, since the optimiser's
state is there from the second on.
"""

import dataclasses
import resource
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.trainer_utils import IntervalStrategy, SaveStrategy

from asr.batches import Collator
from asr.labels import Labeler
from asr.trainer import WhisperTrainer
from asr.training import companions_of, loss_of, training_arguments
from asr.training_settings import TrainingSettings
from asr.whisper_shape import MAX_TOKENS, WINDOW_FRAMES, WINDOW_SECONDS

STEPS = 2


def largest_batch(fits: Callable[[int], bool], most: int) -> dict[int, bool]:
    """What was tried, in order: doubled from 1 until it does not fit, or is `most`, then halved in between.

    The largest that fits is `max(size for size, fitted in tries.items() if fitted)`, if there is one.
    """
    tries, size = {}, 1
    while size not in tries:
        tries[size] = fits(size)
        if tries[size]:
            size = min(2 * size, most)
    good, bad = (
        max((s for s in tries if tries[s]), default=0),
        min((s for s in tries if not tries[s]), default=most + 1),
    )
    while bad - good > 1:
        middle = (good + bad) // 2
        tries[middle] = fits(middle)
        good, bad = (middle, bad) if tries[middle] else (good, middle)
    return tries


def free_memory() -> int:
    """Bytes that a training may take here: the GPU's that are free, else the system's."""
    if torch.cuda.is_available():
        return torch.cuda.mem_get_info()[0]
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    (available,) = (int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    limit = Path("/sys/fs/cgroup/memory.max")  # of the container
    text = limit.read_text(encoding="ascii").strip() if limit.exists() else "max"
    return available if text == "max" else min(available, int(text))


def trial(model, tokenizer, settings: TrainingSettings, windows: int, limit: float, processes: int = 1) -> int:
    """Train `model` for two steps of so many windows; the most memory that this process held, in bytes.

    Args:
        limit: bytes that it may take; a GPU's are those of a card of that size, what CUDA itself takes included.
        processes: of the training that is meant; several keep their gradients twice (DDP's buckets).

    Raises:
        MemoryError: it does not fit.
    """
    gpu = torch.cuda.is_available()
    outside = _limit_gpu(limit) if gpu else _limit_cpu(limit)
    labeler = Labeler(tokenizer)
    try:
        with tempfile.TemporaryDirectory() as folder, loss_of(model, labeler, settings, taught=range(MAX_TOKENS)):
            trainer = _trainer(model, labeler, settings, windows, Path(folder))
            if processes > 1:
                trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
                model.buckets = torch.zeros(trained, device=trainer.args.device)  # a copy of the gradients, in float32
            trainer.train()
    except torch.OutOfMemoryError as error:
        raise MemoryError(str(error)) from error
    except RuntimeError as error:
        if "allocate memory" not in str(error) and "bad_alloc" not in str(error):
            raise
        raise MemoryError(str(error)) from error
    peak = torch.cuda.max_memory_reserved() if gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if peak + outside > limit:
        raise MemoryError(f"{peak + outside} bytes are more than {limit:.0f}")
    return peak + outside


def _trainer(model, labeler: Labeler, settings: TrainingSettings, windows: int, folder: Path) -> WhisperTrainer:
    settings = dataclasses.replace(settings, steps=STEPS, warmup_steps=0, device_batch=windows, log_steps=STEPS)
    arguments = training_arguments(settings, folder)
    arguments.eval_strategy, arguments.save_strategy = IntervalStrategy.NO, SaveStrategy.NO
    arguments.load_best_model_at_end, arguments.report_to, arguments.dataloader_num_workers = False, [], 0
    trainer = WhisperTrainer(
        batches=[[0] * windows] * STEPS,
        labeler=labeler,
        max_non_finite=STEPS + 1,
        companions=companions_of(model, settings),
        model=model,
        args=arguments,
        train_dataset=LongestWindow(model.config.num_mel_bins),
        data_collator=Collator(labeler.end),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    return trainer


class LongestWindow(Dataset):
    """One example, whatever is asked for: 30 s of noise, and as many tokens as the decoder has positions."""

    def __init__(self, mels: int):
        self._mels = mels

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> dict:
        noise = np.random.default_rng(index).standard_normal((self._mels, WINDOW_FRAMES), dtype=np.float32)
        return {
            "input_features": noise,
            "decoder_input_ids": list(range(MAX_TOKENS)),
            "labels": list(range(MAX_TOKENS)),
            "label_seconds": np.linspace(0.0, WINDOW_SECONDS, MAX_TOKENS).tolist(),
            "step": 0,
            "ids": ["probe"],
        }


def _limit_gpu(limit: float) -> int:
    """Let PyTorch take so much that with what is taken already, by CUDA itself too, it is `limit`; returns the latter."""
    torch.zeros(1, device="cuda")
    free, total = torch.cuda.mem_get_info()
    outside = total - free - torch.cuda.memory_reserved()
    torch.cuda.set_per_process_memory_fraction(max(limit - outside, 1) / total)
    torch.cuda.reset_peak_memory_stats()
    return outside


def _limit_cpu(limit: float) -> int:
    """Refuse more than `limit` rather than let the system swap, or end another process."""
    resource.setrlimit(resource.RLIMIT_DATA, (round(limit), resource.getrlimit(resource.RLIMIT_DATA)[1]))
    return 0
