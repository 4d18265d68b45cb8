"""The sections of the stages after training: the models that ship, and how they are judged."""

from pathlib import Path
from typing import Annotated, Literal

import pydantic
from pydantic import Field, PositiveFloat, PositiveInt

from asr.judged import SILENCE, TRAINING
from asr.params.section import Group, Section, Share

Quantization = Literal[
    "float32", "float16", "bfloat16", "int16", "int8", "int8_float32", "int8_float16", "int8_bfloat16"
]

GgmlType = Literal["f32", "f16", "q8_0", "q5_1", "q5_0"]


class MergeLora(Section):
    """Adapter + model -> a plain Whisper."""

    output_dir: Path = Field(description="folder to write")
    model_dir: Path = Field(description="the model that the adapter was trained on")
    lora_model: Path = Field(description="the adapter")
    features_dir: Path = Field(description="extract_features' folder; its dev utterances prove the merge")
    tolerance: PositiveFloat = Field(
        description="largest difference of logits between base + adapter and the merged model"
    )


OnnxDtype = Literal["float32", "int8"]


class Parity(Group):
    """How near an export must be to its model, on real recordings; what is further is not written."""

    audio_dir: Path = Field(description="prepare_audio's folder; utterances of its dev split are what both hear")
    utterances: PositiveInt = Field(default=32, description="how many")
    before_dir: Path | None = Field(
        default=None, description="the model that training started from, which the card then compares too"
    )
    encoder_cosine: float = Field(
        description="of the encoder's output with the model's, at least, for each of the first 8; whisper.cpp does not tell"
    )
    log_probability: PositiveFloat = Field(
        description="mean difference of the log-probabilities of the transcripts' tokens, in nats, of the first 8, at most"
    )
    identical: Share = Field(description="share of greedy transcripts that are the model's to the letter, at least")
    error_difference: Share = Field(description="difference of WER, of CER where characters are counted, at most")


PROOF = Field(default=None, description="what each export is held against; without it none is compared with its model")


class ConvertToFaster(Section):
    """A plain Whisper -> CTranslate2, one folder a quantisation."""

    output_dir: Path = Field(description="folder to write: <quantization>/")
    model_dir: Path = Field(description="the plain Whisper to convert")
    quantizations: list[Quantization] = Field(description="a model for each", min_length=1)
    chunk_seconds: PositiveInt = Field(
        description="speech that faster-whisper decodes at once; 30, but for a model trained on shorter windows",
        ge=3,
        le=30,
    )
    parity: Parity | None = PROOF


class ConvertToGgml(Section):
    """A plain Whisper -> whisper.cpp's ggml, one folder a type."""

    output_dir: Path = Field(description="folder to write: <type>/ggml-model.bin")
    model_dir: Path = Field(description="the plain Whisper to convert")
    types: list[GgmlType] = Field(
        description="a model for each; whisper.cpp opens f32 but cannot compute with it", min_length=1
    )
    parity: Parity | None = PROOF


class ConvertToOnnx(Section):
    """A plain Whisper -> ONNX, one folder a dtype."""

    output_dir: Path = Field(description="folder to write: <dtype>/")
    model_dir: Path = Field(description="the plain Whisper to convert")
    dtypes: list[OnnxDtype] = Field(description="of the weights; a model for each", min_length=1)
    parity: Parity | None = PROOF


Figure = Annotated[str, Field(pattern=r"^\S+ \S+ \S+$")]
FigureOrNone = Annotated[str, Field(pattern=r"^(\S+ \S+ \S+)?$")]


Limit = Annotated[float, Field(allow_inf_nan=False)]


class Gate(Group):
    """A limit of a figure: figure, or figure - minus, or figure / ratio_to, or |figure - distance_to|.

    A figure is "model test_set name", as in "merge_lora general wer"; a model may end in /*, each is then judged.
    """

    figure: Figure = Field(description="the figure")
    minus: FigureOrNone = Field(default="", description="a figure to subtract")
    ratio_to: FigureOrNone = Field(default="", description="a figure to divide by")
    distance_to: FigureOrNone = Field(default="", description="a figure to be near to")
    at_most: Limit | None = Field(default=None, description="the limit, where more is worse")
    at_least: Limit | None = Field(default=None, description="the limit, where less is worse")
    certain: bool = Field(
        default=False, description="whether the whole 95 % interval has to keep the limit, and not the figure alone"
    )

    @pydantic.model_validator(mode="after")
    def _check(self):
        if sum(map(bool, (self.minus, self.ratio_to, self.distance_to))) > 1:
            raise ValueError("a gate has at most one of minus, ratio_to and distance_to")
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError("a gate has one of at_most and at_least")
        return self


