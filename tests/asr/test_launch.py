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


def test_a_process_that_is_killed_is_named(command):
    code = (
        "import os, signal, time; os.kill(os.getpid(), signal.SIGKILL) if os.environ['RANK'] == '1' else time.sleep(60)"
    )
    done = run(command(code), GPUS="2")
    assert done.returncode == 1
    assert done.stderr == (
        "error: process 1 was ended by SIGKILL, as the system does when memory runs out; "
        "the same command goes on from the last whole checkpoint\n"
    )


def test_processes_that_save_when_told_to_end_have_the_time_and_their_status_is_handed_on(command, tmp_path):
    code = f"""
import os, pathlib, signal, sys, time
def save(*_):
    time.sleep(0.5)
    pathlib.Path({str(tmp_path)!r}, os.environ["RANK"]).touch()
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
os.write(1, b"ready\\n")  # at once: both write into one pipe
time.sleep(60)
"""
    process = subprocess.Popen(command(code), stdout=subprocess.PIPE, text=True, env=os.environ | {"GPUS": "2"})
    assert [process.stdout.readline() for _ in "01"] == ["ready\n"] * 2
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 143
    assert {path.name for path in tmp_path.iterdir()} == {"0", "1", "script.py"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"NNODES": "two"}, "NNODES=two: give a number of machines, such as NNODES=2"),
        (
            {"NNODES": "2", "MASTER": "a"},
            "NODE_RANK=: NNODES=2 machines are numbered from 0 to 1; say on each which one it is",
        ),
        (
            {"NNODES": "2", "NODE_RANK": "2", "MASTER": "a"},
            "NODE_RANK=2: NNODES=2 machines are numbered from 0 to 1; say on each which one it is",
        ),
        (
            {"NNODES": "2", "NODE_RANK": "1"},
            "MASTER=: give the address of the machine with NODE_RANK=0, the same on all machines, "
            "such as MASTER=10.0.0.1 or MASTER=10.0.0.1:29500",
        ),
    ],
)
def test_machines_that_cannot_find_each_other_are_one_message(command, given, message):
    done = run(command("open('ran', 'w')"), **given)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"error: {message}\n")
