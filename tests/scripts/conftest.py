"""A recipe small enough to train in seconds: a Whisper of width 16, and features of noise with German labels."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

REPOSITORY = Path(__file__).parents[2]
TEXTS = ["Licht an.", "Licht aus.", "Wie spät ist es?", "Öffne die Tür!", "Stelle den Wecker auf sieben Uhr."]


@pytest.fixture(scope="session")
def tiny_inputs(tmp_path_factory):
    """A folder with `outputs/base_model` and `outputs/extract_features`, as their stages would write them."""
    from transformers import WhisperFeatureExtractor

    from asr.features import write_features
    from asr.model import new_whisper, save_whisper
    from asr.utterance import Utterance
    from asr.vocabulary import whisper_tokenizer

    folder = tmp_path_factory.mktemp("tiny") / "outputs"
    model = new_whisper(mels=80, width=16, heads=2, encoder_layers=1, decoder_layers=1, seed=0)
    save_whisper(folder / "base_model", model, whisper_tokenizer(80), WhisperFeatureExtractor(feature_size=80))
    rng = np.random.default_rng(0)
    for split, count in (("train", 40), ("dev", 4)):
        items = []
        for i in range(count):
            source, text = ("noise", "") if i == 3 else (("general", "domain")[i % 2], TEXTS[i % len(TEXTS)])
            frames = int(rng.integers(60, 300))
            row = Utterance(f"{source}/{i}", b"", text, "de", "someone", source, source, split, frames / 100).row()
            items.append((row, rng.uniform(-6, 1, (frames, 80)).astype(np.float32)))
        write_features(folder / "extract_features" / split, 80, sum(len(log_mel) for _, log_mel in items), items)
    return folder


@pytest.fixture
def tiny_recipe(tiny_inputs, tmp_path):
    """A folder to run training stages in: the sample's params, made small, and `tiny_inputs`."""
    (tmp_path / "outputs").mkdir()
    for stage in tiny_inputs.iterdir():
        (tmp_path / "outputs" / stage.name).symlink_to(stage)
    params = YAML().load(REPOSITORY / "params.yaml")
    for stage in ("train_german_model", "finetune_whisper"):
        params[stage].update(steps=8, eval_steps=4, warmup_steps=2, global_batch=8, device_batch=8, log_steps=1)
        params[stage].update(eval_utterances=4, eval_batch=2)
        params[stage]["windows"].update(full_share=0.25, full_batch=4, full_from=0.0)
    YAML().dump(params, tmp_path / "params.yaml")
    return tmp_path


@pytest.fixture
def command_of(tiny_recipe):
    """The command and the environment of a stage, as dvc.yaml starts a training."""

    def command(script: str, *flags: str, processes: int = 1) -> tuple[list[str], dict[str, str]]:
        launch, script = REPOSITORY / "scripts/asr/launch.py", REPOSITORY / f"scripts/{script}.py"
        # One thread, so that sums are taken in one order whatever the number of processes.
        machine = {"OMP_NUM_THREADS": "1", "LOG_DIR": str(tiny_recipe / "runs"), "GPUS": str(processes)}
        return [sys.executable, "-P", str(launch), str(script), *flags], os.environ | machine

    return command


@pytest.fixture
def run_script(tiny_recipe, command_of):
    """Run a stage in the tiny recipe as DVC does; returns the finished process, its output as text."""

    def run(script: str, *flags: str, processes: int = 1, check: bool = True, **variables: str):
        command, environment = command_of(script, *flags, processes=processes)
        done = subprocess.run(command, cwd=tiny_recipe, env=environment | variables, capture_output=True, text=True)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def kill_at(tiny_recipe, command_of):
    """Start a stage and kill all its processes, as `kill -9` does, when it prints a line that begins so."""

    def kill(line_start: str, script: str, *flags: str) -> None:
        command, environment = command_of(script, *flags)
        process = subprocess.Popen(
            command, cwd=tiny_recipe, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert any(line.startswith(line_start) for line in process.stdout)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    return kill
