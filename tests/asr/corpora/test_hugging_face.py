"""Data sets that the test makes, stored as those on the Hub are: Parquet with the recordings inside."""

import importlib.util
import io
import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import datasets
import numpy as np
import pytest
import soundfile
from datasets import Audio, ClassLabel, Dataset, Features, Value

from asr.corpora import Corpus, SpeakerHash, hugging_face, read_corpus
from asr.duplicates import digest_of
from asr.errors import UserError
from asr.recording import Recording
from asr.utterance import Rejected

FIELDS = {
    "source": "hf",
    "speakers": "people",
    "language": "de",
    "domain": "d",
    "revision": "main",
    "configuration": "default",
    "audio_column": "audio",
    "text_column": "transkription",
    "speaker_column": "speaker",
    "language_column": "",
    "source_column": "",
    "streaming": False,
}
LONGEST = {"train": 30.0, "dev": 30.0, "test": 30.0}


def open_set(id: Path, splits: dict[str, str], **fields) -> Corpus:
    speaker_hash = SpeakerHash(0, 0.2, 0.2, "by_clip")
    return read_corpus("hugging_face", speaker_hash, LONGEST, id=str(id), splits=splits, **FIELDS | fields)


def read(id: Path, splits: dict[str, str], **fields) -> list:
    corpus = open_set(id, splits, **fields)
    items = list(corpus.utterances)
    assert corpus.exact is not (FIELDS | fields)["streaming"]
    assert len(items) == corpus.rows or not corpus.exact
    assert len({item.id for item in items}) == len(items)
    return items


def name(content: bytes) -> str:
    return digest_of(content).hex()[:16]


def store(folder: Path, columns: dict[str, list], name: str = "train.parquet", **features) -> Path:
    folder.mkdir(exist_ok=True)
    table = Dataset.from_dict(columns)
    for column, feature in features.items():
        table = table.cast_column(column, feature)
    table.to_parquet(folder / name)
    return folder


def card(folder: Path, **examples: int) -> None:
    """What the Hub's own tools write into a data set's README.md."""
    splits = "".join(f"  - name: {name}\n    num_bytes: 1\n    num_examples: {n}\n" for name, n in examples.items())
    (folder / "README.md").write_text(f"---\ndataset_info:\n  splits:\n{splits}---\n", encoding="utf-8")


def flac(seed: int) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.random.default_rng(seed).uniform(-0.1, 0.1, 1600), 16_000, format="FLAC")
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture(params=["with the type Audio", "as a plain record"])
def parquet(tmp_path: Path, request) -> Path:
    record = {"bytes": Value("binary"), "path": Value("string")}
    features = Features({"audio": record, "transkription": Value("string"), "speaker": Value("int64")})
    folder = tmp_path / "set"
    folder.mkdir()
    for split, rows in {"train": 4, "test": 2}.items():
        columns = {
            "audio": [{"bytes": flac(i) if i != 3 else None, "path": None} for i in range(rows)],
            "transkription": [f"Satz {i}" if i != 2 else None for i in range(rows)],
            "speaker": [i + 7 for i in range(rows)],
        }
        table = Dataset.from_dict(columns, features=features)
        if request.param == "with the type Audio":
            table = table.cast_column("audio", Audio(decode=False))
        table.to_parquet(folder / f"{split}-00000-of-00001.parquet")
    return folder


@pytest.mark.parametrize("streaming", [False, True])
def test_parquet(parquet, streaming):
    items = read(parquet, {"train": "train", "test": "test"}, streaming=streaming)
    names = [f"hf/test/{name(flac(i))}" for i in range(2)] + [f"hf/train/{name(flac(i))}" for i in range(3)]
    assert [item.id for item in items] == [*names, "hf/train/3"]
    first = items[2]
    assert (first.audio.source, first.text, first.speaker, first.split) == (flac(0), "Satz 0", "people/7", "train")
    assert (first.language, first.domain, first.origin, first.seconds) == ("de", "d", "", 0)
    assert items[4].text == ""  # None: the shared checks decide
    assert [(item.id, item.reason) for item in items if isinstance(item, Rejected)] == [("hf/train/3", "missing_clip")]
    assert "train" in items[5].detail and "row 3" in items[5].detail


def test_our_splits_may_be_slices_of_theirs(parquet):
    items = read(parquet, {"train": "train[:50%]", "dev": "train[50%:]"})
    assert [item.split for item in items] == ["dev", "dev", "train", "train"]


