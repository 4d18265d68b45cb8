r"""Mozilla Common Voice: the tarball or the unpacked folder, any language, any release with `sentence` columns.

    <path>/clips/*.mp3, *.tsv         client_id \t path \t sentence \t … up_votes \t down_votes …
    <path>/clip_durations.tsv         clip \t duration[ms], in newer releases
    <path>/<language>/…,  <path>/cv-corpus-*/<language>/…,  or one of these as .tar.gz or .tar

Splits are the official ones (`train.tsv`, `dev.tsv`, `test.tsv`, those that are there) or none (`validated.tsv`).
A tarball is read twice from front to back, for the tables and for the clips, and never unpacked to disk; its
utterances come in the order of the archive, those of a folder in the order of the tables.
"""

import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from asr.corpora import Corpus
from asr.corpora.archives import members, with_members
from asr.corpora.files import exists, inside, lacking, lines_in, lines_of, unreadable
from asr.corpora.tables import Row, parse_table, table_rows
from asr.cuts import reject
from asr.errors import UserError
from asr.recording import Recording
from asr.utterance import Rejected, Utterance

# Test first: where a recording is there twice, the copy that is rejected is the one that would be trained on.
OFFICIAL = {"test.tsv": "test", "dev.tsv": "dev", "train.tsv": "train"}
UNSPLIT = {"validated.tsv": ""}
DURATIONS = "clip_durations.tsv"
TABS = {"delimiter": "\t", "quotes": False}  # a quotation mark in a sentence is a character like any other
COLUMNS = ("client_id", "path", "sentence")
CLIPS = Path("/clips")  # wherever the corpus lies, packed or not


def read(*, source: str, speakers: str, language: str, domain: str, path: Path, splits: str, min_votes: int) -> Corpus:
    """Open a Common Voice corpus; see `asr.corpora` for what every reader gives.

    Args:
        path: the folder or the tarball.
        splits: "official", or "speaker" (all of validated.tsv, without splits).
        min_votes: by how many the votes for a clip must exceed those against it, where the table has them; 0: any.

    Raises:
        UserError: no such path, no table, a table without the needed columns or not UTF-8, a broken tarball, a table or a
            tarball that cannot be read (now or while its clips are read).
    """
    path = exists(Path(path), "download it from commonvoice.mozilla.org or correct the source's path")
    tables = OFFICIAL if splits == "official" else UNSPLIT
    promised = tuple(UNSPLIT.values()) if tables is UNSPLIT else ()  # releases of one official split are whole
    rows = _Rows(source, speakers, language, domain, min_votes)
    if path.is_dir():
        root = _root_of_folder(path, language, tables)
        found = {root / name: split for name, split in tables.items() if (root / name).is_file()}
        count = sum(1 for table in found for _ in table_rows(table, columns=COLUMNS, **TABS))
        durations = root / DURATIONS
        seconds = _seconds(lines_of(durations), str(durations)) if durations.is_file() else {}
        return Corpus(count, promised, rows.from_folder(root / "clips", found, seconds))
    root, contents = _tables_of_tarball(path, language, tables)
    durations, place = contents.pop(DURATIONS, None), f"{path}:{root}/"
    seconds = _seconds(_lines(durations, place + DURATIONS), place + DURATIONS) if durations else {}
    items = [
        item
        for name in list(contents)  # each is let go of when it has been read
        for item in rows.of(_lines(contents.pop(name), place + name), place + name, tables[name], seconds)
    ]
    return Corpus(len(items), promised, rows.from_tarball(path, PurePosixPath(root, "clips"), items))


