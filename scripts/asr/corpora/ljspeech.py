"""LJSpeech, English, 24 hours by one speaker, and the many corpora in its layout: unpacked, or as a tarball.

    LJSpeech-1.1/metadata.csv    LJ001-0007|the Jenson of 1470|the Jenson of fourteen seventy     no header, no quoting
    LJSpeech-1.1/wavs/LJ001-0007.wav

- The second column is the text as printed, the third the same with numbers and abbreviations in words.
- One reader speaks it all. As a known speaker she would be in one split alone, so none is told (speaker ""), and
  speaker_split.unknown: by_clip divides the clips: its test split then says nothing about other voices.

A tarball is read twice from front to back, for its table and for its recordings, whose order is then the archive's.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from asr.corpora import Corpus
from asr.corpora.archives import is_archive, members, with_members
from asr.corpora.files import exists, inside, lacking, lines_in, lines_of
from asr.corpora.tables import Row, parse_table
from asr.errors import UserError
from asr.recording import Recording
from asr.utterance import Rejected, Utterance

METADATA = "metadata.csv"
HEADER = ("id", "written", "normalized")
REMEDY = f"let path be the folder that holds {METADATA} and wavs/, or a tarball of it (keithito.com/LJ-Speech-Dataset)"


def read(*, source: str, speakers: str, language: str, domain: str, path: Path, splits: str, text: str) -> Corpus:
    """Open LJSpeech; see `asr.corpora` for what every reader gives.

    Args:
        path: the folder that holds metadata.csv, or the one above it, or a tarball.
        text: "normalized" (the third column) or "written" (the second).

    Raises:
        UserError: no such path, no metadata.csv, or a broken tarball (now or while its recordings are read).
    """
    path = exists(Path(path), REMEDY)
    if path.is_dir():
        root = next((r for r in (path, *sorted(path.iterdir())) if (r / METADATA).is_file()), None)
        if root is None:
            raise UserError(f"{path}: no {METADATA} in it; {REMEDY}")
        lines = partial(lines_of, root / METADATA)
    elif is_archive(path):
        root, lines = _in_tarball(path)
    else:
        raise UserError(f"{path}: neither a folder nor a tarball; {REMEDY}")
    reader = _Reader(source, language, domain, text, root)
    count = sum(1 for _ in reader.rows(lines()))
    items = reader.of_folder(lines()) if path.is_dir() else reader.of_tarball(path, lines())
    return Corpus(count, ("",), items)


class _Reader(NamedTuple):
    source: str
    language: str
    domain: str
    column: str
    root: Path  # of a tarball's members: as if it were a folder

    def rows(self, lines: Iterable[str]) -> Iterator[Row]:
        name = str(self.root / METADATA)
        return parse_table(lines, name, delimiter="|", quotes=False, columns=(), header=HEADER)

    def of_folder(self, lines: Iterable[str]) -> Iterator[Utterance | Rejected]:
        for row in self.rows(lines):
            item = self._item(row)
            if isinstance(item, Utterance) and (reason := lacking(item.audio.source)):
                item = self._reject(row, reason, f"no recording {item.audio.source}")
            yield item

    def of_tarball(self, path: Path, lines: Iterable[str]) -> Iterator[Utterance | Rejected]:
        waiting: dict[str, list[tuple[Row, Utterance]]] = {}
        for row in self.rows(lines):
            item = self._item(row)
            if isinstance(item, Rejected):
                yield item
            else:
                waiting.setdefault(str(item.audio.source.relative_to(os.path.abspath(path))), []).append((row, item))
        for (row, item), recording in with_members(path, waiting):
            if recording:
                yield replace(item, audio=recording)
            else:
                yield self._reject(row, "missing_clip", f"no recording {item.audio.source}")

    def _item(self, row: Row) -> Utterance | Rejected:
        name = row.fields["id"]
        if not row.whole or not name:
            return self._reject(row, "malformed_row", "not an id, a text and its normalized form with | between them")
        file = inside(self.root, f"wavs/{name}.wav")
        if file is None:
            return self._reject(row, "outside_corpus", f"{name} leaves {self.root}")
        fixed = (self.language, "", self.source, self.domain, "")
        return Utterance(f"{self.source}/{name}", Recording(file), row.fields[self.column], *fixed)

    def _reject(self, row: Row, reason: str, detail: str) -> Rejected:
        id = row.fields["id"] or PurePosixPath(row.where).name
        return Rejected(f"{self.source}/{id}", self.source, "", "", reason, f"{row.where}: {detail}")


def _in_tarball(path: Path) -> tuple[Path, Callable[[], Iterable[str]]]:
    """The folder of the table, as if the tarball were a folder, and the lines of the table."""
    for name, recording in members(path, lambda name: PurePosixPath(name).name == METADATA and inside(path, name)):
        return path / PurePosixPath(name).parent, partial(lines_in, recording.open().read(), f"{path}/{name}")
    raise UserError(f"{path}: no {METADATA} in it; {REMEDY}")
