"""A tarball gives what was packed, compressed or not; nothing in it reaches outside of it, and a cut one is noticed."""

import bz2
import gzip
import io
import subprocess
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from asr.corpora import archives
from asr.corpora.archives import is_archive, members, members_within, with_members
from asr.errors import UserError
from asr.recording import Recording

FILES = {"wav/S1/a.wav": b"a" * 700, "wav/S1/A.wav": b"A", "wav/S2/ü 北京.wav": b"", "notes.txt": b"n" * 3000}
MODES = {"c.tar": "w", "c.tar.gz": "w:gz", "c.tgz": "w:gz", "c.tar.bz2": "w:bz2"}


def pack(path: Path, files: dict[str, bytes] = FILES, prefix: str = "") -> Path:
    with tarfile.open(path, MODES[path.name]) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def content_of(recording: Recording) -> bytes:
    with recording.open() as file:
        return file.read()


def everything(path: Path) -> dict[str, bytes]:
    items = [(name, content_of(recording)) for name, recording in members(path, lambda _: True)]
    assert len(dict(items)) == len(items)
    return dict(items)


@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("prefix", ["", "./"])
def test_what_was_packed_comes_back_in_its_order(tmp_path, name, prefix):
    found = everything(pack(tmp_path / name, prefix=prefix))
    assert list(found.items()) == list(FILES.items())


@pytest.mark.parametrize("name", MODES)
def test_only_the_wanted(tmp_path, name):
    path = pack(tmp_path / name)
    assert [member for member, _ in members(path, lambda name: name.endswith("a.wav"))] == ["wav/S1/a.wav"]
    assert list(members(path, lambda _: False)) == []


def test_a_plain_one_gives_places_and_a_compressed_one_bytes(tmp_path):
    (_, place), *_ = members(pack(tmp_path / "c.tar"), lambda _: True)
    (_, packed), *_ = members(pack(tmp_path / "c.tar.gz"), lambda _: True)
    assert (place.source, place.size, place.name) == (tmp_path / "c.tar", 700, "wav/S1/a.wav")
    assert (packed.source, packed.name) == (FILES["wav/S1/a.wav"], "wav/S1/a.wav")


@pytest.mark.parametrize("name", MODES)
def test_rows_come_with_their_members_and_then_those_without(tmp_path, name):
    path = pack(tmp_path / name)
    waiting = {"gone.wav": [0], "S2/ü 北京.wav": [1], "S1/a.wav": [2, 3]}
    rows = list(with_members(path, waiting, lambda member: member.removeprefix("wav/")))
    assert [row for row, _ in rows] == [2, 3, 1, 0]
    assert [recording and recording.name for _, recording in rows] == [*2 * ["wav/S1/a.wav"], "wav/S2/ü 北京.wav", None]


def test_of_two_members_of_one_name_the_first_counts(tmp_path):
    with tarfile.open(tmp_path / "c.tar", "w") as archive:
        for content in (b"first", b"again"):
            member = tarfile.TarInfo("a.wav")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    ((row, recording),) = with_members(tmp_path / "c.tar", {"a.wav": ["row"]})
    assert (row, content_of(recording)) == ("row", b"first")


@pytest.mark.parametrize("form", ["gnu", "posix"])
def test_a_sparse_member_is_what_it_was(tmp_path, form):
    with (tmp_path / "a.wav").open("wb") as file:
        file.write(b"start")
        file.seek(1_000_000)
        file.write(b"end")
    line = ["tar", "--create", "--sparse", f"--format={form}", f"--file={tmp_path / 'a.tar'}", "a.wav"]
    subprocess.run(line, cwd=tmp_path, check=True)
    assert (tmp_path / "a.tar").stat().st_size < 100_000
    assert everything(tmp_path / "a.tar") == {"a.wav": (tmp_path / "a.wav").read_bytes()}