@dataclass(frozen=True)
class _Rows:
    """Turns rows and their clips into utterances and rejections."""

    source: str
    speakers: str
    language: str
    domain: str
    min_votes: int

    def of(
        self, lines: Iterable[str], table: str, split: str, seconds: Mapping[str, float]
    ) -> Iterator[tuple[Utterance | Rejected, str]]:
        """The rows of a table and their places in it: rejected if wrong whatever their clips hold, else yet without
        their clips, whose names below clips/ are in the ids.
        """
        for row in parse_table(lines, table, columns=COLUMNS, **TABS):
            client, name, sentence = (row.fields[column] for column in COLUMNS)
            where = row.where.rpartition("/")[2]
            clip = _below_clips(name)
            utterance = Utterance(
                id=f"{self.source}/{clip or name or where}",
                audio=b"",
                text=sentence,
                language=self.language,
                speaker=sys.intern(f"{self.speakers}/{client}") if client else "",
                source=self.source,
                domain=self.domain,
                split=split,
                seconds=seconds.get(name, 0.0),
            )
            if not row.whole:
                yield reject(utterance, "malformed_row", f"{row.where}: not as many fields as the header has"), where
            elif clip is None:
                yield reject(utterance, "outside_corpus", f"{row.where}: {name!r} is no file in clips/"), where
            elif wrong := self._voted_down(row):
                yield reject(utterance, *wrong), where
            else:
                yield utterance, where

    def _voted_down(self, row: Row) -> tuple[str, str] | None:
        up, down = row.fields.get("up_votes"), row.fields.get("down_votes")
        if not self.min_votes or up is None or down is None:
            return None
        try:
            if int(up or 0) - int(down or 0) >= self.min_votes:
                return None
        except ValueError:
            return "malformed_row", f"{row.where}: up_votes {up!r} and down_votes {down!r} are not both numbers"
        return "too_few_votes", f"{row.where}: {up or 0} for it, {down or 0} against it; min_votes is {self.min_votes}"

    def from_folder(
        self, clips: Path, tables: Mapping[Path, str], seconds: Mapping[str, float]
    ) -> Iterator[Utterance | Rejected]:
        for table, split in tables.items():
            for item, where in self.of(lines_of(table), str(table), split, seconds):
                clip = clips / item.id.removeprefix(f"{self.source}/")
                if isinstance(item, Rejected):
                    yield item
                elif reason := lacking(clip):
                    yield reject(item, reason, f"{table.parent / where}: no file {clip}")
                else:
                    yield replace(item, audio=Recording(clip))

    def from_tarball(
        self, path: Path, clips: PurePosixPath, items: list[tuple[Utterance | Rejected, str]]
    ) -> Iterator[Utterance | Rejected]:
        waiting: dict[str, tuple] = {}
        for item, where in items:
            if isinstance(item, Rejected):
                yield item
            else:
                waiting[item.id] = (*waiting.get(item.id, ()), (item, where))
        items.clear()

        def id_of(member: str) -> str:
            return f"{self.source}/{member.removeprefix(f'{clips}/')}" if member.startswith(f"{clips}/") else ""

        for (item, where), recording in with_members(path, waiting, id_of):
            if recording:
                yield replace(item, audio=recording)
            else:
                clip = clips / item.id.removeprefix(f"{self.source}/")
                yield reject(item, "missing_clip", f"{where}: no member {clip} in {path}")


def _below_clips(name: str) -> str | None:
    """A clip's path seen from clips/, None if it leaves it. A plain name is one: `inside` takes 30 µs, for a million."""
    if re.fullmatch(r"[\w-]+\.\w+", name):
        return name
    clip = inside(CLIPS, name)
    return str(clip.relative_to(CLIPS)) if clip else None


def _seconds(lines: Iterable[str], name: str) -> dict[str, float]:
    """The length of each clip that has one."""
    seconds = {}
    for row in parse_table(lines, name, columns=("clip",), **TABS):
        milliseconds = row.fields.get("duration[ms]", row.fields.get("duration"))
        if milliseconds is None:
            raise UserError(f"{name}: no column duration[ms]; correct its header, or remove the file")
        try:
            length = float(milliseconds) / 1000
        except ValueError:
            continue  # as where it is not told: it is measured when the clip is decoded
        if math.isfinite(length) and length > 0:
            seconds[row.fields["clip"]] = length
    return seconds


def _root_of_folder(path: Path, language: str, tables: Iterable[str]) -> Path:
    """The folder that holds the tables."""
    candidates = [path]
    for parent in (path, *sorted(path.glob("cv-corpus-*"))):
        try:
            candidates += [
                folder for folder in sorted(parent.iterdir()) if folder.is_dir() and _speaks(folder.name, language)
            ]
        except OSError as error:
            raise unreadable(parent, error) from error
    roots = [folder for folder in candidates if any((folder / name).is_file() for name in tables)]
    return _only(path, language, tables, roots)


def _tables_of_tarball(path: Path, language: str, tables: Iterable[str]) -> tuple[str, dict[str, Recording]]:
    """The folder inside the tarball that holds the tables, and their contents by name, in the order of `tables`."""
    found: dict[str, dict[str, Recording]] = {}
    wanted = {*tables, DURATIONS}
    for member, content in members(path, lambda member: PurePosixPath(member).name in wanted):
        place = PurePosixPath(member)
        found.setdefault(str(place.parent), {})[place.name] = content
    found = {root: contents for root, contents in found.items() if contents.keys() & set(tables)}
    roots = [root for root in found if len(found) == 1 or _speaks(PurePosixPath(root).name, language)]
    root = _only(path, language, tables, roots)
    return root, {name: found[root][name] for name in (*tables, DURATIONS) if name in found[root]}


def _lines(content: Recording, name: str) -> Iterator[str]:
    return lines_in(content.open().read(), name)


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
