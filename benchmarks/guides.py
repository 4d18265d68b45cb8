"""The way that the common guides train a Whisper, as they write it: the reference of the benchmarks of training.

    dataset = map_features(load_split(prepared, "train"), tokenizer, extractor, folder / "map.arrow")
    model = guides_whisper("tiny")
    Seq2SeqTrainer(model=model, train_dataset=dataset, data_collator=GuidesCollator(tokenizer, extractor, start), …)

One utterance a window, padded to 30 s; `datasets.map` makes the features and the labels before training and writes them
in float32; a collator pads both by the feature extractor and the tokenizer; the loss is transformers' own.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import soundfile
import torch
from datasets import Dataset
from transformers import WhisperForConditionalGeneration

from asr.whisper_shape import SAMPLE_RATE


@dataclass
class GuidesCollator:
    """`DataCollatorSpeechSeq2SeqWithPadding`, with the start token that the Russian guide gives it.

    Others compare with `bos_token_id`, which Whisper's labels never begin with, and teach the start token twice.
    """

    tokenizer: Any
    feature_extractor: Any
    decoder_start_token_id: int

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """`input_features` [batch, mels, 3000]; `labels` [batch, tokens], -100 where padded."""
        input_features = [{"input_features": feature["input_features"]} for feature in features]
        batch = self.feature_extractor.pad(input_features, return_tensors="pt")
        label_features = [{"input_ids": feature["labels"]} for feature in features]
        labels_batch = self.tokenizer.pad(label_features, return_tensors="pt")
        labels = labels_batch["input_ids"].masked_fill(labels_batch.attention_mask.ne(1), -100)
        if (labels[:, 0] == self.decoder_start_token_id).all().cpu().item():
            labels = labels[:, 1:]
        batch["labels"] = labels
        return batch


def map_features(split: Dataset, tokenizer, feature_extractor, file: Path) -> Dataset:
    """`prepare_dataset` of the guides on rows of prepare_audio: columns `input_features` and `labels`, written to `file`."""
    language = None

    def prepare(row: dict) -> dict:
        nonlocal language
        waveform, rate = soundfile.read(io.BytesIO(row["audio"]), dtype="float32")
        if row["language"] != language:  # the guides train one; the tokenizer writes it before each text
            language = row["language"]
            tokenizer.set_prefix_tokens(language=language, task="transcribe")
        features = feature_extractor(waveform, sampling_rate=rate).input_features[0]
        return {"input_features": features, "labels": tokenizer(row["text"]).input_ids}

    return _mapped(split, prepare, file)


def map_noise(seconds: list[float], texts: list[str], tokenizer, feature_extractor, file: Path) -> Dataset:
    """The same of noise of these lengths, for a machine without recordings."""
    tokenizer.set_prefix_tokens(language="de", task="transcribe")
    rng = np.random.default_rng(0)

    def prepare(row: dict) -> dict:
        noise = rng.uniform(-0.1, 0.1, round(row["seconds"] * SAMPLE_RATE)).astype(np.float32)
        features = feature_extractor(noise, sampling_rate=SAMPLE_RATE).input_features[0]
        return {"input_features": features, "labels": tokenizer(row["text"]).input_ids}

    return _mapped(Dataset.from_dict({"seconds": seconds, "text": texts}), prepare, file)


def plain_whisper(model: WhisperForConditionalGeneration, seed: int) -> WhisperForConditionalGeneration:
    """A Whisper of the same shape with transformers' own random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        plain = WhisperForConditionalGeneration(model.config)
    plain.generation_config = model.generation_config
    return plain.train()


def _mapped(rows: Dataset, prepare, file: Path) -> Dataset:
    datasets.disable_progress_bars()
    cache = {"keep_in_memory": False, "load_from_cache_file": False, "cache_file_name": str(file)}
    # Rows of a megabyte: the default of 1,000 at once would hold a gigabyte of them.
    return rows.map(prepare, remove_columns=rows.column_names, writer_batch_size=50, **cache)
