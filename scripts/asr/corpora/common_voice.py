"""Mozilla Common Voice: the tarball or the unpacked folder, any language, any release with `sentence` columns.

    <path>/clips/*.mp3 + *.tsv,  <path>/<language>/…,  <path>/cv-corpus-*/<language>/…,  or one of these as .tar.gz

Splits are the official ones (`train.tsv`, `dev.tsv`, `test.tsv`, those that are there) or none (`validated.tsv`).
A tarball is read twice from front to back, for the tables and for the clips, and never unpacked to disk; its
utterances come in the order of the archive, those of a folder in the order of the tables.
"""

import csv
import gzip
import io
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

from asr.corpora import Corpus
from asr.errors import UserError
from asr.utterance import Rejected, Utterance

# Test first: where a recording is there twice, the copy that is rejected is the one that would be trained on.
OFFICIAL = {"test.tsv": "test", "dev.tsv": "dev", "train.tsv": "train"}
UNSPLIT = {"validated.tsv": ""}
COLUMNS = ("client_id", "path", "sentence")


def read(*, source: str, language: str, domain: str, path: Path, splits: str, empty_text: str) -> Corpus:
    """Open a Common Voice corpus; see `asr.corpora` for what every reader gives.

    Args:
        path: the folder or the .tar.gz.
        splits: "official", or "speaker" (all of validated.tsv, without splits).
        empty_text: "reject" a row without a sentence, or take it as "no_speech".

    Raises:
        UserError: no such path, no table, a table without the needed columns or not UTF-8, a broken tarball, a table or a
            tarball that cannot be read (now or while its clips are read).
    """
    path = Path(path)
    tables = OFFICIAL if splits == "official" else UNSPLIT
    promised = tuple(UNSPLIT.values()) if tables is UNSPLIT else ()  # releases of one official split are whole
    reader = _Rows(source, language, domain, empty_text)
    if path.is_file():
        root, texts = _tables_of_tarball(path, language, tables)
        rows = [
            row for name, text in texts.items() for row in _table(io.StringIO(text), f"{path}:{name}", tables[name])
        ]
        return Corpus(len(rows), promised, reader.from_tarball(path, root, rows))
    root = _root_of_folder(path, language, tables)
    found = [root / name for name in tables if (root / name).is_file()]
    count = sum(1 for table in found for _ in _table_file(table, ""))
    rows = (row for table in found for row in _table_file(table, tables[table.name]))
    return Corpus(count, promised, reader.from_folder(root / "clips", rows))


class _Rows:
    """Turns a row and its clip into an utterance or a rejection."""

    def __init__(self, source: str, language: str, domain: str, empty_text: str):
        self.source, self.language, self.domain, self.empty_text = source, language, domain, empty_text

    def from_folder(self, clips: Path, rows: Iterable[dict]) -> Iterator[Utterance | Rejected]:
        for row in rows:
            rejected = self._rejected(row)
            if rejected is None:
                try:
                    content = (clips / row["path"]).read_bytes()
                except (FileNotFoundError, IsADirectoryError):
                    rejected = self._reject(row, "missing_clip", f"no file {clips / row['path']}")
                except (OSError, ValueError) as error:  # no permission, a bad disk, a null byte in the name
                    rejected = self._reject(row, "unreadable_audio", f"{clips / row['path']}: {error}")
            yield rejected or self._utterance(row, content)

    def from_tarball(self, path: Path, root: str, rows: list[dict]) -> Iterator[Utterance | Rejected]:
        waiting: dict[str, list[dict]] = {}
        for row in rows:
            if rejected := self._rejected(row):
                yield rejected
            else:
                waiting.setdefault(str(PurePosixPath(root, "clips", row["path"])), []).append(row)
        for name, content in _members(path, waiting.__contains__):
            for row in waiting.pop(name):
                yield self._utterance(row, content)
        for name, left in waiting.items():
            yield from (self._reject(row, "missing_clip", f"no member {name} in {path}") for row in left)

    def _rejected(self, row: dict) -> Rejected | None:
        """The rejection of a row that is wrong whatever its clip holds."""
        if not row["whole"]:
            return self._reject(row, "malformed_row", f"{row['where']}: not as many fields as the header has")
        if PurePosixPath(row["path"]).name != row["path"]:
            return self._reject(row, "missing_clip", f"{row['path']!r} is not the name of a file in clips/")
        if not row["sentence"].strip() and self.empty_text == "reject":
            return self._reject(row, "empty_text", f"{row['where']}: no sentence")
        return None

    def _reject(self, row: dict, reason: str, detail: str) -> Rejected:
        return Rejected(self._id(row), self.source, row["split"], self._speaker(row), reason, detail)

    def _utterance(self, row: dict, content: bytes) -> Utterance:
        return Utterance(
            id=self._id(row),
            audio=content,
            text=row["sentence"],
            language=self.language,
            speaker=self._speaker(row),
            source=self.source,
            domain=self.domain,
            split=row["split"],
        )

    def _id(self, row: dict) -> str:
        return f"{self.source}/{row['path']}"

    def _speaker(self, row: dict) -> str:
        return f"{self.source}/{row['client_id']}" if row["client_id"] else ""


