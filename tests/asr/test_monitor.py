"""TensorBoard starts with a command and ends with it, however that ends."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Collection
from pathlib import Path

import pytest

import asr.monitor

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def free() -> int:
    """A port that is free, and the next one too most likely."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


@pytest.fixture
def monitor(tmp_path):
    """Start the monitor in an empty folder; whatever is left of it at the end is killed."""
    started = []

    def monitor(port, *command: str, ignored: Collection[int] = ()) -> subprocess.Popen:
        environment = os.environ | {"PYTHONPATH": str(SCRIPTS), "TENSORBOARD_PORT": str(port)}
        arguments = [sys.executable, "-m", "asr.monitor", *(("--", *command) if command else ())]

        def as_in_a_terminal():  # also where the tests themselves run in the background, or under nohup
            for number in (signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

        pipe = subprocess.PIPE
        process = subprocess.Popen(
            arguments,
            cwd=tmp_path,
            env=environment,
            stdout=pipe,
            stderr=pipe,
            text=True,
            preexec_fn=as_in_a_terminal,
        )
        started.append(process)
        return process

    yield monitor
    for process in started:
        process.kill()
        process.communicate()


def address(process: subprocess.Popen) -> str:
    """What it prints as TensorBoard's address, which then answers."""
    for line in process.stdout:
        if found := re.match(r"TensorBoard: (http://localhost:\d+/) shows .*runs$", line):
            assert urllib.request.urlopen(found[1]).status == 200
            return found[1]
    raise AssertionError(process.stderr.read())


def answers(url: str) -> bool:
    try:
        return urllib.request.urlopen(url).status == 200
    except OSError:
        return False


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("status", [0, 3])
def test_it_ends_with_the_command_and_with_its_status(monitor, free, tmp_path, status):
    process = monitor(free, "sh", "-c", f"while [ ! -e end ]; do sleep 0.1; done; exit {status}")
    url = address(process)
    (tmp_path / "end").touch()
    assert process.wait() == status
    assert not answers(url)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_command_and_all_that_it_started(monitor, free, tmp_path, number):
    inner = "import os, time; open('pid', 'w').write(str(os.getpid())); os.rename('pid', 'started'); time.sleep(60)"
    process = monitor(free, "sh", "-c", f'"{sys.executable}" -c "{inner}"; true')
    url = address(process)
    while not (tmp_path / "started").exists():
        time.sleep(0.05)
    grandchild = int((tmp_path / "started").read_text())
    process.send_signal(number)
    assert process.wait() == 128 + number
    while alive(grandchild):  # the signal has been sent; pytest's own time limit is the end of patience
        time.sleep(0.05)
    assert not answers(url)


def test_under_nohup_a_hang_up_ends_nothing(monitor, free, tmp_path):
    process = monitor(
        free, "sh", "-c", "touch started; while [ ! -e end ]; do sleep 0.1; done; exit 3", ignored=[signal.SIGHUP]
    )
    while not (tmp_path / "started").exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    (tmp_path / "end").touch()
    assert process.wait() == 3


def test_killed_monitor_takes_tensorboard_along(monitor, free):
    process = monitor(free, "sleep", "5")
    url = address(process)
    process.kill()
    process.wait()
    assert not answers(url)


def test_killed_command_takes_tensorboard_along(monitor, free):
    process = monitor(free, "sh", "-c", "kill -KILL $$")
    assert process.wait() == 128 + signal.SIGKILL


def test_the_next_port_is_taken_when_the_wanted_one_is_in_use(monitor):
    with socket.create_server(("localhost", 0)) as taken:
        port = taken.getsockname()[1]
        process = monitor(port)
        assert process.stdout.readline().startswith(f"port {port} is in use; taking ")
        assert not address(process).endswith(f":{port}/")


def test_a_port_that_is_lost_between_probe_and_start_is_replaced(monkeypatch, tmp_path):
    probe = asr.monitor.free_port
    with socket.create_server(("localhost", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(asr.monitor, "free_port", lambda first: port if first == port else probe(first))
        url = asr.monitor.serve(tmp_path, port)
        assert answers(url) and not url.endswith(f":{port}/")


@pytest.mark.parametrize("port", ["http", "0", "70000"])
def test_what_is_no_port_is_one_message_before_the_command_runs(monitor, tmp_path, port):
    _, message = (process := monitor(port, "touch", "ran")).communicate()
    assert process.returncode == 1
    assert message.strip() == (
        f"error: TENSORBOARD_PORT: {port} is not a port; write a number from 1 to 65535 into .env, e.g. 6006"
    )
    assert not (tmp_path / "ran").exists()
