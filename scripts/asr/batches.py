"""Batches: from planned windows to the tensors that a training step takes.

A window becomes `input_features` (log-mel, composed from the cache), `decoder_input_ids`, `labels` and when these are
said; a batch pads the lists to its longest. The trainer computes nothing about labels.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from asr.errors import UserError
from asr.features import FeatureCache, compose, scale_frequencies
from asr.labels import IGNORED, Labeler
from asr.utterance import Segment
from asr.whisper_shape import FRAME_SECONDS
from asr.windows import FULL_FRAMES, Part, Source, Window


class WindowDataset(Dataset):
    """Examples by window: `dataset[window]`, as a batch sampler of windows asks for them."""

    def __init__(self, cache: FeatureCache, labeler: Labeler):
        self._cache, self._labeler = cache, labeler

    def __len__(self) -> int:
        return len(self._cache)

    def __getitem__(self, window: Window) -> dict:
        """`input_features` float32 [mels, frames]; `decoder_input_ids`, `labels` and `label_seconds` as lists; `step`."""
        rows = [self._cache.utterances[part.utterance] for part in window.parts]
        spoken = [s for row, part in zip(rows, window.parts, strict=True) for s in _segments(row, part)]
        parts = [(self._cache.log_mel(part.utterance), part.offset) for part in window.parts]
        sequence = self._labeler.encode(spoken, rows[0]["language"], timestamps=window.timestamps)
        features = compose(parts, window.frames)
        if window.frequency_scale != 1.0:
            features = scale_frequencies(features, window.frequency_scale)
        if window.zero_padded:
            features[:, window.parts[-1].offset + round(rows[-1]["seconds"] / FRAME_SECONDS) :] = 0.0
        return {
            "input_features": features,
            "decoder_input_ids": sequence.decoder_input_ids,
            "labels": sequence.labels,
            "label_seconds": sequence.seconds,
            "step": window.step,
            "ids": [row["id"] for row in rows],
        }


def _segments(row: dict, part: Part) -> list[Segment]:
    """What an utterance says, timed from the window's start; an utterance without segments is one."""
    offset = part.offset * FRAME_SECONDS
    segments = row["segments"] or [{"start": 0.0, "end": row["seconds"], "text": row["text"]}]
    return [Segment(s["start"] + offset, s["end"] + offset, s["text"]) for s in segments if s["text"]]


class Collator:
    """Stacks examples of one step: features of one length, token lists padded on the right."""

    def __init__(self, pad_token: int):
        self._pad_token = pad_token

    def __call__(self, examples: Sequence[dict]) -> dict[str, torch.Tensor]:
        """`input_features` [batch, mels, frames]; `decoder_input_ids`, `labels` and `label_seconds` [batch, tokens]; `step`."""
        longest = max(len(example["labels"]) for example in examples)
        ids = np.full((len(examples), longest), self._pad_token, dtype=np.int64)
        labels = np.full((len(examples), longest), IGNORED, dtype=np.int64)
        seconds = np.full((len(examples), longest), np.nan, dtype=np.float32)
        for i, example in enumerate(examples):
            seconds[i, : len(example["label_seconds"])] = example["label_seconds"]
            ids[i, : len(example["decoder_input_ids"])] = example["decoder_input_ids"]
            labels[i, : len(example["labels"])] = example["labels"]
        features = np.stack([example["input_features"] for example in examples])
        return {
            "input_features": torch.from_numpy(features),
            "decoder_input_ids": torch.from_numpy(ids),
            "labels": torch.from_numpy(labels),
            "label_seconds": torch.from_numpy(seconds),
            "step": examples[0]["step"],
            "ids": [example["ids"] for example in examples],
        }


def sources_of(cache: FeatureCache, shares: dict[str, float], labeler: Labeler) -> list[Source]:
    """What `windows.plan_steps` draws from: the cache's utterances by source, with their lengths.

    Raises:
        UserError: a source has no utterance, or an utterance's language is not one of Whisper's.
    """
    columns = {name: cache.utterances[name][:] for name in ("source", "language", "text", "segments", "frames")}
    source, language = np.array(columns["source"]), np.array(columns["language"])
    frames = np.array(columns["frames"])
    tokens = np.zeros(len(cache), dtype=np.int32)
    for code in np.unique(language):
        try:
            labeler.language(code)
        except ValueError as error:
            raise UserError(f"{cache.folder}: {error}") from None
        rows = np.flatnonzero(language == code)
        parts = [[s["text"] for s in columns["segments"][i]] or [columns["text"][i]] for i in rows]
        counts = iter(labeler.count([text for texts in parts for text in texts], code))
        # The plan adds an utterance's two timestamps; every further segment has two of its own.
        tokens[rows] = [sum(next(counts) for _ in texts) + 2 * (len(texts) - 1) for texts in parts]
    result = []
    for name, share in shares.items():
        rows = np.flatnonzero(source == name)
        if not len(rows):
            there = ", ".join(sorted(set(columns["source"])))
            raise UserError(f"{cache.folder}: no utterance of source {name!r}; there are {there}")
        result.append(Source(share, rows, frames[rows], tokens[rows], language[rows].tolist()))
    return result


def tokens_of(cache: FeatureCache, sources: Iterable[str], labeler: Labeler) -> list[int]:
    """The text tokens that the sources' transcripts are made of, each once, in order."""
    wanted, spoken = set(sources), set()
    columns = (cache.utterances[name][:] for name in ("source", "language", "text", "segments"))
    for source, language, text, segments in zip(*columns, strict=True):
        if source in wanted:
            spoken |= {(part, language) for part in [s["text"] for s in segments or []] or [text]}
    return sorted({token for text, language in spoken for token in labeler.text(text, language)})


def evaluation_windows(cache: FeatureCache, sources: Sequence[str], limit: int) -> list[Window]:
    """One full window an utterance with a transcript, as runtimes hear it: at most `limit`, always the same, the longest texts first.

    Sorted by length, so that a batch decodes texts of like length and none waits for one long straggler.
    """
    texts = cache.utterances["text"][:]
    rows = [i for i, source in enumerate(cache.utterances["source"][:]) if source in sources and texts[i]]
    if not rows:
        raise UserError(f"{cache.folder}: no transcribed utterance of the sources {', '.join(sources)} to evaluate on")
    if len(rows) > limit:
        rows = sorted(np.random.default_rng(0).permutation(rows)[:limit].tolist())
    rows.sort(key=lambda i: -len(texts[i]))
    return [Window((Part(i, 0),), FULL_FRAMES, timestamps=False, zero_padded=False) for i in rows]
