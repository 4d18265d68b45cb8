"""AISHELL-1, Mandarin, 178 hours by 400 speakers: `data_aishell.tgz` as it is, or unpacked as far as one likes.

    data_aishell/transcript/aishell_transcript_v0.8.txt    BAC009S0002W0122 而 对 楼市 成交 抑制 作用 最 大 的 限 购
    data_aishell/wav/S0002.tar.gz                          holds train/S0002/BAC009S0002W0122.wav
    data_aishell/wav/{train,dev,test}/S0002/*.wav          what the inner tarballs unpack to

- The spaces of the transcript divide words and are no part of the text: they are taken out.
- About ten recordings have no transcript ("no_text"), and a few lines of the transcript may have no recording
  ("missing_clip", in the split of the line's speaker, or train where no recording of the speaker is there).
- Inner tarballs may be left beside what was unpacked from them; of each utterance the unpacked recording counts.
- data_aishell.tgz is read for its transcript, which may lie behind the recordings, then again for these. The number of
  recordings is not known before the inner tarballs are open, so the number of lines stands for it.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from asr.corpora import Corpus
from asr.corpora.archives import is_archive, members, members_within
from asr.corpora.files import exists, files_below, lines_of, printable, text_of
from asr.errors import UserError
from asr.recording import Recording
from asr.utterance import Rejected, Utterance

TRANSCRIPT = "transcript/aishell_transcript_v0.8.txt"
ORDER = ("test", "dev", "train")  # test first: where a recording is there twice, the later copy is rejected
PLACE = re.compile(r"(?:.*/)?(train|dev|test)/(S\d+)/[^/]+")
REMEDY = "let path be data_aishell.tgz (openslr.org/33), or the folder data_aishell that was unpacked from it"


def read(*, source: str, speakers: str, language: str, domain: str, path: Path) -> Corpus:
    """Open AISHELL-1; see `asr.corpora` for what every reader gives.

    Args:
        path: data_aishell.tgz, or the folder data_aishell, or the one that holds it.

    Raises:
        UserError: no such path, no transcript in it, or a broken tarball (now or while its recordings are read).
    """
    path = exists(Path(path), REMEDY)
    if not path.is_dir():
        reader = _Reader(source, speakers, language, domain, f"{path}/{TRANSCRIPT}", _transcript_of_tarball(path))
        return Corpus(reader.lines, ORDER, reader.items(_in_tarball(path)), exact=False)
    root = next((root for root in (path, path / "data_aishell") if (root / TRANSCRIPT).is_file()), None)
    if root is None:
        raise UserError(f"{path}: no {TRANSCRIPT} in it; {REMEDY}")
    reader = _Reader(source, speakers, language, domain, str(root / TRANSCRIPT), lines_of(root / TRANSCRIPT))
    places = files_below(root / "wav", lambda name: name.endswith(".wav") or is_archive(name))
    places.sort(key=_rank)
    wavs = {_id(place) for place in places if not is_archive(place)}
    missing = len(reader.texts.keys() - wavs)
    packed = any(map(is_archive, places))
    rows = len(places) + missing + len(reader.repeated)
    found = _in_folder(root / "wav", places, wavs)
    return Corpus(reader.lines if packed else rows, ORDER, reader.items(found), exact=not packed)


class _Reader:
    """Brings recordings and lines of the transcript together."""

    def __init__(self, source: str, speakers: str, language: str, domain: str, where: str, lines: Iterable[str]):
        self.source, self.speakers, self.language, self.domain, self.where = source, speakers, language, domain, where
        self.texts: dict[str, tuple[str, int]] = {}
        self.repeated: list[tuple[str, int]] = []
        for number, line in enumerate(lines, 1):
            id, *words = line.split() or [""]
            if id in self.texts:
                self.repeated.append((id, number))
            elif id and printable(line) == line:  # else its recording has no text that can be read
                self.texts[id] = "".join(words), number
        self.lines = len(self.texts) + len(self.repeated)

    def items(self, found: Iterable[tuple[str, Recording]]) -> Iterator[Utterance | Rejected]:
        """Of each recording and its place, then of each line that has no recording or is not an id's first."""
        split_of: dict[str, str] = {}
        waiting = dict(self.texts)
        for place, recording in found:
            id = _id(place)
            waiting.pop(id, None)
            match = PLACE.fullmatch(place)
            if not match:
                detail = f"{place}: in no speaker's folder (S0002) of train/, dev/ or test/"
                yield self._reject(id, "train", "malformed_row", detail, recording)
                continue
            split, speaker = match.groups()
            split_of[speaker] = split
            if id not in self.texts:
                yield self._reject(id, split, "no_text", f"{place}: no line of {id} in {self.where}", recording)
                continue
            name = f"{self.speakers}/{speaker}"
            fixed = (self.language, name, self.source, self.domain, split)
            yield Utterance(f"{self.source}/{id}", recording, self.texts[id][0], *fixed)
        for id, (_, number) in waiting.items():
            split = split_of.get(_speaker(id), "train")
            yield self._reject(id, split, "missing_clip", f"{self.where}:{number}: no {id}.wav")
        for id, number in self.repeated:
            split = split_of.get(_speaker(id), "train")
            yield self._reject(id, split, "malformed_row", f"{self.where}:{number}: a second line of {id}")

    def _reject(self, id: str, split: str, reason: str, detail: str, audio: Recording | bytes = b"") -> Rejected:
        speaker = _speaker(id)
        name = f"{self.speakers}/{speaker}" if speaker else ""
        return Rejected(f"{self.source}/{id}", self.source, split, name, reason, detail, audio)


def _in_folder(wav: Path, places: list[str], wavs: set[str]) -> Iterator[tuple[str, Recording]]:
    for place in places:
        if not is_archive(place):
            yield place, Recording(wav / place)
            continue
        folder = PurePosixPath(place).parent
        for name, recording in members(wav / place, lambda name: name.endswith(".wav")):
            if _id(name) not in wavs:  # else it has been unpacked
                yield str(folder / name), recording


def _in_tarball(path: Path) -> Iterator[tuple[str, Recording]]:
    for name, recording in members(path, lambda name: name.endswith(".wav") or is_archive(name)):
        if not is_archive(name):
            yield name, recording
            continue
        folder = PurePosixPath(name).parent
        for inner, content in members_within(recording, f"{path}/{name}"):
            if inner.endswith(".wav"):
                yield str(folder / inner), content


def _transcript_of_tarball(path: Path) -> list[str]:
    for name, recording in members(path, lambda name: f"/{name}".endswith(f"/{TRANSCRIPT}")):
        return text_of(recording.open().read(), f"{path}/{name}").splitlines()
    raise UserError(f"{path}: no {TRANSCRIPT} in it; {REMEDY}")


def _rank(place: str) -> tuple[int, str]:
    """Test, dev, train, then tarballs that do not say."""
    named = [ORDER.index(part) for part in place.split("/") if part in ORDER]
    return (named[-1] if named else len(ORDER), place)


def _id(place: str) -> str:
    return PurePosixPath(place).stem


def _speaker(id: str) -> str:
    """The speaker of an utterance by its id: BAC009S0002W0122 is S0002's."""
    match = re.search(r"S\d+", id)
    return match[0] if match else ""
