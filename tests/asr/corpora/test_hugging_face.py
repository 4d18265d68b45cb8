"""Data sets that the test makes, stored as those on the Hub are: Parquet with the recordings inside."""

import importlib.util
import io
import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import soundfile
from datasets import Audio, Dataset, Features, Value

from asr.corpora import SpeakerHash, hugging_face, read_corpus
from asr.errors import UserError
from asr.utterance import Rejected

FIELDS = {
    "source": "hf",
    "language": "de",
    "domain": "d",
    "revision": "main",
    "configuration": "default",
    "audio_column": "audio",
    "text_column": "transkription",
    "speaker_column": "speaker",
}


def read(id: Path, splits: dict[str, str], **fields) -> list:
    corpus = read_corpus("hugging_face", SpeakerHash(0, 0.1, 0.1), id=str(id), splits=splits, **FIELDS | fields)
    items = list(corpus.utterances)
    assert len(items) == corpus.rows
    return items


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


def test_parquet(parquet):
    items = read(parquet, {"train": "train", "test": "test"})
    assert [item.id for item in items] == ["hf/test/0", "hf/test/1", *(f"hf/train/{i}" for i in range(4))]
    first = items[2]
    assert (first.audio, first.text, first.speaker, first.split) == (flac(0), "Satz 0", "hf/7", "train")
    assert [(item.id, item.reason) for item in items if isinstance(item, Rejected)] == [
        ("hf/train/2", "empty_text"),
        ("hf/train/3", "missing_clip"),
    ]


def test_our_splits_may_be_slices_of_theirs(parquet):
    items = read(parquet, {"train": "train[:50%]", "dev": "train[50%:]"})
    assert [item.split for item in items] == ["dev", "dev", "train", "train"]


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
        ({"text_column": "sentence"}, "no column sentence, only audio, transkription, speaker.*text_column"),
        ({"splits": {"train": "training"}}, "training.*check id, configuration, revision and splits"),
        ({"configuration": "clean"}, "clean.*check id, configuration"),
        ({"id": "/nowhere/set"}, "/nowhere/set.*check id"),
    ],
    ids=["column", "split", "configuration", "folder"],
)
def test_what_the_user_can_mend(parquet, change, message):
    with pytest.raises(UserError, match=message):
        read(**{"id": parquet, "splits": {"train": "train"}} | change)


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


def test_a_file_that_cannot_be_read_is_rejected_and_the_others_are_not(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "0.flac").write_bytes(flac(0))
    paths = [str(tmp_path / name) for name in ("0.flac", 300 * "x", "gone.flac")]
    table = Dataset.from_dict({"audio": paths, "transkription": ["Eins", "Zwei", "Drei"], "speaker": [1, 2, 3]})
    table.to_parquet(tmp_path / "set" / "train.parquet")
    good, long, gone = read(tmp_path / "set", {"train": "train"})
    assert (good.audio, long.reason, gone.reason) == (flac(0), "unreadable_audio", "missing_clip")
    assert "File name too long" in long.detail


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
    with pytest.raises(UserError, match=r"data set a/b .*connection reset.*HF_HUB_DISABLE_XET=1"):
        hugging_face._load("a/b", "default", "main", "train")


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
