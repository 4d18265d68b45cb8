"""Hugging Face's audiofolder: recordings beside a metadata.csv or metadata.jsonl, a folder a split.

    <path>/train/metadata.csv          file_name,transcription       splits: {train: train, dev: validation}
                                       a.wav,Guten Tag
                                       berg/b.wav,"Ja, sicher"
    <path>/train/a.wav, <path>/train/berg/b.wav, …
    <path>/validation/metadata.jsonl   {"file_name": "c.wav", "transcription": "Nein"}

With `text_column: ""` there is no metadata: each recording is a row without a transcript, for the stage pseudo_label.

`file_name` is seen from the metadata's folder. A recording there or further below that the metadata does not name is
rejected ("no_text"), except below a folder with metadata of its own. metadata.parquet is for corpus: hugging_face.
"""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from asr.corpora import Corpus, splits_in_order
from asr.corpora.entries import Malformed, label, text
from asr.corpora.files import exists, files_below, inside, lacking
from asr.corpora.json_lines import json_lines
from asr.corpora.tables import table_rows
from asr.errors import UserError
from asr.recording import Recording
from asr.utterance import Rejected, Utterance

TABLES = ("metadata.csv", "metadata.jsonl")
AUDIO = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".webm", ".mp4", ".aif", ".aiff", ".wma")


def read(
    *,
    source: str,
    speakers: str,
    language: str,
    domain: str,
    path: Path,
    splits: dict[str, str],
    text_column: str = "transcription",
    speaker_column: str = "",
) -> Corpus:
    """Open an audiofolder; see `asr.corpora` for what every reader gives.

    Raises:
        UserError: a split's folder is not there, has no metadata, has two, or its metadata lacks a column.
    """
    path = exists(Path(path), "correct the source's path")
    reader = _Reader(source, speakers, language, domain, path, text_column, speaker_column)
    order = [(split, name, reader.table(name)) for split, name in splits_in_order(splits)]
    rows, unnamed = 0, {}
    for _, name, table in order:
        left = set(reader.recordings(name))
        for _, entry in reader.entries(table) if table else ():
            rows += 1
            if file := reader.file(name, entry):
                left.discard(reader.id(file))
        unnamed[name] = sorted(left, key=lambda file: file.replace("/", "\0"))  # folder by folder
        rows += len(left)
    items = (item for split, name, table in order for item in reader.items(split, name, table, unnamed[name]))
    return Corpus(rows, tuple(split for split, *_ in order), items)


class _Reader(NamedTuple):
    source: str
    speakers: str
    language: str
    domain: str
    path: Path
    text_column: str
    speaker_column: str

    def table(self, name: str) -> Path | None:
        """A folder's metadata; None where none is asked for."""
        folder = exists(self.path / name, "correct the source's splits, which name a folder each, seen from its path")
        if os.path.normpath(name) != "." and inside(self.path, name) is None:
            raise UserError(f"{folder}: outside of {self.path}; let path be a folder above all of the splits")
        if not self.text_column:
            return None
        found = [folder / table for table in TABLES if (folder / table).is_file()]
        if len(found) != 1:
            raise UserError(
                f"{folder}: {len(found) or 'none'} of {' and '.join(TABLES)} in it, and it takes one; correct the "
                "source's splits, or leave one of the two (corpus: hugging_face reads other forms)"
            )
        return found[0]

    def entries(self, table: Path) -> Iterator[tuple[str, dict | str]]:
        """Each row's place and fields; in place of the fields what is wrong with a row that has none."""
        if table.suffix == ".jsonl":
            yield from json_lines(table)
            return
        columns = [column for column in ("file_name", self.text_column, self.speaker_column) if column]
        for row in table_rows(table, delimiter=",", quotes=True, columns=columns):
            yield row.where, row.fields if row.whole else "not as many fields as the header has"

    def file(self, name: str, entry: dict | str) -> Path | None:
        """The recording that a row names, if it does."""
        try:
            file_name = text(entry, "file_name") if isinstance(entry, dict) else None
        except Malformed:
            return None
        return self._seen_from(name, file_name) if file_name else None

    def recordings(self, name: str) -> Iterator[str]:
        """All recordings that are the folder's, seen from `path`: names, since Path objects are four times as large."""
        found = files_below(self.path / name, lambda file: file in TABLES or file.lower().endswith(AUDIO))
        others = {PurePosixPath(file).parent for file in found if "/" in file and file.endswith(TABLES)}
        for file in found:
            if not file.endswith(TABLES) and others.isdisjoint(PurePosixPath(file).parents):
                yield self.id(self._seen_from(name, file))

    def items(self, split: str, name: str, table: Path | None, unnamed: list[str]) -> Iterator[Utterance | Rejected]:
        for where, entry in self.entries(table) if table else ():
            yield self._item(split, name, where, entry)
        for name in unnamed:
            file, id = Path(os.path.abspath(self.path), name), f"{self.source}/{name}"
            if table is None:
                yield Utterance(id, Recording(file), "", self.language, "", self.source, self.domain, split)
                continue
            detail = f"{table}: does not name {file}"
            yield Rejected(id, self.source, split, "", "no_text", detail, Recording(file))

    def _item(self, split: str, name: str, where: str, entry: dict | str) -> Utterance | Rejected:
        file, speaker = self.file(name, entry), ""
        id = f"{self.source}/{self.id(file) if file else where.removeprefix(f'{self.path}/')}"
        try:
            if isinstance(entry, str):
                raise Malformed(entry)
            speaker = self.speaker_column and label(entry, self.speaker_column)
            speaker = speaker and f"{self.speakers}/{speaker}"
            file_name, said = text(entry, "file_name"), text(entry, self.text_column)
            if not file_name:
                raise Malformed("no file_name")
        except Malformed as error:
            reason, detail = "malformed_row", str(error)
        else:
            reason, detail = lacking(file), f"no recording {file or file_name}"
            if said is None:
                reason, detail = "no_text", f"no {self.text_column}"
        if reason:
            return Rejected(id, self.source, split, speaker, reason, f"{where}: {detail}")
        return Utterance(id, Recording(file), said, self.language, speaker, self.source, self.domain, split)

    def _seen_from(self, name: str, file: str) -> Path | None:
        return inside(self.path, str(PurePosixPath(name, file)))

    def id(self, file: Path) -> str:
        return file.relative_to(os.path.abspath(self.path)).as_posix()
