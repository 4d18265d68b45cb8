"""What the benchmarks of training train: models of known shapes, and random utterances in place of real ones.

    model = whisper("sample")
    for seconds, batch in batches("sample", full_share=0.0, packed_share=0.0, size=16):
        model(**batch).loss.backward()      # `seconds` of speech

What a step costs depends on lengths and not on what is said. The way from an utterance to a batch is the project's own.
"""

import functools
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from transformers import WhisperForConditionalGeneration

from asr.batches import Collator, WindowDataset
from asr.features import FeatureCache, frames_of, write_features
from asr.labels import Labeler
from asr.loss import training_loss
from asr.new_model import new_whisper
from asr.params.windows import Windows
from asr.params_file import read_params
from asr.plan import plan_steps
from asr.sampled_vocabulary import SampledVocabulary
from asr.selection import sources_of, tokens_of
from asr.short_context import allow_short_context
from asr.utterance import Utterance
from asr.vocabulary import whisper_tokenizer
from asr.whisper_shape import SAMPLE_RATE, WINDOW_SECONDS
from asr.windows import Shapes, Source, Window

SAMPLE = read_params(Path(__file__).resolve().parents[1] / "params.yaml")
SAMPLE_WINDOWS = SAMPLE.train_german_model.windows
PRETRAINED_WINDOWS = Windows(kind="short")  # the defaults, which recipes for pretrained weights keep
MELS = 80
WORDS = ("und", "die", "der", "das", "nicht", "ist", "ein", "mit")  # one token each
RATE_SPREAD = 0.18  # of how fast people speak: standard deviation / mean, as in the sample
UTTERANCES = 320


@dataclass(frozen=True)
class Setting:
    """A model's shape, and the utterances that it hears."""

    width: int
    heads: int
    encoder_layers: int
    decoder_layers: int
    seconds: float  # of an utterance, on average
    spread: float  # standard deviation of the seconds
    tokens_a_second: float
    mels: int = MELS


_NEW = SAMPLE.base_model.new
SETTINGS = {
    # the utterances are those of outputs/extract_features, source `general`
    "sample": Setting(_NEW.width, _NEW.heads, _NEW.encoder_layers, _NEW.decoder_layers, 2.31, 0.48, 4.93),
    # openai/whisper-tiny, and German Common Voice: its mean is known, spread and tokens are supposed
    "tiny": Setting(384, 6, 4, 4, 5.0, 1.6, 3.5),
    # openai/whisper-large-v3-turbo, and the same utterances
    "turbo": Setting(1280, 20, 32, 4, 5.0, 1.6, 3.5, mels=128),
}


@functools.cache
def labeler(mels: int = MELS) -> Labeler:
    return Labeler(whisper_tokenizer(mels))


def whisper(setting: str) -> WhisperForConditionalGeneration:
    """A new Whisper of the setting's shape, ready to train on contexts of any length."""
    of = SETTINGS[setting]
    model = new_whisper(of.mels, of.width, of.heads, of.encoder_layers, of.decoder_layers, seed=0)
    allow_short_context(model)
    return model.train()


def cross_entropy(model: WhisperForConditionalGeneration) -> AbstractContextManager:
    """Within it the model returns the training loss for pretrained weights."""
    return training_loss(model, labeler(model.config.num_mel_bins))


def sampled_cross_entropy(model: WhisperForConditionalGeneration, setting: str) -> AbstractContextManager:
    """As `cross_entropy`, over as much of the vocabulary as a step of the sample."""
    return training_loss(model, labeler(), vocabulary=_vocabulary(model, setting))


def all_losses(model: WhisperForConditionalGeneration, setting: str) -> AbstractContextManager:
    """Within it the model returns the training loss of the sample, for random weights."""
    trained = SAMPLE.train_german_model
    weights = trained.ctc_weight, trained.guided_attention_weight
    return training_loss(model, labeler(), *weights, _vocabulary(model, setting))


def _vocabulary(model: WhisperForConditionalGeneration, setting: str) -> SampledVocabulary:
    size = model.config.vocab_size
    taught = [*tokens_of(random_features(setting), ["synthetic"], labeler()), *range(labeler().end, size)]
    return SampledVocabulary(taught, size, SAMPLE.train_german_model.sampled_tokens, seed=0)


def batches(
    setting: str, full_share: float, packed_share: float, size: int
) -> Iterator[tuple[float, dict[str, torch.Tensor]]]:
    """Training steps of `size` windows without end, the same ones at each call; else as the sample has them.

    Yields:
        seconds of speech, and what the model takes in training.
    """
    cache = random_features(setting)
    dataset, collate = WindowDataset(cache, labeler(cache.mels)), Collator(labeler().end)
    sources = sources_of(cache, {"synthetic": 1.0}, labeler(cache.mels))
    lengths = cache.utterances["seconds"][:]
    for windows in planned_steps(sources, full_share, packed_share, size):
        yield seconds_of(windows, lengths), collate([dataset[window] for window in windows])


def planned_steps(
    sources: list[Source], full_share: float, packed_share: float, size: int, others: Windows = SAMPLE_WINDOWS
) -> Iterator[list[Window]]:
    """The plan of such steps, its packed windows up to 30 s long; all else is that of `others`."""
    chosen = {"full_share": full_share, "packed_share": packed_share, "full_from": 0.0}
    chosen |= {"full_batch": size, "packed_batch": size, "packed_seconds": (WINDOW_SECONDS, WINDOW_SECONDS)}
    return plan_steps(sources, Shapes(**others.model_dump(exclude={"kind"}) | chosen), steps=10**6, batch=size, seed=0)


def seconds_of(windows: list[Window], lengths: list[float]) -> float:
    """Of speech in a step; `lengths` are those of the cache's rows."""
    return sum(lengths[part.utterance] for window in windows for part in window.parts)


def random_features(name: str) -> FeatureCache:
    """Noise in place of the utterances of a setting."""
    setting = SETTINGS[name]
    rng = np.random.default_rng(0)
    drawn = rng.normal(setting.seconds, setting.spread, UTTERANCES).clip(setting.seconds / 4, WINDOW_SECONDS)
    samples = [round(seconds * SAMPLE_RATE) for seconds in drawn]

    def items() -> Iterator[tuple[dict, np.ndarray]]:
        for number, length in enumerate(samples):
            seconds = length / SAMPLE_RATE
            words = round(seconds * setting.tokens_a_second * rng.normal(1.0, RATE_SPREAD))
            text = " ".join(rng.choice(WORDS, max(words, 1)))
            row = Utterance(str(number), b"", text, "de", "", "synthetic", "", "train", seconds).row()
            yield row, rng.normal(-2.0, 1.0, (frames_of(length), setting.mels)).astype(np.float32)

    with TemporaryDirectory() as folder:  # its files stay open, and are gone when the process is
        write_features(Path(folder) / "train", setting.mels, sum(map(frames_of, samples)), items())
        return FeatureCache(Path(folder), "train")
