"""What is the same has the same lineage; what differs shows; nothing tells of the machine."""

import json
import os
import socket
from pathlib import Path

import pytest

from asr.lineage import sha256, write_lineage


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "weights").write_bytes(b"1" * 100)
    (folder / "sub" / "config").write_text("{}")
    return folder


def lineage(folder: Path, inputs: dict[str, Path], params):
    folder.mkdir(exist_ok=True)
    write_lineage(folder, {name: sha256(path) for name, path in inputs.items()}, params)
    return json.loads((folder / "lineage.json").read_text())


def test_a_folders_hash_is_its_names_and_contents_not_its_place(model, tmp_path):
    first = sha256(model)
    moved = model.rename(tmp_path / "elsewhere")
    assert sha256(moved) == first
    (moved / "weights").rename(moved / "weight")
    renamed = sha256(moved)
    (moved / "weight").write_bytes(b"2" * 100)
    assert len({first, renamed, sha256(moved)}) == 3


def test_a_files_hash_is_sha256(tmp_path):
    (tmp_path / "empty").touch()
    assert sha256(tmp_path / "empty") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_same_inputs_same_bytes(model, tmp_path):
    for name in ("a", "b"):
        lineage(tmp_path / name, {"model": model}, {"quantization": "int8"})
    assert (tmp_path / "a" / "lineage.json").read_bytes() == (tmp_path / "b" / "lineage.json").read_bytes()


def test_inputs_params_and_versions_are_named(model, tmp_path):
    found = lineage(tmp_path / "export", {"model": model}, {"quantization": "int8"})
    assert found["inputs"] == {"model": {"sha256": sha256(model)}}
    assert found["params"] == {"quantization": "int8"} and found["versions"]["torch"]


def test_nothing_of_the_machine_is_written(model, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_neverShownToAnyone")
    lineage(tmp_path / "export", {"model": model}, {"quantization": "int8"})
    text = (tmp_path / "export" / "lineage.json").read_text()
    for secret in (str(tmp_path), str(Path.home()), socket.gethostname(), os.environ["HF_TOKEN"]):
        assert secret not in text


def test_without_git_the_commit_is_none(model, tmp_path, monkeypatch):
    monkeypatch.setattr("asr.lineage.REPOSITORY", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert lineage(tmp_path / "export", {"model": model}, {})["git"] is None
