"""The sections of the stages before training: from a grammar or raw corpora to the feature cache, and the base model."""

from pathlib import Path
from typing import Literal

import pydantic
import regex
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from asr.params.corpora import CorpusSource, Language, SpeakerSplit
from asr.params.section import Group, Section, Share


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
    width: PositiveInt = Field(description="d_model", ge=4, multiple_of=2)
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


class Text(Group):
    """How a language's transcripts are cleaned and checked. What is not said leaves them as they are."""

    lower_case: bool = Field(default=False, description="write all in lower case; a model trained so writes so")
    punctuation: bool = Field(default=True, description="keep punctuation; apostrophes and hyphens inside words stay")
    simplified: bool = Field(
        default=False, description="Chinese: traditional characters to simplified ones (OpenCC, t2s)"
    )
    korean: Literal["keep", "written", "spoken"] = Field(
        default="keep",
        description="Korean: of (as written)/(as spoken) keep one, drop KsponSpeech's marks, and compose letters (NFKC)",
    )
    scripts: list[str] | None = Field(
        default=None,
        description="Unicode scripts of its letters, others are rejected; none given: those known for the language; []: any",
    )
    characters_a_second: tuple[NonNegativeFloat, PositiveFloat] = Field(
        default=(0.2, 40.0), description="fewer or more letters and digits a second of audio are rejected"
    )

    @pydantic.model_validator(mode="after")
    def _check(self):
        for script in self.scripts or ():
            try:
                regex.compile(rf"\p{{Script={script}}}")
            except regex.error:
                raise ValueError(
                    f"scripts: Unicode has no script {script}; such as Latin, Cyrillic, Hangul, Han"
                ) from None
        low, high = self.characters_a_second
        if low >= high:
            raise ValueError(f"characters_a_second: {low:g} is not below {high:g}")
        return self


class PrepareAudio(Section):
    """Raw corpora to checked, deduplicated, split utterances of 16 kHz mono audio."""

    output_dir: Path = Field(
        description="folder to write: <split>/*.arrow, rejected.jsonl, stats.json, leaks.json, card/"
    )
    sources: dict[str, CorpusSource] = Field(description="corpora by name", min_length=1)
    speaker_split: SpeakerSplit | None = Field(default=None, description="for sources that are divided by speaker")
    model_dir: Path | None = Field(
        default=None,
        description="the base model's folder; its tokenizer.json counts a transcript's tokens; none: Whisper's own "
        "multilingual vocabulary",
    )
    text: dict[Language, Text] = Field(default_factory=dict, description="how transcripts are cleaned, by language")
    min_seconds: NonNegativeFloat = Field(description="shorter recordings are rejected")
    min_peak: Share = Field(
        description="recordings with a transcript whose loudest sample is below this are rejected as silent"
    )
    max_tokens: PositiveInt = Field(
        description="transcripts of more text tokens are rejected; Whisper's decoder holds 448 with its own", le=440
    )
    leaks: list[Literal["speakers", "recordings", "sentences"]] = Field(
        default=["speakers", "recordings"], description="what train and test must not share; all three are counted"
    )
    shard_megabytes: PositiveInt = Field(description="size of an Arrow shard")
    nemo: Literal["none", "files", "tarred"] = Field(
        default="none", description="write NeMo manifests too, with the recordings as files or in tars"
    )
    executor: Literal["local", "ray"] = Field(
        default="local", description="processes of this machine, or of a Ray cluster (requirements_cluster.txt)"
    )

    @pydantic.model_validator(mode="after")
    def _check(self):
        unsplit = [name for name, source in self.sources.items() if source.divided_by_speaker]
        if unsplit and self.speaker_split is None:
            raise ValueError(f"speaker_split: missing; add it, since {', '.join(unsplit)} is divided by speaker")
        return self


class PseudoLabel(Section):
    """Recordings without a transcript, transcribed by a teacher for others to learn from."""

    output_dir: Path = Field(
        description="folder to write, in prepare_audio's form: <split>/*.arrow, rejected.jsonl, stats.json"
    )
    audio_dir: Path = Field(description="prepare_audio's folder; sources with empty_text: unlabelled are transcribed")
    model_dir: Path = Field(description="the base model's folder; its tokenizer.json counts a transcript's tokens")
    teacher: Path = Field(description="the model that transcribes, in CTranslate2's form")
    second: Path | None = Field(
        default=None, description="another that must agree; none: the teacher's own greedy decoding"
    )
    max_disagreement: Share = Field(
        description="a transcript is rejected if the second differs in a larger share of the words (Chinese, Japanese, …: "
        "characters)"
    )
    beam_size: PositiveInt = Field(default=5, description="the teacher's beam; faster-whisper's own default is 5")
    batch: PositiveInt = Field(default=16, description="clips that greedy decoding takes at once")
    text: dict[Language, Text] = Field(default_factory=dict, description="how transcripts are cleaned, by language")
    max_tokens: PositiveInt = Field(default=440, description="transcripts of more text tokens are rejected", le=440)
    shard_megabytes: PositiveInt = Field(default=500, description="size of an Arrow shard")


class ExtractFeatures(Section):
    """Utterances to one memory-mapped log-mel cache."""

    output_dir: Path = Field(description="folder to write: <split>/log_mel.npy and <split>/utterances.arrow")
    audio_dir: Path = Field(description="prepare_audio's folder")
    model_dir: Path = Field(description="the base model's folder; its preprocessor_config.json says how many mel bins")
    splits: list[Literal["train", "dev"]] = Field(description="splits that training reads")
    batch_seconds: PositiveFloat = Field(
        description="audio that a thread computes at once, in seconds; a GPU wants more of it than a CPU"
    )
