"""Benchmarks measure what they say and still run; no test looks at how fast anything is."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
import soundfile

REPOSITORY = Path(__file__).resolve().parents[1]
BENCHMARKS = REPOSITORY / "benchmarks"
NAMES = sorted(path.stem for path in BENCHMARKS.glob("*.py") if "__main__" in path.read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.syspath_prepend(REPOSITORY / "scripts")  # first: two benchmarks have the names of their stages


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """Two clips in Common Voice's layout, and their language."""
    folder = tmp_path_factory.mktemp("common_voice")
    (folder / "clips").mkdir()
    header, rows = "client_id\tpath\tsentence\tlocale\n", ""
    for number in range(2):
        noise = np.random.default_rng(number).uniform(-0.1, 0.1, 48_000)
        soundfile.write(folder / "clips" / f"{number}.wav", noise, 48_000)
        rows += f"S{number}\t{number}.wav\tGrün ist es.\tde\n"
    (folder / "validated.tsv").write_text(header + rows, encoding="utf-8")
    return [(folder, "de")]


def benchmark(name: str):
    """The module; `import_module` might give the stage of the same name."""
    spec = spec_from_file_location(f"benchmark_{name}", BENCHMARKS / f"{name}.py")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look
    spec.loader.exec_module(module)
    return module


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
    ],
)
def test_a_job_can_be_done_again(name, arguments):
    jobs = benchmark(name).jobs(*arguments)
    for work, run in (next(jobs), next(jobs)):
        assert work > 0
        run()


@pytest.fixture(scope="module")
def prepared(corpora, tmp_path_factory):
    """What the stage makes of them."""
    recordings = benchmark("recordings")
    folder = tmp_path_factory.mktemp("stage") / "prepared"
    line = recordings.command(recordings.stage_values(recordings.sources_of(corpora), folder))
    subprocess.run(line, cwd=REPOSITORY, env=os.environ | {"WORKERS": "1"}, check=True)
    return folder


def test_each_way_to_prepare_clips_converts_them_all_anew(corpora, prepared, tmp_path, monkeypatch):
    from asr.utterance import load_split

    for program in ("ffmpeg", "ffprobe"):  # that write or say what is asked, since not every machine has them
        file = tmp_path / "bin" / program
        file.parent.mkdir(exist_ok=True)
        file.write_text('#!/bin/sh\nfor last; do :; done\n[ "$0" = "${0%ffprobe}" ] && : > "$last" || echo 1.0\n')
        file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    module = benchmark("prepare_audio")
    for number, way in enumerate(module.WAYS):
        times = 10 if way == module.LONGER else 1
        jobs = module.jobs(way, corpora, 1, tmp_path / str(number))
        for _ in range(3):
            work, run = next(jobs)
            assert work == 2 * times
            run()
        last = tmp_path / str(number) / "2"
        assert not (tmp_path / str(number) / "0").exists()
        if way == module.REFERENCE:
            assert len(list(last.glob("*.wav"))) == len((last / "manifest.jsonl").read_text().splitlines()) == 2
        else:
            folder = last if way == module.STEADY else last / "prepared"
            assert load_split(folder, "train")["audio"][:] == times * load_split(prepared, "train")["audio"][:]


def test_what_an_hour_takes(corpora, prepared, tmp_path):
    (tmp_path / "a.wav").write_bytes(bytes(1_000_000))
    sizes = benchmark("prepare_audio").megabytes_an_hour(prepared, tmp_path)
    assert sizes["wav"] == pytest.approx(1800)  # of two seconds
    assert sizes["features 80"] == pytest.approx(2 * 102 * 80 * 2e-6 * 1800)
    assert sizes["padded 128"] == pytest.approx(2 * 3000 * 128 * 4e-6 * 1800)


def test_both_ways_to_log_mels_can_be_done_again(prepared, tmp_path):
    for ours in (False, True):
        jobs = benchmark("extract_features").jobs(ours, prepared, 80, tmp_path / str(ours))
        for work, run in (next(jobs), next(jobs)):
            assert work == pytest.approx(2.0)
            run()


@pytest.mark.parametrize("corpus", ["webdataset", "common_voice"])
def test_the_stage_keeps_every_clip_that_is_made_for_it(corpus, tmp_path):
    from recordings import command, stage_values

    sources = {"noise": benchmark("prepare_memory").make_corpus(tmp_path, 50, corpus)}
    line = command(stage_values(sources, tmp_path / "prepared"))
    subprocess.run(line, cwd=REPOSITORY, env=os.environ | {"WORKERS": "1"}, check=True)
    cell = json.loads((tmp_path / "prepared" / "stats.json").read_text())["noise"]["train"]
    assert (cell["in"], cell["kept"], cell["speakers"], cell["hours"]) == (50, 50, 2, round(50 / 3600, 4))


def test_the_memory_of_children_counts():
    hold = "import time; held = b'x' * 100_000_000; time.sleep(1)"
    both = f"import subprocess, sys; held = b'x' * 100_000_000; subprocess.run([sys.executable, '-c', {hold!r}])"
    peak = benchmark("prepare_memory").measure([sys.executable, "-c", both])
    assert 200 < peak.megabytes < 250
    assert 100 < peak.process_megabytes < 130
    assert peak.seconds_until < peak.seconds


def test_a_folder_that_is_not_there_is_one_line_that_names_the_flag(tmp_path):
    for name in ("prepare_audio", "extract_features"):
        line = [sys.executable, BENCHMARKS / f"{name}.py", "--clips", tmp_path / "nothing"]
        done = subprocess.run(line, capture_output=True, text=True)
        assert done.returncode == 1 and not done.stdout
        assert str(tmp_path / "nothing") in done.stderr and "--clips" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_without_ffmpeg_the_line_says_what_to_install(corpora):
    line = [sys.executable, BENCHMARKS / "prepare_audio.py", "--clips", corpora[0][0]]
    done = subprocess.run(line, capture_output=True, text=True, env=os.environ | {"PATH": ""})
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: ffmpeg and ffprobe not found, which the reference starts; install the package ffmpeg"
    ]
