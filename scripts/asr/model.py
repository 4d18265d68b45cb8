"""Whisper on disk, in the form that every tool reads.

save_whisper(folder, model, tokenizer, feature_extractor)
model, tokenizer, feature_extractor = load_whisper(folder)
"""

import json
from pathlib import Path

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import (
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)
from transformers.utils import logging

from asr.errors import UserError
from asr.vocabulary import TIMESTAMPS, add_timestamps, english_spelling, generation_config
from asr.whisper_shape import ENGLISH_VOCABULARY_SIZE
from asr.whole_weights import AGAIN, read_weights

logging.disable_progress_bar()  # reading and writing weights takes seconds, and its bars would fill every log
# Whisper's own `generate` passes what the next version will refuse, and says so once a batch.
logging.get_logger("transformers.generation").setLevel(logging.ERROR)

Whisper = tuple[WhisperForConditionalGeneration, WhisperTokenizer, WhisperFeatureExtractor]

_REMEDY = "copy it from the model that this one was trained from, or give another folder"


def save_whisper(
    folder: Path,
    model: WhisperForConditionalGeneration,
    tokenizer: WhisperTokenizer,
    feature_extractor: WhisperFeatureExtractor,
) -> None:
    """Write a Whisper as transformers 5 reads it, and beside it the files that it no longer writes but others want.

    Others: CTranslate2 and faster-whisper (`preprocessor_config.json`), whisper.cpp's converter (`vocab.json`,
    `added_tokens.json`), transformers 4 (`merges.txt`, `special_tokens_map.json`, `normalizer.json`, and the list of
    special tokens under its older name). The weights are one file.
    """
    folder = Path(folder)
    model.save_pretrained(folder, max_shard_size="1TB")
    _save_tokenizer_and_extractor(folder, tokenizer, feature_extractor)


def save_without_weights(
    folder: Path,
    model: WhisperForConditionalGeneration,
    tokenizer: WhisperTokenizer,
    feature_extractor: WhisperFeatureExtractor,
) -> None:
    """All that `save_whisper` writes but the weights, for an export that has them in another form."""
    folder = Path(folder)
    model.config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    _save_tokenizer_and_extractor(folder, tokenizer, feature_extractor)


def _save_tokenizer_and_extractor(
    folder: Path, tokenizer: WhisperTokenizer, feature_extractor: WhisperFeatureExtractor
) -> None:
    tokenizer.save_pretrained(folder)
    feature_extractor.save_pretrained(folder)
    pairs = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    merges = (merge if isinstance(merge, str) else " ".join(merge) for merge in pairs["merges"])
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", encoding="utf-8")
    added = {token: index for token, index in tokenizer.get_added_vocab().items() if token not in pairs["vocab"]}
    names = {name: getattr(tokenizer, name) for name in ("bos_token", "eos_token", "pad_token", "unk_token")}
    _write_json(folder / "vocab.json", pairs["vocab"])
    _write_json(folder / "added_tokens.json", added)
    special = {"additional_special_tokens": list(tokenizer.extra_special_tokens)}
    _write_json(folder / "special_tokens_map.json", names | special)
    # Under its new name the list is a dict to transformers 4, which then cannot load the tokenizer; 5 reads both names.
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    config.pop("extra_special_tokens", None)
    _write_json(file, config | special)
    _write_json(folder / "normalizer.json", tokenizer.english_spelling_normalizer or english_spelling())


def load_whisper(folder: Path, dtype: torch.dtype | str = "auto", **held_in) -> Whisper:
    """Model, tokenizer and feature extractor of a folder; `dtype` "auto" keeps that of the weights.

    `held_in` is what `quantized.py` gives, for matrices that are held in 8 or 4 bits.

    What an older folder's tokenizer or generation configuration lacks is filled in.
    Raises `UserError` naming the file that is missing or damaged, or what the folder holds if it is no Whisper.
    """
    folder = Path(folder)
    config, tokenizer, feature_extractor = load_without_weights(folder)
    model = read_weights(folder, dtype, **held_in)
    if config.vocab_size > ENGLISH_VOCABULARY_SIZE:
        _complete_generation_config(model, tokenizer)
    return model, tokenizer, feature_extractor


def require_one_vocabulary(folder: Path, model: WhisperForConditionalGeneration, tokenizer: WhisperTokenizer) -> None:
    """Refuse a model that is to be trained or merged and has other tokens than its tokenizer.

    Raises:
        UserError: the numbers of tokens differ.
    """
    if len(tokenizer) != model.config.vocab_size:
        raise UserError(
            f"{folder}: the model has {model.config.vocab_size} tokens, its tokenizer {len(tokenizer)}; "
            "take both from the same model"
        )


