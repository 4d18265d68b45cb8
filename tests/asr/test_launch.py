"""A training starts on as many processes as GPUS says, and ends as its script ends."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from asr import launch

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def command(tmp_path):
    """`command(code)`: what dvc.yaml would say to start a script of that code."""

    def command(code: str) -> list[str]:
        (script := tmp_path / "script.py").write_text(code)
        return [sys.executable, "-P", str(SCRIPTS / "asr/launch.py"), str(script), "flag"]

    return command


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)


@pytest.mark.parametrize("gpus", ["0", "-1", "two", "1.5"])
def test_what_is_no_number_of_processes_is_one_message(command, gpus):
    done = run(command("open('ran', 'w')"), GPUS=gpus)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: GPUS={gpus}: give a number of processes, such as GPUS=2\n"


def test_more_processes_than_gpus_is_one_message_with_both_numbers(monkeypatch, capsys):
    monkeypatch.setenv("GPUS", "3")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # stands in for a machine with two
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"):
        monkeypatch.setenv(name, "1")
    assert launch.main(["script.py"]) == 1
    assert capsys.readouterr().err == "error: GPUS=3: this machine shows 2; give at most GPUS=2\n"


@pytest.mark.parametrize("gpus", ["", "1"])
def test_one_process_sees_one_gpu_and_passes_on_its_exit_code(command, gpus):
    code = "import os, sys; print(sys.argv[1:], os.environ['CUDA_VISIBLE_DEVICES']); sys.exit(7)"
    done = run(command(code), GPUS=gpus, CUDA_VISIBLE_DEVICES="3,4")
    assert (done.returncode, done.stdout, done.stderr) == (7, "['flag'] 3\n", "")


def test_a_signal_to_the_launcher_leaves_no_orphan(command):
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    process = subprocess.Popen(command(code), stdout=subprocess.PIPE, text=True, env=os.environ | {"GPUS": "1"})
    assert int(process.stdout.readline()) == process.pid
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == -signal.SIGTERM


@pytest.mark.parametrize("failing", ["0 1", "0", "1"])
def test_a_users_mistake_on_any_of_two_processes_is_said_once(command, tmp_path, failing):
    code = f"""
import os, sys, time
sys.path.insert(0, {str(SCRIPTS)!r})
from asr.command import run_stage
from asr.errors import UserError
from asr.params import MergeLora

def main(params):
    if os.environ["RANK"] in {failing.split()!r}:
        raise UserError("mend it")
    time.sleep(60)

sys.argv = sys.argv[:1]
os.chdir({str(SCRIPTS.parent)!r})
run_stage(MergeLora, main)
"""
    done = run(command(code), GPUS="2")
    assert done.returncode == 1
    assert re.findall(r"^error: .*$", done.stderr, re.MULTILINE) == ["error: mend it"]
