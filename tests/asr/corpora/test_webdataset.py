"""The same shards, plain or compressed, give the same samples; what is no sample is rejected with its reason."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from asr.corpora import Corpus, SpeakerHash, read_corpus
from asr.errors import UserError
from asr.recording import Recording
from asr.utterance import Rejected, Segment

SHARED = Path(__file__).parents[3].parent / "shared" / "data"
LONGEST = {"train": 30.0, "dev": 30.0, "test": 30.0}


def open_corpus(path: Path, splits: dict[str, str] | None = None, **fields) -> Corpus:
    given = {
        "source": "s",
        "speakers": "s",
        "language": "de",
        "domain": "d",
        "samples_per_shard": 1000,
        "text_field": "text",
    }
    by_clip = SpeakerHash(0, 0.2, 0.2, "by_clip")
    splits = splits or {"train": "train"}
    return read_corpus("webdataset", by_clip, LONGEST, path=path, splits=splits, **(given | fields))


def read(path: Path, splits: dict[str, str] | None = None, **fields) -> list:
    return list(open_corpus(path, splits, **fields).utterances)


def shard(path: Path, *members: tuple[str, bytes | str | dict], mode: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:
        for name, content in members:
            if isinstance(content, dict):
                content = json.dumps(content)
            content = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def describe(folder: Path, total: int, *names: str) -> None:
    shards = [{"filename": name, "samples": total // len(names)} for name in names]
    (folder / "metadata.json").write_text(json.dumps({"total_samples": total, "shards": shards}))


def content(recording: Recording) -> bytes:
    return recording.open().read()


SAMPLES = [
    ("0001.wav", b"RIFF1"),
    ("0001.txt", "Guten Tag.\n"),
    ("a/b/0002.FLAC", b"flac"),
    ("a/b/0002.json", {"text": 'Er sagt:\t"Ja"', "language": "English", "speaker": 7, "domain": "news"}),
    ("0003.v2.opus", b"opus"),
    ("0003.v2.txt", "Dritter"),
]


@pytest.mark.parametrize(("name", "mode"), [("x.tar", "w"), ("x.tar.gz", "w:gz"), ("x.tgz", "w:gz")])
def test_plain_and_compressed_shards_give_the_same(tmp_path, name, mode):
    shard(tmp_path / "train" / name, *SAMPLES, mode=mode)
    items = read(tmp_path)
    assert [item.id for item in items] == ["s/train/x/0001", "s/train/x/a/b/0002", "s/train/x/0003"]
    assert [item.text for item in items] == ["Guten Tag.", 'Er sagt:\t"Ja"', "Dritter"]
    assert [content(item.audio) for item in items] == [b"RIFF1", b"flac", b"opus"]
    assert [(item.language, item.speaker, item.domain) for item in items][1] == ("en", "s/7", "news")
    assert [(item.language, item.speaker, item.domain) for item in items][2] == ("de", "", "d")
    assert all(item.audio.held == 0 for item in items) == (mode == "w")


def test_metadata_gives_the_order_and_the_rows(tmp_path, capsys):
    for name in "abc":
        shard(tmp_path / "train" / f"{name}.tar", ("1.wav", b"x"), ("1.txt", name))
    describe(tmp_path / "train", 2, "b.tar", "a.tar")
    corpus = open_corpus(tmp_path)
    assert (corpus.rows, corpus.exact, corpus.promised) == (2, False, ("train",))
    assert "does not name c.tar; read as well" in capsys.readouterr().out
    assert [item.text for item in corpus.utterances] == ["b", "a", "c"]
    assert "3 samples in its shards, 2 in its metadata.json" in capsys.readouterr().out


def test_a_right_number_of_samples_is_not_mentioned(tmp_path, capsys):
    shard(tmp_path / "train/a.tar", *SAMPLES)
    describe(tmp_path / "train", 3, "a.tar")
    assert len(read(tmp_path)) == 3
    assert capsys.readouterr().out == ""


def test_rows_are_a_guess_without_metadata(tmp_path, capsys):
    for name in "ab":
        shard(tmp_path / "train" / f"{name}.tar", *SAMPLES)
    assert open_corpus(tmp_path, samples_per_shard=50).rows == 100
    assert "no metadata.json; 2 shards of 50 samples" in capsys.readouterr().out


def test_ids_are_unique_among_shards_and_splits(tmp_path):
    for name in ("train/a", "train/b", "val_small/a"):
        shard(tmp_path / f"{name}.tar", *SAMPLES)
    items = read(tmp_path, {"train": "train", "dev": "val_small"})
    assert len({item.id for item in items}) == len(items) == 9
    assert [item.split for item in items] == ["dev"] * 3 + ["train"] * 6


def test_the_path_itself_may_be_the_folder_of_shards(tmp_path):
    shard(tmp_path / "a.tar", *SAMPLES)
    items = read(tmp_path, {"speaker": "."})
    assert [item.id for item in items] == ["s/a/0001", "s/a/a/b/0002", "s/a/0003"]
    assert all(item.split in LONGEST for item in items)


def test_what_is_no_utterance_is_rejected_with_its_reason(tmp_path):
    shard(
        tmp_path / "train/x.tar",
        ("1.wav", b"x"),
        ("2.txt", "Zwei"),
        ("3.wav", b"x"),
        ("3.json", '{"text": "Drei'),
        ("4.wav", b"x"),
        ("4.json", "[1]"),
        ("5.wav", b"x"),
        ("5.json", {"sentence": "Fünf"}),
        ("6.wav", b"x"),
        ("6.txt", "Sechs".encode("utf-16-le")[:-1] + b"\xff"),
        ("7.wav", b"x"),
        ("7.json", {"text": "Sieben", "language": "Klingon"}),
        ("8.wav", b"x"),
        ("8.json", {"text": "Acht", "segments": [{"start": 0, "end": "bald", "text": "Acht"}]}),
        ("9.wav", b"x"),
        ("9.mp3", b"x"),
        ("9.txt", "Neun"),
        ("10.wav", b"x"),
        ("10.json", {"text": "\ud800"}),
        ("11.wav", b"x"),
        ("11.txt", ""),
        ("12.wav", b"x"),
        ("12.txt", "Zwölf"),
        ("12.speaker.txt", "S17"),
        ("13.wav", b"x"),
        ("13.txt", "Dreizehn"),
        ("13.txt", "13"),
        (".hidden.wav", b"x"),
        ("LICENSE", b"x"),
    )
    items = read(tmp_path)
    assert {item.id.rpartition("/")[2]: item.reason for item in items if isinstance(item, Rejected)} == {
        "1": "no_text",
        "2": "missing_clip",
        "3": "malformed_row",
        "4": "malformed_row",
        "5": "no_text",
        "6": "malformed_row",
        "7": "malformed_row",
        "8": "malformed_row",
        "9": "malformed_row",
        "10": "malformed_row",
        "13": "malformed_row",
    }
    kept = [(item.id, item.text) for item in items if not isinstance(item, Rejected)]
    assert kept == [("s/train/x/11", ""), ("s/train/x/12", "Zwölf")]
    assert all("x.tar:" in item.detail for item in items if isinstance(item, Rejected))


def test_members_that_are_not_neighbours_are_no_sample(tmp_path):
    shard(tmp_path / "train/x.tar", ("1.wav", b"x"), ("2.wav", b"y"), ("2.txt", "Zwei"), ("1.txt", "Eins"))
    items = read(tmp_path)
    assert [getattr(item, "reason", item.id) for item in items] == ["no_text", "s/train/x/2", "missing_clip"]


def test_text_comes_from_the_field_or_the_segments_or_the_other_file(tmp_path):
    segments = [{"start": 0, "end": 1, "text": "Guten"}, {"start": 1, "end": 2.5, "text": "Tag"}]
    shard(
        tmp_path / "train/x.tar",
        ("1.wav", b"x"),
        ("1.json", {"sentence": "Eins", "text": "falsch"}),
        ("2.wav", b"x"),
        ("2.json", {"segments": segments}),
        ("3.wav", b"x"),
        ("3.json", {"speaker": "A"}),
        ("3.txt", "Drei"),
    )
    first, second, third = read(tmp_path, text_field="sentence")
    assert (first.text, second.text, third.text, third.speaker) == ("Eins", "Guten Tag", "Drei", "s/A")
    assert second.segments == (Segment(0, 1, "Guten"), Segment(1, 2.5, "Tag"))


def test_long_samples_are_cut(tmp_path):
    segments = [{"start": 20 * i, "end": 20 * i + 19, "text": f"{i}"} for i in range(3)]
    shard(tmp_path / "train/x.tar", ("1.wav", b"x"), ("1.json", {"segments": segments}))
    items = read(tmp_path)
    assert [(item.text, item.audio.start, item.audio.end) for item in items] == [
        ("0", 0, 19),
        ("1", 20, 39),
        ("2", 40, 59),
    ]
    assert {content(item.audio) for item in items} == {b"x"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_byte_order_marks_and_windows_line_ends(tmp_path, encoding):
    shard(
        tmp_path / "train/x.tar",
        ("1.wav", b"x"),
        ("1.txt", "Größe\r\n".encode(encoding)),
        ("2.wav", b"x"),
        ("2.json", '{"text":\r\n "Größe"}'.encode(encoding)),
    )
    assert [item.text for item in read(tmp_path)] == ["Größe", "Größe"]


def test_names_are_keys_and_links_are_nothing(tmp_path):
    path = shard(tmp_path / "train/x.tar", ("/etc/passwd.wav", b"x"), ("/etc/passwd.txt", "A"), ("../../b.wav", b"y"))
    with tarfile.open(path, "a") as tar:
        for name, kind in (("../../b.txt", tarfile.SYMTYPE), ("dev.wav", tarfile.CHRTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
    first, second = read(tmp_path)
    assert (first.id, content(first.audio)) == ("s/train/x//etc/passwd", b"x")
    assert (second.id, second.reason) == ("s/train/x/../../b", "no_text")


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_shard_that_was_cut_is_noticed_wherever_the_cut_is(tmp_path, mode):
    path = shard(tmp_path / "train/x.tar", *[(name, 600 * b"x") for name in ("1.wav", "1.txt", "2.wav")], mode=mode)
    whole = path.read_bytes()
    # The end: two blocks of zeros and zeros up to 10 kB, or gzip's checksum and length.
    end = 3 * (512 + 1024) if mode == "w" else len(whole) - 30
    for length in range(30, end, 97 if mode == "w" else 7):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"x.tar: not a whole tarball \(.+\); download it again"):
            read(tmp_path)


def test_a_broken_header_is_not_the_end_of_a_shard(tmp_path):
    path = shard(tmp_path / "train/x.tar", ("1.wav", b"x"), ("1.txt", "A"), ("2.wav", b"x"), ("2.txt", "B"))
    whole = path.read_bytes()
    path.write_bytes(whole[:2048] + b"garbage!" * 64 + whole[2560:])
    with pytest.raises(UserError, match=r"x.tar: not a whole tarball"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (
            '{"total_samples": 3, "shards": [{"filename": "gone.tar"}]}',
            "gone.tar: no such file.*metadata.json names it",
        ),
        (
            '{"total_samples": 3, "shards": [{"filename": "../../etc/passwd"}]}',
            "metadata.json: not {.*mend it, or remove it",
        ),
        ('{"total_samples": 3, "sha', "metadata.json: not {.*mend it, or remove it"),
        ('{"total_samples": "many"}', "metadata.json: not {.*mend it, or remove it"),
        ("[]", "metadata.json: not {.*mend it, or remove it"),
    ],
    ids=["gone", "outside", "cut", "no number", "no object"],
)
def test_metadata_that_the_user_can_mend(tmp_path, metadata, message):
    shard(tmp_path / "train/x.tar", *SAMPLES)
    (tmp_path / "train/metadata.json").write_text(metadata)
    with pytest.raises(UserError, match=message):
        open_corpus(tmp_path)


def test_folders_that_the_user_can_mend(tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(UserError, match=r"train: no shards \(\*\.tar"):
        open_corpus(tmp_path)
    with pytest.raises(UserError, match=r"nowhere: no such file or folder; correct"):
        open_corpus(tmp_path, {"train": "nowhere"})
    with pytest.raises(UserError, match=r"\.\./other: outside of"):
        open_corpus(tmp_path, {"train": "../other"})


def test_a_real_shard():
    path = SHARED / "webdataset_shard"
    if not path.is_dir():
        pytest.skip(f"no real recordings in {SHARED}")
    first, second = read(path, {"train": "shards"})
    assert first.id == "s/shards/shards_000000000/test/resources/dataset/aishell-BAC009S0724W0121"
    assert first.text == "广州市房地产中介协会分析"
    assert second.text.startswith("IT WAS THE FIRST GREAT SORROW OF HIS LIFE")
    assert [len(content(item.audio)) for item in (first, second)] == [137036, 279404]
    assert all(content(item.audio).startswith(b"RIFF") for item in (first, second))