@pytest.mark.parametrize("name", MODES)
def test_links_devices_and_folders_are_no_members(tmp_path, name):
    path = tmp_path / name
    with tarfile.open(path, MODES[name]) as archive:
        kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE)
        for number, kind in enumerate(kinds):
            member = tarfile.TarInfo(f"{number}.wav")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        for outside in ("/etc/passwd", "../../etc/passwd"):
            member = tarfile.TarInfo(outside)
            member.size = 1
            archive.addfile(member, io.BytesIO(b"x"))
    before = sorted(tmp_path.rglob("*"))
    assert everything(path) == {"/etc/passwd": b"x", "../../etc/passwd": b"x"}  # names are keys, not files
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", MODES)
def test_what_says_it_is_too_large_is_passed_over(tmp_path, name, monkeypatch):
    monkeypatch.setattr(archives, "MEMBER_BYTES", 1000)
    held = list(FILES)[:3]
    assert list(everything(pack(tmp_path / name))) == (
        list(FILES) if name == "c.tar" else held
    )  # a place takes nothing


def test_a_bomb_takes_no_memory(tmp_path):
    """A thousand times its size: a member, and what a header says of one."""
    bomb, size = tmp_path / "bomb.tar.gz", 210_000_000
    with gzip.open(bomb, "wb", compresslevel=1) as file, tarfile.open(fileobj=file, mode="w|") as archive:
        member = tarfile.TarInfo("a.wav")
        member.size = size
        with open("/dev/zero", "rb") as zeros:
            archive.addfile(member, zeros)
    assert bomb.stat().st_size < size / 100
    tracemalloc.start()
    assert everything(bomb) == {}
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()
    long_name = tarfile.TarInfo("a" * 2_000_000)
    (tmp_path / "name.tar").write_bytes(long_name.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(UserError, match="a header of 2000001 bytes"):
        everything(tmp_path / "name.tar")


@pytest.mark.parametrize(("name", "end"), [("c.tar", 512), ("c.tar.gz", 30), ("c.tar.bz2", 30)])
def test_a_cut_one_is_noticed_wherever_the_cut_is(tmp_path, name, end):
    path = pack(tmp_path / name)
    content = path.read_bytes()
    if name == "c.tar":
        content = content.rstrip(b"\0")
        content += bytes(-len(content) % 512 + end)  # without all the padding that follows the first block of zeros
        assert everything(_write(path, content)) == FILES
    for length in [
        *range(0, len(content) - end, 64 if name == "c.tar" else 7),
        len(content) - end,
    ]:  # the last compressed bytes hold padding
        with pytest.raises(UserError, match=rf"{name}: not a whole tarball \(.+\); download it again"):
            everything(_write(path, content[:length]))


@pytest.mark.parametrize("name", MODES)
def test_a_broken_header_is_not_the_end(tmp_path, name):
    plain = bytearray(pack(tmp_path / "c.tar").read_bytes())
    plain[512 + 1024 + 3] ^= 1  # in the name of the second member: its checksum is wrong
    path = tmp_path / name
    compress = {"c.tar": bytes, "c.tar.bz2": bz2.compress}.get(name, gzip.compress)
    path.write_bytes(compress(bytes(plain)))
    with pytest.raises(UserError, match=rf"{name}: not a whole tarball"):
        everything(path)


def test_what_is_no_tarball_is_said(tmp_path):
    with pytest.raises(UserError, match=r"c.tar: cannot be read \(No such file or directory\); check"):
        everything(tmp_path / "c.tar")
    with pytest.raises(UserError, match=r"c.tar: not a whole tarball"):
        everything(_write(tmp_path / "c.tar", b"no archive" * 100))


@pytest.mark.parametrize("outer", ["c.tar", "c.tar.gz"])
@pytest.mark.parametrize("inner", ["c.tar", "c.tar.gz"])
def test_one_within_another(tmp_path, outer, inner):
    (tmp_path / "inner").mkdir()
    content = pack(tmp_path / "inner" / inner).read_bytes()
    path = pack(tmp_path / outer, {"S1.tar.gz": content, "S2.tar.gz": content[: len(content) // 3]})
    (_, whole), (_, cut) = members(path, lambda _: True)
    assert {name: content_of(recording) for name, recording in members_within(whole, "S1")} == FILES
    with pytest.raises(UserError, match=r"c.tar.*:S2: not a whole tarball"):
        list(members_within(cut, f"{path}:S2"))


def test_names_of_tarballs():
    assert all(map(is_archive, ("a.tar", "a.tar.gz", "x/a.tgz", "a.tar.bz2", Path("x/a.tgz"))))
    assert not any(map(is_archive, ("a", "tar", "a.zip", "a.tar/", "a.tar.xz")))


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
