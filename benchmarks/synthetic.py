"""What the benchmarks of training train: models of known shapes, and random utterances in place of real ones.

    model = whisper("sample")
    for seconds, batch in batches("sample", full_share=0.0, packed_share=0.0, size=16):
        model(**batch).loss.backward()      # `seconds` of speech

What a step costs depends on lengths and not on what is said. The way from an utterance to a batch is the project's own.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from transformers import WhisperForConditionalGeneration

from asr.batches import Collator, WindowDataset, sources_of
from asr.features import FeatureCache, frames_of, write_features
from asr.labels import Labeler
from asr.model import allow_short_context, new_whisper
from asr.utterance import Utterance
from asr.vocabulary import whisper_tokenizer
from asr.whisper_shape import SAMPLE_RATE, WINDOW_SECONDS
from asr.windows import Shapes, Window, plan_steps

MELS = 80
WORDS = ("und", "die", "der", "das", "nicht", "ist", "ein", "mit")  # one token each
RATE_SPREAD = 0.18  # of how fast people speak: standard deviation / mean, as in the sample
UTTERANCES = 320


@dataclass(frozen=True)
class Setting:
    """A model's shape, and the utterances that it hears."""

    shape: dict[str, int]
    seconds: float  # of an utterance, on average
    spread: float  # standard deviation of the seconds
    tokens_a_second: float


SETTINGS = {
    # params.yaml; the utterances are those of outputs/extract_features, source `general`
    "sample": Setting({"width": 128, "heads": 4, "encoder_layers": 2, "decoder_layers": 3}, 2.31, 0.48, 4.93),
    # openai/whisper-tiny, and German Common Voice: its mean is known, spread and tokens are supposed
    "tiny": Setting({"width": 384, "heads": 6, "encoder_layers": 4, "decoder_layers": 4}, 5.0, 1.6, 3.5),
}


@functools.cache
def labeler() -> Labeler:
    return Labeler(whisper_tokenizer(MELS))


def whisper(setting: str) -> WhisperForConditionalGeneration:
    """A new Whisper of the setting's shape, ready to train on contexts of any length."""
    model = new_whisper(mels=MELS, seed=0, **SETTINGS[setting].shape)
    allow_short_context(model)
    return model.train()


def batches(
    setting: str, full_share: float, packed_share: float, size: int
) -> Iterator[tuple[float, dict[str, torch.Tensor]]]:
    """Training steps of `size` windows without end, the same ones at each call.

    Yields:
        seconds of speech, and what the model takes: `input_features`, `decoder_input_ids`, `labels`.
    """
    shapes = Shapes(
        full_share=full_share,
        full_batch=size,
        jitter_seconds=0.0,
        full_from=0.0,
        packed_share=packed_share,
        packed_seconds=(WINDOW_SECONDS, WINDOW_SECONDS),
        gap_seconds=(0.1, 1.0),
        timestamps_share=0.5,
        zero_padded_share=0.0,
    )
    cache = _cache(SETTINGS[setting])
    dataset, collate = WindowDataset(cache, labeler()), Collator(labeler().end)
    sources = sources_of(cache, {"synthetic": 1.0}, labeler())
    lengths = cache.utterances["seconds"][:]
    for windows in plan_steps(sources, shapes, steps=10**6, batch=size, seed=0):
        yield _seconds(windows, lengths), collate([dataset[window] for window in windows])


def _seconds(windows: list[Window], lengths: list[float]) -> float:
    return sum(lengths[part.utterance] for window in windows for part in window.parts)


def _cache(setting: Setting) -> FeatureCache:
    rng = np.random.default_rng(0)
    drawn = rng.normal(setting.seconds, setting.spread, UTTERANCES).clip(setting.seconds / 4, WINDOW_SECONDS)
    samples = [round(seconds * SAMPLE_RATE) for seconds in drawn]

    def items() -> Iterator[tuple[dict, np.ndarray]]:
        for number, length in enumerate(samples):
            seconds = length / SAMPLE_RATE
            words = round(seconds * setting.tokens_a_second * rng.normal(1.0, RATE_SPREAD))
            text = " ".join(rng.choice(WORDS, max(words, 1)))
            row = Utterance(str(number), b"", text, "de", "", "synthetic", "", "train", seconds).row()
            yield row, rng.normal(-2.0, 1.0, (frames_of(length), MELS)).astype(np.float32)

    with TemporaryDirectory() as folder:  # its files stay open, and are gone when the process is
        write_features(Path(folder) / "train", MELS, sum(map(frames_of, samples)), items())
        return FeatureCache(Path(folder), "train")
