"""Whispers that know English alone (openai/whisper-*.en, distil-*.en): what tells them apart, how they are prompted.

    english_alone = knows_english_alone(Path("outputs/base_model"))
    names = prompt_names("en", english_alone, folder)      # ["<|startoftranscript|>", "<|notimestamps|>"]

They have 51,864 tokens: the ids of control tokens are one less than in the multilingual vocabulary. Languages and tasks
have ids too, which such a model has never seen.
"""

import json
import struct
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from asr.errors import UserError
from asr.whisper_shape import ENGLISH_VOCABULARY_SIZE

if TYPE_CHECKING:
    from transformers import WhisperForConditionalGeneration, WhisperTokenizer

ENGLISH = "en"
# What a generation configuration says of languages and tasks: by each of them `generate` would choose another prompt.
OF_LANGUAGES = ("language", "task", "lang_to_id", "task_to_id", "forced_decoder_ids")


def knows_english_alone(folder: Path) -> bool:
    """Whether a model in any form that is made here does, by the number of tokens in its files.

    False where they name none; whoever opens the folder says what it lacks.
    """
    config = _read(folder / "config.json")
    size = config.get("vocab_size") if isinstance(config, dict) else None
    if size is None:  # CTranslate2's config.json has none
        vocabulary = _read(folder / "vocabulary.json")
        size = len(vocabulary) if isinstance(vocabulary, list) else _of_ggml(folder / "ggml-model.bin")
    return size == ENGLISH_VOCABULARY_SIZE


def require_english(language: str, model: Path | str) -> None:
    """Raises `UserError` for another language than English; `model`, which knows no other, is named."""
    if language != ENGLISH:
        raise UserError(
            f"{model}: the model knows English alone, not the language {language!r}; take a multilingual one"
        )


def prompt_names(language: str, english_alone: bool, model: Path) -> list[str]:
    """The tokens before a transcript without timestamps, as they are written.

    Source: `sot_sequence` of openai-whisper's tokenizer, which ends with the start where a model knows English alone.
    Raises `UserError` if `english_alone` and the language is another.
    """
    if english_alone:
        require_english(language, model)
        return ["<|startoftranscript|>", "<|notimestamps|>"]
    return ["<|startoftranscript|>", f"<|{language}|>", "<|transcribe|>", "<|notimestamps|>"]


def complete_english(model: "WhisperForConditionalGeneration", tokenizer: "WhisperTokenizer") -> None:
    """Fill in what an English model's generation configuration lacks, as `load_whisper` does for the others.

    `generate` then begins with the start alone, even if the configuration names a language or a task, as those of 2022
    and of some that were trained on do. Multilingual models are left as they are.
    """
    if model.config.vocab_size != ENGLISH_VOCABULARY_SIZE:
        return
    from asr.vocabulary import generation_config

    generation, config = model.generation_config, model.config
    default = generation_config(tokenizer, config.decoder_layers, config.decoder_attention_heads)
    for name, value in default.to_diff_dict().items():
        if getattr(generation, name, None) is None and name not in OF_LANGUAGES:
            setattr(generation, name, value)
    generation.is_multilingual = False
    config.forced_decoder_ids = None
    for name in OF_LANGUAGES:
        if hasattr(generation, name):
            delattr(generation, name)


def _of_ggml(file: Path) -> int | None:
    """The first of the sizes behind the magic number."""
    with suppress(OSError, struct.error), file.open("rb") as opened:
        return struct.unpack("<4xi", opened.read(8))[0]


def _read(file: Path):
    """A JSON file; None where there is none that can be read."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