class Exports(Group):
    """Folders of exports, by the stage that makes them; a recipe leaves out those that it does not ship."""

    convert_to_faster: Path | None = Field(default=None, description="decoded by faster-whisper, in each of its ways")
    convert_to_ggml: Path | None = Field(default=None, description="decoded by whisper.cpp; not its f32")
    convert_to_onnx: Path | None = Field(default=None, description="decoded by onnxruntime")


class Evaluation(Section):
    """Every model and every export on every test set, with gates. With --predictions it is the scorer of any two files
    instead, which `--predictions FILE --help` explains.
    """

    output_dir: Path = Field(description="folder to write: metrics.json, predictions.jsonl")
    audio_dir: Path = Field(description="prepare_audio's folder; its test split is judged on")
    models: dict[Annotated[str, Field(pattern=r"^[\w.-]+$")], Path] = Field(
        description="plain Whispers, by name, decoded by transformers; the first is the one that training started from",
        min_length=1,
    )
    exports: Exports = Field(description="what ships, held against the models on the same test sets")
    test_sets: list[str] = Field(
        description="sources to judge each model and conversion on; `silence` is the one that silence_seconds makes up",
        min_length=1,
    )
    engine_test_sets: list[str] = Field(
        description="sources to judge the engines' own ways to decode on (faster-whisper, whisper.cpp), which take longest"
    )
    long_test_sets: list[str] = Field(
        description="sources of long recordings, decoded in pieces by transformers and by faster-whisper's "
        "BatchedInferencePipeline"
    )
    language_test_sets: list[str] = Field(
        default_factory=list, description="of test_sets, those whose language models in transformers also identify"
    )
    timestamps_test_sets: list[str] = Field(
        default_factory=list, description="of test_sets, those that models in transformers also decode with timestamps"
    )
    piece_seconds: PositiveFloat = Field(
        default=30, le=30, description="of a long recording, what models in transformers hear at once"
    )
    silence_seconds: list[Annotated[float, Field(ge=0.1, le=30)]] = Field(
        default_factory=list,
        description="lengths of clips of silence, noise, hum, clicks and tones, one of each kind and length, in which models are "
        "to write nothing: the test set `silence`",
    )
    training_dirs: list[Path] = Field(
        default_factory=list,
        description="prepare_audio's folders that the models were trained on; what test sets share with them is counted",
    )
    batch: PositiveInt = Field(description="utterances that transformers decodes at once")
    beam_size: PositiveInt = Field(description="faster-whisper's beam; its own default is 5")
    profile: str = Field(
        default="", description="how texts are normalised; none: the language's own (asr/normaliser.py)"
    )
    profiles: dict[str, list[str]] = Field(
        default_factory=dict, description="profiles of your own, each a list of steps"
    )
    gates: list[Gate] = Field(description="limits; a missed one fails the stage")

    @pydantic.model_validator(mode="after")
    def _check(self):
        if {*self.test_sets} == {SILENCE}:
            raise ValueError(f"test_sets: {SILENCE} alone, in which there is no word to be wrong about; add a source")
        if TRAINING in self.models:
            raise ValueError(f"models: {TRAINING} is what metrics.json calls the training's data; choose another name")
        if SILENCE in (*self.test_sets, *self.engine_test_sets) and not self.silence_seconds:
            raise ValueError(f"silence_seconds: empty, which leaves the test set {SILENCE} without clips; give lengths")
        if SILENCE in self.long_test_sets:
            raise ValueError(f"long_test_sets: {SILENCE} is none of recordings; leave it out")
        for name in ("language_test_sets", "timestamps_test_sets"):
            if unknown := {*getattr(self, name)} - {*self.test_sets} | {*getattr(self, name)} & {SILENCE}:
                spoken = ", ".join(test_set for test_set in self.test_sets if test_set != SILENCE)
                raise ValueError(
                    f"{name}: {', '.join(sorted(unknown))} is none of test_sets in which somebody speaks: {spoken}"
                )
        return self
