"""A process that hangs ends the run in bounded time, and is named."""

import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SCRIPT = """
import os, signal, sys, time
import torch
import torch.distributed as dist
from asr.watchdog import Watchdog

rank, how = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{sys.argv[3]}", rank=rank, world_size=2)
with Watchdog(timeout=2 if how != "well" else 60) as watchdog:
    for step in range(5):
        if (rank, step) == (1, 3):
            if how == "stopped":
                os.kill(os.getpid(), signal.SIGSTOP)
            elif how == "waiting":
                time.sleep(60)  # for a disk that does not answer
        watchdog.progress(step)
        dist.all_reduce(torch.zeros(1))
dist.destroy_process_group()
print("done")
"""


@pytest.fixture
def pairs():
    """Two processes of a kind, of which the second may hang; all started at once, since they mostly import."""
    with ExitStack() as stack:  # all at the same time, or two would be the same
        free = {
            how: stack.enter_context(socket.create_server(("127.0.0.1", 0))) for how in ("stopped", "waiting", "well")
        }
        ports = {how: str(server.getsockname()[1]) for how, server in free.items()}
    pairs = {
        how: [
            subprocess.Popen(
                [sys.executable, "-c", SCRIPT, rank, how, port],
                env={"PYTHONPATH": str(SCRIPTS)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in "01"
        ]
        for how, port in ports.items()
    }
    yield pairs
    for process in (process for pair in pairs.values() for process in pair):
        process.kill()
        process.communicate()


def test_a_hanging_process_ends_the_run_and_is_named_and_one_that_gets_on_is_left_alone(pairs):
    for process in pairs["well"]:
        assert process.communicate() == ("done\n", "") and process.returncode == 0

    first, second = pairs["waiting"]
    errors = first.communicate()[1] + second.communicate()[1]
    assert (first.returncode, second.returncode) == (1, 1)
    assert errors.startswith("error: no progress for 2 s: process 1 of 2 does not get on from step 2; ")
    assert errors.count("\n") == 1 and "run the same command again" in errors

    first, second = pairs["stopped"]
    errors = first.communicate()[1]
    assert first.returncode == 1 and second.poll() is None
    assert "process 1 of 2 does not answer: it is stopped, or its machine is gone" in errors
