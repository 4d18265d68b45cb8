"""Names in lists mean files inside the corpus or none; text files are read as their byte order mark says."""

import os
from pathlib import Path

import pytest

from asr.corpora.files import exists, files_below, inside, lacking, lines_in, lines_of, printable, text_of
from asr.errors import UserError


@pytest.mark.parametrize(
    "name",
    ["a.wav", "./a.wav", "x/../a.wav", "x//..//a.wav", "..\\corpus\\a.wav", "../corpus/a.wav", "{folder}/a.wav"],
)
def test_a_file_inside_has_many_names(tmp_path, name):
    folder = tmp_path / "corpus"
    assert inside(folder, name.format(folder=folder)) == folder / "a.wav"


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "x/..", "..", "../a.wav", "../../etc/passwd", "x/../../a.wav", "..\\a.wav", "a\0.wav"),
        *("/etc/passwd", "//etc/passwd", "../corpus2/a.wav", 40 * "../" + "etc/passwd", f"/{40 * '../'}etc/passwd"),
    ],
)
def test_what_leaves_the_folder_is_no_file(tmp_path, name):
    assert inside(tmp_path / "corpus", name) is None


def test_what_is_inside_stays_inside(tmp_path):
    """Of all names of up to four parts, those that are inside are so for the file system too, and the others are not."""
    folder = tmp_path / "one" / "two"
    (folder / "x" / "x" / "x" / "x").mkdir(parents=True)
    names = ["x"]
    for _ in range(3):
        names += [f"{part}/{name}" for name in names for part in ("..", ".", "x")]
    for name in names:
        real = Path(os.path.realpath(folder / name))
        assert inside(folder, name) == (real if real.is_relative_to(folder) and real != folder else None), name


def test_a_relative_folder_is_seen_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert inside(Path("corpus"), "a.wav") == tmp_path / "corpus" / "a.wav"
    assert inside(Path("corpus"), f"{tmp_path}/corpus/a.wav") == tmp_path / "corpus" / "a.wav"
    assert inside(Path("corpus"), f"{tmp_path}/a.wav") is None
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert inside(Path("../corpus"), "x/../a.wav") == tmp_path / "corpus" / "a.wav"
    assert inside(Path("../corpus"), "../here/a.wav") is None


def test_links_of_the_users_own_are_followed(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "a.wav").write_bytes(b"a")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "clips").symlink_to(tmp_path / "disk")
    assert inside(tmp_path / "corpus", "clips/a.wav").read_bytes() == b"a"


def test_why_there_is_no_recording(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"a")
    names = {"a.wav": "", "A.wav": "missing_clip", "../a.wav": "outside_corpus", 300 * "x": "unreadable_audio"}
    assert {name: lacking(inside(tmp_path, name)) for name in names} == names
    assert lacking(tmp_path) == "missing_clip"


def test_files_below_in_one_order(tmp_path):
    names = ["b/a.wav", "B.wav", "a.wav", "b/c/a.wav", "b.txt"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "b" / "round").symlink_to(tmp_path)  # a circle
    assert files_below(tmp_path, lambda name: name.endswith(".wav")) == ["B.wav", "a.wav", "b/a.wav", "b/c/a.wav"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings_and_line_ends_come_back(tmp_path, encoding):
    text = 'Grüße\tan\r\n北京\u2028с приветом\n"Schluss"'
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    path = tmp_path / "list.tsv"
    path.write_bytes((mark + text).encode(encoding))
    assert "".join(lines_of(path)) == text
    assert len(list(lines_of(path))) == 3
    assert text_of(path.read_bytes(), "list.tsv") == text
    assert list(lines_in(path.read_bytes(), "list.tsv")) == list(lines_of(path))


def test_another_encoding_is_said(tmp_path):
    path = tmp_path / "list.tsv"
    path.write_bytes("Grüße".encode("latin-1"))
    with pytest.raises(UserError, match=r"list.tsv: not UTF-8 .*save it as UTF-8"):
        list(lines_of(path))
    with pytest.raises(UserError, match=r"inner/list.tsv: not UTF-8 .*save it as UTF-8"):
        list(lines_in(path.read_bytes(), "inner/list.tsv"))
    with pytest.raises(UserError, match=r"inner/list.tsv: not UTF-8 .*save it as UTF-8"):
        text_of(path.read_bytes(), "inner/list.tsv")


def test_a_later_line_in_another_encoding_is_one_line(tmp_path):
    path = tmp_path / "list.tsv"
    path.write_bytes("Grüße �\n".encode() + "Straße\n".encode("latin-1") + "привет".encode()[:-1])
    lines = list(lines_of(path))
    assert [printable(line) for line in lines] == ["Grüße �\n", "Stra�e\n", "приве�"]
    assert [printable(line) == line for line in lines] == [True, False, False]
    assert list(lines_in(path.read_bytes(), "list.tsv")) == lines


def test_what_cannot_be_read_is_said(tmp_path):
    with pytest.raises(UserError, match=r"nowhere.tsv: cannot be read \(No such file or directory\); check"):
        list(lines_of(tmp_path / "nowhere.tsv"))
    (tmp_path / "bad.tsv").symlink_to("/proc/self/mem")  # its first byte gives a read error: address 0 of a process
    with pytest.raises(UserError, match=r"bad.tsv: cannot be read \(Input/output error\); check"):
        list(lines_of(tmp_path / "bad.tsv"))


def test_exists(tmp_path):
    assert exists(tmp_path, "never said") == tmp_path
    with pytest.raises(UserError, match="nowhere: no such file or folder; correct the path"):
        exists(tmp_path / "nowhere", "correct the path")
