"""The same manifest with files, and with tars, gives the same utterances."""

import io
import json
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from asr.corpora import Corpus, SpeakerHash, read_corpus
from asr.errors import UserError
from asr.recording import Recording
from asr.utterance import Rejected, Segment

LONGEST = {"train": 30.0, "dev": 30.0, "test": 30.0}


def open_corpus(path: Path, splits: dict[str, str] | None = None, **fields) -> Corpus:
    given = {"source": "s", "speakers": "s", "language": "de", "domain": "d", "tars": {}, "text_field": "text"}
    by_clip = SpeakerHash(0, 0.2, 0.2, "by_clip")
    splits = splits or {"train": "m.json"}
    return read_corpus("nemo", by_clip, LONGEST, path=path, splits=splits, **(given | fields))


def read(path: Path, splits: dict[str, str] | None = None, **fields) -> list:
    corpus = open_corpus(path, splits, **fields)
    items = list(corpus.utterances)
    assert len(items) == corpus.rows
    return items


def write(path: Path, entries: Iterable[dict], encoding: str = "utf-8", end: str = "\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(json.dumps(entry, ensure_ascii=False) + end for entry in entries).encode(encoding))
    return path


def tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def content(recording: Recording) -> bytes:
    opened = recording.open()
    return opened.read_bytes() if isinstance(opened, Path) else opened.read()


def pairs(items: list) -> list[tuple[str, bytes]]:
    """Text and recording of each utterance."""
    return [(item.text, content(item.audio)) for item in items if not isinstance(item, Rejected)]


ENTRIES = [
    {"audio_filepath": "audio/0.wav", "text": 'Er sagt:\t"Ja"', "duration": 3.2, "speaker": "A", "lang": "en"},
    {
        "audio_filepath": "audio/1.wav",
        "text": "Zwei",
        "duration": 2,
        "speaker": 7,
        "language": "German",
        "domain": "news",
    },
    {"audio_filepath": "audio/2.wav", "duration": 1.5},
    {"audio_filepath": "audio/0.wav", "text": "Stück", "offset": 12.4, "duration": 2.1},
]
FILES = {f"audio/{i}.wav": f"RIFF{i}".encode() for i in range(3)}


def with_files(path: Path, entries: Iterable[dict] = ENTRIES, files: dict[str, bytes] = FILES) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    write(path / "m.json", entries)
    return path


def test_what_a_manifest_says(tmp_path):
    first, second, third, fourth = read(with_files(tmp_path))
    assert (first.id, first.text, first.language, first.speaker) == ("s/audio/0.wav", 'Er sagt:\t"Ja"', "en", "s/A")
    assert (first.domain, first.split, first.seconds, first.source) == ("d", "train", 3.2, "s")
    assert first.audio == Recording(tmp_path / "audio/0.wav")
    assert (second.language, second.speaker, second.domain) == ("de", "s/7", "news")
    assert (third.text, third.speaker) == ("", "")
    assert (fourth.id, fourth.audio.start, fourth.audio.end) == ("s/audio/0.wav#12.4-14.5", 12.4, 14.5)


def test_stretches_with_one_start_have_ids_of_their_own(tmp_path):
    stretches = [{"offset": 1, "duration": 2}, {"offset": 1, "duration": 2.5}, {"offset": 1}, {"duration": 2}]
    items = read(with_files(tmp_path, [{"audio_filepath": "audio/0.wav", "text": "A"} | s for s in stretches]))
    assert [item.id for item in items] == [f"s/audio/0.wav{end}" for end in ("#1-3", "#1-3.5", "#1", "")]


@pytest.mark.parametrize("tarred", [False, True])
def test_a_duration_without_an_offset_is_the_files_length(tmp_path, tarred):
    """Which the shared checks compare with the sound."""
    lengths = [{"duration": 3.0}, {"duration": 3, "offset": None}, {"duration": None}, {"duration": 3.0, "offset": 0}]
    with_files(tmp_path, [{"audio_filepath": "audio/0.wav", "text": "A"} | length for length in lengths])
    tar(tmp_path / "x.tar", FILES)
    *whole, stretch = read(tmp_path, tars={"train": "x.tar"} if tarred else {})
    assert [(item.seconds, item.audio.start, item.audio.end) for item in whole] == [
        (3, 0, None),
        (3, 0, None),
        (0, 0, None),
    ]
    assert (stretch.seconds, stretch.audio.start, stretch.audio.end) == (3, 0, 3)


def facts(items: list) -> list[tuple]:
    return sorted((i.id, i.text, i.speaker, i.language, i.seconds, i.audio.start, i.audio.end) for i in items)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("flat", [False, True])
def test_files_and_tars_give_the_same(tmp_path, mode, flat):
    expected = read(with_files(tmp_path / "files"))
    write(tmp_path / "m.json", ENTRIES)
    members = {name.rpartition("/")[2] if flat else name: data for name, data in FILES.items()}
    names = sorted(members)
    tar(tmp_path / "audio_0.tar", {name: members[name] for name in names[:2]}, mode)
    tar(tmp_path / "audio_1.tar", {name: members[name] for name in names[2:]}, mode)
    items = read(tmp_path, tars={"train": "audio_*.tar"})
    assert facts(items) == facts(expected)
    assert sorted(pairs(items)) == sorted(pairs(expected))


def test_tars_are_read_in_the_order_of_their_numbers(tmp_path):
    write(tmp_path / "m.json", [{"audio_filepath": f"{i}.wav", "text": f"{i}"} for i in reversed(range(12))])
    for i in range(12):
        tar(tmp_path / f"audio_{i}.tar", {f"{i}.wav": b"x"})
    assert [item.text for item in read(tmp_path, tars={"train": "*.tar"})] == [f"{i}" for i in range(12)]


def test_sub_entries_of_a_member(tmp_path):
    """As convert_to_tarred_audio_dataset.py writes them: one member, an entry each with an offset."""
    entries = [
        {"audio_filepath": "_data_a.wav", "text": "A", "offset": 0, "duration": 2, "shard_id": 0},
        {"audio_filepath": "_data_a-sub1.wav", "text": "B", "offset": 2, "duration": 3, "shard_id": 0},
        {"audio_filepath": "_data_b-sub1.wav", "text": "C", "shard_id": 0},
    ]
    write(tmp_path / "m.json", entries)
    tar(tmp_path / "audio_0.tar", {"_data_a.wav": b"a", "_data_b.wav": b"b", "_data_b-sub1.wav": b"its own"})
    items = read(tmp_path, tars={"train": "audio_*.tar"})
    assert pairs(items) == [("A", b"a"), ("B", b"a"), ("C", b"its own")]
    assert [(item.audio.start, item.audio.end) for item in items] == [(0, 2), (2, 5), (0, None)]
    assert len({item.id for item in items}) == 3


def test_a_shard_id_says_which_of_two_members_of_a_name_is_meant(tmp_path):
    tar(tmp_path / "audio_0.tar", {"1.wav": b"zero"})
    tar(tmp_path / "audio_1.tar", {"1.wav": b"one"})
    write(tmp_path / "m.json", [{"audio_filepath": "1.wav", "text": f"{i}", "shard_id": i} for i in (1, 0)])
    assert pairs(read(tmp_path, tars={"train": "audio_*.tar"})) == [("0", b"zero"), ("1", b"one")]


@pytest.mark.parametrize("line", ['{"audio_filepath": "1.wav", "sha', '{"audio_filepath": "1.wav", "shard_id": [1]}'])
def test_a_broken_line_of_a_set_with_shards_is_that_line_alone(tmp_path, line):
    for shard in range(2):
        tar(tmp_path / f"audio_{shard}.tar", {"1.wav": b"%d" % shard})
    entries = [{"audio_filepath": "1.wav", "text": f"{i}", "shard_id": i} for i in (1, 0)]
    with write(tmp_path / "m.json", entries).open("a") as file:
        file.write(line)
    items = read(tmp_path, tars={"train": "audio_*.tar"})
    assert pairs(items) == [("0", b"0"), ("1", b"1")]
    assert [item.detail.startswith("m.json:3: ") for item in items[2:]] == [True]


def test_shard_ids_may_be_what_pandas_writes(tmp_path):
    for shard in range(2):
        tar(tmp_path / f"audio_{shard}.tar", {"1.wav": b"%d" % shard})
    shards = (1.0, 0.0, float("nan"))
    write(tmp_path / "m.json", [{"audio_filepath": "1.wav", "text": f"{i}", "shard_id": i} for i in shards])
    assert pairs(read(tmp_path, tars={"train": "audio_*.tar"})) == [("0.0", b"0"), ("1.0", b"1")]


def test_an_entry_is_never_paired_with_a_recording_that_may_be_anothers(tmp_path):
    names = ["a/1.wav", "b/1.wav", "2.wav", "c/3.wav", "d/3.wav"]
    write(tmp_path / "m.json", [{"audio_filepath": name, "text": name} for name in names])
    tar(tmp_path / "x.tar", {"1.wav": b"?", "e/2.wav": b"?", "f/2.wav": b"?", "g/3.wav": b"?", "d/3.wav": b"d"})
    items = read(tmp_path, tars={"train": "x.tar"})
    assert pairs(items) == [("d/3.wav", b"d")]
    rejected = {item.id: item.reason for item in items if isinstance(item, Rejected)}
    assert rejected == {f"s/{name}": "missing_clip" for name in names[:-1]}
    assert items[0].id == "s/d/3.wav"  # what is missing comes at the end


def test_absolute_names_inside_and_outside(tmp_path):
    entries = [
        {"audio_filepath": str(tmp_path / "audio/0.wav"), "text": "A"},
        {"audio_filepath": "/etc/passwd", "text": "B"},
        {"audio_filepath": "../../etc/passwd", "text": "C"},
        {"audio_filepath": "audio/../audio/1.wav", "text": "D"},
    ]
    first, second, third, fourth = read(with_files(tmp_path, entries))
    assert (first.id, fourth.id) == ("s/audio/0.wav", "s/audio/1.wav")
    assert (second.reason, third.reason) == ("outside_corpus", "outside_corpus")
    assert "m.json:2: " in second.detail and "/etc/passwd" in second.detail


def test_names_in_tars_are_keys_whatever_they_say(tmp_path):
    path = tar(tmp_path / "x.tar", {"/etc/passwd": b"a", "../../b.wav": b"b"})
    with tarfile.open(path, "a") as archive:
        for name, kind in (("link.wav", tarfile.SYMTYPE), ("device.wav", tarfile.CHRTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    names = ["/etc/passwd", "../../b.wav", "link.wav", "device.wav"]
    write(tmp_path / "m.json", [{"audio_filepath": name, "text": name} for name in names])
    items = read(tmp_path, tars={"train": "*.tar"})
    assert pairs(items) == [("/etc/passwd", b"a"), ("../../b.wav", b"b")]
    assert [item.reason for item in items[2:]] == ["missing_clip", "missing_clip"]


def test_names_count_from_the_manifests_own_folder(tmp_path):
    for split in ("train", "test"):
        with_files(
            tmp_path / split, [{"audio_filepath": "audio/0.wav", "text": split}], {"audio/0.wav": split.encode()}
        )
    items = read(tmp_path, {"train": "train/m.json", "test": "test/m.json"})
    assert [item.id for item in items] == ["s/test/audio/0.wav", "s/train/audio/0.wav"]
    assert pairs(items) == [("test", b"test"), ("train", b"train")]


def test_a_path_with_dots_in_it(tmp_path, monkeypatch):
    with_files(tmp_path / "corpus")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(pairs(read(Path("../corpus")))) == 4


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"audio_filepath": "gone.wav", "text": "x"}', "missing_clip"),
        ('{"audio_filepath": "audio", "text": "x"}', "missing_clip"),
        ('{"audio_filepath": "AUDIO/0.WAV", "text": "x"}', "missing_clip"),
        (json.dumps({"audio_filepath": 300 * "x", "text": "x"}), "unreadable_audio"),
        (json.dumps({"audio_filepath": "a\0b", "text": "x"}), "outside_corpus"),
        ('{"text": "x"}', "malformed_row"),
        ('{"audio_filepath": 5, "text": "x"}', "malformed_row"),
        ('{"audio_filepath": "audio/0.wav", "text": 5}', "malformed_row"),
        ('{"audio_filepath": "audio/0.wav", "offset": -1}', "malformed_row"),
        ('{"audio_filepath": "audio/0.wav", "offset": NaN}', "malformed_row"),
        ('{"audio_filepath": "audio/0.wav", "duration": "long"}', "malformed_row"),
        ('{"audio_filepath": "audio/0.wav", "duration": true}', "malformed_row"),
        ('{"audio_filepath": "audio/0.wav", "offset": 1, "duration": 0}', "malformed_row"),
        ('{"audio_filepath": "audio/0.wav", "lang": "xx"}', "malformed_row"),
        ('{"audio_filepath": "audio/0.wav", "segments": [{"start": 1}]}', "malformed_row"),
        ('{"audio_filepath": "audio/0.wav", "segments": "all"}', "malformed_row"),
        ('{"audio_filepath": "audio/0.wav", "speaker": ["A"]}', "malformed_row"),
        ('{"audio_filepath": "audio/0.wav", "text": "\\ud800"}', "malformed_row"),
        ('{"audio_filepath": "audio/0.w', "malformed_row"),
        ('["audio/0.wav"]', "malformed_row"),
    ],
)
@pytest.mark.parametrize("tarred", [False, True])
def test_a_row_that_is_no_utterance_is_rejected_and_the_others_are_not(tmp_path, line, reason, tarred):
    with_files(tmp_path)
    tar(tmp_path / "x.tar", FILES)
    good = json.dumps(ENTRIES[1])
    (tmp_path / "m.json").write_text(f"{good}\n\n{line}")  # the last line, without an end
    items = read(tmp_path, tars={"train": "x.tar"} if tarred else {})
    (rejected,) = (item for item in items if isinstance(item, Rejected))
    expected = "missing_clip" if tarred and reason in ("unreadable_audio", "outside_corpus") else reason
    assert rejected.reason == expected
    assert "m.json:3: " in rejected.detail
    assert pairs(items) == [("Zwei", b"RIFF1")]
    assert len({item.id for item in items}) == 2


