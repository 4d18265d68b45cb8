"""`params.yaml`, read and checked as a whole before anything heavy is imported.

    params = read_params(Path("params.yaml"))
    params.train_german_model.learning_rate

A mistake is a `UserError` with the file, the line, the parameter and the remedy.
"""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pydantic
from pydantic_core import PydanticCustomError
from ruamel.yaml import YAML, YAMLError
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from asr.errors import UserError
from asr.params import (
    CORPORA,
    BaseModel,
    ConvertToFaster,
    ConvertToGgml,
    ConvertToOnnx,
    Evaluation,
    ExtractFeatures,
    FinetuneWhisper,
    Group,
    MergeLora,
    PrepareAudio,
    PseudoLabel,
    SampleSpeech,
    TrainGermanModel,
)

# What evaluation calls an export's ways to decode, `<way>/<quantization>`, and its parameter that says on what each is judged.
WAYS = {
    "convert_to_faster": "test_sets",
    "faster_whisper": "faster_whisper_test_sets",
    "faster_whisper_without_timestamps": "faster_whisper_test_sets",
    "faster_whisper_batched": "long_test_sets",
}


class Params(Group):
    """All of `params.yaml`. A recipe leaves out the sections of stages that it does not have."""

    sample_speech: SampleSpeech | None = None
    base_model: BaseModel | None = None
    prepare_audio: PrepareAudio | None = None
    pseudo_label: PseudoLabel | None = None
    extract_features: ExtractFeatures | None = None
    train_german_model: TrainGermanModel | None = None
    finetune_whisper: FinetuneWhisper | None = None
    merge_lora: MergeLora | None = None
    convert_to_faster: ConvertToFaster | None = None
    convert_to_ggml: ConvertToGgml | None = None
    convert_to_onnx: ConvertToOnnx | None = None
    evaluation: Evaluation | None = None

    @pydantic.model_validator(mode="after")
    def _check(self):
        if found := [*self._unknown_sources(), *self._unknown_figures()]:
            text = "; ".join(message for _, message in found)
            raise PydanticCustomError("contradictions", "{text}", {"text": text, "contradictions": found})
        return self

    def _unknown_sources(self) -> Iterator[tuple[tuple, str]]:
        """Names of sources that `prepare_audio` does not have, each with its place in the file."""
        if self.prepare_audio is None:
            return
        known = self.prepare_audio.sources
        for stage, section in self:
            for name in ("sources", "eval_sources", "test_sets", "faster_whisper_test_sets", "long_test_sets"):
                given = getattr(section, name, ())
                for key, source in zip(given, given, strict=True) if isinstance(given, dict) else enumerate(given):
                    if source not in known:
                        yield (stage, name, key), f"no source is called {source}; prepare_audio has {', '.join(known)}"

    def _unknown_figures(self) -> Iterator[tuple[tuple, str]]:
        """Figures of gates whose model or test set `evaluation` does not judge, each with its place in the file."""
        if (judged := self.evaluation) is None:
            return
        converted = self.convert_to_faster
        made_here = converted is not None and converted.output_dir == judged.exports_dir
        exports = [*converted.quantizations, "*"] if made_here else None  # None: nobody knows here
        for number, gate in enumerate(judged.gates):
            for field in ("figure", "minus", "ratio_to", "distance_to"):
                if not (figure := getattr(gate, field)):
                    continue
                place, (model, test_set, _) = ("evaluation", "gates", number, field), figure.split(" ")
                way, _, export = model.partition("/")
                is_export = way in WAYS and export and (exports is None or export in exports)
                test_sets = getattr(judged, WAYS.get(way, "test_sets"))
                if model not in judged.models and not is_export:
                    names = [
                        *judged.models,
                        *(f"{way}/{export}" for way in WAYS for export in exports or "*"),
                    ]
                    yield place, f"no model is called {model}; there are {', '.join(names)}"
                elif test_set not in test_sets:
                    yield place, f"{model} is not judged on {test_set}, but on {', '.join(test_sets) or 'nothing'}"


def read_params(path: Path) -> Params:
    """All of a params file, or a `UserError` that names every mistake in it."""
    try:
        values = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path.absolute()}: no such file; run a stage in the folder that holds its params.yaml"
        ) from None
    except OSError as error:
        raise UserError(f"{path.absolute()}: cannot be read: {error.strerror}; mend that and run it again") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path.absolute()}: not UTF-8 ({error}); save it as UTF-8") from None
    except YAMLError as error:
        raise UserError(f"{path}: not YAML: {error}") from None
    try:
        return Params.model_validate(values or {})
    except pydantic.ValidationError as error:
        raise UserError("\n".join(_mistake(path, values, item) for item in _mistakes(error))) from None


def _mistakes(error: pydantic.ValidationError) -> Iterator[dict]:
    """pydantic's items, one for each contradiction between sections too."""
    for item in error.errors():
        found = item.get("ctx", {}).get("contradictions", [(item["loc"], item["msg"])])
        yield from (item | {"loc": location, "msg": message} for location, message in found)


def _mistake(path: Path, values: CommentedMap, item: dict) -> str:
    """One line: file, line number, parameter, value and remedy."""
    where, node, line = [], values, 0
    for key in item["loc"]:
        if isinstance(node, CommentedMap) and key in node:
            line = node.lc.key(key)[0]
        elif isinstance(node, CommentedSeq) and isinstance(key, int) and key < len(node):
            line = node.lc.item(key)[0]
        elif key in CORPORA:  # pydantic names the member of a union too
            continue
        else:  # a key that is missing from the file
            where.append(str(key))
            break
        node = node[key]
        where.append(str(key))
    name = ".".join(where)
    if item["type"] == "extra_forbidden":
        close = difflib.get_close_matches(where[-1], _siblings(item["loc"][:-1]), n=1)
        problem = "unknown parameter" + (f"; did you mean {close[0]}?" if close else "; remove it")
    elif item["type"] == "missing":
        problem = "missing; add it"
    else:
        problem = f"{item['msg'].removeprefix('Value error, ')}, got {item['input']!r}"
        if isinstance(item["input"], dict):
            problem = item["msg"].removeprefix("Value error, ")
    return f"{path}:{line + 1}: {name}: {problem}"


def _siblings(location: tuple) -> list[str]:
    """The names that are allowed where `location` points to."""
    models: list = [Params]
    for key in location:  # the key of a dict, the number of an item and the member of a union stay in the same classes
        fields = [model.model_fields[key] for model in models if key in model.model_fields]
        models = [found for field in fields for found in _classes(field.annotation)] or models
    return [name for model in models for name in model.model_fields]


def _classes(annotation: object) -> list:
    """The classes with parameters of their own that an annotation names, anywhere in it."""
    if hasattr(annotation, "model_fields"):
        return [annotation]
    return [found for argument in get_args(annotation) for found in _classes(argument)]
