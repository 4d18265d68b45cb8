"""Engines for recordings of any length: which one opens a folder is seen by the files in it.

    engine = open_engine(Path("outputs/convert_to_faster/int8"))
    language, probability = engine.detect_language(waveform)
    for segment in engine.segments(waveform, "de", prompt="Flüsterwerk", words=True): ...

`asr.decoding`'s engines compare models and want transcripts alone, many at a time; here times and words count.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from asr.english import ENGLISH, require_english
from asr.errors import UserError
from asr.segments import Segment
from asr.whisper_shape import LANGUAGES, WINDOW_SECONDS

Kind = Literal["transformers", "ctranslate2", "ggml", "onnx"]
Device = Literal["auto", "cpu", "cuda"]

GGML_MAGIC = b"lmgg"  # 0x67676d6c, little-endian
CTRANSLATE2 = ("config.json", "tokenizer.json", "model.bin")
VOCABULARIES = ("vocabulary.json", "vocabulary.txt")
UNFINISHED = re.compile(r"\.(partial|incomplete|part|crdownload|aria2|tmp)$")
AGAIN = "make, copy or download it again"


class Engine(Protocol):
    """A model, opened. `languages`: the codes that it knows. `seconds`: the longest waveform it was trained to hear."""

    languages: frozenset[str]
    seconds: float

    def detect_language(self, waveform: np.ndarray) -> tuple[str, float]:
        """Code and probability; `waveform`: float32 `[samples]`, 16 kHz, at most 30 s."""

    def segments(self, waveform: np.ndarray, language: str, prompt: str = "", words: bool = False) -> Iterable[Segment]:
        """What is heard in at most `seconds`, with times from the waveform's start.

        prompt: text that stands before what is heard; of a long one its last 223 tokens count.
        """


@dataclass(frozen=True)
class Decoding:
    """How an engine decodes: `beam_size` 1 is greedy, None the engine's own; `compute_type` "default" what was saved."""

    device: Device = "auto"
    compute_type: str = "default"
    beam_size: int | None = None
    task: Literal["transcribe", "translate"] = "transcribe"
    threads: int = 1


def open_engine(path: Path, decoding: Decoding = Decoding()) -> Engine:
    """The engine of a folder, or of a ggml file.

    Raises:
        UserError: it holds no model, or half of one, or the engine cannot open it or do what `decoding` asks for.
    """
    kind = kind_of(path)
    if kind == "ctranslate2":
        from asr.engines.ctranslate2 import CTranslate2 as Opened
    elif kind == "ggml":
        from asr.engines.ggml import Ggml as Opened
    elif kind == "onnx":
        from asr.engines.onnx import Onnx as Opened
    else:
        from asr.engines.transformers import Transformers as Opened
    return Opened(path, decoding)


def kind_of(path: Path) -> Kind:
    """By its files. Raises `UserError` where they are of no model, or of half of one."""
    path = Path(path)
    if path.is_file():
        ggml_file(path)
        return "ggml"
    if not path.is_dir():
        raise UserError(f"{path}: no such folder; give one that holds a model, such as outputs/convert_to_faster/int8")
    names = {file.name for file in path.iterdir() if file.is_file()}
    if unfinished := sorted(name for name in names if UNFINISHED.search(name)):
        raise UserError(f"{path}: {unfinished[0]} is half a download or an unfinished export; {AGAIN}")
    if any(name.startswith("ggml") and name.endswith(".bin") for name in names):
        ggml_file(path)
        return "ggml"
    if any(name.endswith(".onnx") for name in names):
        return "onnx"
    if names & set(VOCABULARIES) or ("model.bin" in names and "pytorch_model.bin" not in names):
        if missing := [name for name in CTRANSLATE2 if name not in names]:
            raise UserError(f"{path}: half a model for CTranslate2, without {' and '.join(missing)}; {AGAIN}")
        if not names & set(VOCABULARIES):
            raise UserError(f"{path}: half a model for CTranslate2, without {VOCABULARIES[0]}; {AGAIN}")
        return "ctranslate2"
    if "config.json" in names or "adapter_config.json" in names:
        return "transformers"  # which says what it lacks
    inner = [folder.name for folder in sorted(path.iterdir()) if folder.is_dir() and _is_model(folder)]
    if inner:
        raise UserError(f"{path}: holds models, and is none; give one of them: {', '.join(inner)}")
    raise UserError(
        f"{path}: no model; expected config.json and model.safetensors (transformers), model.bin and vocabulary.json "
        "(CTranslate2), ggml-model.bin (whisper.cpp), or encoder_model.onnx (ONNX)"
    )


def ggml_file(path: Path) -> Path:
    """The file that whisper.cpp opens. Raises `UserError` where there is none, or several, or it is of another kind."""
    found = [path] if path.is_file() else sorted(path.glob("ggml*.bin"))
    if len(found) != 1:
        raise UserError(f"{path}: {len(found)} files ggml*.bin; give one of them by its own path")
    try:
        with found[0].open("rb") as file:
            magic = file.read(len(GGML_MAGIC))
    except OSError as error:
        raise UserError(f"{found[0]}: cannot be read ({error.strerror}); mend that, or {AGAIN}") from error
    if magic != GGML_MAGIC:
        raise UserError(f"{found[0]}: no file of whisper.cpp's, which begin with {GGML_MAGIC.decode()}; {AGAIN}")
    return found[0]


def require_languages(known: Iterable[str], path: Path, language: str) -> None:
    """Raises `UserError` if a model does not know a language."""
    if set(known) == {ENGLISH}:
        require_english(language, path)
    if language not in known:
        what = "no code of a language that Whisper knows" if language not in LANGUAGES else "not known to this model"
        some = sorted(known) if len(list(known)) < 8 else ["de", "en", "ru", "zh"]
        raise UserError(f"--language {language}: {what} ({path}); give one such as {', '.join(some)}")


def require_saved_precision(path: Path, decoding: Decoding) -> None:
    """Raises `UserError` if a type to compute in is asked for of an engine that has none but that of its file."""
    if decoding.compute_type != "default":
        raise UserError(
            f"--compute_type {decoding.compute_type}: {path} is computed in the type that it was saved in; leave it out, "
            "or convert the model to another"
        )


def chunk_seconds(folder: Path) -> float:
    """What a model's `preprocessor_config.json` says that it hears at once; 30 s, Whisper's window, if nothing."""
    try:
        config = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
        return float(min(config.get("chunk_length", WINDOW_SECONDS), WINDOW_SECONDS))
    except (OSError, ValueError, AttributeError, TypeError):
        return WINDOW_SECONDS


def _is_model(folder: Path) -> bool:
    try:
        kind_of(folder)
    except UserError:
        return False
    return True
