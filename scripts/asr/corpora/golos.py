"""Golos, Russian, about 1,240 hours, in its WAV or its Opus edition: unpacked, or `golos_opus.tar` as it is.

    <path>/train/manifest.jsonl                   train/crowd/0/….wav, train/farfield/….wav
    <path>/test/{crowd,farfield}/manifest.jsonl   test/crowd/files/….wav         (train_opus, test_opus: ….opus)

A line of a manifest: {"id": "5b1f…", "audio_filepath": "crowd/0/5b1f….wav", "text": "да", "duration": 1.2}. A path is
looked for from its manifest's folder, then from each folder above that, up to the corpus's own.

- Only manifest.jsonl counts: 10min.jsonl, 1hour.jsonl, 10hours.jsonl and 100hours.jsonl beside it are parts of it.
- The WAV edition's twelve tarballs belong unpacked into one folder, since the last one has the manifest of all.
- Speakers are not told. `origin` is "crowd" (read into phones) or "farfield" (at a distance from a smart device).
- Where there is no manifest, every *.tsv is a list, as the widespread recipe has it: path<TAB>text without a header,
  paths from <path>. Such lists have no official splits.

A tarball is read twice from front to back, for its lists and for its recordings, whose order is then the archive's.
Meanwhile its rows are in memory, about 2 KB each (2 GB for all of Golos): less than that, and it has to be unpacked.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from asr.corpora import Corpus
from asr.corpora.archives import is_archive, members, with_members
from asr.corpora.entries import Malformed, label, seconds, text
from asr.corpora.files import exists, files_below, inside, lacking, lines_in, lines_of
from asr.corpora.json_lines import parse_json_lines
from asr.corpora.tables import parse_table
from asr.errors import UserError
from asr.recording import Recording
from asr.utterance import Rejected, Utterance

MANIFEST = "manifest.jsonl"
ORIGINS = ("crowd", "farfield")
SPLIT_FOLDER = re.compile(r"(train|test)(?![a-z])")  # train, train_golos, train_opus; not testing
HEADER = {"path": "path", "text": "text"}


def read(*, source: str, speakers: str, language: str, domain: str, path: Path, splits: str) -> Corpus:
    """Open Golos; see `asr.corpora` for what every reader gives.

    Args:
        path: a folder with manifests or, where there is none, TSV files anywhere below it; or a tarball of such a one.
        splits: "official" (folders whose names begin with train and test), or "speaker" (all of it, without splits).

    Raises:
        UserError: no such path, no list, a list outside of train/ and test/ where these are asked for, a broken tarball.
    """
    path = exists(Path(path), "download Golos (github.com/salute-developers/golos) or correct the source's path")
    if path.is_dir():
        lists, names = _lists_of_folder(path), None
    elif is_archive(path):
        lists, names = _lists_of_tarball(path)
    else:
        raise UserError(f"{path}: neither a folder nor a tarball; let path be the folder that holds train/ and test/")
    chosen = {name: lines for name, lines in lists.items() if name.endswith(MANIFEST)} or lists
    if not chosen:
        raise UserError(f"{path}: no {MANIFEST} below it and no *.tsv; correct the source's path")
    split_of = {name: _split(path, name) if splits == "official" else "" for name in chosen}
    order = sorted(chosen, key=lambda name: (split_of[name], name))  # test first: see splits_in_order
    rows = sum(1 for name in order for _ in _entries(chosen[name](), f"{path}/{name}"))
    reader = _Reader(source, language, domain, path, names)
    items = (item for name in order for item in reader.items(name, split_of[name], chosen[name]()))
    return Corpus(rows, tuple(dict.fromkeys(split_of.values())), items if names is None else reader.from_tarball(items))


class _Entry(NamedTuple):
    """A line of a list: `reason` says why it is none, in `text`."""

    where: str
    id: str = ""
    file: str = ""
    text: str = ""
    seconds: float = 0.0
    reason: str = ""


class _Reader(NamedTuple):
    source: str
    language: str
    domain: str
    path: Path
    names: set[str] | None  # of a tarball's members

    def items(self, name: str, split: str, lines: Iterable[str]) -> Iterator[Utterance | Rejected]:
        folder = PurePosixPath(name).parent
        places = [folder, *folder.parents]
        if not name.endswith(MANIFEST):
            places.reverse()  # a TSV's paths start from the corpus's folder
        for entry in _entries(lines, f"{self.path}/{name}"):
            id = f"{self.source}/{entry.id or entry.where.removeprefix(f'{self.path}/')}"
            file, reason = (None, entry.reason) if entry.reason else self._find(places, entry.file)
            if file is None or reason:
                why = entry.text if entry.reason else f"no recording {entry.file!r} in the corpus"
                yield Rejected(id, self.source, split, "", reason, f"{entry.where}: {why}")
                continue
            origin = next((part for part in self._member(file).split("/") if part in ORIGINS), "")
            fixed = (self.language, "", self.source, self.domain, split, entry.seconds)
            yield Utterance(id, Recording(file), entry.text, *fixed, origin=origin)

    def from_tarball(self, items: Iterable[Utterance | Rejected]) -> Iterator[Utterance | Rejected]:
        waiting: dict[str, list[Utterance]] = {}
        for item in items:
            if isinstance(item, Rejected):
                yield item
            else:
                waiting.setdefault(self._member(item.audio.source), []).append(replace(item, audio=b""))
        for item, recording in with_members(self.path, waiting):
            assert recording, f"{item.id} was among the members of {self.path}"
            yield replace(item, audio=recording)

    def _find(self, places: list[PurePosixPath], name: str) -> tuple[Path | None, str]:
        """The recording, or why it is not there: outside only if it is outside from wherever one looks."""
        reasons = []
        for place in places:
            file = inside(self.path, str(place / name))
            if self.names is None or file is None:
                reason = lacking(file)
            else:
                reason = "" if self._member(file) in self.names else "missing_clip"
            if not reason:
                return file, ""
            reasons.append(reason)
        return None, min(reasons)  # "missing_clip" < "outside_corpus" < "unreadable_audio"

    def _member(self, file: Path) -> str:
        """A file's name seen from the corpus's folder, or that of a tarball's member."""
        return str(file.relative_to(os.path.abspath(self.path)))


