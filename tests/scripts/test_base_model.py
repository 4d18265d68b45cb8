"""A new model, one from a folder, one from a Hub: a small server of files that answers as the Hub does."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest
import torch

import base_model
from asr.errors import UserError
from asr.model import load_whisper
from asr.params import BaseModel

REPOSITORY = Path(__file__).parents[2]
NEW = {"seed": 0, "mels": 80, "width": 32, "heads": 2, "encoder_layers": 1, "decoder_layers": 1}
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_neverShownToAnyone"


def run(output, **values):
    base_model.main(BaseModel(output_dir=output, **values))
    return output


@pytest.fixture(scope="module")
def new(tmp_path_factory):
    return run(tmp_path_factory.mktemp("model") / "new", source="new", new=NEW)


@pytest.fixture(scope="module")
def hub(new):
    """A Hub with four models: a whole one, a gated one, one without safetensors, and none."""

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self, body=True):
            *_, owner, name = self.path.split("?")[0].removeprefix("/api/models").split("/")[:3]
            files = {path.name: path.read_bytes() for path in new.iterdir()}
            if owner == "nobody":
                self.reply(404, b"{}", body, {"X-Error-Code": "RepoNotFound"})
            elif COMMIT not in self.path:
                self.reply(404, b"{}", body, {"X-Error-Code": "RevisionNotFound"})
            elif "/resolve/" in self.path:
                if name == "gated":
                    self.reply(403, b"{}", body, {"X-Error-Code": "GatedRepo"})
                else:
                    self.reply(200, files[self.path.split("/")[-1]], body)
            elif "/tree/" in self.path:
                tree = [
                    {"type": "file", "path": name, "size": len(data), "oid": blob(data)} for name, data in files.items()
                ]
                self.reply(200, json.dumps(tree).encode(), body)
            else:
                names = ["pytorch_model.bin"] if name == "pickled" else list(files)
                info = {"id": f"{owner}/{name}", "sha": COMMIT, "siblings": [{"rfilename": name} for name in names]}
                self.reply(200, json.dumps(info).encode(), body)

        def do_HEAD(self):
            self.do_GET(body=False)

        def reply(self, status, data, body, headers=()):
            self.send_response(status)
            for key, value in {
                "Content-Length": len(data),
                "ETag": blob(data),
                "X-Repo-Commit": COMMIT,
                **dict(headers),
            }.items():
                self.send_header(key, str(value))
            self.end_headers()
            if body:
                self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def blob(data: bytes) -> str:
    """Git's name of a file's content, which is the Hub's ETag."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def fetch(model, endpoint, folder, revision=COMMIT):
    """The script as DVC runs it, in a folder with its own params.yaml and cache."""
    section = {"output_dir": "out", "source": "hub", "hub": {"id": model, "revision": revision}}
    (folder / "params.yaml").write_text(json.dumps({"base_model": section}))
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "cache"), "HF_TOKEN": TOKEN}
    environment.pop("HF_HUB_OFFLINE", None)
    script = REPOSITORY / "scripts" / "base_model.py"
    done = subprocess.run(
        [sys.executable, script], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert TOKEN not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_new_is_whole_and_depends_on_its_seed_alone(new, tmp_path):
    again = run(tmp_path / "again", source="new", new=NEW)
    for path in new.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name
    model, tokenizer, feature_extractor = load_whisper(new)
    assert (model.config.d_model, len(tokenizer), feature_extractor.feature_size) == (32, 51865, 80)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_folders_weights_keep_values_and_dtype(new, tmp_path, dtype):
    model, tokenizer, feature_extractor = load_whisper(new, dtype)
    for part in (model, tokenizer, feature_extractor):
        part.save_pretrained(tmp_path / "given")
    got = load_whisper(run(tmp_path / "out", source="folder", folder=tmp_path / "given"))[0]
    assert got.dtype == dtype
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), got.parameters(), strict=True))
    assert (tmp_path / "out" / "vocab.json").is_file()


def test_a_folder_that_is_not_there_or_empty_is_named(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        run(tmp_path / "out", source="folder", folder=tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"config\.json"):
        run(tmp_path / "out", source="folder", folder=tmp_path)
    assert not (tmp_path / "out").exists()


def test_from_the_hub_and_then_from_its_cache_without_it(hub, new, tmp_path, monkeypatch):
    assert fetch("somebody/whisper", hub, tmp_path).returncode == 0
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # the discard port: nobody is there
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache/hub"))
    again = run(tmp_path / "again", source="hub", hub={"id": "somebody/whisper", "revision": COMMIT})
    for folder in (tmp_path / "out", again):
        assert (folder / "model.safetensors").read_bytes() == (new / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("model", "revision", "message"),
    [
        ("nobody/whisper", COMMIT, "no such model"),
        ("somebody/whisper", "f" * 40, "no commit ffff"),
        ("somebody/gated", COMMIT, "is gated"),
        ("somebody/pickled", COMMIT, "no weights as safetensors"),
        ("some body", COMMIT, "base_model.hub.id"),
    ],
)
def test_what_the_hub_refuses_is_one_clear_message(hub, tmp_path, model, revision, message):
    done = fetch(model, hub, tmp_path, revision)
    assert done.returncode == 1 and message in done.stderr, done.stderr
    assert done.stderr.count("error:") == 1 and done.stderr.splitlines()[-1].startswith("error:")
    assert not (tmp_path / "out").exists()


def test_a_download_that_breaks_off_is_one_clear_message(tmp_path, monkeypatch):
    def broken(**_):
        raise RuntimeError("Data processing error: CAS service error")  # as hf-xet does, which needs the real Hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", broken)
    with pytest.raises(UserError, match=r"cannot be fetched from the Hub: Data processing error.*try again"):
        run(tmp_path / "out", source="hub", hub={"id": "somebody/whisper", "revision": COMMIT})


def test_a_hub_out_of_reach_is_one_clear_message(tmp_path):
    done = fetch("somebody/whisper", "http://127.0.0.1:9", tmp_path)
    assert done.returncode == 1 and "somebody/whisper cannot be fetched" in done.stderr, done.stderr
    assert "base_model.source: folder" in done.stderr and done.stderr.count("\n") == 1
