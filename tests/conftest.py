"""What all tests share: versions in the header, a full disk, and a copy of the repository to run Make and DVC in."""

import os
import resource
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from asr.environment import VARIABLES

REPOSITORY = Path(__file__).resolve().parents[1]
CLONED = ("Makefile", "dvc.yaml", "params.yaml", ".dvcignore", "requirements_training.txt", "constraints.txt")
LIBRARIES = ("torch", "transformers", "datasets", "peft", "ctranslate2", "faster-whisper", "dvc")

# What the user's .env says, and a GPU, must not matter; set but empty wins over .env. Subprocesses inherit it.
EMPTY = ("CUDA_VISIBLE_DEVICES", "WANDB_API_KEY", "CACHE_DIR", "LOG_DIR")
os.environ |= dict.fromkeys(EMPTY, "")
# The tests' tensors are tiny: more threads mostly wait for each other, the longer the busier the machine is. And sums are
# taken in one order, whatever the number of processes.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # dvc, torchrun


def pytest_report_header() -> str:
    return ", ".join(f"{name} {version(name)}" for name in LIBRARIES)


@pytest.fixture(autouse=True)
def same_environment():
    """As it was after each test: a stage that is run in this process reads `.env`, and its libraries set more."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ |= before


@pytest.fixture
def on_a_full_disk(request):
    """Run code, which may import the test's own module, where no file can hold more than `limit` bytes.

    That limit stands in for a full disk. The code must fail; returns what it wrote to stderr.
    """

    def run(code: str, limit: int, **variables: str) -> str:
        path = os.pathsep.join([str(request.path.parent), str(REPOSITORY / "scripts")])
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONPATH": path} | variables,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
            capture_output=True,
            text=True,
        )
        assert done.returncode != 0
        return done.stderr

    return run


@pytest.fixture(scope="session")
def make_clone():
    """Make an empty folder a fresh clone without a virtual environment, an `.env` or any output."""

    def make(clone: Path) -> Path:
        for name in CLONED:
            shutil.copy(REPOSITORY / name, clone)
        for name in ("scripts", "recipes"):
            shutil.copytree(
                REPOSITORY / name, clone / name, ignore=shutil.ignore_patterns("__pycache__", "outputs", "runs", "data")
            )
        for data in (REPOSITORY / "recipes").glob("*/data"):
            (clone / "recipes" / data.parent.name / "data").mkdir()
        (clone / ".dvc").mkdir()
        shutil.copy(REPOSITORY / ".dvc/config", clone / ".dvc")
        subprocess.run(["git", "init", "--quiet"], cwd=clone, check=True)
        return clone

    return make


@pytest.fixture
def repository(make_clone, tmp_path, monkeypatch) -> Path:
    """A fresh clone, and nothing of the user's environment. Paths in it hold a space."""
    for name in (*VARIABLES, "GPUS", "RECIPE", "MAKEFLAGS", "MAKELEVEL"):
        monkeypatch.delenv(name, raising=False)
    (clone := tmp_path / "fresh clone").mkdir()
    return make_clone(clone)
