"""Make, run for real in a fresh clone with a recipe whose stages are a line of shell each."""

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from saving_training import SAVES

REPOSITORY = Path(__file__).resolve().parents[1]
COMMANDS = {"lint_labels", "probe", "push_to_hub", "transcribe"}
STAGES = sorted({path.stem for path in (REPOSITORY / "scripts").glob("*.py")} - COMMANDS)
ALIASES = {
    "train": "train_german_model",
    "evaluate": "evaluation",
    "export-ct2": "convert_to_faster",
    "export-ggml": "convert_to_ggml",
}

TINY = r"""
stages:
  train_german_model:
    cmd: mkdir -p outputs/train_german_model runs && python -P ../../scripts/asr/launch.py train.py
    deps: [train.py]
    outs: [outputs/train_german_model]
  convert_to_faster:
    cmd:
      - mkdir -p outputs/convert_to_faster/int8
      - echo weights > outputs/convert_to_faster/int8/model.bin
      - echo '{"inputs":1}' > outputs/convert_to_faster/int8/lineage.json
    deps: [outputs/train_german_model]
    outs: [outputs/convert_to_faster]
"""
TRAIN = """
import os
if os.environ.get("RANK", "0") == "0":
    for path in ("outputs/train_german_model/gpus", "runs/gpus"):
        print(os.environ.get("WORLD_SIZE", "1"), file=open(path, "a"))
"""


@pytest.fixture
def start_make(repository):
    """Start make in the clone, with its `.venv` taken for made and the tests' own interpreter in its place."""

    def start(*arguments: str, **environment: str) -> subprocess.Popen:
        command = ["make", "-o", ".venv/installed", "-o", ".venv/installed_dev", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=repository, env=os.environ | environment, **pipes)

    return start


@pytest.fixture
def make(start_make):
    """Run make so."""

    def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
        process = start_make(*arguments, **environment)
        said, errors = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, said, errors)

    return make


@pytest.fixture
def tiny(repository) -> Path:
    """A recipe of two stages that take no time."""
    folder = repository / "recipes/tiny"
    folder.mkdir()
    (folder / "dvc.yaml").write_text(TINY)
    (folder / "train.py").write_text(TRAIN)
    return folder


