"""Tables of recordings and sentences, CSV or TSV, one a split: the form in which most home-made corpora lie.

    <path>/train.csv    path,sentence              splits: {train: train.csv, test: test.csv}
                        clips/a.wav,"Guten Tag, Frau Holle"
    <path>/clips/…      where the table says, from audio_dir

- With `quotes` a sentence may hold delimiters and line ends; without, a quotation mark is a character like any other.
- A row whose number of fields is not the header's is rejected: a delimiter in a sentence moves all that follows it.
- The same table under two splits gives the same recordings twice, which the shared checks notice.
"""

import os
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from asr.corpora import Corpus, entries, splits_in_order
from asr.corpora.files import exists, inside, lacking
from asr.corpora.tables import Row, table_rows
from asr.errors import UserError
from asr.recording import Recording
from asr.utterance import Rejected, Utterance


def read(
    *,
    source: str,
    speakers: str,
    language: str,
    domain: str,
    path: Path,
    splits: dict[str, str],
    delimiter: str = ",",
    quotes: bool = True,
    header: list[str] | None = None,
    audio_column: str = "path",
    audio_dir: str = ".",
    audio_suffix: str = "",
    text_column: str = "sentence",
    speaker_column: str = "",
    language_column: str = "",
    domain_column: str = "",
) -> Corpus:
    """Open a corpus of tables; see `asr.corpora` for what every reader gives, `TableSource` for the arguments.

    A language may be Whisper's code, a locale or an English name; an empty field is the source's language or domain.

    Raises:
        UserError: a table or the folder of the recordings is not there, or a table lacks a column or is no table.
    """
    path = exists(Path(path), "correct the source's path")
    if os.path.normpath(audio_dir) != ".":
        if inside(path, audio_dir) is None:
            raise UserError(f"{path}: audio_dir {audio_dir} lies outside of it; let path be a folder that holds both")
        exists(path / audio_dir, "correct the source's audio_dir")
    columns = [audio_column, text_column, speaker_column, language_column, domain_column]
    form = {
        "delimiter": delimiter,
        "quotes": quotes,
        "header": header,
        "columns": [column for column in columns if column],
    }
    order = splits_in_order(splits)
    for _, name in order:
        exists(path / name, "correct the source's splits, which name a table each, seen from its path")
    rows = sum(1 for _, name in order for _ in table_rows(path / name, **form))
    reader = _Reader(source, speakers, language, domain, path, audio_dir, audio_suffix, *columns)
    items = (reader.item(row, split) for split, name in order for row in table_rows(path / name, **form))
    return Corpus(rows, tuple(split for split, _ in order), items)


class _Reader(NamedTuple):
    source: str
    speakers: str
    language: str
    domain: str
    path: Path
    audio_dir: str
    audio_suffix: str
    audio_column: str
    text_column: str
    speaker_column: str
    language_column: str
    domain_column: str

    def item(self, row: Row, split: str) -> Utterance | Rejected:
        name = row.fields[self.audio_column]
        id = f"{self.source}/{name or row.where.removeprefix(f'{self.path}/')}"
        speaker = self._optional(row, self.speaker_column)
        speaker = speaker and f"{self.speakers}/{speaker}"
        try:
            if not row.whole:
                raise entries.Malformed("not as many fields as the header has")
            if not name:
                raise entries.Malformed(f"no {self.audio_column}")
            names = [self.language_column] if self.language_column else []
            spoken = entries.language(row.fields, names, self.language)
        except entries.Malformed as error:
            return Rejected(id, self.source, split, speaker, "malformed_row", f"{row.where}: {error}")
        file = inside(self.path, str(PurePosixPath(self.audio_dir, name + self.audio_suffix)))
        if reason := lacking(file):
            return Rejected(id, self.source, split, speaker, reason, f"{row.where}: no recording {file or name}")
        return Utterance(
            id=id,
            audio=Recording(file),
            text=row.fields[self.text_column],
            language=spoken,
            speaker=speaker,
            source=self.source,
            domain=self._optional(row, self.domain_column) or self.domain,
            split=split,
        )

    def _optional(self, row: Row, column: str) -> str:
        return entries.label(row.fields, column) if column else ""  # pandas' index is a column that is called ""
