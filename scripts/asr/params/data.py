"""The sections of the stages before training: from a grammar or raw corpora to the feature cache, and the base model."""

from pathlib import Path
from typing import Annotated, Literal

import pydantic
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from asr.params.section import Group, Section, Share

Language = Annotated[str, Field(pattern="^[a-z]{2,3}$")]


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

    corpus: Literal["common_voice"] = Field(description="the reader, a module of asr/corpora/")
    path: Path = Field(description="the .tar.gz, or a folder that holds clips/ and *.tsv (or <language>/clips, …)")
    splits: Literal["official", "speaker"] = Field(
        description="official: train.tsv, dev.tsv, test.tsv as they are; speaker: validated.tsv, split by speaker"
    )
    empty_text: Literal["reject", "no_speech"] = Field(default="reject", description="what a row without a sentence is")


class HuggingFaceSource(Source):
    """A data set on the Hugging Face Hub, or a folder that `datasets` can load, with official splits."""

    corpus: Literal["hugging_face"] = Field(description="the reader, a module of asr/corpora/")
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
