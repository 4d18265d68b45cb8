"""Benchmarks measure what they say and still run; no test looks at how fast anything is."""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
NAMES = sorted(path.stem for path in BENCHMARKS.glob("*.py") if "__main__" in path.read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)


def sleeper(megabytes: int) -> Iterator:
    """Jobs that hold so much for a while; what the process has held before is not theirs."""
    len(b"x" * 200_000_000)
    while True:
        yield 2.0, lambda: b"x" * (megabytes * 1_000_000)


def bounds() -> Iterator:
    while True:
        yield float(os.environ.get("MALLOC_MMAP_THRESHOLD_", 0)), lambda: None


@pytest.mark.parametrize("name", NAMES)
def test_it_starts_alone_and_says_how(name):
    done = subprocess.run([sys.executable, BENCHMARKS / f"{name}.py", "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"python benchmarks/{name}.py\n" in done.stdout


def test_each_side_takes_its_turns_and_only_its_own_memory_counts():
    from side_by_side import Side, megabytes, take_turns

    turns = take_turns({"little": Side(sleeper, 1), "much": Side(sleeper, 100)}, rounds=2)
    assert [[turn.work for turn in own] for own in turns.values()] == [[2.0, 2.0], [2.0, 2.0]]
    memory = megabytes(turns)
    assert memory["little"] < 20
    assert 95 < memory["much"] < 120


def test_a_side_has_its_own_bounds_and_leaves_ours(monkeypatch):
    from side_by_side import Side, take_turns

    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "7")
    sides = {"none": Side(bounds, bounds={}), "a training's": Side(bounds)}
    assert [own[0].work for own in take_turns(sides, rounds=1).values()] == [0.0, 2.0**32]
    assert os.environ["MALLOC_MMAP_THRESHOLD_"] == "7"


def test_a_ratio_is_the_median_of_the_rounds_own():
    from side_by_side import Turn, table

    ours = [Turn(1.0, 1.0, 0.0), Turn(1.0, 10.0, 0.0), Turn(1.0, 1.0, 0.0)]
    theirs = [Turn(1.0, 2.0, 0.0), Turn(1.0, 20.0, 0.0), Turn(1.0, 5.0, 0.0)]
    text = table({"theirs": theirs, "ours": ours}, "steps / s", "theirs", {"theirs": 200.0, "ours": 50.0})
    assert text.splitlines()[-1].split() == ["ours", "1.00", "2.00", "2.00", "5.00", "50", "0.25"]


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("windows", ("sample", 0.0, 0.0, 2, 2)),
        ("windows", ("sample", 1.0, 1.0, 1, 1)),
        ("loss", ("every position (Whisper's own)", "sample", 0.0, 0.0, 2)),
        ("loss", ("those with a label", "sample", 1.0, 0.5, 1)),
        ("allocator", ()),
        ("memory", (True, True, "sample")),
        ("features", (True, 80)),
    ],
)
def test_a_job_can_be_done_again(name, arguments):
    jobs = import_module(name).jobs(*arguments)
    for work, run in (next(jobs), next(jobs)):
        assert work > 0
        run()
