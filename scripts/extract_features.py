"""Utterances to one memory-mapped log-mel cache a split, which all workers and ranks of a training share.

In: prepare_audio's shards, and the base model's `preprocessor_config.json` (80 or 128 mels).
Out: `<split>/log_mel.npy` (float16 `[frames, mels]`, each utterance at its own length, before the clamp: see
`asr/features.py`) and `<split>/utterances.arrow` (the utterances without audio, with `first_frame` and `frames`).

    python scripts/extract_features.py
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from asr.command import run_stage
from asr.environment import workers
from asr.errors import UserError
from asr.params import ExtractFeatures
from asr.paths import output_folder, require_folder
from asr.utterance import load_split, require_labels


def main(params: ExtractFeatures) -> None:
    import torch

    from asr.features import frames_of, mel_filters, write_features
    from asr.progress import progress

    require_folder(params.audio_dir, "run the stage prepare_audio first")
    if not (params.model_dir / "preprocessor_config.json").is_file():
        raise UserError(f"{params.model_dir}/preprocessor_config.json: no such file; run the stage base_model first")
    filters = mel_filters(params.model_dir)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    datasets = {split: load_split(params.audio_dir, split) for split in params.splits}
    for split, dataset in datasets.items():
        require_labels(dataset, params.audio_dir / split)
    with output_folder(params.output_dir) as folder:
        for split, dataset in datasets.items():
            samples = _samples(dataset, split)
            items = _features(dataset, samples, params.batch_seconds, filters, device)
            items = progress(items, len(dataset), f"features of {split}", "clip")
            write_features(folder / split, filters.shape[1], sum(map(frames_of, samples)), items)


def _samples(dataset, split: str) -> list[int]:
    """Samples of each utterance.

    Raises:
        UserError: one is longer than the encoder's window.
    """
    from asr.whisper_shape import SAMPLE_RATE, WINDOW_SAMPLES

    samples = [round(seconds * SAMPLE_RATE) for seconds in dataset["seconds"]]
    for row, length in enumerate(samples):
        if length > WINDOW_SAMPLES:
            raise UserError(
                f"split {split}, {dataset[row]['id']}: {length / SAMPLE_RATE:.2f} s; training reads up to 30 s: "
                "run prepare_audio again, which rejects longer ones outside of test"
            )
    return samples


def _features(dataset, samples: list[int], batch_seconds: float, filters, device: str) -> Iterator[tuple]:
    """Each row with its log-mel, in the data set's order; a batch is decoded and computed by one thread."""
    import numpy as np
    import torch

    from asr.audio import decode
    from asr.features import log_mels

    def compute(start: int, end: int) -> list[tuple]:
        rows = dataset[start:end]  # a dict of columns
        mels = log_mels([decode(audio) for audio in rows["audio"]], filters, device)
        return [
            ({name: column[i] for name, column in rows.items()}, mel.astype(np.float16)) for i, mel in enumerate(mels)
        ]

    threads = workers()
    torch.set_num_threads(1)  # of each: threads that work on a batch together wait for one another most of the time
    with ThreadPoolExecutor(threads) as pool:  # libsndfile and torch work without Python's lock
        waiting = deque()
        for batch in _batches(samples, batch_seconds):
            waiting.append(pool.submit(compute, *batch))
            if len(waiting) > 2 * threads:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


def _batches(samples: list[int], batch_seconds: float) -> Iterator[tuple[int, int]]:
    """Neighbours whose padded lengths make up to `batch_seconds`, as (start, end)."""
    from asr.whisper_shape import SAMPLE_RATE

    start = longest = 0
    for index, length in enumerate(samples):
        longest = max(longest, length)
        if index > start and longest * (index + 1 - start) > batch_seconds * SAMPLE_RATE:
            yield start, index
            start, longest = index, length
    if start < len(samples):
        yield start, len(samples)


if __name__ == "__main__":
    run_stage(ExtractFeatures, main)
