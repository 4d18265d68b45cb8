"""The same corpus as a folder, below a language's folder, and as a tarball gives the same utterances."""

import errno
import gzip
import os
import tarfile
from pathlib import Path

import pytest

from asr.corpora import Corpus, SpeakerHash, read_corpus
from asr.errors import UserError
from asr.utterance import Rejected, Utterance

SHARED = Path(__file__).parents[3].parent / "shared" / "data"
HEADER = "client_id\tpath\tsentence\tup_votes\n"
BY_SPEAKER = SpeakerHash(seed=0, dev_share=0.2, test_share=0.2)


def open_corpus(path: Path, split: SpeakerHash = BY_SPEAKER, splits="official", empty_text="reject") -> Corpus:
    fields = {"source": "cv", "language": "de", "domain": "d", "path": path}
    return read_corpus("common_voice", split, splits=splits, empty_text=empty_text, **fields)


def read(path: Path, splits: str = "official", empty_text: str = "reject", split: SpeakerHash = BY_SPEAKER) -> list:
    corpus = open_corpus(path, split, splits, empty_text)
    items = list(corpus.utterances)
    assert len(items) == corpus.rows
    return items


def make(folder: Path, tables: dict[str, str], clips: str = "abcdef") -> Path:
    (folder / "clips").mkdir(parents=True)
    for clip in clips:
        (folder / "clips" / f"{clip}.mp3").write_bytes(clip.encode())
    for name, rows in tables.items():
        (folder / name).write_text(HEADER + rows, encoding="utf-8")
    return folder


def pack(path: Path, folder: Path) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, arcname="cv")
    return path


TABLES = {
    "train.tsv": 'A\ta.mp3\tEr sagt: "Ja", und geht.\t2\nA\tb.mp3\tZwei\t2\n',
    "dev.tsv": "B\tc.mp3\tDrei\t2\n",
    "test.tsv": "C\td.mp3\tVier\t2\n",
}


def test_official_splits(tmp_path):
    first, *_, third, last = items = read(make(tmp_path, TABLES))
    assert [item.split for item in items] == ["test", "dev", "train", "train"]
    assert first == Utterance("cv/d.mp3", b"d", "Vier", "de", "cv/C", "cv", "d", "test")
    assert third.text == 'Er sagt: "Ja", und geht.'
    assert (last.audio, last.speaker) == (b"b", "cv/A")


@pytest.mark.parametrize("inside", ["", "de", "cv-corpus-19.0-2024-09-13/de"])
@pytest.mark.parametrize("packed", ["", "w:gz", "w"])
def test_every_layout_gives_the_same(tmp_path, inside, packed):
    expected = read(make(tmp_path / "flat", TABLES))
    path = tmp_path / "corpus"
    make(path / inside, TABLES)
    if packed:
        with tarfile.open(tmp_path / "corpus.tar", packed) as archive:
            archive.add(path, arcname="." if inside else "general")
        path = tmp_path / "corpus.tar"
    key = lambda item: item.id  # noqa: E731
    assert sorted(read(path), key=key) == sorted(expected, key=key)


def test_only_the_asked_for_language_of_several(tmp_path):
    make(tmp_path / "de", TABLES)
    make(tmp_path / "fr", {"train.tsv": "F\ta.mp3\tUn\t1\n"})
    assert len(read(tmp_path)) == 4
    with tarfile.open(tmp_path / "both.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "fr", arcname="cv/fr")
        archive.add(tmp_path / "de", arcname="cv/de")
    assert len(read(tmp_path / "both.tar.gz")) == 4


@pytest.mark.parametrize("packed", [False, True])
def test_what_is_no_utterance_is_rejected_with_its_reason(tmp_path, packed):
    rows = "A\ta.mp3\tEins\t2\nA\tgone.mp3\tZwei\t2\nA\tb.mp3\t  \t2\nA\tc.mp3\nA\t../train.tsv\tx\t2\nA\td.mp3\tx\t2\tmore\n"
    path = make(tmp_path / "cv", {"train.tsv": rows})
    if packed:
        path = pack(tmp_path / "cv.tar.gz", path)
    items = read(path)
    reasons = {item.id: item.reason for item in items if isinstance(item, Rejected)}
    assert reasons == {
        "cv/gone.mp3": "missing_clip",
        "cv/b.mp3": "empty_text",
        "cv/c.mp3": "malformed_row",
        "cv/../train.tsv": "missing_clip",
        "cv/d.mp3": "malformed_row",
    }
    assert [item.id for item in items if isinstance(item, Utterance)] == ["cv/a.mp3"]


def test_no_sentence_may_mean_no_speech(tmp_path):
    path = make(tmp_path, {"train.tsv": "A\ta.mp3\t\t2\n"})
    assert [item.text for item in read(path, empty_text="no_speech")] == [""]


def test_byte_order_mark_and_windows_line_ends(tmp_path):
    make(tmp_path, {})
    (tmp_path / "train.tsv").write_bytes((HEADER + "A\ta.mp3\tEins\t2\n").replace("\n", "\r\n").encode("utf-8-sig"))
    assert [(item.speaker, item.text) for item in read(tmp_path)] == [("cv/A", "Eins")]


def test_speakers_do_not_move_when_rows_are_added_and_are_in_one_split(tmp_path):
    row = "S{0}\ta.mp3\tSatz {1}\t2\n".format
    few = make(tmp_path / "few", {"validated.tsv": "".join(row(i % 50, i) for i in range(100))})
    many = make(tmp_path / "many", {"validated.tsv": "".join(row(i % 70, i) for i in reversed(range(300)))})
    split_of = {}
    for item in read(many, "speaker"):
        assert split_of.setdefault(item.speaker, item.split) == item.split
    assert set(split_of.values()) == {"train", "dev", "test"}
    assert all(split_of[item.speaker] == item.split for item in read(few, "speaker"))
    other = SpeakerHash(seed=1, dev_share=0.2, test_share=0.2)
    assert any(split_of[item.speaker] != item.split for item in read(few, "speaker", split=other))


def test_shares_are_kept():
    splits = [BY_SPEAKER.split_of(f"cv/{i}") for i in range(5000)]
    assert abs(splits.count("dev") / 5000 - 0.2) < 0.02
    assert abs(splits.count("test") / 5000 - 0.2) < 0.02


def test_a_tarball_that_was_cut_is_noticed_wherever_the_cut_is(tmp_path):
    path = pack(tmp_path / "cv.tar.gz", make(tmp_path / "cv", TABLES))
    content = path.read_bytes()
    for length in range(20, len(content) - 30, 7):  # the last bytes hold padding, a checksum and the length
        path.write_bytes(content[:length])
        with pytest.raises(UserError, match=r"cv.tar.gz: not a whole tarball \(.+\); download it again"):
            read(path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:300]), r"not a whole tarball \(.+\); download it again"),
        (lambda path: path.unlink(), r"cannot be read \(No such file or directory\); check"),
    ],
    ids=["cut", "gone"],
)
def test_a_tarball_that_breaks_after_its_tables_were_read(tmp_path, spoil, message):
    path = pack(tmp_path / "cv.tar.gz", make(tmp_path / "cv", TABLES))
    corpus = open_corpus(path)
    spoil(path)
    with pytest.raises(UserError, match=f"cv.tar.gz: {message}"):
        list(corpus.utterances)


