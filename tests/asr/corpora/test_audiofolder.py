"""Every recording of a split's folder and every row of its metadata is an utterance or says why it is none."""

import json
import tracemalloc
from pathlib import Path

import pytest

from asr.corpora import Corpus, SpeakerHash, read_corpus
from asr.errors import UserError
from asr.recording import Recording
from asr.utterance import Rejected, Utterance

SHARED = Path(__file__).parents[3].parent / "shared" / "data"


def open_corpus(path: Path, **fields) -> Corpus:
    names = {"source": "s", "speakers": "v", "language": "de", "domain": "d", "path": path}
    longest = {"train": 30.0, "dev": 30.0, "test": 30.0}
    fields = {"splits": {"train": "train"}} | names | fields
    return read_corpus("audiofolder", SpeakerHash(0, 0.2, 0.2, "by_clip"), longest, **fields)


def read(path: Path, **fields) -> list:
    corpus = open_corpus(path, **fields)
    items = list(corpus.utterances)
    assert (corpus.rows, corpus.exact) == (len(items), True)
    return items


def make(folder: Path, metadata: str | bytes, form: str = "csv", clips: tuple[str, ...] = ("a.wav",)) -> Path:
    for clip in clips:
        (folder / clip).parent.mkdir(parents=True, exist_ok=True)
        (folder / clip).write_bytes(clip.encode())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"metadata.{form}").write_bytes(metadata if isinstance(metadata, bytes) else metadata.encode())
    return folder.parent


def as_lines(*rows: dict) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


ROWS = [
    {"file_name": "a.wav", "transcription": 'Sie sagt: "Ja, 5 €"', "speaker": "A"},
    {"file_name": "berg/b.MP3", "transcription": "", "speaker": ""},
]
CSV = 'file_name,transcription,speaker\na.wav,"Sie sagt: ""Ja, 5 €""",A\nberg/b.MP3,,\n'


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("folder", ["train", "data/train", "."])
def test_both_forms_of_metadata_give_the_same(tmp_path, coding, end, form, folder):
    metadata = (CSV if form == "csv" else as_lines(*ROWS)).replace("\n", end).encode(coding)
    make(tmp_path / folder, metadata, form, ("a.wav", "berg/b.MP3"))
    first, second = read(tmp_path, splits={"train": folder}, speaker_column="speaker")
    start = "" if folder == "." else f"{folder}/"
    recording = Recording(tmp_path / folder / "a.wav")
    expected = Utterance(f"s/{start}a.wav", recording, 'Sie sagt: "Ja, 5 €"', "de", "v/A", "s", "d", "train")
    assert first == expected
    assert (second.id, second.text, second.speaker) == (f"s/{start}berg/b.MP3", "", "")


def test_splits_come_test_first_and_ids_tell_equal_names_apart(tmp_path):
    for folder in ("train", "validation", "test"):
        make(tmp_path / folder, "file_name,transcription\na.wav,x\n")
    splits = {"train": "train", "dev": "validation", "test": "test"}
    items = read(tmp_path, splits=splits)
    assert [(item.id, item.split) for item in items] == [
        ("s/test/a.wav", "test"),
        ("s/validation/a.wav", "dev"),
        ("s/train/a.wav", "train"),
    ]
    assert open_corpus(tmp_path, splits=splits).promised == ("test", "dev", "train")
    assert set(open_corpus(tmp_path, splits={"speaker": "train"}).promised) == {"train", "dev", "test"}


def test_a_recording_without_metadata_is_said(tmp_path):
    clips = ("a.wav", "b.flac", "c/d.OGG", "notes.txt", "own/e.wav", "own/f/g.wav")
    make(tmp_path / "train", "file_name,transcription\n./a.wav,Eins\n", clips=clips)
    (tmp_path / "train" / "own" / "metadata.csv").write_text("file_name,transcription\n")
    first, *others = read(tmp_path)
    assert (first.id, first.text) == ("s/train/a.wav", "Eins")
    assert [(item.id, item.reason, item.split) for item in others] == [
        ("s/train/b.flac", "no_text", "train"),
        ("s/train/c/d.OGG", "no_text", "train"),
    ]
    assert others[0].audio == Recording(tmp_path / "train" / "b.flac")


def test_recordings_without_metadata_come_folder_by_folder(tmp_path):
    clips = ("b-c.wav", "b/e.wav", "b/d/e.wav", "a.wav")
    items = read(make(tmp_path / "train", "file_name,transcription\n", clips=clips))
    assert [item.id for item in items] == [f"s/train/{clip}" for clip in ("a.wav", "b/d/e.wav", "b/e.wav", "b-c.wav")]


