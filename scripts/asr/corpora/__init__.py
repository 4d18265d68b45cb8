"""One reader a corpus: a corpus's own form in, utterances out; what comes after a reader is shared by all.

    corpus = read_corpus("common_voice", source="general", language="de", domain="general", speaker_hash=…, path=…, …)
    corpus.rows                       # how many utterances and rejections will come
    corpus.promised                   # ("train", "dev", "test"): an empty one is an error
    for item in corpus.utterances:    # Utterance | Rejected

A reader is a module here with one function

    read(*, source: str, language: str, domain: str, **its own fields) -> Corpus

- It checks everything that can be checked without touching the recordings, and raises `UserError` with the path and the
  remedy; then it yields lazily, in an order that depends on nothing but the corpus, and never holds the recordings.
- `id` is "<source>/<the corpus's own id>", `speaker` "<source>/<the corpus's own speaker>" or "", `audio` the
  recording's bytes as they are, `text` the transcript as it is. A row that cannot become an utterance is a `Rejected`.
- Where the corpus has no splits of its own, `split` is "" and `read_corpus` fills it in by speaker.
- `promised` names the splits that must have rows, "" where the corpus has no splits of its own.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module

from asr.utterance import Rejected, Utterance


@dataclass(frozen=True)
class Corpus:
    """A corpus that has been opened: its number of rows, the splits it must fill, the rows, to be walked once."""

    rows: int
    promised: tuple[str, ...]
    utterances: Iterator[Utterance | Rejected]


@dataclass(frozen=True)
class SpeakerHash:
    """How speakers are divided: a hash of seed and speaker decides, so that added rows move nobody."""

    seed: int
    dev_share: float
    test_share: float

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have a share."""
        shares = {"train": 1 - self.dev_share - self.test_share, "dev": self.dev_share, "test": self.test_share}
        return tuple(split for split, share in shares.items() if share > 0)

    def split_of(self, speaker: str) -> str:
        """Speakers that the corpus does not tell apart ("") are one speaker: they may be the same person."""
        digest = hashlib.sha256(f"{self.seed}\0{speaker}".encode()).digest()
        point = int.from_bytes(digest[:8], "big") / 2**64  # uniform in [0, 1)
        if point < self.test_share:
            return "test"
        return "dev" if point < self.test_share + self.dev_share else "train"


def read_corpus(corpus: str, speaker_hash: SpeakerHash, **fields: object) -> Corpus:
    """Open a corpus with the reader named `corpus`; `fields` are the reader's arguments.

    Raises:
        UserError: the corpus is not there or is not in its documented form.
    """
    opened = import_module(f"asr.corpora.{corpus}").read(**fields)
    promised = speaker_hash.splits if "" in opened.promised else opened.promised
    return Corpus(opened.rows, promised, (_with_split(item, speaker_hash) for item in opened.utterances))


def _with_split(item: Utterance | Rejected, speaker_hash: SpeakerHash) -> Utterance | Rejected:
    return item if item.split else replace(item, split=speaker_hash.split_of(item.speaker))
