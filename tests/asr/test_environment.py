"""What `.env` says steers folders and caches; what it keeps secret stays secret."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from asr.environment import workers
from asr.errors import UserError

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
TEMPLATE = SCRIPTS.parent / ".env.template"


@pytest.fixture
def ask(tmp_path):
    """A repository of its own; `ask(dotenv, question…)` gives what `python -m asr.environment` prints there."""
    repository = tmp_path / "repository"
    (repository / "scripts/asr").mkdir(parents=True)
    for name in ("__init__.py", "environment.py", "errors.py"):
        shutil.copy(SCRIPTS / "asr" / name, repository / "scripts/asr")
    for recipe in ("german", "russian"):
        (repository / "recipes" / recipe).mkdir(parents=True)
        (repository / "recipes" / recipe / "dvc.yaml").touch()

    def ask(dotenv: str, *question: str, cwd: Path = repository, **environment: str) -> str:
        (repository / ".env").write_text(dotenv, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, *(question if question[0] == "-c" else ("-m", "asr.environment", *question))],
            cwd=cwd,
            env={
                "PATH": os.environ["PATH"],
                "HOME": "/home/me",
                "PYTHONPATH": str(repository / "scripts"),
                **environment,
            },
            capture_output=True,
            text=True,
        )
        return (done.stdout if done.returncode == 0 else done.stderr).strip()

    ask.repository = repository
    return ask


def test_nothing_set_means_the_defaults(ask):
    for dotenv in ("", TEMPLATE.read_text(encoding="utf-8")):
        assert ask(dotenv, "cache_dir") == ask(dotenv, "model_dir") == ""
        assert ask(dotenv, "log_dir") == "runs"
        assert ask(dotenv, "recipe_dir", "sample") == str(ask.repository)
        assert ask(dotenv, "recipe_dir", "german") == str(ask.repository / "recipes/german")


@pytest.mark.parametrize(
    ("dotenv", "answer"),
    [
        ('CACHE_DIR="/data/my cache"  # on the big disk', "/data/my cache"),
        ("CACHE_DIR='/data/it is $HOME'", "/data/it is $HOME"),
        ("CACHE_DIR=~/cache", "/home/me/cache"),
        ("BASE_DIR=/big\nCACHE_DIR=cache", "/big/cache"),
        ("BASE_DIR=/big\nexport CACHE_DIR=${BASE_DIR}/c", "/big/c"),
    ],
)
def test_paths_of_every_form(ask, dotenv, answer):
    assert ask(dotenv, "cache_dir") == answer


def test_a_relative_path_starts_from_the_repository_and_the_shell_wins(ask):
    assert ask("MODEL_DIR=models", "model_dir") == str(ask.repository / "models")
    assert ask("MODEL_DIR=models", "model_dir", MODEL_DIR="/shell") == "/shell"


def test_set_but_empty_in_the_shell_wins_over_the_file_too(ask):
    assert ask("MODEL_DIR=models", "model_dir", MODEL_DIR="") == ""
    assert ask("LOG_DIR=/logs", "log_dir", LOG_DIR="") == "runs"


@pytest.mark.parametrize("number", ["0", "-2", "many", "1.5"])
def test_workers_are_a_positive_whole_number(monkeypatch, number):
    monkeypatch.setenv("WORKERS", number)
    with pytest.raises(UserError, match=rf"WORKERS: {number} is not a number of processes; "):
        workers()
    monkeypatch.setenv("WORKERS", "3")
    assert workers() == 3
    monkeypatch.setenv("WORKERS", "")
    assert workers() == len(os.sched_getaffinity(0))


def test_logs_of_recipes_do_not_mix(ask):
    assert ask("LOG_DIR=/logs", "log_dir") == "/logs/sample"
    assert ask("LOG_DIR=/logs", "log_dir", cwd=ask.repository / "recipes/german") == "/logs/german"


def test_unknown_recipe_lists_those_that_exist(ask):
    message = f"error: RECIPE=germn: no such recipe in {ask.repository}/recipes; there are: sample, german, russian"
    assert ask("", "recipe_dir", "germn") == message
    assert ask("CONFIG_DIR=mine", "recipe_dir", "german").endswith("/mine; there are: sample")
    assert "is outside the repository" in ask("CONFIG_DIR=/etc", "recipe_dir", "german")


def test_the_hubs_cache_and_telemetry(ask):
    program = "import os; from asr.environment import load_environment as load; load(); print({})"
    program = program.format(
        "*(os.environ.get(n) for n in ('HF_HOME', 'HF_HUB_DISABLE_TELEMETRY', 'DVC_NO_ANALYTICS', 'HF_TOKEN'))"
    )
    assert ask("CACHE_DIR=/big\nHF_TOKEN=", "-c", program) == "/big/huggingface 1 1 None"
    assert ask("CACHE_DIR=/big\nHF_TOKEN=hf_x", "-c", program, HF_HOME="/own") == "/own 1 1 hf_x"


def test_no_question_prints_a_secret(ask):
    dotenv = "HF_TOKEN=hf_secret\nWANDB_API_KEY=wandb_secret\nCACHE_DIR=/c"
    questions = [["cache_dir"], ["model_dir"], ["log_dir"], ["recipe_dir", "x"], ["HF_TOKEN"], ["WANDB_API_KEY"]]
    assert not any("secret" in ask(dotenv, *question) for question in questions)