def test_a_stream_gives_the_same(parquet):
    splits = {"train": "train", "test": "test"}
    assert read(parquet, splits, streaming=True) == read(parquet, splits)


def test_a_stream_cannot_be_sliced(parquet):
    with pytest.raises(UserError, match=r"train\[:1%\].*cannot be sliced; take streaming: false, or .*whole: train$"):
        read(parquet, {"train": "train[:1%]"}, streaming=True)


def test_a_stream_is_not_decoded_by_the_threads_that_the_hub_sets_up(parquet):
    """What `load_dataset` does for a stream from the Hub (datasets 5.2, builder.py), where `cast_column` comes too late."""
    stream = datasets.load_dataset(str(parquet), split="test", streaming=True)
    stream = stream.cast_column("audio", Audio()).decode(num_threads=2)
    row = next(iter(hugging_face._undecoded(stream, "audio").select_columns(["audio"])))
    assert row == {"audio": {"bytes": flac(0), "path": None}}


def test_rows_of_a_stream_are_what_its_card_says(parquet):
    splits = {"train": "train", "test": "test"}
    assert open_set(parquet, splits, streaming=True).rows == 0
    card(parquet, train=40, test=2)
    corpus = open_set(parquet, splits, streaming=True)
    assert (corpus.rows, corpus.exact) == (42, False)
    assert len(list(corpus.utterances)) == 6


@pytest.mark.parametrize("streaming", [False, True])
def test_what_is_divided_by_speaker(tmp_path, streaming):
    names = ["A", "B", "", None, *(str(i) for i in range(60))]
    columns = {"audio": [b"x"] * len(names), "transkription": ["Ja."] * len(names), "speaker": names}
    store(tmp_path / "set", columns)
    store(tmp_path / "set", {name: column[:2] for name, column in columns.items()}, "test.parquet")
    splits = {"speaker": "train", "test": "test"}
    corpus = open_set(tmp_path / "set", splits, streaming=streaming)
    assert sorted(corpus.promised) == ["dev", "test", "train"]
    items = read(tmp_path / "set", splits, streaming=streaming)
    same = name(b"x")
    assert [item.id for item in items[:3]] == [f"hf/test/{same}", f"hf/test/{same}/2", f"hf/train/{same}"]
    assert [item.speaker for item in items[2:6]] == ["people/A", "people/B", "", ""]
    assert {item.split for item in items[2:]} == {"train", "dev", "test"}


@pytest.mark.parametrize("path", [None, "{}.mp3", "audio.mp3"], ids=["no path", "its own", "the same"])
def test_a_row_in_front_moves_no_other_to_another_split(tmp_path, path):
    def splits_of(folder: str, numbers: range) -> dict[bytes, tuple[str, str]]:
        contents = [{"bytes": b"%d" % i, "path": path and path.format(i)} for i in numbers]
        store(tmp_path / folder, {"audio": contents, "transkription": ["Ja."] * len(contents)})
        items = read(tmp_path / folder, {"speaker": "train"}, speaker_column="")
        return {item.audio.source: (item.id, item.split) for item in items}

    before, after = splits_of("before", range(1, 40)), splits_of("after", range(40))
    assert len(after) == 40 and len({split for _, split in before.values()}) == 3
    assert before.items() <= after.items()


def test_a_recording_is_called_by_its_path_and_a_hash_of_its_bytes(tmp_path):
    contents = [{"bytes": byte, "path": "a.mp3"} for byte in (b"x", b"y", b"x")]
    store(tmp_path / "set", {"audio": contents, "transkription": ["Ja."] * 3})
    items = read(tmp_path / "set", {"train": "train"}, speaker_column="")
    x, y = name(b"x"), name(b"y")
    assert [item.id for item in items] == [f"hf/train/a.mp3/{x}", f"hf/train/a.mp3/{y}", f"hf/train/a.mp3/{x}/2"]


def test_ids_are_unique_also_where_their_split_is_called_as_another_of_ours(tmp_path):
    columns = {"audio": [b"x"], "transkription": ["Ja."], "speaker": ["A"]}
    for file in ("train.parquet", "test.parquet"):
        store(tmp_path / "set", columns, file)
    items = read(tmp_path / "set", {"test": "train", "speaker": "test"})
    assert [item.id for item in items] == [f"hf/test/{name(b'x')}", f"hf/speaker/{name(b'x')}"]


