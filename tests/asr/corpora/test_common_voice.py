"""The same corpus as a folder, below a language's folder, and as a tarball gives the same utterances."""

import errno
import gzip
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from asr.corpora import Corpus, SpeakerHash, read_corpus
from asr.errors import UserError
from asr.recording import Recording
from asr.utterance import Rejected, Utterance

SHARED = Path(__file__).parents[3].parent / "shared" / "data"
HEADER = "client_id\tpath\tsentence\tup_votes\tdown_votes\n"
BY_SPEAKER = SpeakerHash(seed=0, dev_share=0.2, test_share=0.2)
MODES = {"cv.tar.gz": "w:gz", "cv.tar": "w"}
FORMS = ["folder", *MODES]


def open_corpus(path: Path, split: SpeakerHash = BY_SPEAKER, splits="official", min_votes=0) -> Corpus:
    fields = {"source": "cv", "speakers": "mozilla", "language": "de", "domain": "d", "path": path}
    longest = {"train": 30.0, "dev": 30.0, "test": 30.0}
    return read_corpus("common_voice", split, longest, splits=splits, min_votes=min_votes, **fields)


def read(path: Path, splits: str = "official", split: SpeakerHash = BY_SPEAKER, min_votes: int = 0) -> list:
    corpus = open_corpus(path, split, splits, min_votes)
    items = list(corpus.utterances)
    assert len(items) == corpus.rows
    return items


def content_of(item: Utterance) -> bytes:
    opened = item.audio.open()
    return opened.read_bytes() if isinstance(opened, Path) else opened.read()


def with_content(items: list) -> list:
    """The items in one order, rejections without their details, utterances with their bytes."""
    items = [
        replace(item, detail="") if isinstance(item, Rejected) else replace(item, audio=content_of(item))
        for item in items
    ]
    return sorted(items, key=lambda item: (item.id, item.split))


def make(folder: Path, tables: dict[str, str], clips: str = "abcdef") -> Path:
    (folder / "clips").mkdir(parents=True)
    for clip in clips:
        (folder / "clips" / f"{clip}.mp3").write_bytes(clip.encode())
    for name, rows in tables.items():
        (folder / name).write_text(HEADER + rows, encoding="utf-8")
    return folder


def pack(path: Path, folder: Path) -> Path:
    with tarfile.open(path, MODES[path.name]) as archive:
        archive.add(folder, arcname="cv")
    return path


def as_form(form: str, folder: Path) -> Path:
    return folder if form == "folder" else pack(folder.parent / form, folder)


TABLES = {
    "train.tsv": 'A\ta.mp3\tEr sagt: "Ja", und geht.\t2\t0\nA\tb.mp3\tZwei\t2\t0\n',
    "dev.tsv": "B\tc.mp3\tDrei\t2\t0\n",
    "test.tsv": "C\td.mp3\tVier\t2\t0\n",
}


def test_official_splits(tmp_path):
    first, *_, third, last = items = read(make(tmp_path, TABLES))
    assert [item.split for item in items] == ["test", "dev", "train", "train"]
    assert first == Utterance(
        "cv/d.mp3", Recording(tmp_path / "clips/d.mp3"), "Vier", "de", "mozilla/C", "cv", "d", "test"
    )
    assert third.text == 'Er sagt: "Ja", und geht.'
    assert (content_of(last), last.speaker) == (b"b", "mozilla/A")


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
    assert with_content(read(path)) == with_content(expected)


