"""The unit of work of `prepare_audio`: a slice of a corpus's rows in, a part of the output out.

    for slice in slices_of(corpus.utterances, longest=30.0): ...
    part = prepare_slice(slice, checks, folder)      # on any process of any machine that sees the files
    for item in read_part(part): ...                 # Utterance | Rejected, in the slice's order

A part is named after all that its bytes depend on: the rows, the recordings' files as they are now, the checks and the
code. So what a killed run has finished is found again by its name, and nothing else is.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

import pyarrow as pa

from asr.checks import Checks
from asr.errors import UserError
from asr.recording import Recording
from asr.utterance import Rejected, Segment, Utterance

SLICE_ROWS = 64
SLICE_SECONDS = 2_000.0  # of sound at most, so that a part fits into memory: 32 MB of FLAC
SLICE_BYTES = 32_000_000  # of recordings that come as bytes

_SEGMENT = pa.struct([("start", pa.float64()), ("end", pa.float64()), ("text", pa.string())])
_STRINGS = (
    "id",
    "text",
    "language",
    "speaker",
    "source",
    "domain",
    "split",
    "origin",
    "task",
    "labelled_by",
    "reason",
    "detail",
)
PART = pa.schema(
    [
        *((name, pa.string()) for name in _STRINGS),
        ("audio", pa.binary()),
        ("seconds", pa.float64()),
        ("segments", pa.list_(_SEGMENT)),
    ]
)


@dataclass(frozen=True)
class Slice:
    """Neighbouring rows of one source."""

    items: tuple[Utterance | Rejected, ...]

    def key(self, checks: Checks) -> str:
        """What a part's bytes depend on, in 32 hex digits."""
        digest = hashlib.blake2b(_code().encode(), digest_size=16)
        digest.update(_tokenizer_digest(checks.tokenizer_file).encode())
        digest.update(repr(_settings(checks, self.items[0].source)).encode())
        for item in self.items:
            audio = item.audio.identity() if isinstance(item.audio, Recording) else ()
            fields = {name: value for name, value in vars(item).items() if name != "audio"}
            digest.update(repr((type(item).__name__, fields, audio)).encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class Part:
    """What became of a slice."""

    path: Path
    rows: int


def slices_of(items: Iterable[Utterance | Rejected], longest: float) -> Iterator[Slice]:
    """Items of one source in slices; where one ends depends on nothing but the items.

    longest: seconds that a recording may have.
    """
    rows = max(1, min(SLICE_ROWS, int(SLICE_SECONDS / longest)))
    held, taken = 0, []
    for item in items:
        taken.append(item)
        held += item.audio.held if isinstance(item.audio, Recording) else 0
        if len(taken) == rows or held >= SLICE_BYTES:
            yield Slice(tuple(taken))
            held, taken = 0, []
    if taken:
        yield Slice(tuple(taken))


def prepare_slice(slice: Slice, checks: Checks, folder: Path) -> Part:
    """Check and convert the slice's rows, and write them as `<folder>/<key>.arrow`, whole or not at all.

    What is there already is left as it is.
    """
    path = folder / f"{slice.key(checks)}.arrow"
    if path.exists():
        return Part(path, len(slice.items))
    rows = [_row(checks.prepare(item)) for item in slice.items]
    buffer = pa.BufferOutputStream()
    with pa.ipc.new_stream(buffer, PART) as stream:
        stream.write_table(pa.Table.from_pylist(rows, PART))
    unfinished = folder / f".{path.stem}.{uuid4().hex}"  # another machine may be at the same slice
    try:
        with unfinished.open("wb") as file:
            file.write(buffer.getvalue())
            file.flush()
            os.fsync(file.fileno())  # else a power cut can leave the name without the bytes
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return Part(path, len(rows))


def read_part(part: Part) -> Iterator[Utterance | Rejected]:
    """A part's rows; `audio` is FLAC bytes, or b"" of a rejected row that could not be decoded.

    Raises:
        UserError: the file is not what was written; it is removed, so that the next run makes it anew.
    """
    try:
        with pa.memory_map(str(part.path)) as file:
            rows = pa.ipc.open_stream(file).read_all().to_pylist()
        assert len(rows) == part.rows, f"{len(rows)} rows instead of {part.rows}"
    except (OSError, pa.ArrowException, AssertionError) as error:
        part.path.unlink(missing_ok=True)
        raise UserError(
            f"{part.path}: damaged ({error}), and removed; check the disk and run the stage again"
        ) from error
    for row in rows:
        reason, detail = row.pop("reason"), row.pop("detail")
        if reason:
            yield Rejected(row["id"], row["source"], row["split"], row["speaker"], reason, detail, row["audio"])
        else:
            segments = tuple(Segment(**segment) for segment in row.pop("segments"))
            yield Utterance(**row, segments=segments)


def _row(item: Utterance | Rejected) -> dict:
    if isinstance(item, Utterance):
        return item.row() | {"reason": "", "detail": ""}
    return item.row() | {"speaker": item.speaker, "audio": item.audio}


def _settings(checks: Checks, source: str) -> list:
    """The limits that hold for a source: another one's change nothing here."""
    limits = (checks.min_seconds, checks.max_seconds[source], checks.min_peak, checks.max_tokens)
    return [*limits, source in checks.no_speech, source in checks.unlabelled, sorted(checks.text.items())]


@cache
def _tokenizer_digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@cache
def _code() -> str:
    """A hash of the modules and the versions of the libraries that decide what becomes of a row."""
    names = [
        "audio",
        "checks",
        "cuts",
        "labels",
        "recording",
        "slices",
        "text",
        "truncation",
        "utterance",
        "whisper_shape",
    ]
    files = [Path(__file__).with_name(f"{name}.py").read_bytes() for name in names]
    libraries = ("soundfile", "soxr", "av", "tokenizers", "regex", "OpenCC", "numpy", "pyarrow")
    versions = [version(library).encode() for library in libraries]
    return hashlib.sha256(b"\0".join([*files, *versions])).hexdigest()
