"""One reader a corpus: a corpus's own form in, utterances out; what comes after a reader is shared by all.

    corpus = read_corpus("common_voice", source="general", speaker_hash=…, longest={…}, language="de", path=…, …)
    corpus.rows                       # how many rows will be read
    corpus.promised                   # ("train", "dev", "test"): an empty one is an error
    for item in corpus.utterances:    # Utterance | Rejected

A reader is a module here with one function

    read(*, source: str, speakers: str, language: str, domain: str, **its own fields) -> Corpus

- It checks everything that can be checked without touching the recordings, and raises `UserError` with the path and the
  remedy; then it yields lazily, in an order that depends on nothing but the corpus, and never holds the recordings:
  `audio` is a `Recording`, which says where it lies.
- `id` is "<source>/<the corpus's own id>", `speaker` "<speakers>/<the corpus's own speaker>" or "", `text` the transcript
  as it is ("" where there is none), `seconds` what the corpus says of the length, or 0. A row that cannot become an
  utterance is a `Rejected`. `segments` may be longer than the encoder's window: they are cut here.
- Where the corpus has no splits of its own, `split` is "" and `read_corpus` fills it in by speaker.
- `promised` names the splits that must have rows, "" where the corpus has no splits of its own.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import import_module

from asr.cuts import cut
from asr.utterance import SPLITS, Rejected, Utterance

BY_SPEAKER = "speaker"  # the name, among a source's splits, of what is divided by speaker


@dataclass(frozen=True)
class Corpus:
    """A corpus that has been opened: its number of rows, the splits it must fill, the rows, to be walked once."""

    rows: int
    promised: tuple[str, ...]
    utterances: Iterator[Utterance | Rejected]
    exact: bool = True  # False: `rows` is a guess, or another's word
    cut_always: bool = False  # only what is within segments is transcribed, see `asr.cuts`


@dataclass(frozen=True)
class SpeakerHash:
    """How speakers are divided: a hash of seed and speaker decides, so that added rows move nobody.

    unknown: of speakers that the corpus does not tell apart: "together" (they may be one person) or "by_clip".
    """

    seed: int
    dev_share: float
    test_share: float
    unknown: str = "together"

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have a share."""
        shares = {"train": 1 - self.dev_share - self.test_share, "dev": self.dev_share, "test": self.test_share}
        return tuple(split for split, share in shares.items() if share > 0)

    def split_of(self, speaker: str, id: str = "") -> str:
        """The split of a speaker's utterances, or of one by an unknown speaker ("")."""
        name = speaker if speaker or self.unknown == "together" else id
        digest = hashlib.sha256(f"{self.seed}\0{name}".encode()).digest()
        point = int.from_bytes(digest[:8], "big") / 2**64  # uniform in [0, 1)
        if point < self.test_share:
            return "test"
        return "dev" if point < self.test_share + self.dev_share else "train"


def read_corpus(
    corpus: str, speaker_hash: SpeakerHash, longest: Mapping[str, float], task: str = "transcribe", **fields: object
) -> Corpus:
    """Open a corpus with the reader named `corpus`; `fields` are the reader's arguments.

    Args:
        longest: by split, seconds above which an utterance with segments is cut.
        task: "transcribe", or "translate" where its texts are English translations.

    Raises:
        UserError: the corpus is not there or is not in its documented form.
    """
    opened = import_module(f"asr.corpora.{corpus}").read(**fields)
    promised = tuple(split for split in opened.promised if split)
    if "" in opened.promised:
        promised = tuple(dict.fromkeys((*promised, *speaker_hash.splits)))
    place = f"{fields['path']}/" if "path" in fields else ""
    return replace(opened, promised=promised, utterances=_walk(opened, speaker_hash, longest, place, task))


def _walk(
    corpus: Corpus, speaker_hash: SpeakerHash, longest: Mapping[str, float], place: str, task: str
) -> Iterator[Utterance | Rejected]:
    """The reader's items, cut and in splits. `place`: the corpus's folder, which no rejection names: it is this machine's."""
    rows = 0
    for item in corpus.utterances:
        rows += 1
        item = _printable(item)
        if not item.split:
            item = replace(item, split=speaker_hash.split_of(item.speaker, item.id))
        if isinstance(item, Rejected):
            yield replace(item, detail=item.detail.replace(place, "")) if place else item
        else:
            item = item if task == item.task else replace(item, task=task)
            yield from cut(item, longest[item.split], corpus.cut_always)
    assert rows == corpus.rows or not corpus.exact, f"{rows} rows instead of {corpus.rows}"


def _printable(item: Utterance | Rejected) -> Utterance | Rejected:
    """Names of files need not be UTF-8, but columns must be: "gr\\xfcn.wav"."""
    mended = {}
    for name, value in vars(item).items():
        if isinstance(value, str) and not value.isascii():
            printable = value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            if printable != value:
                mended[name] = printable
    return replace(item, **mended) if mended else item


def splits_in_order(splits: Mapping[str, str]) -> list[tuple[str, str]]:
    """Of a source's `splits` (ours, or "speaker": the corpus's), each split ("" for "speaker") and the corpus's name.

    Test first: where a recording is there twice, the copy that is rejected is the one that would be trained on.
    """
    order = [*reversed(SPLITS), BY_SPEAKER]
    return [("" if split == BY_SPEAKER else split, splits[split]) for split in order if split in splits]
