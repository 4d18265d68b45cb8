"""A command and all that it starts, ended together: DVC alone would leave a training behind.

    python -m asr.process_group dvc repro      # in the folder of a recipe; needs scripts/ on PYTHONPATH

Ctrl-C, SIGTERM and SIGHUP are handed on to the command's whole process group; where the command is killed, what it leaves is told to
end. Then this process stays until the last of it is gone, so that a container is not taken down while a training still writes its
checkpoint.
"""

import ctypes
import os
import signal
import subprocess
import sys
from contextlib import suppress

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SUBREAPER = 36  # prctl's PR_SET_CHILD_SUBREAPER: what its parent leaves behind becomes this process's child


def run(command: list[str]) -> int:
    """Run `command`, hand on the signals that would end it, and return its exit status (128 + signal if one ended it)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    received, process = [], None

    def hand_on(number: int, frame=None) -> None:
        received.append(number)
        if process:
            _signal_group(process.pid, number)

    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup means it
            signal.signal(number, hand_on)
    process = subprocess.Popen(command, process_group=0)
    for number in list(received):  # before there was anybody to hand it on to
        _signal_group(process.pid, number)
    status = process.wait()
    if status < 0:
        _signal_group(process.pid, signal.SIGTERM)
    if received or status < 0:
        _wait_for_group(process.pid)
    return status if status >= 0 else 128 - status


def _signal_group(group: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def _wait_for_group(group: int) -> None:
    """Until none of it is left that this process has come to be the parent of."""
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-group, 0)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