def test_a_line_that_is_not_utf8_is_rejected_and_the_others_are_not(tmp_path):
    with_files(tmp_path)
    for name in ("text", "speaker", "audio_filepath", "domain"):
        line = json.dumps({"audio_filepath": "audio/0.wav", name: "grün"}, ensure_ascii=False).encode("latin-1")
        (tmp_path / "m.json").write_bytes(json.dumps(ENTRIES[1]).encode() + b"\n" + line)
        good, rejected = read(tmp_path)
        assert (good.text, rejected.reason, rejected.id) == ("Zwei", "malformed_row", "s/m.json:2")
        assert "m.json:2: not UTF-8, but " in rejected.detail


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_and_windows_line_ends(tmp_path, encoding):
    with_files(tmp_path)
    expected = read(tmp_path)
    write(tmp_path / "m.json", ENTRIES, encoding, "\r\n")
    assert read(tmp_path) == expected


def test_the_transcripts_field_and_segments(tmp_path):
    segments = [{"start": 0, "end": 1, "text": "Guten"}, {"start": 1, "end": 2.5, "text": "Tag"}]
    long = [{"start": 100 + 20 * i, "end": 119 + 20 * i, "text": f"{i}"} for i in range(2)]
    entries = [
        {"audio_filepath": "audio/0.wav", "text": "falsch", "raw": "Guten Tag", "segments": segments},
        {"audio_filepath": "audio/1.wav", "raw": "0 1", "segments": long, "offset": 7, "duration": 200},
    ]
    first, *parts = list(open_corpus(with_files(tmp_path, entries), text_field="raw").utterances)
    assert (first.text, first.segments) == ("Guten Tag", (Segment(0, 1, "Guten"), Segment(1, 2.5, "Tag")))
    assert [(part.audio.start, part.audio.end, part.text) for part in parts] == [(107, 126, "0"), (127, 146, "1")]


