"""data_aishell.tgz, its inner tarballs, all unpacked or some of it: the same utterances."""

import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile

from asr.corpora import Corpus, SpeakerHash, read_corpus
from asr.errors import UserError
from asr.recording import Recording
from asr.utterance import Rejected, Utterance

SHARED = Path(__file__).parents[3].parent / "shared" / "data"
TEXTS = {
    "BAC009S0002W0122": ("train", "S0002", "而 对 楼市 成交 抑制 作用 最 大 的 限 购"),
    "BAC009S0002W0123": ("train", "S0002", "也 成为 地方 政府 的 眼中 钉"),
    "BAC009S0724W0121": ("dev", "S0724", "广州市 房地产 中介 协会 分析"),
    "BAC009S0764W0121": ("test", "S0764", "甚至 出现 交易 几乎 停滞 的 情况"),
}
FIRST = "BAC009S0002W0122"


def open_corpus(path: Path) -> Corpus:
    names = {"source": "s", "speakers": "aishell", "language": "zh", "domain": "d"}
    longest = {"train": 30.0, "dev": 30.0, "test": 30.0}
    return read_corpus("aishell", SpeakerHash(0, 0.2, 0.2, "by_clip"), longest, path=path, **names)


def read(path: Path) -> list:
    corpus = open_corpus(path)
    items = list(corpus.utterances)
    assert corpus.rows == len(items) or not corpus.exact
    return items


def make(root: Path, extra: str = "") -> Path:
    """data_aishell/, wholly unpacked."""
    for id, (split, speaker, _) in TEXTS.items():
        folder = root / "data_aishell" / "wav" / split / speaker
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{id}.wav").write_bytes(id.encode())
    (root / "data_aishell" / "transcript").mkdir()
    lines = "".join(f"{id} {text}\n" for id, (*_, text) in TEXTS.items())
    (root / "data_aishell" / "transcript" / "aishell_transcript_v0.8.txt").write_text(lines + extra, encoding="utf-8")
    return root / "data_aishell"


def pack_speakers(corpus: Path, form: str, keep: bool = False) -> None:
    """Each speaker's folder into a tarball: "S0002.tar.gz" as in the real corpus, or "train/S0002.tar.gz"."""
    wav = corpus / "wav"
    for folder in sorted(wav.glob("*/S*")):
        inner = folder.relative_to(wav if form == "S0002.tar.gz" else folder.parent)
        name = folder.name if form == "S0002.tar.gz" else f"{folder.parent.name}/{folder.name}"
        with tarfile.open(wav / f"{name}.tar.gz", "w:gz") as archive:
            archive.add(folder, arcname=str(inner))
        if not keep:
            shutil.rmtree(folder)


def pack(corpus: Path, path: Path, order: str = "wav transcript") -> Path:
    with tarfile.open(path, "w:gz" if path.suffix != ".tar" else "w") as archive:
        for name in order.split():
            archive.add(corpus / name, arcname=f"data_aishell/{name}")
    return path


def contents(items: list) -> list:
    """The items in the order of their ids, each with what a decoder would read of it."""

    def content(recording: Recording) -> bytes:
        opened = recording.open()
        return opened.read_bytes() if isinstance(opened, Path) else opened.read()

    with_audio = (replace(item, audio=content(item.audio) if item.audio else b"") for item in items)
    return sorted(with_audio, key=lambda item: item.id)


def test_an_unpacked_corpus_comes_test_first_and_without_spaces(tmp_path):
    items = read(make(tmp_path))
    assert [(item.id, item.split) for item in items] == [
        ("s/BAC009S0764W0121", "test"),
        ("s/BAC009S0724W0121", "dev"),
        ("s/BAC009S0002W0122", "train"),
        ("s/BAC009S0002W0123", "train"),
    ]
    recording = Recording(tmp_path / "data_aishell" / "wav" / "train" / "S0002" / f"{FIRST}.wav")
    text = "而对楼市成交抑制作用最大的限购"
    assert items[2] == Utterance(f"s/{FIRST}", recording, text, "zh", "aishell/S0002", "s", "d", "train")
    corpus = open_corpus(tmp_path)
    assert (set(corpus.promised), corpus.rows, corpus.exact) == ({"train", "dev", "test"}, 4, True)


@pytest.mark.parametrize("form", ["", "S0002.tar.gz", "train/S0002.tar.gz"])
@pytest.mark.parametrize("outer", ["", "data_aishell.tgz", "data_aishell.tar.gz", "data_aishell.tar"])
def test_every_form_gives_the_same(tmp_path, form, outer):
    expected = contents(read(make(tmp_path / "flat")))
    path = make(tmp_path / "packed")
    if form:
        pack_speakers(path, form)
    for order in ("wav transcript", "transcript wav"):
        if outer:
            path = pack(tmp_path / "packed" / "data_aishell", tmp_path / outer, order)
        assert contents(read(path)) == expected
        assert open_corpus(path).rows == 4


def test_inner_tarballs_may_be_partly_unpacked_and_left_there(tmp_path):
    corpus = make(tmp_path)
    expected = contents(read(corpus))
    pack_speakers(corpus, "S0002.tar.gz", keep=True)
    assert contents(read(corpus)) == expected
    (corpus / "wav" / "train" / "S0002" / f"{FIRST}.wav").unlink()
    shutil.rmtree(corpus / "wav" / "test")
    assert contents(read(corpus)) == expected
    assert [item.split for item in read(corpus)] == ["dev", "train", "train", "test"]