@pytest.mark.parametrize("named", [True, False])
def test_a_row_takes_little_memory(tmp_path, named):
    clips = tuple(f"{number:08}.wav" for number in range(1000))
    rows = "".join(f"{clip},x\n" for clip in clips) if named else ""
    make(tmp_path / "train", f"file_name,transcription\n{rows}", clips=clips)
    open_corpus(tmp_path)
    tracemalloc.start()
    corpus = open_corpus(tmp_path)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert corpus.rows == 1000
    assert held < 1000 * 200 and peak < 1000 * 400


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_what_is_no_utterance_is_rejected_with_its_reason(tmp_path, form):
    names = {
        "a.wav": "",
        "../other/b.wav": "",
        f"{tmp_path}/train/a.wav": "",
        "gone.wav": "missing_clip",
        "A.wav": "missing_clip",
        "../../etc/passwd": "outside_corpus",
        "/etc/passwd": "outside_corpus",
        "a\0.wav": "outside_corpus",
        f"{300 * 'x'}.wav": "unreadable_audio",
        "": "malformed_row",
    }
    rows = [{"file_name": name, "transcription": "x"} for name in names]
    table = "file_name,transcription\n" + "".join(f"{name},x\n" for name in names)
    make(tmp_path / "train", table if form == "csv" else as_lines(*rows), form)
    make(tmp_path / "other", "", clips=("b.wav",))
    items = read(tmp_path)
    assert [item.reason if isinstance(item, Rejected) else "" for item in items] == list(names.values())
    assert items[1].id == "s/other/b.wav"
    assert items[-1].id == f"s/train/metadata.{form}:{11 if form == 'csv' else 10}"
    assert items[3].detail == f"train/metadata.{form}:{5 if form == 'csv' else 4}: no recording train/gone.wav"


def test_malformed_rows_of_a_table(tmp_path):
    make(tmp_path / "train", "file_name,transcription\na.wav\na.wav,eins,zwei\n")
    assert [item.reason for item in read(tmp_path)][:2] == 2 * ["malformed_row"]


def test_malformed_lines(tmp_path):
    lines = {
        '{"file_name": "a.wav"}': "no_text",
        '{"file_name": "a.wav", "transcription": null}': "no_text",
        '{"file_name": "a.wav", "transcription": 5}': "malformed_row",
        '{"file_name": "a.wav", "transcription": "\\ud800"}': "malformed_row",
        '{"file_name": "\\ud800.wav", "transcription": "x"}': "malformed_row",
        '{"file_name": 5, "transcription": "x"}': "malformed_row",
        '{"transcription": "x"}': "malformed_row",
        '{"file_name": "a.wav", "transcription": "x", "speaker": ["A"]}': "malformed_row",
        '["a.wav", "x"]': "malformed_row",
        '{"file_name": "a.wav", "transc': "malformed_row",
    }
    make(tmp_path / "train", "\n".join(lines), "jsonl")
    items = read(tmp_path, speaker_column="speaker")
    assert [item.reason for item in items] == list(lines.values())
    "".join(item.id + item.detail for item in items).encode()  # each can be written down


def test_an_index_as_pandas_writes_it_is_no_speaker(tmp_path):
    (item,) = read(make(tmp_path / "train", ",file_name,transcription\n0,a.wav,Eins\n"))
    assert (item.text, item.speaker) == ("Eins", "")


def test_the_columns_may_have_other_names(tmp_path):
    make(tmp_path / "train", as_lines({"file_name": "a.wav", "text": "Eins", "who": 17}), "jsonl")
    (item,) = read(tmp_path, text_column="text", speaker_column="who")
    assert (item.text, item.speaker) == ("Eins", "v/17")


@pytest.mark.parametrize(
    ("prepare", "fields", "message"),
    [
        (
            lambda path: make(path / "train", "file_name,text\n"),
            {},
            "metadata.csv: no column transcription; its header",
        ),
        (lambda path: make(path / "train", "file_name\n"), {"speaker_column": "w"}, "no column transcription, w"),
        (lambda path: make(path / "train", b"\xff\n", "jsonl"), {}, "metadata.jsonl: not UTF-8"),
        (
            lambda path: make(path / "train", 'file_name,transcription\na.wav,"x\nb.wav,y\n'),
            {},
            "metadata.csv:3: unexpected end",
        ),
        (lambda path: make(path / "dev", ""), {}, "train: no such file or folder; correct the source's splits"),
        (lambda path: (path / "train").mkdir() or path, {}, "train: none of metadata.csv and metadata.jsonl in it"),
        (lambda path: make(make(path / "train", "") / "train", "", "jsonl"), {}, "train: 2 of metadata.csv and"),
        (lambda path: make(path / "x", "") / "y", {}, "y: no such file or folder; correct the source's path"),
        (lambda path: make(path / "x/train", "") / "train", {"splits": {"dev": ".."}}, "outside of .*; let path be"),
    ],
    ids=["column", "columns", "coding", "quote", "no split", "no metadata", "both", "no folder", "outside"],
)
def test_what_the_user_can_mend(tmp_path, prepare, fields, message):
    with pytest.raises(UserError, match=message):
        open_corpus(prepare(tmp_path), **fields)


def test_real_recordings(tmp_path):
    path = SHARED / "common_voice_zh-CN"
    if not path.is_dir():
        pytest.skip(f"no real recordings in {SHARED}")
    rows = [row.split("\t") for row in (path / "validated.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "clips").symlink_to(path / "clips")
    lines = [{"file_name": f"clips/{row[1]}", "transcription": row[2], "who": row[0]} for row in rows[1:]]
    (tmp_path / "data" / "metadata.jsonl").write_text(as_lines(*lines), encoding="utf-8")
    *items, unnamed = read(tmp_path, splits={"train": "data"}, speaker_column="who")
    assert [item.text for item in items] == [row[2] for row in rows[1:]]
    assert (unnamed.id, unnamed.reason) == (f"s/data/clips/{rows[0][1]}", "no_text")
