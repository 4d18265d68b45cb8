"""Two or more ways to do the same work, measured side by side in one run.

    def clips(size: int) -> Iterator[Job]:
        ...                                     # imports, model, data: not timed
        while True:
            yield seconds_of_speech, step       # `step()` is

    turns = take_turns({"one by one": Side(clips, 1), "in batches": Side(clips, 16)}, rounds=5)
    print(table(turns, "speech-seconds / s", reference="one by one"))

Each side is a process of its own, so that its environment and its memory are its own, but only one works at a time: they
take turns, A B A B …, after a first turn that does not count. A ratio is the median over the rounds of what the two
sides did within one round, so that what slows the machine down for a while slows both down.
"""

import argparse
import ctypes
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from asr.launch import GLIBC_BOUNDS

Job = tuple[float, Callable[[], object]]  # how much work it is, and the work itself

# For a side whose memory is measured: it gives back each tensor that it frees, so that it holds what is in use. Slower.
GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": str(2**16), "MALLOC_TRIM_THRESHOLD_": str(2**16)}


@dataclass(frozen=True)
class Turn:
    """What a side did at once."""

    work: float
    seconds: float
    megabytes: float  # the most that the process has held since it was ready, beyond what it held then


class Side:
    """One way to do the work.

    Args:
        jobs: a function of a module, called in the side's process; it yields one job a turn. What it does in between is
            not timed, and what it holds when it yields the first one does not count as memory.
        arguments: for `jobs`.
        bounds: of the process's allocator, as environment variables; by default those of a training.
    """

    def __init__(
        self, jobs: Callable[..., Iterator[Job]], *arguments: object, bounds: Mapping[str, str] = GLIBC_BOUNDS
    ):
        self._process = ProcessPoolExecutor(1, get_context("spawn"), initializer=_start, initargs=(jobs, arguments))
        with _in_environment(bounds):
            self._ready = self._process.submit(os.getpid)  # the process starts here and gets ready on its own

    def wait(self) -> None:
        """Until it is ready."""
        self._ready.result()

    def turn(self) -> Turn:
        """Do the next job."""
        return self._process.submit(_take_a_turn).result()

    def end(self) -> None:
        """End the process."""
        self._process.shutdown()


def take_turns(sides: dict[str, Side], rounds: int) -> dict[str, list[Turn]]:
    """Each side's turns, after a first one that warms up caches and allocators. Ends the sides' processes."""
    for side in sides.values():
        side.wait()  # else one would get ready while another works
    turns: dict[str, list[Turn]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, side in sides.items():
            turn = side.turn()
            if number:
                turns[name].append(turn)
    for side in sides.values():
        side.end()
    return turns


def megabytes(turns: dict[str, list[Turn]]) -> dict[str, float]:
    """The most that each side has held."""
    return {name: max(turn.megabytes for turn in own) for name, own in turns.items()}


def table(turns: dict[str, list[Turn]], unit: str, reference: str, memory: Mapping[str, float] | None = None) -> str:
    """One line a side: its median speed, and how many times the reference's it is, with the lowest and highest round.

    Args:
        unit: of the work in a second, such as "steps / s".
        memory: megabytes of each side, to be shown beside its speed.
    """
    rows = [["", unit, "ratio", "lowest", "highest", *(["MB", "ratio"] if memory else [])]]
    for name, own in turns.items():
        speeds = [turn.work / turn.seconds for turn in own]
        ratios = [speed * turn.seconds / turn.work for speed, turn in zip(speeds, turns[reference], strict=True)]
        cells = [statistics.median(speeds), statistics.median(ratios), min(ratios), max(ratios)]
        row = [name, *(f"{cell:.2f}" for cell in cells)]
        if memory:
            row += [f"{memory[name]:.0f}", f"{memory[name] / memory[reference]:.2f}"]
        rows.append(row)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows)
    return "\n".join("  ".join(line).rstrip() for line in lines)


def alone(work: Callable, *arguments: object) -> Future:
    """What `work(*arguments)` returns, from a process of its own; `work` is a function of a module."""
    process = ProcessPoolExecutor(1, get_context("spawn"), initializer=_watch_parent)
    result = process.submit(work, *arguments)
    process.shutdown(wait=False)  # when that is done
    return result


def flags(description: str, rounds: int) -> argparse.ArgumentParser:
    """The command line that every benchmark has: `--help` prints the module's docstring."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"turns of each side that count (default {rounds})")
    return parser


# ------------------------------------------------------------------------------------------- in the side's own process


class _Here:
    """The side that this process is."""

    jobs: Iterator[Job]
    next_job: Job
    megabytes_when_ready: float


def _start(jobs: Callable[..., Iterator[Job]], arguments: tuple) -> None:
    _watch_parent()
    _Here.jobs = jobs(*arguments)
    _Here.next_job = next(_Here.jobs)
    ctypes.CDLL(None).malloc_trim(0)  # what getting ready has left behind would hide what the work takes
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew
    _Here.megabytes_when_ready = _status("VmRSS")


def _watch_parent() -> None:
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent_process().join()
    os._exit(1)  # a benchmark that is killed leaves nothing behind


def _take_a_turn() -> Turn:
    work, run = _Here.next_job
    start = time.perf_counter()
    run()
    seconds = time.perf_counter() - start
    most = _status("VmHWM") - _Here.megabytes_when_ready
    _Here.next_job = next(_Here.jobs)
    return Turn(work, seconds, most)


def _status(name: str) -> float:
    """A figure of /proc/self/status, in megabytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    kibibytes = next(line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return int(kibibytes) * 1024 / 1e6


@contextmanager
def _in_environment(bounds: Mapping[str, str]) -> Iterator[None]:
    """A process that is started meanwhile has these bounds and no others."""
    before = {name: os.environ.pop(name) for name in GLIBC_BOUNDS if name in os.environ}
    os.environ.update(bounds)
    try:
        yield
    finally:
        for name in bounds:
            del os.environ[name]
        os.environ.update(before)
