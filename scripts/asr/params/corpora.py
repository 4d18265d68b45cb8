"""The sources of `prepare_audio`: what each reader of asr/corpora/ needs to know. A class a corpus."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, get_args

import pydantic
from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt

from asr.params.section import Group
from asr.whisper_shape import LANGUAGES


def _known(language: str) -> str:
    if language not in LANGUAGES:
        raise ValueError(f"Whisper knows no language {language}; it has {' '.join(sorted(LANGUAGES))}")
    return language


Language = Annotated[str, Field(pattern="^[a-z]{2,3}$"), AfterValidator(_known)]
Splits = Annotated[
    dict[Literal["train", "dev", "test", "speaker"], str],
    Field(min_length=1),
]
SPLITS_ARE = "our split: the corpus's; `speaker: …` is divided by speaker (prepare_audio.speaker_split)"


class Source(Group):
    """What every corpus of `prepare_audio.sources` has."""

    # Whether the corpus's names of speakers are the same people wherever it is read: AISHELL's S0002 is one person.
    speakers_are_global: ClassVar[bool] = False

    language: Language = Field(description="Whisper's code of the language spoken, where a row does not tell")
    domain: str = Field(description="what the recordings are about; a training's prompts may tell it the decoder")
    task: Literal["transcribe", "translate"] = Field(
        default="transcribe", description="translate: the texts are English translations of what is said"
    )
    speakers: str = Field(
        default="",
        description="whose names of speakers these are: sources of the same people share it; empty: the corpus's for "
        "those with names of their own (Common Voice, AISHELL), else the source's",
    )
    max_seconds: PositiveFloat = Field(
        default=30.0, description="longer recordings are rejected, those with segments are cut; over 30 only in test"
    )
    empty_text: Literal["reject", "no_speech", "unlabelled"] = Field(
        default="reject",
        description="what a row without a sentence is: an error, a recording in which nobody speaks, or one for the stage "
        "pseudo_label",
    )
    licence: str = Field(default="", description="for the card of the data")

    @pydantic.model_validator(mode="after")
    def _check_task(self):
        if self.task == "translate" and self.empty_text == "unlabelled":
            raise ValueError(
                "empty_text: unlabelled with task: translate: a teacher transcribes and does not translate"
            )
        return self

    @property
    def divided_by_speaker(self) -> bool:
        splits = getattr(self, "splits", None)
        return splits == "speaker" or (isinstance(splits, dict) and "speaker" in splits)


class CommonVoiceSource(Source):
    """Common Voice's tarball or unpacked folder, or anything in its layout."""

    speakers_are_global: ClassVar[bool] = True

    corpus: Literal["common_voice"] = Field(description="the reader, a module of asr/corpora/")
    licence: str = Field(default="CC0-1.0", description="for the card of the data")
    path: Path = Field(description="the .tar.gz, or a folder that holds clips/ and *.tsv (or <language>/clips, …)")
    splits: Literal["official", "speaker"] = Field(
        description="official: train.tsv, dev.tsv, test.tsv as they are; speaker: validated.tsv, split by speaker"
    )
    min_votes: int = Field(
        default=0, description="a clip with fewer votes for it than against it plus this is rejected", ge=0
    )


class HuggingFaceSource(Source):
    """A data set on the Hugging Face Hub, or a folder that `datasets` can load."""

    corpus: Literal["hugging_face"] = Field(description="the reader, a module of asr/corpora/")
    id: str = Field(description="owner/name, or a folder")
    revision: str = Field(default="main", description="commit hash on the Hub")
    configuration: str = Field(default="default", description="the data set's configuration")
    splits: Splits = Field(description=f"{SPLITS_ARE}; without streaming it may be sliced: train[:1%]")
    streaming: bool = Field(default=False, description="read the Parquet files as they come, and keep no copy on disk")
    audio_column: str = Field(default="audio", description="column of the audio")
    text_column: str = Field(default="text", description="column of the transcript")
    speaker_column: str = Field(default="", description="column of the speaker; empty: not told")
    language_column: str = Field(default="", description="column of the language; empty: the source's")
    source_column: str = Field(default="", description="column that says where a row is from; empty: not told")


class GolosSource(Source):
    """Golos, WAV or Opus: a folder with manifest.jsonl files, or TSV files of path and text."""

    corpus: Literal["golos"] = Field(description="the reader, a module of asr/corpora/")
    path: Path = Field(
        description="the folder that holds train/ and test/, or any with manifest.jsonl or *.tsv below it"
    )
    splits: Literal["official", "speaker"] = Field(
        description="official: train/ and test/ as they are; speaker: all of it, divided (speaker_split.unknown: by_clip, "
        "since Golos does not tell speakers)"
    )


class AishellSource(Source):
    """AISHELL-1: data_aishell.tgz, or the folder unpacked from it."""

    speakers_are_global: ClassVar[bool] = True

    corpus: Literal["aishell"] = Field(description="the reader, a module of asr/corpora/")
    licence: str = Field(default="Apache-2.0", description="for the card of the data")
    path: Path = Field(description="data_aishell.tgz, or data_aishell/ with wav/ and transcript/")


class WebDatasetSource(Source):
    """Shards of WebDataset: *.tar with recordings beside their .txt or .json."""

    corpus: Literal["webdataset"] = Field(description="the reader, a module of asr/corpora/")
    path: Path = Field(description="the folder that holds the splits' folders")
    splits: Splits = Field(description=f"{SPLITS_ARE} folder of shards (train, val_small, or . for the path itself)")
    samples_per_shard: PositiveInt = Field(default=1000, description="a guess, where there is no metadata.json")
    text_field: str = Field(default="text", description="of a .json: the transcript")


