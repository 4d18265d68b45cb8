"""A signal to what was started reaches all that it has started, and is waited for."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from saving_training import SAVES

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stays_until_what_saves_has_saved(tmp_path, number):
    """Between it and the training is a program that ends at once, as DVC does."""
    (tmp_path / "training.py").write_text(SAVES)
    command = f'trap "exit 1" INT TERM; "{sys.executable}" training.py & wait'
    process = subprocess.Popen(
        [sys.executable, "-m", "asr.process_group", "bash", "-c", command],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
    )
    while not (tmp_path / "started").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait() == 1
    assert (tmp_path / "saved").exists()


def test_its_status_is_the_commands():
    for command, status in (("exit 3", 3), ("kill -KILL $$", 128 + signal.SIGKILL)):
        line = [sys.executable, "-m", "asr.process_group", "sh", "-c", command]
        assert subprocess.run(line, env=os.environ | {"PYTHONPATH": str(SCRIPTS)}).returncode == status


def test_what_a_killed_command_leaves_behind_is_told_to_end(tmp_path):
    (tmp_path / "training.py").write_text(SAVES)
    command = f'"{sys.executable}" training.py & while [ ! -e started ]; do sleep 0.1; done; kill -KILL $$'
    line = [sys.executable, "-m", "asr.process_group", "bash", "-c", command]
    done = subprocess.run(line, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(SCRIPTS)})
    assert done.returncode == 128 + signal.SIGKILL
    assert (tmp_path / "saved").exists()
