"""`params.yaml`, typed: one class a section, named like the stage, one sentence a field.

`asr/params_file.py` puts them together and reads the file. What one section can tell is checked here, for flags too;
what takes two, there.
"""

from pathlib import Path
from typing import Annotated, Literal

import pydantic
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic_settings import BaseSettings, SettingsConfigDict

Share = Annotated[float, Field(ge=0, le=1)]
Language = Annotated[str, Field(pattern="^[a-z]{2,3}$")]


class Group(pydantic.BaseModel):
    """Parameters that belong together inside a section."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Section(BaseSettings):
    """A stage's section. Its values come from `params.yaml` and from flags, never from environment variables."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    @classmethod
    def settings_customise_sources(cls, settings_cls, init_settings, **_):
        return (init_settings,)


# ---------------------------------------------------------------------------------------------------------- data


class SampleSpeech(Section):
    """A synthetic German corpus in Common Voice's layout, spoken by espeak-ng."""

    output_dir: Path = Field(
        description="folder to write: general/, domain/, long/ and noise/, each a Common Voice folder"
    )
    seed: NonNegativeInt = Field(description="decides sentences, voices, rates and pitches")
    train_clips: PositiveInt = Field(description="general domain: clips to train on")
    dev_clips: PositiveInt = Field(description="a domain: clips to choose the best checkpoint by")
    test_clips: PositiveInt = Field(description="a domain: clips to judge on, unseen sentences by unseen voices")
    domain_train_clips: PositiveInt = Field(description="second domain: clips to train on")
    train_voices: PositiveInt = Field(description="voices that speak the general training clips")
    held_out_voices: PositiveInt = Field(
        description="voices for dev, as many again for test, and for the second domain's train, dev and test"
    )
    long_recordings: PositiveInt = Field(description="test recordings of several sentences each")
    long_sentences: PositiveInt = Field(description="sentences in a long recording")
    noise_clips: PositiveInt = Field(description="training clips of silence, noise and hum in which nobody speaks")


class HubModel(Group):
    """A model on the Hugging Face Hub."""

    id: str = Field(description="owner/name")
    revision: str = Field(description="commit hash, so that a later push changes nothing", pattern="^[0-9a-f]{40}$")


class NewModel(Group):
    """A small Whisper from random weights, with the full multilingual vocabulary."""

    seed: NonNegativeInt = Field(description="decides the initial weights")
    mels: Literal[80, 128] = Field(description="mel bins of the encoder's input")
    width: PositiveInt = Field(description="d_model")
    heads: PositiveInt = Field(description="attention heads of a layer; divides width")
    encoder_layers: PositiveInt = Field(description="layers of the encoder")
    decoder_layers: PositiveInt = Field(
        description="layers of the decoder; not 2, which whisper.cpp takes for a distilled model"
    )

    @pydantic.model_validator(mode="after")
    def _check(self):
        if self.decoder_layers == 2:
            raise ValueError("decoder_layers: 2 makes whisper.cpp take the model for a distilled one; use 1, 3 or 4")
        if self.width % self.heads:
            raise ValueError(f"width: {self.width} is not a multiple of heads: {self.heads}")
        return self


class BaseModel(Section):
    """The model that training starts from."""

    output_dir: Path = Field(description="folder to write: weights, configuration, tokenizer, preprocessor_config.json")
    source: Literal["hub", "folder", "new"] = Field(
        description="where the model comes from; the parameter of that name says which"
    )
    hub: HubModel | None = Field(default=None, description="for source: hub")
    folder: Path | None = Field(default=None, description="for source: folder; a Whisper saved by transformers")
    new: NewModel | None = Field(default=None, description="for source: new")

    @pydantic.model_validator(mode="after")
    def _check(self):
        if getattr(self, self.source) is None:
            raise ValueError(f"source: {self.source} needs the parameter {self.source}")
        return self


