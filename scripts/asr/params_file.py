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
from asr.judged import ALL_FIGURES, SILENCE, TRAINING, WAYS
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

EXPORTED = {"convert_to_faster": "quantizations", "convert_to_ggml": "types", "convert_to_onnx": "dtypes"}
TEST_SETS = ("test_sets", "engine_test_sets", "long_test_sets", "language_test_sets", "timestamps_test_sets")


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
            for name in ("sources", "eval_sources", *TEST_SETS):
                given = getattr(section, name, ())
                for key, source in zip(given, given, strict=True) if isinstance(given, dict) else enumerate(given):
                    if source not in known and not (name in TEST_SETS and source == SILENCE):
                        yield (stage, name, key), f"no source is called {source}; prepare_audio has {', '.join(known)}"

    def _unknown_figures(self) -> Iterator[tuple[tuple, str]]:
        """Figures of gates whose model or test set `evaluation` does not judge, each with its place in the file."""
        if (judged := self.evaluation) is None:
            return
        known = {name: (*judged.test_sets, *judged.long_test_sets) for name in judged.models}
        if judged.training_dirs:
            heard = dict.fromkeys((*judged.test_sets, *judged.engine_test_sets, *judged.long_test_sets))
            known[TRAINING] = tuple(name for name in heard if name != SILENCE)
        for way_name, way in WAYS.items():
            known |= {f"{way_name}/{export}": getattr(judged, way.test_sets) for export in self._exports(way.stage)}
        for number, gate in enumerate(judged.gates):
            for field in ("figure", "minus", "ratio_to", "distance_to"):
                if not (figure := getattr(gate, field)):
                    continue
                place, (model, test_set, name) = ("evaluation", "gates", number, field), figure.split(" ")
                of_any = known.get(f"{model.partition('/')[0]}/") if "/" in model else None
                of_model = known.get(model, of_any)
                if of_model is None:
                    names = [f"{name}*" if name.endswith("/") else name for name in known]
                    yield place, f"no model is called {model}; there are {', '.join(names)}"
                elif test_set not in of_model:
                    yield place, f"{model} is not judged on {test_set}, but on {', '.join(of_model) or 'nothing'}"
                elif name not in ALL_FIGURES:  # whether this model has it on this test set evaluation says
                    near = difflib.get_close_matches(name, ALL_FIGURES, n=1)
                    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(ALL_FIGURES)}"
                    yield place, f"no figure is called {name}; {hint}"

    def _exports(self, stage: str) -> list[str]:
        """Names of the exports of a stage that evaluation judges, with "*" for each; "" for any, where nobody knows here."""
        if (folder := getattr(self.evaluation.exports, stage)) is None:
            return []
        made = getattr(self, stage)
        if made is None or made.output_dir != folder:
            return [""]
        return [*getattr(made, EXPORTED[stage]), "*"]


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