def ok(done: subprocess.CompletedProcess) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_help_is_the_default_and_lists_what_is_for_users(make):
    text = ok(make())
    assert text == ok(make("help"))
    listed = re.findall(r"^  ([a-z0-9_-]+) +\S", text, re.MULTILINE)
    wanted = "help venv repro plan lint-labels probe push-to-hub train export-ct2 export-ggml export-onnx evaluate transcribe "
    wanted += "tensorboard test test-slow test-browser test-all lint clean"
    assert set(wanted.split()) <= set(listed)
    assert all(stage in text for stage in STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_is_a_target(make, stage):
    assert re.search(rf"dvc repro +{stage}$", ok(make("-n", stage)), re.MULTILINE)


@pytest.mark.parametrize("alias", ALIASES)
def test_short_names(make, alias):
    assert re.search(rf"dvc repro +{ALIASES[alias]}$", ok(make("-n", alias)), re.MULTILINE)


@pytest.mark.parametrize("target", ["repro", "train", "evaluation", "export-ct2", "clean"])
def test_unknown_recipe_is_one_message_that_lists_those_that_exist(make, repository, target):
    done = make(target, "RECIPE=germn")
    assert done.returncode != 0
    message, *rest = done.stderr.splitlines()
    assert message.startswith("error: RECIPE=germn: no such recipe in ")
    assert message.endswith(
        "; there are: sample, chinese, common_voice_de, distilled_de, german, korean_dyslexic, russian"
    )
    assert len(rest) == 1 and rest[0].startswith("make: ***")


def test_a_python_that_is_too_old_or_missing_is_one_message(repository):
    for python in ("false", "no-such-python"):
        done = subprocess.run(["make", "venv", f"PYTHON={python}"], cwd=repository, capture_output=True, text=True)
        assert done.returncode != 0
        assert f"error: PYTHON={python} is not Python 3.11 or 3.12; install one and say make PYTHON=" in done.stderr
        assert not (repository / ".venv").exists()


def test_gpus_reach_the_training_whatever_the_users_shell_and_change_nothing(make, tiny):
    ok(make("repro", "RECIPE=tiny", "GPUS=2", SHELL="/bin/false"))
    assert (tiny / "outputs/train_german_model/gpus").read_text() == "2\n"
    again = ok(make("repro", "RECIPE=tiny"))
    assert again.count("didn't change, skipping") == 2
    assert (tiny / "runs/gpus").read_text() == "2\n"


def test_recipes_may_lie_elsewhere_and_dvcs_cache_too(make, repository, tiny, tmp_path):
    tiny.parent.rename(repository / "my recipes")
    (repository / ".env").write_text(f'CONFIG_DIR="my recipes"\nCACHE_DIR="{tmp_path}/big disk"\nHF_TOKEN=hf_secret\n')
    done = make("repro", "RECIPE=tiny")
    assert "hf_secret" not in ok(done) + done.stderr
    assert (tmp_path / "big disk/dvc/files").is_dir()
    assert not (repository / ".dvc/cache").exists()


def test_training_shows_its_curves_and_hands_on_its_failure(make, tiny):
    with socket.create_server(("localhost", 0)) as taken:
        port = taken.getsockname()[1]
        text = ok(make("train", "RECIPE=tiny", TENSORBOARD_PORT=str(port)))
        assert f"port {port} is in use; taking " in text
        assert re.search(rf"TensorBoard: http://localhost:\d+/ shows {tiny}/runs\n", text)
        (tiny / "train.py").write_text("raise SystemExit(1)")
        failed = make("train", "RECIPE=tiny", TENSORBOARD_PORT=str(port))
        assert failed.returncode != 0 and "failed to reproduce 'train_german_model'" in failed.stderr


@pytest.mark.parametrize("target", ["repro", "train"])
def test_told_to_end_it_waits_for_the_trainings_checkpoint(start_make, tiny, target):
    """The signal goes to Make alone, as from a container's stop, and reaches the training past the shell and DVC."""
    (tiny / "train.py").write_text(SAVES)
    process = start_make(target, "RECIPE=tiny", TENSORBOARD_PORT="6006")
    while not (tiny / "started").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait() != 0
    assert (tiny / "saved").exists()


def test_other_machines_join_the_training_past_dvc(make, repository, tiny):
    (repository / "scripts/train_german_model.py").write_text(TRAIN)
    done = make("train", "RECIPE=tiny", "NNODES=2", "NODE_RANK=2", "MASTER=first")
    assert done.returncode != 0
    assert done.stderr.splitlines()[0].startswith("error: NODE_RANK=2: NNODES=2 machines are numbered from 0 to 1")
    (tiny / "outputs/train_german_model").mkdir(parents=True)
    (tiny / "runs").mkdir()
    assert "TensorBoard" not in ok(make("train", "RECIPE=tiny", "NODE_RANK=1"))
    assert not (tiny / "dvc.lock").exists() and (tiny / "runs/gpus").exists()


def test_probe_runs_in_the_recipes_folder_with_its_memory(make, repository, tiny):
    (repository / "scripts/probe.py").write_text(
        "import os; print(os.getcwd(), os.environ['MEMORY_GB'], os.environ['STAGE'])"
    )
    assert ok(make("probe", "RECIPE=tiny", "MEMORY_GB=16")) == f"{tiny} 16 train_german_model\n"


def test_transcribe_finds_what_is_named_from_here_in_the_recipes_folder(make, repository, tiny):
    (repository / "scripts/transcribe.py").write_text("import os, sys; print(os.getcwd(), sys.argv[1:])")
    assert make("transcribe", "RECIPE=tiny").returncode == 2
    recording = str(repository / "my talk.mp4")
    assert ok(make("transcribe", "RECIPE=tiny", "FILE=my talk.mp4")) == f"{tiny} {['--', recording]}\n"
    flags = ["--model", str(repository / "scripts"), "--format", "srt", "--", recording]
    args = ("FILE=my talk.mp4", "MODEL=scripts", "TRANSCRIBE_ARGS=--format srt")
    assert ok(make("transcribe", "RECIPE=tiny", *args)) == f"{tiny} {flags}\n"


def test_export_copies_to_the_model_folder(make, repository, tiny, tmp_path):
    assert f"The models are in {tiny}/outputs/convert_to_faster" in ok(make("export-ct2", "RECIPE=tiny"))
    own = tmp_path / "my models/tiny/own/file"
    own.parent.mkdir(parents=True)
    own.touch()
    for _ in range(2):  # the second time it replaces
        ok(make("export-ct2", "RECIPE=tiny", MODEL_DIR=f"{tmp_path}/my models"))
        copy = tmp_path / "my models/tiny/int8/model.bin"
        assert copy.read_text() == "weights\n" and os.access(copy, os.W_OK)
        assert {path.name for path in (tmp_path / "my models/tiny").iterdir()} == {"int8", "own"}
    made, card = (tiny / "outputs" / folder / "convert_to_faster/int8" for folder in ("", "evaluation/cards"))
    card.mkdir(parents=True)
    (card / "README.md").write_text("judged")
    (card / "lineage.json").write_bytes((made / "lineage.json").read_bytes())
    ok(make("export-ct2", "RECIPE=tiny", MODEL_DIR=f"{tmp_path}/my models"))
    assert copy.with_name("README.md").read_text() == "judged"


def test_clean_removes_what_was_made_but_not_the_cache(make, repository, tiny):
    ok(make("repro", "RECIPE=tiny"))
    assert "removing" in ok(make("clean", "RECIPE=tiny"))
    assert not (tiny / "outputs").exists() and not (tiny / "runs").exists()
    text = ok(make("repro", "RECIPE=tiny"))
    assert "cached - skipping run" in text and not (tiny / "runs").exists()
    assert (tiny / "outputs/convert_to_faster/int8/model.bin").exists()