class Source(Group):
    """What every corpus of `prepare_audio.sources` has."""

    language: Language = Field(description="Whisper's code of the language spoken")
    domain: str = Field(
        description="what the recordings are about; kept with each utterance, not used for training yet"
    )
    max_seconds: PositiveFloat = Field(
        default=30.0, description="longer recordings are rejected; over 30 only for test sets"
    )


class CommonVoiceSource(Source):
    """Common Voice's tarball or unpacked folder, or anything in its layout."""

    corpus: Literal["common_voice"]
    path: Path = Field(description="the .tar.gz, or a folder that holds clips/ and *.tsv (or <language>/clips, …)")
    splits: Literal["official", "speaker"] = Field(
        description="official: train.tsv, dev.tsv, test.tsv as they are; speaker: validated.tsv, split by speaker"
    )
    empty_text: Literal["reject", "no_speech"] = Field(default="reject", description="what a row without a sentence is")


class HuggingFaceSource(Source):
    """A data set on the Hugging Face Hub, or a folder that `datasets` can load, with official splits."""

    corpus: Literal["hugging_face"]
    id: str = Field(description="owner/name, or a folder")
    revision: str = Field(default="main", description="commit hash on the Hub")
    configuration: str = Field(default="default", description="the data set's configuration")
    splits: dict[Literal["train", "dev", "test"], str] = Field(
        description="our split: the data set's split, which may be sliced: train[:1%]"
    )
    audio_column: str = Field(default="audio", description="column of the audio")
    text_column: str = Field(default="text", description="column of the transcript")
    speaker_column: str = Field(default="", description="column of the speaker; empty: not told")


CorpusSource = Annotated[CommonVoiceSource | HuggingFaceSource, Field(discriminator="corpus")]


class SpeakerSplit(Group):
    """How a corpus without official splits is divided: a hash of the speaker decides, so added rows move nobody."""

    seed: NonNegativeInt = Field(description="another seed, another division")
    dev_share: Share = Field(description="share of the speakers")
    test_share: Share = Field(description="share of the speakers")

    @pydantic.model_validator(mode="after")
    def _check(self):
        if self.dev_share + self.test_share >= 1:
            raise ValueError(
                f"dev_share: {self.dev_share:g} and test_share: {self.test_share:g} leave no speaker to train on; "
                "make them less than 1 together"
            )
        return self


class PrepareAudio(Section):
    """Raw corpora to checked, deduplicated, split utterances of 16 kHz mono audio."""

    output_dir: Path = Field(description="folder to write: <split>/*.arrow, rejected.jsonl, stats.json")
    sources: dict[str, CorpusSource] = Field(description="corpora by name", min_length=1)
    speaker_split: SpeakerSplit | None = Field(default=None, description="for sources with splits: speaker")
    model_dir: Path = Field(description="the base model's folder; its tokenizer.json counts a transcript's tokens")
    min_seconds: NonNegativeFloat = Field(description="shorter recordings are rejected")
    min_peak: Share = Field(
        description="recordings with a transcript whose loudest sample is below this are rejected as silent"
    )
    max_tokens: PositiveInt = Field(
        description="transcripts of more text tokens are rejected; Whisper's decoder holds 448 with its own", le=440
    )
    shard_megabytes: PositiveInt = Field(description="size of an Arrow shard")

    @pydantic.model_validator(mode="after")
    def _check(self):
        unsplit = [name for name, source in self.sources.items() if source.splits == "speaker"]
        if unsplit and self.speaker_split is None:
            raise ValueError(f"speaker_split: missing; add it, since {', '.join(unsplit)} has splits: speaker")
        return self


class ExtractFeatures(Section):
    """Utterances to one memory-mapped log-mel cache."""

    output_dir: Path = Field(description="folder to write: <split>/log_mel.npy and <split>/utterances.arrow")
    audio_dir: Path = Field(description="prepare_audio's folder")
    model_dir: Path = Field(description="the base model's folder; its preprocessor_config.json says how many mel bins")
    splits: list[Literal["train", "dev"]] = Field(description="splits that training reads")
    batch_seconds: PositiveFloat = Field(description="audio computed at once, in seconds")


