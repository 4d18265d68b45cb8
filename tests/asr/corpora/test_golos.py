"""WAV or Opus, unpacked or a tarball, manifests or TSV files: the same utterances."""

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from asr.corpora import Corpus, SpeakerHash, read_corpus
from asr.errors import UserError
from asr.recording import Recording
from asr.utterance import Rejected, Utterance

SHARED = Path(__file__).parents[3].parent / "shared" / "data"


def open_corpus(path: Path, splits: str = "official") -> Corpus:
    names = {"source": "s", "speakers": "s", "language": "ru", "domain": "d"}
    longest = {"train": 30.0, "dev": 30.0, "test": 30.0}
    return read_corpus("golos", SpeakerHash(0, 0.2, 0.2, "by_clip"), longest, path=path, splits=splits, **names)


def read(path: Path, splits: str = "official") -> list:
    corpus = open_corpus(path, splits)
    items = list(corpus.utterances)
    assert (corpus.rows, corpus.exact) == (len(items), True)
    return items


def line(id: str, file: str, text: str = "да", duration: float = 1.5) -> str:
    return json.dumps({"id": id, "audio_filepath": file, "text": text, "duration": duration}, ensure_ascii=False) + "\n"


def make(root: Path, edition: str = "", ending: str = ".wav") -> Path:
    """Golos's own layout: paths from the manifest's folder."""
    train, crowd, farfield = root / f"train{edition}", root / f"test{edition}/crowd", root / f"test{edition}/farfield"
    for folder, files in (
        (train, ("crowd/0/a", "crowd/9/b", "farfield/c")),
        (crowd, ("files/d",)),
        (farfield, ("files/e",)),
    ):
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / f"{file}{ending}").write_bytes(file[-1].encode())
        lines = [line(file[-1], file + ending, f"текст {file[-1]}") for file in files]
        (folder / "manifest.jsonl").write_text("".join(lines), encoding="utf-8")
        (folder / "10min.jsonl").write_text(lines[0], encoding="utf-8")
    return root


def pack(folder: Path, path: Path, mode: str, arcname: str = ".") -> Path:
    with tarfile.open(path, mode) as archive:
        archive.add(folder, arcname=arcname)
    return path


def contents(items: list) -> list:
    """The items in the order of their ids, each with what a decoder would read of it."""

    def content(recording: Recording) -> bytes:
        opened = recording.open()
        return opened.read_bytes() if isinstance(opened, Path) else opened.read()

    return sorted((replace(item, audio=content(item.audio)) for item in items), key=lambda item: item.id)


def test_official_splits_come_test_first_with_where_they_were_recorded(tmp_path):
    items = read(make(tmp_path))
    assert [(item.id, item.split, item.origin) for item in items] == [
        ("s/d", "test", "crowd"),
        ("s/e", "test", "farfield"),
        ("s/a", "train", "crowd"),
        ("s/b", "train", "crowd"),
        ("s/c", "train", "farfield"),
    ]
    recording = Recording(tmp_path / "test" / "crowd" / "files" / "d.wav")
    assert items[0] == Utterance("s/d", recording, "текст d", "ru", "", "s", "d", "test", 1.5, origin="crowd")
    assert open_corpus(tmp_path).promised == ("test", "train")


@pytest.mark.parametrize("edition", ["", "_golos", "_opus"])
@pytest.mark.parametrize("inside", ["", "golos_opus"])
@pytest.mark.parametrize("packed", ["", "tar", "tar.gz", "tgz"])
def test_every_layout_gives_the_same(tmp_path, edition, inside, packed):
    expected = contents(read(make(tmp_path / "flat")))
    make(tmp_path / "corpus" / inside, edition, ".opus" if edition == "_opus" else ".wav")
    path = tmp_path / "corpus"
    if packed:
        path = pack(path, tmp_path / f"golos.{packed}", "w" if packed == "tar" else "w:gz")
    assert contents(read(path)) == expected


def test_paths_may_start_from_the_corpus(tmp_path):
    """As they do in manifests that were rewritten for NeMo, relative or absolute."""
    expected = contents(read(make(tmp_path)))
    for start in ("train/", f"{tmp_path}/train/"):
        manifest = tmp_path / "train" / "manifest.jsonl"
        manifest.write_text("".join(line(file[-1], f"{start}{file}.wav", f"текст {file[-1]}") for file in FILES))
        assert contents(read(tmp_path)) == expected


FILES = ("crowd/0/a", "crowd/9/b", "farfield/c")