@pytest.mark.parametrize("streaming", [False, True])
def test_columns_of_language_and_source(tmp_path, streaming):
    columns = {"audio": 4 * [b"x"], "text": ["1", None, "3", "4"], "speaker": [0, 1, None, 2]}
    columns |= {"locale": ["ru", "", None, "de"], "from": [0, 1, 0, -1]}
    store(tmp_path / "set", columns, **{"from": ClassLabel(names=["MLS", "Golos"])})
    names = {"text_column": "text", "language_column": "locale", "source_column": "from"}
    items = read(tmp_path / "set", {"train": "train"}, streaming=streaming, **names)
    assert [item.language for item in items] == ["ru", "de", "de", "de"]
    assert [item.origin for item in items][:3] == ["MLS", "Golos", "MLS"]
    assert [item.speaker for item in items] == ["people/0", "people/1", "", "people/2"]
    assert [item.text for item in items] == ["1", "", "3", "4"]


def test_languages_are_names_locales_or_codes(tmp_path):
    locales = ["German", "de-DE", "pt_BR", " ", "Klingon"]
    store(tmp_path / "set", {"audio": 5 * [b"x"], "text": 5 * ["Ja."], "locale": locales})
    names = {"text_column": "text", "language_column": "locale", "speaker_column": ""}
    *items, rejected = read(tmp_path / "set", {"train": "train"}, **names)
    assert [item.language for item in items] == ["de", "de", "pt", "de"]
    assert (rejected.id, rejected.reason) == (f"hf/train/{name(b'x')}/5", "malformed_row")
    assert "row 4: locale: Whisper knows no language 'Klingon'" in rejected.detail


def test_loose_files_are_refused_with_the_remedy(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "0.flac").write_bytes(flac(0))
    (tmp_path / "set" / "metadata.csv").write_text("file_name,text\n0.flac,Null\n", encoding="utf-8")
    if importlib.util.find_spec("torchcodec"):
        pytest.skip("torchcodec is installed: datasets can load an audiofolder here")
    with pytest.raises(UserError, match=r"torchcodec.*store it as Parquet"):
        read(tmp_path / "set", {"train": "train"}, text_column="text", speaker_column="")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text_column": "sentence"}, "no column sentence, only audio, transkription, speaker; correct text_column$"),
        ({"language_column": "lang", "source_column": "speaker"}, "no column lang, .*correct language_column$"),
        ({"audio_column": "speaker", "text_column": "audio"}, "column audio holds .*, no text; correct text_column"),
        ({"splits": {"train": "training"}}, "training.*check id, configuration, revision and splits"),
        ({"configuration": "clean"}, "clean.*check id, configuration"),
        ({"id": "/nowhere/set"}, "/nowhere/set.*check id"),
    ],
    ids=["column", "language", "text", "split", "configuration", "folder"],
)
@pytest.mark.parametrize("streaming", [False, True])
def test_what_the_user_can_mend(parquet, change, message, streaming):
    with pytest.raises(UserError, match=message):
        read(**{"id": parquet, "splits": {"train": "train"}, "streaming": streaming} | change)


@pytest.mark.parametrize("streaming", [False, True])
def test_decoded_recordings_are_refused_with_the_remedy(tmp_path, streaming):
    columns = {"audio": [{"array": [0.1, 0.2], "sampling_rate": 16_000}], "transkription": ["Ja."], "speaker": [1]}
    with pytest.raises(UserError, match=r"column audio holds .*array.*no recordings; store the bytes of sound files"):
        read(store(tmp_path / "set", columns), {"train": "train"}, streaming=streaming)