# ------------------------------------------------------------------------------------------------------ training


class Windows(Group):
    """How utterances become the windows that the encoder hears (`asr/windows.py`)."""

    full_share: Share = Field(
        description="share of the steps whose windows are padded to 30 s; the others are cut to their longest"
    )
    full_from: Share = Field(
        description="full and packed steps start after this share of the training; above 0 for random weights, which learn sooner so",
        lt=1,
    )
    full_batch: PositiveInt = Field(description="windows of a full or packed step, over all devices")
    jitter_seconds: NonNegativeFloat = Field(description="up to so much silence is added to a cut context")
    packed_share: Share = Field(
        description="share of the full windows, and of the cut steps, that hold several utterances"
    )
    packed_seconds: tuple[PositiveFloat, PositiveFloat] = Field(
        description="longest packed window when packing starts, and at the end; at most 30"
    )
    gap_seconds: tuple[NonNegativeFloat, NonNegativeFloat] = Field(
        description="silence between packed utterances, drawn from this range"
    )
    timestamps_share: Share = Field(description="share of the windows taught with timestamps")
    zero_padded_share: Share = Field(
        description="share of the full windows that are 0 after their last utterance, as faster-whisper pads the log-mel"
    )

    @pydantic.model_validator(mode="after")
    def _check(self):
        low, high = self.gap_seconds
        if low > high:
            raise ValueError(f"gap_seconds: {low:g} is more than {high:g}; give the lower one first")
        return self


class TrainingSection(Section):
    """What `train_german_model` and `finetune_whisper` share."""

    output_dir: Path = Field(description="folder to write")
    model_dir: Path = Field(description="the model to start from")
    features_dir: Path = Field(description="extract_features' folder")
    sources: dict[str, PositiveFloat] = Field(
        description="sources to train on, with the share of the utterances drawn from each", min_length=1
    )
    eval_sources: list[str] = Field(description="sources whose dev split decides on the best checkpoint", min_length=1)
    eval_utterances: PositiveInt = Field(description="at most so many dev utterances, the same ones each time")
    seed: NonNegativeInt = Field(description="decides the order of the data and everything else that is drawn")
    steps: PositiveInt = Field(description="optimiser steps")
    global_batch: PositiveInt = Field(description="windows a step, over all devices and accumulation")
    device_batch: PositiveInt = Field(description="windows that a device holds at once; the rest is accumulated")
    optimizer: Literal["adamw_torch", "adamw_torch_fused", "adafactor"] = Field(
        description="adafactor keeps almost no state: 8 bytes a weight less than AdamW"
    )
    learning_rate: PositiveFloat = Field(description="peak")
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = Field(description="what follows the warm-up")
    warmup_steps: NonNegativeInt = Field(description="steps of linear warm-up")
    weight_decay: NonNegativeFloat = Field(description="AdamW's")
    max_grad_norm: PositiveFloat = Field(description="gradients are clipped to this norm")
    gradient_checkpointing: bool = Field(description="about 40 % less memory for about 30 % more time")
    eval_steps: PositiveInt = Field(description="steps between evaluations, which are also the checkpoints")
    eval_batch: PositiveInt = Field(description="windows that a device decodes at once")
    log_steps: PositiveInt = Field(description="steps between points of the loss curve")
    loader_workers: NonNegativeInt = Field(
        description="processes a device that build batches; 0: the training process itself"
    )
    windows: Windows = Field(description="how utterances become windows")

    @pydantic.model_validator(mode="after")
    def _check(self):
        if self.steps % self.eval_steps:
            raise ValueError(
                f"steps: {self.steps} is not a multiple of eval_steps: {self.eval_steps}, so the last steps would not be judged"
            )
        if self.warmup_steps >= self.steps:
            raise ValueError(f"warmup_steps: {self.warmup_steps} must be fewer than steps: {self.steps}")
        if self.log_steps > self.steps:
            raise ValueError(f"log_steps: {self.log_steps} must be at most steps: {self.steps}")
        return self