def test_a_plain_tarball_gives_places_a_compressed_one_bytes(tmp_path):
    make(tmp_path / "golos")
    plain = read(pack(tmp_path / "golos", tmp_path / "golos.tar", "w"))
    assert {item.audio.source for item in plain} == {tmp_path / "golos.tar"}
    packed = read(pack(tmp_path / "golos", tmp_path / "golos.tar.gz", "w:gz"))
    assert {item.audio.source for item in packed} == {b"a", b"b", b"c", b"d", b"e"}


def test_all_of_it_may_be_divided_anew(tmp_path):
    corpus = open_corpus(make(tmp_path), "speaker")
    assert (set(corpus.promised), corpus.rows) == ({"train", "dev", "test"}, 5)
    assert {item.split for item in corpus.utterances} <= {"train", "dev", "test"}
    (tmp_path / "one").mkdir()
    (tmp_path / "train").rename(tmp_path / "one" / "everything")
    assert len(read(tmp_path / "one", "speaker")) == 3


def test_lists_of_path_and_text(tmp_path):
    """The Russian guide's form: no header, paths from the corpus's folder, also for lists further below."""
    (tmp_path / "crowd").mkdir()
    for name in ("a.wav", "b.wav", "crowd/c.wav", "crowd/a.wav"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "list.tsv").write_bytes('a.wav\tона "да"\r\nb.wav\tнет\r\n'.encode("utf-8-sig"))
    (tmp_path / "crowd" / "list.tsv").write_text("path\ttext\ncrowd/c.wav\tещё\na.wav\tдва\nc.wav\tтри\n")
    items = read(tmp_path, "speaker")
    assert [(item.id, item.text, item.origin) for item in items] == [
        ("s/crowd/c.wav", "ещё", "crowd"),
        ("s/a.wav", "два", ""),
        ("s/c.wav", "три", "crowd"),
        ("s/a.wav", 'она "да"', ""),
        ("s/b.wav", "нет", ""),
    ]
    with pytest.raises(UserError, match=r"crowd/list.tsv: TSV lists have no official splits; set splits: speaker"):
        open_corpus(tmp_path)


@pytest.mark.parametrize("packed", [False, True])
def test_what_is_no_utterance_is_rejected_with_its_reason(tmp_path, packed):
    lines = {
        line("a", "a.wav"): "",
        line("empty", "a.wav", ""): "",  # the shared checks say what no text means
        line("gone", "gone.wav"): "missing_clip",
        line("case", "A.wav"): "missing_clip",
        line("up", "../../../etc/passwd"): "outside_corpus",
        line("root", "/etc/passwd"): "outside_corpus",
        line("null", "a\0.wav"): "outside_corpus",
        line("surrogate", "a.wav").replace("да", "\\ud800"): "malformed_row",
        line("long", f"{300 * 'x'}.wav"): "missing_clip" if packed else "unreadable_audio",
        '{"id": "file", "text": "да"}\n': "malformed_row",
        '{"id": "silent", "audio_filepath": "a.wav"}\n': "no_text",
        '{"id": "number", "audio_filepath": "a.wav", "text": 7}\n': "malformed_row",
        line("seconds", "a.wav", duration="long"): "malformed_row",
        line("nan", "a.wav", duration=float("nan")): "malformed_row",
        '["a.wav"]\n': "malformed_row",
        line("cut", "a.wav")[:30]: "malformed_row",
    }
    (tmp_path / "golos" / "train").mkdir(parents=True)
    (tmp_path / "golos" / "train" / "a.wav").write_bytes(b"a")
    manifest = "\ufeff\r\n" + "".join(lines).replace("\n", "\r\n")
    (tmp_path / "golos" / "train" / "manifest.jsonl").write_text(manifest, encoding="utf-8", newline="")
    path = pack(tmp_path / "golos", tmp_path / "g.tar.gz", "w:gz") if packed else tmp_path / "golos"
    rejected = [item for item in read(path) if isinstance(item, Rejected)]
    assert [item.reason for item in rejected] == [reason for reason in lines.values() if reason]
    assert rejected[-1].id == "s/train/manifest.jsonl:17"
    assert all(item.detail.startswith("train/manifest.jsonl:") for item in rejected)
    assert len({item.id for item in rejected}) == len(rejected)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["manifest.jsonl", "list.tsv"])
def test_a_line_that_is_not_utf8_is_rejected_and_the_others_are_not(tmp_path, packed, name):
    folder = tmp_path / "golos"
    folder.mkdir()
    for file in "ab":
        (folder / f"{file}.wav").write_bytes(b"x")
    good, bad = ("a.wav\tда\n", "b.wav\tда\n") if name == "list.tsv" else (line("a", "a.wav"), line("b", "b.wav"))
    (folder / name).write_bytes(good.encode() + bad.encode("koi8-r"))
    items = read(pack(folder, tmp_path / "g.tar.gz", "w:gz") if packed else folder, "speaker")
    assert {getattr(item, "text", "") or item.reason for item in items} == {"да", "malformed_row"}