@pytest.mark.parametrize("streaming", [False, True])
def test_a_file_that_is_no_parquet_is_said(parquet, streaming):
    (parquet / "train-00000-of-00001.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(UserError, match=r"set \(default, train, revision main\): "):
        read(parquet, {"train": "train"}, streaming=streaming)


def test_a_stream_that_breaks_while_it_is_read_is_said(tmp_path):
    columns = {"audio": [bytes(100_000)] * 8, "transkription": ["Ja."] * 8, "speaker": [1] * 8}
    store(tmp_path / "set", columns)
    corpus = open_set(tmp_path / "set", {"train": "train"}, streaming=True)
    (tmp_path / "set" / "train.parquet").write_bytes(b"PAR1 another")
    with pytest.raises(UserError, match=r"train.*run the stage again, or take streaming: false"):
        list(corpus.utterances)


UNREACHABLE = {"HF_ENDPOINT": "http://127.0.0.1:9"}  # nothing listens on the discard port; 25 s of retries


@pytest.mark.parametrize(
    "environment", [{"HF_HUB_OFFLINE": "1"}, pytest.param(UNREACHABLE, marks=pytest.mark.slow)], ids=["offline", "down"]
)
def test_a_hub_that_cannot_be_reached(tmp_path, environment):
    code = "from test_hugging_face import read; read('owner/name', {'train': 'train'})"
    path = f"{Path(__file__).parent}:{Path(__file__).parents[3] / 'scripts'}"
    environment = {"HF_HOME": str(tmp_path), "PYTHONPATH": path, **environment}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert "UserError: data set owner/name" in done.stderr
    assert "the Hub cannot be reached" in done.stderr


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("form", ["path", "record"])
def test_paths_are_files_inside_of_the_folder(tmp_path, monkeypatch, streaming, form):
    folder = tmp_path / "set"
    (folder / "recordings").mkdir(parents=True)
    (folder / "recordings" / "0.flac").write_bytes(flac(0))
    good = ["recordings/0.flac", f"{folder}/recordings/0.flac"]
    bad = [f"{300 * 'x'}", "gone.flac", "/etc/passwd", "../../etc/passwd", "", None]
    paths = [*good, *bad]
    audio = paths if form == "path" else [{"bytes": None, "path": path} for path in paths]
    columns = {"audio": audio, "transkription": ["Ja."] * len(paths), "speaker": list(range(len(paths)))}
    record = {"bytes": Value("binary"), "path": Value("string")}
    store(folder, columns, audio=Value("string") if form == "path" else record)
    items = read(folder, {"train": "train"}, streaming=streaming)
    assert [item.audio for item in items[:2]] == 2 * [Recording(folder / "recordings" / "0.flac")]
    assert [item.id for item in items[:2]] == ["hf/train/recordings/0.flac", "hf/train/recordings/0.flac/2"]
    reasons = ["unreadable_audio", "missing_clip", "outside_corpus", "outside_corpus", "missing_clip", "missing_clip"]
    assert [item.reason for item in items[2:]] == reasons
    assert "row 4: '/etc/passwd' is no file inside" in items[4].detail
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert [item.id for item in read(Path("../set"), {"train": "train"})][:2] == [item.id for item in items][:2]


def test_a_full_disk_is_no_wrong_id(tmp_path, on_a_full_disk):
    (tmp_path / "set").mkdir()
    columns = {"audio": [np.random.default_rng(0).bytes(300_000)], "transkription": ["Ja."], "speaker": [1]}
    Dataset.from_dict(columns).to_parquet(tmp_path / "set" / "train.parquet")
    code = f"from test_hugging_face import read; read({str(tmp_path / 'set')!r}, {{'train': 'train'}})"
    said = on_a_full_disk(code, limit=100_000, HF_HOME=str(tmp_path / "cache"))
    assert said.splitlines()[-1].startswith("OSError: [Errno 27]")


def test_too_little_space_is_said_before_a_download(parquet, monkeypatch):
    monkeypatch.setattr("datasets.builder.has_sufficient_disk_space", lambda *_, **__: False)
    with pytest.raises(UserError, match=r"Not enough disk space.*free some space, or set CACHE_DIR"):
        read(parquet, {"train": "train"})


def test_a_download_that_broke_is_said(monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("Data processing error: connection reset")

    monkeypatch.setattr("datasets.load_dataset", broken)
    with pytest.raises(UserError, match=r"data set a/b: .*connection reset.*HF_HUB_DISABLE_XET=1"):
        hugging_face._load("data set a/b", "a/b", "default", "main", "train", False)


def test_a_branch_is_read_at_one_commit_which_is_printed(monkeypatch, capsys):
    class Hub(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path.startswith("/api/datasets/owner/name/revision/main") else 404)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps({"id": "owner/name", "sha": 40 * "a"}).encode())

    with HTTPServer(("127.0.0.1", 0), Hub) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        assert hugging_face._commit("owner/name", "main") == 40 * "a"
        server.shutdown()
    assert f"data set owner/name: revision main is {40 * 'a'}" in capsys.readouterr().out
    assert hugging_face._commit("owner/name", 40 * "b") == 40 * "b"
    assert hugging_face._commit(str(Path(__file__).parent), "main") == "main"