class TrainGermanModel(TrainingSection):
    """Full-parameter training."""

    ctc_weight: NonNegativeFloat = Field(
        description="weight of a CTC loss that teaches the encoder to spell; for random weights only, else 0"
    )


class Lora(Group):
    """LoRA (arXiv 2106.09685)."""

    rank: PositiveInt = Field(description="rank of the update of each matrix")
    alpha: PositiveFloat = Field(description="the update is scaled by alpha / rank")
    dropout: Share = Field(description="dropout on the adapter's input")
    target_modules: list[Literal["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]] = Field(
        description="matrices that are adapted", min_length=1
    )
    token_rows: bool = Field(
        description="also train the embedding's rows of the transcripts' tokens; for a base that never learnt them"
    )


class FinetuneWhisper(TrainingSection):
    """Adaptation with few weights."""

    lora: Lora = Field(description="the adapter")


class MergeLora(Section):
    """Adapter + model -> a plain Whisper."""

    output_dir: Path = Field(description="folder to write")
    model_dir: Path = Field(description="the model that the adapter was trained on")
    lora_model: Path = Field(description="the adapter")
    features_dir: Path = Field(description="extract_features' folder; its dev utterances prove the merge")
    tolerance: PositiveFloat = Field(
        description="largest difference of logits between base + adapter and the merged model"
    )


# ---------------------------------------------------------------------------------------- exports and evaluation

Quantization = Literal[
    "float32", "float16", "bfloat16", "int16", "int8", "int8_float32", "int8_float16", "int8_bfloat16"
]


class ConvertToFaster(Section):
    """A plain Whisper -> CTranslate2, one folder a quantisation."""

    output_dir: Path = Field(description="folder to write: <quantization>/")
    model_dir: Path = Field(description="the plain Whisper to convert")
    quantizations: list[Quantization] = Field(description="a model for each", min_length=1)


Figure = Annotated[str, Field(pattern=r"^\S+ \S+ \S+$")]
FigureOrNone = Annotated[str, Field(pattern=r"^(\S+ \S+ \S+)?$")]


class Gate(Group):
    """A figure that must not exceed a limit: figure, or figure - minus, or figure / ratio_to, or |figure - distance_to|.

    A figure is "model test_set name", as in "merge_lora general wer"; a model may end in /*, each is then judged.
    """

    figure: Figure = Field(description="the figure")
    minus: FigureOrNone = Field(default="", description="a figure to subtract")
    ratio_to: FigureOrNone = Field(default="", description="a figure to divide by")
    distance_to: FigureOrNone = Field(default="", description="a figure to be near to")
    at_most: float = Field(description="the limit")

    @pydantic.model_validator(mode="after")
    def _check(self):
        if sum(map(bool, (self.minus, self.ratio_to, self.distance_to))) > 1:
            raise ValueError("a gate has at most one of minus, ratio_to and distance_to")
        return self


class Evaluation(Section):
    """Every model and every export on every test set, with gates."""

    output_dir: Path = Field(description="folder to write: metrics.json, predictions.jsonl")
    audio_dir: Path = Field(description="prepare_audio's folder; its test split is judged on")
    models: dict[Annotated[str, Field(pattern=r"^[\w.-]+$")], Path] = Field(
        description="plain Whispers, by name, decoded by transformers"
    )
    exports_dir: Path = Field(description="convert_to_faster's folder; each quantisation is decoded by faster-whisper")
    test_sets: list[str] = Field(description="sources to judge each model on", min_length=1)
    long_test_sets: list[str] = Field(
        description="sources of long recordings, decoded by faster-whisper's BatchedInferencePipeline alone"
    )
    batch: PositiveInt = Field(description="utterances that transformers decodes at once")
    beam_size: PositiveInt = Field(description="faster-whisper's beam; its own default is 5")
    gates: list[Gate] = Field(description="limits; a missed one fails the stage")