def test_a_table_of_more_than_two_columns_loses_no_text(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"a")
    (tmp_path / "list.tsv").write_text("a.wav\tда\tнет\na.wav\n\tда\n")
    assert [item.reason for item in read(tmp_path, "speaker")] == 3 * ["malformed_row"]


def test_members_with_odd_names_and_kinds_are_no_recordings(tmp_path):
    with tarfile.open(tmp_path / "golos.tar.gz", "w:gz") as archive:
        names = ("/etc/abs.wav", "../../up.wav", "train/link.wav", "train/device.wav", "train/a.wav")
        files = {name: b"x" for name in names} | {"train/manifest.jsonl": "".join(line(n, n) for n in names).encode()}
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            if "link" in name:
                member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc/passwd", 0
            if "device" in name:
                member.type, member.size = tarfile.CHRTYPE, 0
            archive.addfile(member, io.BytesIO(content))
    reasons = [item.reason if isinstance(item, Rejected) else item.id for item in read(tmp_path / "golos.tar.gz")]
    assert reasons == ["outside_corpus", "outside_corpus", "missing_clip", "missing_clip", "s/train/a.wav"]


def test_two_rows_may_share_a_recording(tmp_path):
    make(tmp_path / "golos")
    manifest = tmp_path / "golos" / "train" / "manifest.jsonl"
    manifest.write_text(manifest.read_text() + line("again", "crowd/0/a.wav"))
    assert contents(read(pack(tmp_path / "golos", tmp_path / "g.tar", "w"))) == contents(read(tmp_path / "golos"))


def test_a_corpus_on_two_disks_and_a_link_to_itself(tmp_path):
    make(tmp_path / "disk")
    (tmp_path / "golos").mkdir()
    (tmp_path / "golos" / "train").symlink_to(tmp_path / "disk" / "train")
    (tmp_path / "golos" / "again").symlink_to(tmp_path / "golos")
    assert [item.id for item in read(tmp_path / "golos")] == ["s/a", "s/b", "s/c"]


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda path: path / "nowhere", "nowhere: no such file or folder; download Golos"),
        (lambda path: path, "no manifest.jsonl below it and no .*tsv; correct the source's path"),
        (
            lambda path: make(path) / "train",
            r"manifest.jsonl: in no folder train… or test…; let path be.*splits: speaker",
        ),
        (lambda path: make(path / "testing"), r"testing/manifest.jsonl: in no folder train"),
        (lambda path: make(path) / "train" / "manifest.jsonl", "neither a folder nor a tarball"),
        (
            lambda path: _write(path / "train" / "manifest.jsonl", b'{"id": "\xff"}\n'),
            "train/manifest.jsonl: not UTF-8",
        ),
        (lambda path: _write(path / "golos.tar", b"no tarball") / "golos.tar", "not a whole tarball"),
    ],
    ids=["no folder", "no list", "inside of train", "testing", "a manifest", "coding", "no tarball"],
)
def test_what_the_user_can_mend(tmp_path, prepare, message):
    path = prepare(tmp_path)
    if path.name == "testing":
        (path / "train").rename(path / "x")
        (path / "x" / "manifest.jsonl").rename(path / "manifest.jsonl")
        path = path.parent
    with pytest.raises(UserError, match=message):
        open_corpus(path)


def _write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path.parents[1] if path.suffix == ".jsonl" else path.parent


def test_a_tarball_that_was_cut_is_noticed_wherever_the_cut_is(tmp_path):
    path = pack(make(tmp_path / "golos"), tmp_path / "golos.tar.gz", "w:gz")
    content = path.read_bytes()
    for length in range(20, len(content) - 30, 41):
        path.write_bytes(content[:length])
        with pytest.raises(UserError, match=r"golos.tar.gz: not a whole tarball \(.+\); download it again"):
            read(path)


def test_real_recordings(tmp_path):
    path = SHARED / "common_voice_ru"
    if not path.is_dir():
        pytest.skip(f"no real recordings in {SHARED}")
    rows = (row.split("\t") for row in (path / "validated.tsv").read_text(encoding="utf-8").splitlines()[1:])
    (tmp_path / "clips").symlink_to(path / "clips")
    (tmp_path / "list.tsv").write_text("".join(f"clips/{row[1]}\t{row[2]}\n" for row in rows), encoding="utf-8")
    items = read(tmp_path, "speaker")
    assert len({item.id for item in items}) == 100
    assert all(isinstance(item, Utterance) and item.text for item in items)