def test_a_split_by_speaker(tmp_path):
    entries = [{"audio_filepath": "audio/0.wav", "offset": i, "duration": 1, "speaker": i % 9} for i in range(90)]
    corpus = open_corpus(with_files(tmp_path, entries), {"speaker": "m.json"})
    assert corpus.promised == ("train", "dev", "test")
    items = list(corpus.utterances)
    assert len({item.id for item in items}) == 90
    assert len({(item.speaker, item.split) for item in items}) == 9
    tar(tmp_path / "x.tar", FILES)
    assert len(pairs(read(tmp_path, {"speaker": "m.json"}, tars={"speaker": "x.tar"}))) == 90


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"splits": {"train": "gone.json"}}, r"gone.json: no such file or folder; correct the source's path or splits"),
        ({"splits": {"train": "../m.json"}}, r"\.\./m.json: outside of"),
        ({"tars": {"train": "audio_*.tar"}}, r"no tars 'audio_\*.tar'; correct"),
        ({"tars": {"train": "/tmp/*.tar"}}, "'/tmp/.*' is no pattern seen from"),
        ({"tars": {"train": ""}}, "'' is no pattern seen from"),
        ({"tars": {"dev": "audio_*.tar"}}, "tars of dev: splits names no manifest"),
    ],
)
def test_what_the_user_can_mend(tmp_path, fields, message):
    with pytest.raises(UserError, match=message):
        open_corpus(with_files(tmp_path), **fields)


def test_a_manifest_or_a_tar_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match="nowhere: no such file or folder; correct the source's path"):
        open_corpus(tmp_path / "nowhere")
    path = tar(with_files(tmp_path) / "x.tar", FILES)
    os.truncate(path, 700)
    with pytest.raises(UserError, match=r"x.tar: not a whole tarball \(.+\); download it again"):
        read(tmp_path, tars={"train": "x.tar"})
    (tmp_path / "m.json").write_bytes('{"text": "Größe"}'.encode("latin-1"))
    with pytest.raises(UserError, match=r"m.json: not UTF-8"):
        open_corpus(tmp_path)