def _table_file(path: Path, split: str) -> Iterator[dict]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from _table(file, str(path), split)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error}); save it as UTF-8") from None
    except OSError as error:
        raise _unreadable(path, error) from error


def _table(file: Iterable[str], name: str, split: str) -> Iterator[dict]:
    """The rows of a table: `COLUMNS`, `split`, `where` (file and line), `whole` (as many fields as the header).

    Common Voice does not quote: a quotation mark in a sentence is a character like any other.
    """
    table = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
    try:
        missing = [column for column in COLUMNS if column not in (table.fieldnames or ())]
        if missing:
            raise UserError(
                f"{name}: no column {', '.join(missing)}; its header is {table.fieldnames}; "
                f"Common Voice's tables have {', '.join(COLUMNS)}, separated by tabs"
            )
        for row in table:
            whole = None not in row and None not in row.values()  # csv's marks for too many and too few fields
            fields = {column: row[column] or "" for column in COLUMNS}
            yield fields | {"split": split, "where": f"{name}:{table.line_num}", "whole": whole}
    except csv.Error as error:
        raise UserError(f"{name}:{table.reader.line_num}: {error}; mend or remove this line") from None


def _root_of_folder(path: Path, language: str, tables: Iterable[str]) -> Path:
    """The folder that holds the tables."""
    if not path.exists():
        raise UserError(
            f"{path}: no such corpus; download it from commonvoice.mozilla.org or correct the source's path"
        )
    candidates = [path]
    for parent in (path, *sorted(path.glob("cv-corpus-*"))):
        candidates += [
            folder for folder in sorted(parent.iterdir()) if folder.is_dir() and _speaks(folder.name, language)
        ]
    roots = [folder for folder in candidates if any((folder / name).is_file() for name in tables)]
    return _only(path, language, tables, roots)


def _tables_of_tarball(path: Path, language: str, tables: Iterable[str]) -> tuple[str, dict[str, str]]:
    """The folder inside the tarball that holds the tables, and their texts by name."""
    found: dict[str, dict[str, str]] = {}
    for member, content in _members(path, lambda member: PurePosixPath(member).name in tables):
        folder, _, name = member.rpartition("/")
        try:
            found.setdefault(folder, {})[name] = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise UserError(f"{path}:{member}: not UTF-8 ({error}); save it as UTF-8") from None
    roots = [root for root in found if len(found) == 1 or _speaks(PurePosixPath(root).name, language)]
    root = _only(path, language, tables, roots)
    return root, {name: found[root][name] for name in tables if name in found[root]}


def _only(path: Path, language: str, tables: Iterable[str], roots: list):
    if not roots:
        raise UserError(
            f"{path}: none of {', '.join(tables)} here, nor in {language}/ or cv-corpus-*/{language}/; correct the "
            "source's path or language, or choose splits: speaker (validated.tsv) or official (train, dev, test.tsv)"
        )
    if len(roots) > 1:
        raise UserError(
            f"{path}: several corpora ({', '.join(map(str, roots))}); let the source's path name one of them"
        )
    return roots[0]


def _speaks(folder: str, language: str) -> bool:
    """Common Voice's code may say more than Whisper's: zh-CN is zh."""
    return folder == language or folder.startswith(f"{language}-")


def _members(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Name and content of the wanted plain files of a tarball, in its order; links and devices are not followed."""
    try:
        with path.open("rb") as file:
            gzipped = file.read(2) == b"\x1f\x8b"
        # gzip notices that a file was cut; tarfile's own stream takes a cut between two members for the end.
        with gzip.open(path) if gzipped else path.open("rb") as file, tarfile.open(fileobj=file, mode="r|*") as archive:
            for member in archive:
                name = str(PurePosixPath(member.name))
                if member.isfile() and wanted(name):
                    yield name, archive.extractfile(member).read()
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path}: not a whole tarball ({error}); download it again") from error
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> UserError:
    reason = error.strerror or error
    return UserError(f"{path}: cannot be read ({reason}); check its permissions and its disk, or download it again")