def _lists_of_folder(path: Path) -> dict[str, Callable[[], Iterable[str]]]:
    names = files_below(path, _is_list)
    return {name: partial(lines_of, path / name) for name in names}


def _lists_of_tarball(path: Path) -> tuple[dict[str, Callable[[], Iterable[str]]], set[str]]:
    """The lists, and the names of all members."""
    names: set[str] = set()
    found = members(path, lambda name: names.add(name) or _is_list(PurePosixPath(name).name))
    return {name: partial(lines_in, recording.open().read(), f"{path}/{name}") for name, recording in found}, names


def _is_list(name: str) -> bool:
    return name == MANIFEST or name.endswith(".tsv")


def _split(path: Path, name: str) -> str:
    """The official split that a list is in by its folder's name, of several the innermost."""
    if not name.endswith(MANIFEST):
        raise UserError(f"{path}/{name}: TSV lists have no official splits; set splits: speaker")
    for part in reversed(PurePosixPath(name).parent.parts):
        if match := SPLIT_FOLDER.match(part):
            return match[1]
    raise UserError(
        f"{path}/{name}: in no folder train… or test…; let path be the folder that holds these, or set splits: speaker"
    )


def _entries(lines: Iterable[str], name: str) -> Iterator[_Entry]:
    if name.endswith(MANIFEST):
        yield from (_of_manifest(where, entry) for where, entry in parse_json_lines(lines, name))
        return
    table = parse_table(lines, name, delimiter="\t", quotes=False, columns=(), header=tuple(HEADER))
    for number, row in enumerate(table):
        file = row.fields["path"]
        if row.whole and file:
            if number or row.fields != HEADER:
                yield _Entry(row.where, file, file, row.fields["text"])
        else:
            yield _Entry(row.where, file, text="not a path, a tab and a text", reason="malformed_row")


def _of_manifest(where: str, entry: dict | str) -> _Entry:
    if isinstance(entry, str):
        return _Entry(where, text=entry, reason="malformed_row")
    id = ""
    try:
        file = text(entry, "audio_filepath") or ""
        id = label(entry, "id") or file
        said = text(entry, "text")
        long = seconds(entry, "duration") or 0.0
    except Malformed as error:
        return _Entry(where, id, text=str(error), reason="malformed_row")
    if not file:
        return _Entry(where, id, text="no audio_filepath", reason="malformed_row")
    if said is None:
        return _Entry(where, id, text="no text", reason="no_text")
    return _Entry(where, id, file, said, long)