def load_without_weights(folder: Path) -> tuple[WhisperConfig, WhisperTokenizer, WhisperFeatureExtractor]:
    """What `load_whisper` reads beside the weights, which must be there but are not read.

    Raises `UserError` as `load_whisper` does.
    """
    folder = Path(folder)
    config = _load_config(folder)
    if (folder / "adapter_config.json").is_file():
        raise UserError(f"{folder}: holds an adapter; merge it into its base model first (scripts/merge_lora.py)")
    weights = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
    if not any((folder / name).is_file() for name in weights):
        if half := next(folder.glob("model*.safetensors.*"), None):
            raise UserError(f"{half}: half a download; {AGAIN}")
        raise UserError(f"{folder}: no weights (model.safetensors); {_REMEDY}")
    if not (folder / "tokenizer.json").is_file() and not (folder / "vocab.json").is_file():
        raise UserError(f"{folder}: no tokenizer.json; {_REMEDY}")
    if not (folder / "preprocessor_config.json").is_file() and not (folder / "processor_config.json").is_file():
        raise UserError(f"{folder}: no preprocessor_config.json; {_REMEDY}")
    try:
        feature_extractor = WhisperFeatureExtractor.from_pretrained(folder)
    except (OSError, TypeError, ValueError) as error:
        raise UserError(f"{folder}: preprocessor_config.json cannot be read; {_REMEDY}: {error}") from error
    if feature_extractor.feature_size != config.num_mel_bins:
        raise UserError(
            f"{folder}: preprocessor_config.json makes {feature_extractor.feature_size} mel bins, the model wants "
            f"{config.num_mel_bins}; {_REMEDY}"
        )
    _require_generation_config(folder / "generation_config.json")
    return config, _load_tokenizer(folder, config.vocab_size), feature_extractor


def _load_config(folder: Path) -> WhisperConfig:
    file = folder / "config.json"
    if not file.is_file():
        raise UserError(
            f"{folder}: no config.json here, so no model saved by transformers; give the folder that holds one"
        )
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        kind = config.get("model_type")
    except (AttributeError, ValueError) as error:  # a list is JSON too
        raise UserError(f"{file}: not a model's configuration; {_REMEDY}: {error}") from error
    if kind != "whisper":
        raise UserError(f"{file}: model_type is {kind!r}, not 'whisper'; only a Whisper can be used here")
    try:
        return WhisperConfig.from_dict(config)
    except (StrictDataclassError, TypeError, ValueError) as error:
        raise UserError(f"{file}: not a Whisper's configuration; {_REMEDY}: {error}") from error


def _require_generation_config(file: Path) -> None:
    """Of none at all Whisper's own is taken; a damaged one transformers takes for none, and says nothing."""
    if not file.is_file():
        return
    try:
        if not isinstance(json.loads(file.read_text(encoding="utf-8")), dict):
            raise ValueError("no JSON object")
    except ValueError as error:
        raise UserError(f"{file}: cannot be read; {_REMEDY}; without it Whisper's own is taken: {error}") from error


def _load_tokenizer(folder: Path, vocabulary_size: int) -> WhisperTokenizer:
    try:
        tokenizer = WhisperTokenizer.from_pretrained(folder)
    except Exception as error:  # the tokenizers library raises no narrower one
        raise UserError(f"{folder}: the tokenizer cannot be read; {_REMEDY}: {error}") from error
    for name in ("is_local", "local_files_only"):  # how it was loaded, which would be saved with it
        tokenizer.init_kwargs.pop(name, None)
    if len(tokenizer) + len(TIMESTAMPS) == vocabulary_size:  # as saved until 2023
        add_timestamps(tokenizer)
    if len(tokenizer) > vocabulary_size:
        raise UserError(
            f"{folder}: the tokenizer knows {len(tokenizer)} tokens, the model {vocabulary_size}; "
            "take both from the same model"
        )
    return tokenizer


def _complete_generation_config(model: WhisperForConditionalGeneration, tokenizer: WhisperTokenizer) -> None:
    config, generation = model.config, model.generation_config
    default = generation_config(tokenizer, config.decoder_layers, config.decoder_attention_heads)
    for name, value in default.to_diff_dict().items():
        if getattr(generation, name, None) is None:
            setattr(generation, name, value)
    for owner in (config, generation):
        if getattr(owner, "forced_decoder_ids", None):  # of 2022; language and task have taken its place
            owner.forced_decoder_ids = None


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
