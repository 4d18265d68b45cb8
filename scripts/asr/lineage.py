"""Where a model comes from: `lineage.json`, which travels inside every exported folder.

    write_lineage(folder, inputs={"model": sha256(Path("outputs/merge_lora"))}, params={"quantization": "int8"})

It names what the export was made from and with, and nothing about the machine: no host, no time, no absolute path.
"""

import hashlib
import json
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from asr.environment import REPOSITORY

LIBRARIES = (
    "torch",
    "transformers",
    "tokenizers",
    "peft",
    "datasets",
    "ctranslate2",
    "faster-whisper",
    "gguf",
    "pywhispercpp",
    "onnx",
    "onnxruntime",
)


def write_lineage(folder: Path, inputs: dict[str, str], params: dict, new_tokens: Sequence[str] = ()) -> None:
    """Write `lineage.json`: each input's SHA-256 (see `sha256`), params, git commit, versions.

    Args:
        new_tokens: tokens that the model has above Whisper's own; named if there are any.
    """
    lineage = {
        "inputs": {name: {"sha256": digest} for name, digest in inputs.items()},
        "params": params,
        "git": _git(),
        "versions": {"python": platform.python_version(), **_versions()},
    } | ({"new_tokens": list(new_tokens)} if new_tokens else {})
    text = json.dumps(lineage, ensure_ascii=False, indent=1, sort_keys=True)
    (folder / "lineage.json").write_text(text + "\n", encoding="utf-8")


def sha256(path: Path) -> str:
    """Hex digest of a file's content, or of a folder's relative names and contents: a rename changes it, a move not."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        digest.update(f"{sha256(file)}  {file.relative_to(path).as_posix()}\n".encode())
    return digest.hexdigest()


def _git() -> dict | None:
    """The commit, and whether code or params differ from it (not `dvc.lock`, which changes while DVC runs)."""
    commit = _run("rev-parse", "HEAD")
    if commit is None:  # unpacked from an archive, or no git here
        return None
    changes = _run("status", "--porcelain", "--", "scripts", "params.yaml", "dvc.yaml", "recipes/*.yaml")
    return {"commit": commit, "dirty": bool(changes)}


def _run(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", REPOSITORY, *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _versions() -> dict[str, str]:
    found = {}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:  # an export may be made without the libraries of training
            continue
    return found
