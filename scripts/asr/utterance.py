"""An utterance: one recording and what is said in it, the unit that every stage from `prepare_audio` on handles.

On disk a split is a folder of Arrow shards, `<folder>/<split>/00000.arrow`, one row an utterance, with the columns of
`COLUMNS`. `audio` holds FLAC bytes (mono, 16 kHz).
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path

from asr.errors import UserError
from asr.recording import Recording

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Segment:
    """A stretch of an utterance with a text of its own; `start` and `end` in seconds from the utterance's start."""

    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Utterance:
    """One recording. `text == ""` says that nobody speaks in it, unless `labelled_by == ""` says that nobody has listened yet;
    `segments` may be empty when they are not known."""

    id: str  # unique in a recipe: "<source>/<the corpus's own id>"
    audio: Recording | bytes  # from a reader: where it lies, in any format; after prepare_audio: FLAC, mono, 16 kHz
    text: str
    language: str  # Whisper's code: "de"
    speaker: str  # unique among all corpora: "<whose names>/<name>"; "" where the corpus does not tell
    source: str  # the entry of `prepare_audio.sources` that it came from
    domain: str
    split: str  # one of SPLITS; "" from a reader whose corpus has none
    seconds: float = 0.0  # length of the audio; 0 until it has been decoded
    segments: tuple[Segment, ...] = field(default=())
    origin: str = ""  # what a collection says of where the row is from ("MLS")
    task: str = "transcribe"  # or "translate": the text is English, whatever is spoken

    labelled_by: str = "corpus"  # who wrote the text: a model's name and hash where pseudo_label did; "": nobody yet

    @property
    def is_silent(self) -> bool:
        """Whether it is known that nobody speaks."""
        return not self.text and bool(self.labelled_by)

    @property
    def text_language(self) -> str:
        """The language that the text is written in."""
        return written_in(self.language, self.task)

    def row(self) -> dict:
        """The utterance as a row of a shard."""
        return asdict(self) | {"segments": [asdict(segment) for segment in self.segments]}


def written_in(language: str, task: str) -> str:
    """The language of the text of what is spoken in `language`: Whisper translates into English alone."""
    return "en" if task == "translate" else language


@dataclass(frozen=True)
class Rejected:
    """A row of a corpus that is no utterance, and why: it is written down and counted, never dropped."""

    id: str
    source: str
    split: str
    speaker: str
    reason: str  # one word for counting: "missing_clip"
    detail: str  # what exactly, for a person
    audio: Recording | bytes = b""  # to listen to, where there is something

    def row(self) -> dict:
        """The rejection as a line of `rejected.jsonl`."""
        return {name: getattr(self, name) for name in ("id", "source", "split", "reason", "detail")}


def columns():
    """The `datasets.Features` of a shard."""
    from datasets import Features, List, Value

    segment = {"start": Value("float64"), "end": Value("float64"), "text": Value("string")}
    text_columns = dict.fromkeys(("text", "language", "speaker", "source", "domain", "split"), Value("string"))
    return Features(
        {"id": Value("string"), "audio": Value("binary")}
        | text_columns
        | {
            "seconds": Value("float64"),
            "segments": List(segment),
            "origin": Value("string"),
            "task": Value("string"),
            "labelled_by": Value("string"),
        }
    )


def load_split(folder: Path, split: str):
    """The utterances of one split as a memory-mapped `datasets.Dataset` in the order in which they were written.

    Raises:
        UserError: there is no such split, or it is empty.
    """
    from datasets import Dataset, concatenate_datasets

    shards = sorted((Path(folder) / split).glob("*.arrow"))
    if not shards:
        raise UserError(
            f"{folder}/{split}: no utterances; see stats.json and rejected.jsonl of {folder} for where they went"
        )
    return concatenate_datasets([Dataset.from_file(str(shard)) for shard in shards])


def require_labels(dataset, where: object) -> None:
    """Raises `UserError` if a row is still without a label: it is neither speech to be taught nor silence."""
    for id, labelled_by in zip(dataset["id"], dataset["labelled_by"], strict=True):
        if not labelled_by:
            raise UserError(
                f"{where}: {id}: nobody has transcribed it yet; run the stage pseudo_label and read its output here, or set "
                "the source's empty_text to reject or no_speech"
            )