@pytest.mark.parametrize("form", ["", "S0002.tar.gz", "data_aishell.tgz"])
def test_recordings_and_lines_without_each_other(tmp_path, form):
    extra = f"BAC009S0764W0199 没有\nBAC009S0900W0001 没有\nBAC009S0002W0124\n{FIRST} 又\n\n"
    path = make(tmp_path, extra)
    folder = path / "wav" / "train" / "S0002"
    for name in ("BAC009S0002W0124", "BAC009S0002W0999"):
        (folder / f"{name}.wav").write_bytes(b"x")
    (path / "wav" / "noise").mkdir()
    (path / "wav" / "noise" / "BAC009S0002W0998.wav").write_bytes(b"x")
    if form:
        pack_speakers(path, "S0002.tar.gz")
    if form == "data_aishell.tgz":
        path = pack(path, tmp_path / form)
    items = read(path)
    rejected = [(item.reason, item.id, item.split, item.speaker) for item in items if isinstance(item, Rejected)]
    assert sorted(rejected) == [
        ("malformed_row", f"s/{FIRST}", "train", "aishell/S0002"),
        ("malformed_row", "s/BAC009S0002W0998", "train", "aishell/S0002"),
        ("missing_clip", "s/BAC009S0764W0199", "test", "aishell/S0764"),
        ("missing_clip", "s/BAC009S0900W0001", "train", "aishell/S0900"),
        ("no_text", "s/BAC009S0002W0999", "train", "aishell/S0002"),
    ]
    texts = {item.id: item.text for item in items if isinstance(item, Utterance)}
    assert (len(texts), texts["s/BAC009S0002W0124"], texts[f"s/{FIRST}"][:1]) == (5, "", "而")
    details = {item.id: item.detail for item in items if isinstance(item, Rejected)}
    assert "aishell_transcript_v0.8.txt:5: no BAC009S0764W0199.wav" in details["s/BAC009S0764W0199"]


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16"])
def test_a_transcript_that_was_saved_by_an_editor(tmp_path, coding):
    path = make(tmp_path)
    expected = read(path)
    transcript = path / "transcript" / "aishell_transcript_v0.8.txt"
    transcript.write_bytes(transcript.read_text(encoding="utf-8").replace("\n", "\r\n").encode(coding))
    assert read(path) == expected
    assert contents(read(pack(path, tmp_path / "a.tgz"))) == contents(expected)


def test_members_with_odd_names_and_kinds(tmp_path):
    path = make(tmp_path)
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        archive.add(path / "transcript", arcname="/data_aishell/transcript")
        for name in ("/etc/passwd.wav", f"../../train/S0002/{FIRST}.wav"):
            archive.add(path / "wav" / "train" / "S0002" / f"{FIRST}.wav", arcname=name)
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            member = tarfile.TarInfo("wav/train/S0002/BAC009S0002W0123.wav")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    items = read(tmp_path / "a.tgz")
    first, second, *missing = items
    assert (first.reason, second.id, second.audio.open().read()) == ("malformed_row", f"s/{FIRST}", FIRST.encode())
    assert [item.reason for item in missing] == 3 * ["missing_clip"]


def test_a_tarball_that_was_cut_is_noticed_wherever_the_cut_is(tmp_path):
    corpus = make(tmp_path)
    pack_speakers(corpus, "S0002.tar.gz")
    for path in (pack(corpus, tmp_path / "a.tgz"), corpus / "wav" / "S0764.tar.gz"):
        content = path.read_bytes()
        for length in range(20, len(content) - 30, 29):
            path.write_bytes(content[:length])
            with pytest.raises(UserError, match=rf"{path.name}: not a whole tarball \(.+\); download it again"):
                read(path if path.suffix == ".tgz" else corpus)
    with pytest.raises(UserError, match=r"a.tgz/data_aishell/wav/S0764.tar.gz: not a whole tarball"):
        read(pack(corpus, tmp_path / "a.tgz"))


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda path: path / "nowhere", "nowhere: no such file or folder; let path be data_aishell.tgz"),
        (lambda path: path, "no transcript/aishell_transcript_v0.8.txt in it; let path be"),
        (
            lambda path: pack(make(path), path / "a.tgz", "wav"),
            "a.tgz: no transcript/aishell_transcript_v0.8.txt in it",
        ),
        (lambda path: shutil.rmtree(make(path) / "wav") or path, r"wav: cannot be read \(No such file or directory\)"),
        (lambda path: make(path) / "transcript" / "aishell_transcript_v0.8.txt", "not a whole tarball"),
        (lambda path: _write(make(path) / "transcript" / "aishell_transcript_v0.8.txt"), "v0.8.txt: not UTF-8"),
    ],
    ids=["no folder", "no transcript", "none in the tarball", "no wav", "no tarball", "coding"],
)
def test_what_the_user_can_mend(tmp_path, prepare, message):
    with pytest.raises(UserError, match=message):
        open_corpus(prepare(tmp_path))


def _write(path: Path) -> Path:
    path.write_bytes("北京".encode("gbk"))
    return path.parents[1]


def test_a_real_recording(tmp_path):
    """An utterance of AISHELL-1, put back in its place, packed as the corpus is."""
    shard = SHARED / "webdataset_shard" / "shards" / "shards_000000000.tar"
    if not shard.is_file():
        pytest.skip(f"no {shard}")
    corpus = make(tmp_path)
    with tarfile.open(shard) as archive:
        content = archive.extractfile("test/resources/dataset/aishell-BAC009S0724W0121.wav").read()
        text = archive.extractfile("test/resources/dataset/aishell-BAC009S0724W0121.txt").read().decode()
    (corpus / "wav" / "dev" / "S0724" / "BAC009S0724W0121.wav").write_bytes(content)
    pack_speakers(corpus, "S0002.tar.gz")
    (item,) = (item for item in read(pack(corpus, tmp_path / "data_aishell.tgz")) if item.split == "dev")
    assert item.text == text.strip()
    assert soundfile.info(item.audio.open()).duration == pytest.approx(4.28, abs=0.01)
