"""A folder, the one above it and a tarball of it give the same utterances; a row says why it is none."""

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from asr.corpora import Corpus, SpeakerHash, read_corpus
from asr.errors import UserError
from asr.recording import Recording
from asr.utterance import Rejected, Utterance

SHARED = Path(__file__).parents[3].parent / "shared" / "data"
TABLE = 'LJ-1|In 1455|In fourteen fifty-five\nLJ-2|"Yes, |"Yes,\nLJ-3||\n'


def open_corpus(path: Path, text: str = "normalized") -> Corpus:
    names = {"source": "s", "speakers": "s", "language": "en", "domain": "d", "splits": "speaker"}
    longest = {"train": 30.0, "dev": 30.0, "test": 30.0}
    return read_corpus("ljspeech", SpeakerHash(0, 0.2, 0.2, "by_clip"), longest, path=path, text=text, **names)


def read(path: Path, text: str = "normalized") -> list:
    corpus = open_corpus(path, text)
    items = list(corpus.utterances)
    assert (corpus.rows, corpus.exact) == (len(items), True)
    return items


def make(folder: Path, table: str | bytes = TABLE) -> Path:
    (folder / "wavs").mkdir(parents=True)
    for number in "123":
        (folder / "wavs" / f"LJ-{number}.wav").write_bytes(number.encode())
    (folder / "metadata.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
    return folder


def pack(folder: Path, path: Path, arcname: str = "LJSpeech-1.1") -> Path:
    mode = {"tar": "w", "bz2": "w:bz2"}.get(path.suffix[1:], "w:gz")
    with tarfile.open(path, mode) as archive:
        archive.add(folder, arcname=arcname)
    return path


def contents(items: list) -> list:
    """The items in the order of their ids, each with what a decoder would read of it."""

    def content(recording: Recording) -> bytes:
        opened = recording.open()
        return opened.read_bytes() if isinstance(opened, Path) else opened.read()

    return sorted((replace(item, audio=content(item.audio)) for item in items), key=lambda item: item.id)


def test_a_row_becomes_an_utterance_of_no_known_speaker(tmp_path):
    first, second, third = read(make(tmp_path))
    recording = Recording(tmp_path / "wavs" / "LJ-1.wav")
    expected = Utterance("s/LJ-1", recording, "In fourteen fifty-five", "en", "", "s", "d", first.split)
    assert first == expected
    assert (second.text, third.text) == ('"Yes,', "")
    assert read(tmp_path, "written")[0] == replace(expected, text="In 1455")


def test_clips_of_one_reader_reach_all_splits(tmp_path):
    make(tmp_path, "".join(f"LJ-{i}|x|x\n" for i in range(100)))
    corpus = open_corpus(tmp_path)
    assert set(corpus.promised) == {"train", "dev", "test"} == {item.split for item in corpus.utterances}


@pytest.mark.parametrize("ending", ["", "tar", "tar.gz", "tgz", "tar.bz2"])
@pytest.mark.parametrize("inside", [".", "LJSpeech-1.1"])
def test_every_layout_gives_the_same(tmp_path, ending, inside):
    expected = contents(read(make(tmp_path / "flat")))
    path = tmp_path / "corpus"
    make(path / inside)
    if ending:
        path = pack(path, tmp_path / f"LJSpeech-1.1.{ending}", ".")
    assert contents(read(path)) == expected


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("packed", [False, True])
def test_byte_order_marks_and_windows_line_ends(tmp_path, coding, packed):
    expected = contents(read(make(tmp_path / "plain")))
    path = make(tmp_path / "corpus", TABLE.replace("\n", "\r\n").encode(coding))
    assert contents(read(pack(path, tmp_path / "a.tgz") if packed else path)) == expected


@pytest.mark.parametrize("packed", [False, True])
def test_a_row_that_is_not_utf8_is_rejected_and_the_others_are_not(tmp_path, packed):
    path = make(tmp_path / "corpus", "LJ-1|Größe|Größe\n".encode() + "LJ-2|Größe|Größe\n".encode("latin-1"))
    items = {item.id: item for item in read(pack(path, tmp_path / "a.tgz") if packed else path)}
    assert (items["s/LJ-1"].text, items["s/LJ-2"].reason) == ("Größe", "malformed_row")


@pytest.mark.parametrize("packed", [False, True])
def test_what_is_no_utterance_is_rejected_with_its_reason(tmp_path, packed):
    rows = {
        "LJ-1|a|a": "",
        "LJ-4|a|a": "missing_clip",
        "lj-1|a|a": "missing_clip",
        "/etc/passwd|a|a": "missing_clip",
        "../../../etc/passwd|a|a": "outside_corpus",
        "../../metadata|a|a": "outside_corpus",
        "LJ-2|a": "malformed_row",
        "LJ-2|a|b|c": "malformed_row",
        "|a|b": "malformed_row",
        "LJ-\0|a|b": "outside_corpus",
    }
    path = make(tmp_path / "LJSpeech-1.1", "\n".join(rows))
    if packed:
        path = pack(path, tmp_path / "LJ.tar.bz2")
    reasons = {item.id: item.reason for item in read(path) if isinstance(item, Rejected)}
    expected = {f"s/{row.split('|')[0]}": reason for row, reason in rows.items() if reason}
    assert reasons == {id if id != "s/" else "s/metadata.csv:9": reason for id, reason in expected.items()}


def test_members_with_odd_names_and_kinds_are_no_recordings(tmp_path):
    with tarfile.open(tmp_path / "LJ.tar.gz", "w:gz") as archive:
        table = b"LJ-1|a|a\nLJ-2|b|b\nLJ-3|c|c\n"
        for name in ("/metadata.csv", "../metadata.csv", "LJ/metadata.csv", "/LJ/wavs/LJ-1.wav", "LJ/wavs/LJ-3.wav"):
            member = tarfile.TarInfo(name)
            member.size = len(table)
            archive.addfile(member, io.BytesIO(table))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE):
            member = tarfile.TarInfo("LJ/wavs/LJ-2.wav")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    third, *others = read(tmp_path / "LJ.tar.gz")
    assert third.id == "s/LJ-3"
    assert [(item.id, item.reason) for item in others] == [("s/LJ-1", "missing_clip"), ("s/LJ-2", "missing_clip")]