def test_a_read_error_in_the_middle_of_a_tarball(tmp_path, monkeypatch):
    path = pack(tmp_path / "cv.tar.gz", make(tmp_path / "cv", TABLES))
    corpus, read_on = open_corpus(path), gzip.GzipFile.read

    def fail_later(file, size=-1):
        if file.tell() > 2048:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read_on(file, size)

    monkeypatch.setattr(gzip.GzipFile, "read", fail_later)
    with pytest.raises(UserError, match=r"cv.tar.gz: cannot be read \(Input/output error\); check its permissions"):
        list(corpus.utterances)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda path: path / "nowhere", "nowhere: no such corpus.*correct the source's path"),
        (lambda path: make(path / "cv", {}), "none of test.tsv, dev.tsv, train.tsv.*splits: speaker"),
        (lambda path: _write(path / "train.tsv", b"client_id\tpath\nA\ta.mp3\n"), "train.tsv: no column sentence"),
        (lambda path: _write(path / "train.tsv", b""), "train.tsv: no column client_id, path, sentence"),
        (lambda path: _write(path / "train.tsv", HEADER.encode("utf-16")), "train.tsv: not UTF-8"),
        (lambda path: _write(path / "cv.tar.gz", b"no archive") / "cv.tar.gz", "not a whole tarball"),
        (lambda path: _bad_disk(path / "cv.tar.gz") / "cv.tar.gz", r"cannot be read \(Input/output error\); check"),
        (lambda path: _bad_disk(path / "train.tsv"), r"train.tsv: cannot be read \(Input/output error\); check"),
    ],
    ids=["no folder", "no table", "no column", "empty table", "utf-16", "no tarball", "bad tarball", "bad table"],
)
def test_what_the_user_can_mend(tmp_path, prepare, message):
    with pytest.raises(UserError, match=message):
        read(prepare(tmp_path))


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path.parent


def _bad_disk(path: Path) -> Path:
    """A file whose first byte gives a read error: address 0 of a process."""
    path.symlink_to("/proc/self/mem")
    return path.parent


def test_real_recordings():
    path = SHARED / "common_voice_de"
    if not path.is_dir():
        pytest.skip(f"no real recordings in {SHARED}")
    items = read(path, "speaker")
    assert len(items) == 100
    assert all(isinstance(item, Utterance) and item.audio and item.text and item.speaker for item in items)
    with pytest.raises(UserError, match=r"choose splits: speaker"):
        read(path)


def test_a_clip_that_cannot_be_read_is_rejected_and_the_others_are_not(tmp_path):
    """A name that the file system refuses stands in for a bad disk, and for no permission, which root always has."""
    rows = f"A\t{300 * 'x'}\tEins\t2\nA\t\0.mp3\tZwei\t2\nA\ta.mp3\tDrei\t2\n"
    long, null, good = read(make(tmp_path, {"train.tsv": rows}))
    assert (long.reason, null.reason, good.text) == ("unreadable_audio", "unreadable_audio", "Drei")
    assert "File name too long" in long.detail


@pytest.mark.parametrize("packed", [False, True])
def test_a_line_that_is_no_row_is_said(tmp_path, packed):
    path = make(tmp_path / "cv", {"train.tsv": f"A\ta.mp3\tEins\t2\nA\tb.mp3\t{200_000 * 'x'}\t2\n"})
    if packed:
        path = pack(tmp_path / "cv.tar.gz", path)
    with pytest.raises(UserError, match=r"train.tsv:3: field larger than field limit .*; mend or remove this line"):
        read(path)


def test_only_a_split_by_speaker_promises_its_splits(tmp_path):
    make(tmp_path, TABLES | {"validated.tsv": "A\ta.mp3\tEins\t2\n"})
    for shares, promised in (((0.2, 0.2), ("train", "dev", "test")), ((0, 0.2), ("train", "test"))):
        speaker_hash = SpeakerHash(0, *shares)
        assert open_corpus(tmp_path, speaker_hash, "speaker").promised == promised
        assert open_corpus(tmp_path, speaker_hash, "official").promised == ()