def test_only_the_asked_for_language_of_several(tmp_path):
    make(tmp_path / "de", TABLES)
    make(tmp_path / "fr", {"train.tsv": "F\ta.mp3\tUn\t1\t0\n"})
    assert len(read(tmp_path)) == 4
    with tarfile.open(tmp_path / "both.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "fr", arcname="cv/fr")
        archive.add(tmp_path / "de", arcname="cv/de")
    assert len(read(tmp_path / "both.tar.gz")) == 4


WRONG = (
    "A\ta.mp3\tEins\t2\t0\nA\tgone.mp3\tZwei\t2\t0\nA\tb.mp3\t  \t2\t0\nA\tc.mp3\nA\t../train.tsv\tx\t2\t0\n"
    "A\td.mp3\tx\t2\t0\tmore\nA\t\tx\t2\t0\nA\t/etc/passwd\tx\t2\t0\nA\t../../etc/passwd\tx\t2\t0\nA\n"
    "A\tA.mp3\tx\t2\t0\nA\t./e.mp3\tx\t2\t0\nA\t\0.mp3\tx\t2\t0\n"
)


@pytest.mark.parametrize("form", FORMS)
def test_what_is_no_utterance_is_rejected_with_its_reason_and_place(tmp_path, form):
    items = read(as_form(form, make(tmp_path / "cv", {"train.tsv": WRONG})))
    rejected = {item.id: item for item in items if isinstance(item, Rejected)}
    assert {id: item.reason for id, item in rejected.items()} == {
        "cv/gone.mp3": "missing_clip",
        "cv/c.mp3": "malformed_row",
        "cv/../train.tsv": "outside_corpus",
        "cv/d.mp3": "malformed_row",
        "cv/train.tsv:8": "outside_corpus",
        "cv//etc/passwd": "outside_corpus",
        "cv/../../etc/passwd": "outside_corpus",
        "cv/train.tsv:11": "malformed_row",
        "cv/A.mp3": "missing_clip",  # a name in another case is another name
        "cv/\0.mp3": "outside_corpus",
    }
    good = [item for item in items if isinstance(item, Utterance)]
    assert [(item.id, item.text) for item in good] == [("cv/a.mp3", "Eins"), ("cv/b.mp3", "  "), ("cv/e.mp3", "x")]
    assert len({item.id for item in items}) == len(items)
    assert "train.tsv:3: no " in rejected["cv/gone.mp3"].detail
    assert "train.tsv:5: not as many fields" in rejected["cv/c.mp3"].detail


def test_a_name_that_the_file_system_refuses_is_rejected_and_the_others_are_not(tmp_path):
    rows = f"A\t{300 * 'x'}.mp3\tEins\t2\t0\nA\ta.mp3\tZwei\t2\t0\n"
    long, good = read(make(tmp_path, {"train.tsv": rows}))
    assert (long.reason, good.text) == ("unreadable_audio", "Zwei")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_rejects_the_same(tmp_path, form):
    path = make(tmp_path / "cv", TABLES | {"train.tsv": WRONG})
    assert with_content(read(as_form(form, path), min_votes=2)) == with_content(read(path, min_votes=2))


@pytest.mark.parametrize("form", FORMS)
def test_clips_that_were_voted_down(tmp_path, form):
    votes = {"a": (2, 0), "b": (3, 2), "c": (2, 2), "d": (1, 3), "e": ("", 0), "f": ("two", 0)}
    rows = "".join(f"A\t{clip}.mp3\tx\t{up}\t{down}\n" for clip, (up, down) in votes.items())
    path = as_form(form, make(tmp_path / "cv", {"train.tsv": rows}))
    for min_votes, good in ((0, "abcdef"), (1, "ab"), (2, "a"), (3, "")):
        items = read(path, min_votes=min_votes)
        assert sorted(item.id[3] for item in items if isinstance(item, Utterance)) == list(good)
        reasons = {item.id[3]: item.reason for item in items if isinstance(item, Rejected)}
        assert reasons.pop("f", "malformed_row") == "malformed_row"
        assert set(reasons.values()) <= {"too_few_votes"}
    assert "train.tsv:5: 1 for it, 3 against it; min_votes is 3" in {item.id: item.detail for item in items}["cv/d.mp3"]


def test_a_table_without_votes_has_no_clip_voted_down(tmp_path):
    make(tmp_path, {})
    (tmp_path / "train.tsv").write_text("client_id\tpath\tsentence\nA\ta.mp3\tEins\n", encoding="utf-8")
    assert [item.text for item in read(tmp_path, min_votes=2)] == ["Eins"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("column", ["duration[ms]", "duration"])
def test_lengths_where_the_corpus_tells_them(tmp_path, form, column):
    path = make(tmp_path / "cv", TABLES)
    lengths = f"clip\t{column}\na.mp3\t4536\nb.mp3\tunknown\nc.mp3\tnan\ngone.mp3\t1\n"
    (path / "clip_durations.tsv").write_text(lengths, encoding="utf-8")
    seconds = {item.id: item.seconds for item in read(as_form(form, path))}
    assert seconds == {"cv/a.mp3": 4.536, "cv/b.mp3": 0, "cv/c.mp3": 0, "cv/d.mp3": 0}


@pytest.mark.parametrize("form", FORMS)
def test_lengths_without_their_column_are_said(tmp_path, form):
    path = make(tmp_path / "cv", TABLES)
    (path / "clip_durations.tsv").write_text("clip\tseconds\na.mp3\t4\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"clip_durations.tsv: no column duration\[ms\]; .*remove the file"):
        read(as_form(form, path))


@pytest.mark.parametrize("form", FORMS)
def test_a_clip_that_two_rows_name_is_read_for_both(tmp_path, form):
    tables = {"train.tsv": "A\ta.mp3\tEins\t2\t0\n", "test.tsv": "B\ta.mp3\tZwei\t2\t0\n"}
    items = read(as_form(form, make(tmp_path / "cv", tables)))
    assert [(item.split, item.text, content_of(item)) for item in items] == [
        ("test", "Zwei", b"a"),
        ("train", "Eins", b"a"),
    ]


def test_a_plain_tarball_gives_places_and_a_compressed_one_bytes(tmp_path):
    folder = make(tmp_path / "cv", TABLES)
    assert {item.audio.source for item in read(pack(tmp_path / "cv.tar", folder))} == {tmp_path / "cv.tar"}
    items = read(pack(tmp_path / "cv.tar.gz", folder))
    assert {item.audio.source for item in items} == {b"a", b"b", b"c", b"d"}


def test_a_tarball_with_absolute_names_and_links(tmp_path):
    make(tmp_path / "cv", TABLES)
    with tarfile.open(tmp_path / "cv.tar.gz", "w:gz") as archive:
        for file in sorted((tmp_path / "cv").rglob("*.*")):
            member = archive.gettarinfo(file)
            member.name = f"/data/{file.relative_to(tmp_path)}"
            if file.name == "a.mp3":
                member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc/passwd", 0
            archive.addfile(member, file.open("rb"))
    items = {item.id: item for item in read(tmp_path / "cv.tar.gz")}
    assert items.pop("cv/a.mp3").reason == "missing_clip"
    assert {id: content_of(item) for id, item in items.items()} == {
        "cv/b.mp3": b"b",
        "cv/c.mp3": b"c",
        "cv/d.mp3": b"d",
    }


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings_and_line_ends(tmp_path, form, encoding, end):
    path = make(tmp_path / "cv", {})
    rows = HEADER + 'A\ta.mp3\t"Größe" 北京\u2028\t2\t0\n'
    (path / "train.tsv").write_bytes(rows.replace("\n", end).encode(encoding))
    items = read(as_form(form, path), min_votes=2)
    assert [(item.speaker, item.text) for item in items] == [("mozilla/A", '"Größe" 北京\u2028')]


@pytest.mark.parametrize("form", FORMS)
def test_a_row_that_is_not_utf8_is_rejected_and_the_others_are_not(tmp_path, form):
    path = make(tmp_path / "cv", {})
    rows = f"{HEADER}A\ta.mp3\tGröße\t2\t0\n".encode() + "A\tb.mp3\tGröße\t2\t0\n".encode("latin-1")
    (path / "train.tsv").write_bytes(rows)
    items = {item.id: item for item in read(as_form(form, path))}
    assert (items["cv/a.mp3"].text, items["cv/b.mp3"].reason) == ("Größe", "malformed_row")


def test_speakers_do_not_move_when_rows_are_added_and_are_in_one_split(tmp_path):
    row = "S{0}\ta.mp3\tSatz {1}\t2\t0\n".format
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
        (lambda path: path / "nowhere", "nowhere: no such file or folder; download it.*correct the source's path"),
        (lambda path: make(path / "cv", {}), "none of test.tsv, dev.tsv, train.tsv.*splits: speaker"),
        (lambda path: _write(path / "train.tsv", b"client_id\tpath\nA\ta.mp3\n"), "train.tsv: no column sentence"),
        (lambda path: _write(path / "train.tsv", b""), "train.tsv: no column client_id, path, sentence"),
        (lambda path: _write(path / "train.tsv", b"\xff" + HEADER.encode()), "train.tsv: not UTF-8"),
        (lambda path: _write(path / "cv.tar.gz", b"no archive") / "cv.tar.gz", "not a whole tarball"),
        (lambda path: _bad_disk(path / "cv.tar.gz") / "cv.tar.gz", r"cannot be read \(Input/output error\); check"),
        (lambda path: _bad_disk(path / "train.tsv"), r"train.tsv: cannot be read \(Input/output error\); check"),
    ],
    ids=["no folder", "no table", "no column", "empty table", "latin-1", "no tarball", "bad tarball", "bad table"],
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


@pytest.mark.parametrize("folder", ["common_voice_de", "common_voice_en", "common_voice_ru", "common_voice_zh-CN"])
def test_real_recordings(folder):
    path = SHARED / folder
    if not path.is_dir():
        pytest.skip(f"no real recordings in {SHARED}")
    items = read(path, "speaker", min_votes=1)
    assert len(items) == len({item.id for item in items}) == 100
    assert all(
        isinstance(item, Utterance) and item.audio.source.is_file() and item.text and item.speaker for item in items
    )
    with pytest.raises(UserError, match=r"choose splits: speaker"):
        read(path)


@pytest.mark.parametrize("form", FORMS)
def test_a_line_that_is_no_row_is_rejected(tmp_path, form):
    path = make(tmp_path / "cv", {"train.tsv": f"A\ta.mp3\tEins\t2\t0\nA\tb.mp3\t{10_000_001 * 'x'}\t2\t0\n"})
    (rejected,) = (item for item in read(as_form(form, path)) if isinstance(item, Rejected))
    assert (rejected.id, rejected.reason) == ("cv/train.tsv:3", "malformed_row")


def test_only_a_split_by_speaker_promises_its_splits(tmp_path):
    make(tmp_path, TABLES | {"validated.tsv": "A\ta.mp3\tEins\t2\t0\n"})
    for shares, promised in (((0.2, 0.2), ("train", "dev", "test")), ((0, 0.2), ("train", "test"))):
        speaker_hash = SpeakerHash(0, *shares)
        assert open_corpus(tmp_path, speaker_hash, "speaker").promised == promised
        assert open_corpus(tmp_path, speaker_hash, "official").promised == ()