@pytest.mark.parametrize("ending", ["tar.gz", "tar.bz2"])
def test_a_tarball_that_was_cut_is_noticed_wherever_the_cut_is(tmp_path, ending):
    path = pack(make(tmp_path / "LJ"), tmp_path / f"LJ.{ending}")
    content = path.read_bytes()
    for length in range(20, len(content) - 30, 11):
        path.write_bytes(content[:length])
        with pytest.raises(UserError, match=r"not a whole tarball \(.+\); download it again"):
            read(path)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda path: path / "nowhere", "nowhere: no such file or folder; let path be the folder"),
        (lambda path: path, "no metadata.csv in it; let path be"),
        (lambda path: pack(make(path / "x") / "wavs", path / "a.tgz"), "a.tgz: no metadata.csv in it; let path be"),
        (lambda path: make(path) / "metadata.csv", "metadata.csv: neither a folder nor a tarball; let path be"),
        (lambda path: make(path, b"LJ-1|\xff|a\n"), "metadata.csv: not UTF-8"),
    ],
    ids=["no folder", "no table", "none in the tarball", "a file", "coding"],
)
def test_what_the_user_can_mend(tmp_path, prepare, message):
    with pytest.raises(UserError, match=message):
        open_corpus(prepare(tmp_path))


def test_real_recordings(tmp_path):
    """The text of real sentences, quotation marks and all, comes back from the layout."""
    path = SHARED / "common_voice_en"
    if not path.is_dir():
        pytest.skip(f"no real recordings in {SHARED}")
    rows = [row.split("\t") for row in (path / "validated.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    (tmp_path / "wavs").mkdir()
    for row in rows:
        (tmp_path / "wavs" / f"{row[1]}.wav").symlink_to(path / "clips" / row[1])
    table = "".join(f"{row[1]}|{row[2]}|{row[2].lower()}\n" for row in rows)
    (tmp_path / "metadata.csv").write_text(table, encoding="utf-8")
    assert [item.text for item in read(tmp_path, "written")] == [row[2] for row in rows]
