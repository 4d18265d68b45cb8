"""A recipe small enough to train in seconds: a Whisper of width 16, and features of noise with German labels."""

import os
import runpy
import socket
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
    from asr.model import save_whisper
    from asr.new_model import new_whisper
    from asr.utterance import Utterance
    from asr.vocabulary import whisper_tokenizer

    folder = tmp_path_factory.mktemp("tiny") / "outputs"
    model = new_whisper(mels=80, width=16, heads=2, encoder_layers=1, decoder_layers=1, seed=0)
    # Its control tokens are not said, the signs may be: all 90 are half of the time that so small a model decodes for.
    model.generation_config.suppress_tokens = model.generation_config.suppress_tokens[-6:]
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
def tiny_recipe(tiny_inputs, tmp_path) -> Path:
    """A folder to run training stages in: the sample's params, made small, and `tiny_inputs`."""
    (tmp_path / "outputs").mkdir()
    for stage in tiny_inputs.iterdir():
        (tmp_path / "outputs" / stage.name).symlink_to(stage)
    params = YAML().load(REPOSITORY / "params.yaml")
    for stage in ("train_german_model", "finetune_whisper"):
        params[stage].update(steps=6, eval_steps=3, warmup_steps=2, global_batch=8, device_batch=8, log_steps=1)
        params[stage].update(eval_utterances=4, eval_batch=2)
        params[stage]["windows"].update(full_share=0.25, full_batch=4, full_from=0.0)
    YAML().dump(params, tmp_path / "params.yaml")
    return tmp_path


@pytest.fixture
def run_script(tiny_recipe, monkeypatch, capsys):
    """Run a stage's script in the tiny recipe and in this process, since a new one imports for 5 to 10 seconds."""

    def run(script: str, *flags: str, check: bool = True) -> subprocess.CompletedProcess:
        monkeypatch.chdir(tiny_recipe)
        monkeypatch.setattr(sys, "argv", [script, *flags])
        status = 0
        try:
            runpy.run_path(str(REPOSITORY / f"scripts/{script}.py"), run_name="__main__")
        except SystemExit as ended:
            status = ended.code
        done = subprocess.CompletedProcess(sys.argv, status, *capsys.readouterr())
        assert not check or status == 0, done.stderr
        return done

    return run


@pytest.fixture
def run_code(tmp_path):
    """Run the lines of Python in a card on a second of noise, recording.wav; returns what they print."""

    def run(code: str) -> str:
        import soundfile

        noise = np.random.default_rng(0).normal(0, 0.1, 16000)
        soundfile.write(tmp_path / "recording.wav", noise, 16000)
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def run_card(run_code):
    """The same of an export, with the lines of its card."""

    def run(export: Path) -> str:
        code = (export / "README.md").read_text().split("```python\n")[1].split("```")[0]
        assert "path/to/this/folder" in code
        return run_code(code.replace("path/to/this/folder", str(export)))

    return run


@pytest.fixture
def interrupt_at(run_script, monkeypatch):
    """Run a stage in this process until it logs a step, which then ends it as Ctrl-C would."""

    def interrupt(step: int, script: str, *flags: str) -> None:
        from asr.callbacks import LogLines

        def on_log(self, args, state, control, **_):
            if state.global_step == step:
                raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(LogLines, "on_log", on_log)
            assert run_script(script, *flags, check=False).returncode == 130

    return interrupt


@pytest.fixture
def start(tiny_recipe):
    """Start a stage in the tiny recipe as dvc.yaml starts a training: in so many processes of its own."""

    def start(processes: int, script: str, *flags: str, **environment: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-P", REPOSITORY / "scripts/asr/launch.py", REPOSITORY / f"scripts/{script}.py", *flags],
            cwd=tiny_recipe,
            env=os.environ | {"GPUS": str(processes)} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return start


@pytest.fixture
def run_processes(start):
    """Run a stage in processes of its own; returns what it printed."""

    def run(processes: int, script: str, *flags: str) -> str:
        process = start(processes, script, *flags)
        said, errors = process.communicate()
        assert process.returncode == 0, said + errors
        return said

    return run


@pytest.fixture
def run_machines(start):
    """Run a stage in one process on each of two "machines", which are both this one; returns what each printed."""

    def run(script: str, *flags: str) -> list[str]:
        with socket.create_server(("127.0.0.1", 0)) as free:
            master = f"127.0.0.1:{free.getsockname()[1]}"
        machines = [start(1, script, *flags, NNODES="2", NODE_RANK=rank, MASTER=master) for rank in "01"]
        said = [machine.communicate() for machine in machines]
        assert [machine.returncode for machine in machines] == [0, 0], said
        return [out for out, _ in said]

    return run


@pytest.fixture
def signal_at(start):
    """Start a stage and signal all its processes when it prints a line that begins so; returns the exit status."""

    def send(number: int, line_start: str, script: str, *flags: str) -> int:
        with start(1, script, *flags) as process:
            assert any(line.startswith(line_start) for line in process.stdout), process.stderr.read()
            os.killpg(process.pid, number)
            process.communicate()
        return process.returncode

    return send
