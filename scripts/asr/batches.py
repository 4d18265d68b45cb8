"""Batches: from planned windows to the tensors that a training step takes.

A window becomes `input_features` (log-mel, composed from the cache or from changed recordings), `decoder_input_ids`, `labels`
and when these are said; a batch pads the lists to its longest. The trainer computes nothing about labels.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from asr.augmentation import Augmentation, mask
from asr.features import FeatureCache, scale_frequencies
from asr.labels import IGNORED, NO_PROMPT, Labeler, LabelSequence
from asr.prompts import Prompts
from asr.sound import Sound
from asr.utterance import Segment
from asr.whisper_shape import FRAME_SECONDS
from asr.windows import Part, Window

UNCHANGED = Augmentation()


class WindowDataset(Dataset):
    """Examples by window: `dataset[window]`, as a batch sampler of windows asks for them."""

    def __init__(
        self,
        cache: FeatureCache,
        labeler: Labeler,
        prompts: Prompts | None = None,
        augmentation: Augmentation = UNCHANGED,
    ):
        """Raises `UserError` if the sound is to be changed and `cache` holds none."""
        self._cache, self._labeler, self._prompts, self._augmentation = cache, labeler, prompts, augmentation
        self._sound = Sound(cache, augmentation)

    def __len__(self) -> int:
        return len(self._cache)

    def __getitem__(self, window: Window) -> dict:
        """`input_features` float32 [mels, frames]; `decoder_input_ids`, `labels` and `label_seconds` as lists; `step`, `ids`."""
        sequence = self.sequence(window)
        features = self._sound.features(window)
        if window.frequency_scale != 1.0:
            features = scale_frequencies(features, window.frequency_scale)
        heard = self._heard(window)
        if self._augmentation.mask_share and window.seed is not None:
            mask(features, heard, self._augmentation, np.random.default_rng([window.seed, 2]))
        if window.zero_padded:
            features[:, heard:] = 0.0
        return {
            "input_features": features,
            "decoder_input_ids": sequence.decoder_input_ids,
            "labels": sequence.labels,
            "label_seconds": sequence.seconds,
            "step": window.step,
            "ids": [self._cache.row(part.utterance)["id"] for part in window.parts],
        }

    def spoken(self, window: Window) -> tuple[list[Segment], float | None]:
        """What is said in a window, timed from its start, and when a segment begins that its end cuts off."""
        spoken = [s for part in window.parts for s in _segments(self._cache.row(part.utterance), part)]
        if window.cut_off is None:
            return spoken, None
        going_on = _segments(self._cache.row(window.cut_off.utterance), window.cut_off)
        end = window.frames * FRAME_SECONDS
        spoken += [segment for segment in going_on if segment.end <= end]
        return spoken, next((s.start for s in going_on if s.start < end < s.end), None)

    def sequence(self, window: Window) -> LabelSequence:
        """What the decoder is taught of a window."""
        spoken, cut_off = self.spoken(window)
        told_as = window.parts[0].utterance if window.parts else window.told_as
        told = None if told_as is None else self._cache.row(told_as)
        return self._labeler.encode(
            spoken,
            told["language"] if told else "",
            timestamps=window.timestamps,
            task=told["task"] if told else "transcribe",
            prompt=self._prompt(window, told, spoken),
            cut_off=cut_off,
        )

    def _prompt(self, window: Window, told: dict | None, spoken: list[Segment]):
        if self._prompts is None or window.seed is None or told is None:
            return NO_PROMPT
        text = " ".join(segment.text for segment in spoken)
        previous = [self._cache.row(row)["text"] for row in window.previous]
        return self._prompts.of(told["domain"], text, previous, np.random.default_rng([window.seed, 0]))

    def _heard(self, window: Window) -> int:
        """Frames to the end of the last utterance."""
        if window.cut_off is not None:
            return window.frames
        if not window.parts:
            return min(window.heard, window.frames)
        last = window.parts[-1]
        seconds = self._cache.row(last.utterance)["seconds"] / last.speed
        return min(last.offset + round(seconds / FRAME_SECONDS), window.frames)


def _segments(row: dict, part: Part) -> list[Segment]:
    """What an utterance says, timed from the window's start; an utterance without segments is one."""
    offset = part.offset * FRAME_SECONDS
    segments = row["segments"] or [{"start": 0.0, "end": row["seconds"], "text": row["text"]}]
    return [
        Segment(s["start"] / part.speed + offset, s["end"] / part.speed + offset, s["text"])
        for s in segments
        if s["text"]
    ]


class Collator:
    """Stacks examples of one step: features of one length, token lists padded on the right."""

    def __init__(self, pad_token: int):
        self._pad_token = pad_token

    def __call__(self, examples: Sequence[dict]) -> dict[str, torch.Tensor]:
        """`input_features` [batch, mels, frames]; `decoder_input_ids`, `labels` and `label_seconds` [batch, tokens]; `step`; `ids`."""
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