class NemoSource(Source):
    """NeMo manifests: a JSON object a line, with the recordings as files or in tars."""

    corpus: Literal["nemo"] = Field(description="the reader, a module of asr/corpora/")
    path: Path = Field(description="the folder that holds the manifests; recordings outside of it are rejected")
    splits: Splits = Field(description=f"{SPLITS_ARE} manifest, seen from path")
    tars: dict[str, str] = Field(
        default_factory=dict,
        description="of a tarred set, by the same keys as splits: a pattern of its tars (audio_*.tar)",
    )
    text_field: str = Field(default="text", description="the transcript")


class WhisperFinetuneSource(Source):
    """Lists of Whisper-Finetune: a JSON object a line, with sentences in time."""

    corpus: Literal["whisper_finetune"] = Field(description="the reader, a module of asr/corpora/")
    path: Path = Field(description="the folder that holds the lists; recordings outside of it are rejected")
    splits: Splits = Field(description=f"{SPLITS_ARE} list, seen from path")
    empty_text: Literal["reject", "no_speech", "unlabelled"] = Field(
        default="no_speech", description="what a row with an empty sentence and no sentences is"
    )


class TableSource(Source):
    """A CSV or TSV file a split, with columns of paths and sentences."""

    corpus: Literal["table"] = Field(description="the reader, a module of asr/corpora/")
    path: Path = Field(description="the folder that holds the tables and the recordings")
    splits: Splits = Field(description=f"{SPLITS_ARE} table, seen from path")
    delimiter: str = Field(default=",", description="between fields: ',', '\\t', '|'", min_length=1, max_length=1)
    quotes: bool = Field(default=True, description="whether quotation marks enclose fields, or are text")
    header: list[str] | None = Field(default=None, description="the columns, where the table does not name them")
    audio_column: str = Field(default="path", description="column of the recording's path")
    audio_dir: str = Field(default=".", description="what those paths start from, seen from path")
    audio_suffix: str = Field(default="", description="what those paths lack: .wav")
    text_column: str = Field(default="sentence", description="column of the transcript")
    speaker_column: str = Field(default="", description="column of the speaker; empty: not told")
    language_column: str = Field(default="", description="column of the language; empty: the source's")
    domain_column: str = Field(default="", description="column of the domain; empty: the source's")


class LjspeechSource(Source):
    """LJSpeech, or anything in its layout: metadata.csv and wavs/."""

    corpus: Literal["ljspeech"] = Field(description="the reader, a module of asr/corpora/")
    licence: str = Field(default="public domain", description="for the card of the data")
    path: Path = Field(description="the folder that holds metadata.csv and wavs/, or LJSpeech-1.1.tar.bz2 unpacked")
    splits: Literal["speaker"] = Field(
        default="speaker", description="divided (speaker_split.unknown: by_clip, since it is one speaker's)"
    )
    text: Literal["normalized", "written"] = Field(
        default="normalized", description="its third column, with numbers in words, or its second, as printed"
    )


class AudiofolderSource(Source):
    """Hugging Face's audiofolder: recordings beside a metadata.csv or metadata.jsonl."""

    corpus: Literal["audiofolder"] = Field(description="the reader, a module of asr/corpora/")
    path: Path = Field(description="the data set's folder")
    splits: Splits = Field(description=f"{SPLITS_ARE} folder (train, validation, data/train, or . for the path itself)")
    text_column: str = Field(
        default="transcription", description="column of the transcript; empty: all recordings, without metadata"
    )
    speaker_column: str = Field(default="", description="column of the speaker; empty: not told")

    @pydantic.model_validator(mode="after")
    def _check(self):
        if not self.text_column and self.empty_text == "reject":
            raise ValueError('empty_text: reject with text_column: "" leaves nothing; give unlabelled, or no_speech')
        return self


class SubtitlesSource(Source):
    """Long recordings, audio or video, each beside its .srt or .vtt of the same name."""

    corpus: Literal["subtitles"] = Field(description="the reader, a module of asr/corpora/")
    path: Path = Field(description="the folder that holds the splits' folders")
    splits: Splits = Field(
        description=f"{SPLITS_ARE} folder; each recording counts as a speaker, since its voices are not told apart"
    )


AnySource = (
    CommonVoiceSource
    | HuggingFaceSource
    | GolosSource
    | AishellSource
    | WebDatasetSource
    | NemoSource
    | WhisperFinetuneSource
    | TableSource
    | LjspeechSource
    | AudiofolderSource
    | SubtitlesSource
)
CorpusSource = Annotated[AnySource, Field(discriminator="corpus")]
CORPORA = tuple(get_args(source.model_fields["corpus"].annotation)[0] for source in get_args(AnySource))


class SpeakerSplit(Group):
    """How a corpus without official splits is divided: a hash of the speaker decides, so added rows move nobody."""

    seed: int = Field(description="another seed, another division", ge=0)
    dev_share: float = Field(description="share of the speakers", ge=0, le=1)
    test_share: float = Field(description="share of the speakers", ge=0, le=1)
    unknown: Literal["together", "by_clip"] = Field(
        default="together",
        description="speakers that a corpus does not tell apart: together in one split, or each clip by itself, which may "
        "put a person into both train and test",
    )

    @pydantic.model_validator(mode="after")
    def _check(self):
        if self.dev_share + self.test_share >= 1:
            raise ValueError(
                f"dev_share: {self.dev_share:g} and test_share: {self.test_share:g} leave no speaker to train on; "
                "make them less than 1 together"
            )
        return self
