"""Whether `prepare_audio` needs more memory for more rows: its peak for 10,000 and for 100,000 clips of one second.

Each clip is other noise, in one plain tarball a set. What counts is the sum over the stage's processes of their
proportional share (PSS: what several share counts once), looked at every 50 ms. A shorter peak is not seen.
A set of 100,000 takes 7 GB in the temporary folder (TMPDIR) while it is worked on.

    python benchmarks/prepare_memory.py
    python benchmarks/prepare_memory.py --sizes 1000 10000 --corpus common_voice
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import time
import wave
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from recordings import REPOSITORY, command, stage_values

RATE = 16_000
SPEAKER_CLIPS = 40  # a speaker has so many
EVERY = 0.05  # seconds
TARGETS = {"ratio": 1.2, "megabytes": 1500}
CORPORA = ("webdataset", "common_voice")


@dataclass(frozen=True)
class Peak:
    """The most that was seen."""

    megabytes: float = 0.0  # of all processes together
    seconds_until: float = 0.0  # when that was
    process_megabytes: float = 0.0  # of the largest, at any time
    seconds: float = 0.0  # how long it all took


def make_corpus(folder: Path, clips: int, corpus: str) -> dict:
    """Write a corpus of that many clips of a second each, and return it as a source of `prepare_audio`."""
    source = {"corpus": corpus, "language": "de", "domain": "noise"}
    if corpus == "common_voice":
        rows = (f"S{i // SPEAKER_CLIPS}\t{i}.wav\t{_text(i)}\n" for i in range(clips))
        table = "client_id\tpath\tsentence\n" + "".join(rows)
        members = ((f"cv/de/clips/{i}.wav", content) for i, content in enumerate(_wavs(clips)))
        _write_tar(folder / "cv.tar", _first(("cv/de/validated.tsv", table.encode()), members))
        return source | {"path": str(folder / "cv.tar"), "splits": "speaker"}
    (folder / "shards").mkdir()
    _write_tar(folder / "shards" / "0.tar", _samples(clips))
    return source | {"path": str(folder), "splits": {"speaker": "shards"}, "samples_per_shard": clips}


def measure(line: list[str], **environment: str) -> Peak:
    """Run a command and look at the memory of it and of all processes below it."""
    start = time.monotonic()
    peak = Peak()
    with TemporaryDirectory() as place, (Path(place) / "said").open("w+") as said:
        process = subprocess.Popen(line, cwd=REPOSITORY, env=os.environ | environment, stdout=said, stderr=said)
        while process.poll() is None:
            held = [_megabytes(pid) for pid in _with_children(process.pid)]
            now = time.monotonic() - start
            if sum(held) > peak.megabytes:
                peak = replace(peak, megabytes=sum(held), seconds_until=now)
            peak = replace(peak, process_megabytes=max(peak.process_megabytes, *held, 0.0))
            time.sleep(EVERY)
        said.seek(0)
        if process.returncode:
            sys.exit(said.read())
    return replace(peak, seconds=time.monotonic() - start)


def peak_of(clips: int, corpus: str, workers: int) -> Peak:
    """Of the stage, on a new corpus."""
    with TemporaryDirectory() as folder:
        sources = {"noise": make_corpus(Path(folder), clips, corpus)}
        values = stage_values(sources, Path(folder) / "prepared")
        return measure(command(values), WORKERS=str(workers))


def _samples(clips: int) -> Iterator[tuple[str, bytes]]:
    for i, content in enumerate(_wavs(clips)):
        yield f"{i:07d}.wav", content
        yield f"{i:07d}.json", json.dumps({"text": _text(i), "speaker": f"S{i // SPEAKER_CLIPS}"}).encode()


def _text(i: int) -> str:
    return f"Das ist Satz {i}."


def _wavs(clips: int) -> Iterator[bytes]:
    """Noise of 7 bits: as FLAC about as large as speech."""
    rng = np.random.default_rng(0)
    empty = io.BytesIO()
    with wave.open(empty, "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(bytes(2 * RATE))
    header = empty.getvalue()[: -2 * RATE]
    for _ in range(clips):
        yield header + rng.integers(-64, 64, RATE, dtype=np.int8).astype("<i2").tobytes()


def _write_tar(file: Path, members: Iterator[tuple[str, bytes]]) -> None:
    with tarfile.open(file, "w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
            archive.members = []  # it would keep each header


def _first(item: tuple[str, bytes], others: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    yield item
    yield from others


def _with_children(pid: int) -> Iterator[int]:
    """A process and all below it, as far as they are still there."""
    yield pid
    try:
        below = [child for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()]
    except OSError:
        return
    for child in below:
        yield from _with_children(int(child))


def _megabytes(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e6


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000], help="clips (default 10000 100000)")
    parser.add_argument("--corpus", choices=CORPORA, default=CORPORA[0], help=f"form of the tar (default {CORPORA[0]})")
    parser.add_argument("--workers", type=int, default=2, help="processes of the stage (default 2)")
    given = parser.parse_args()
    peaks = {size: peak_of(size, given.corpus, given.workers) for size in given.sizes}
    for size, peak in peaks.items():
        print(
            f"{size:>9,} clips: {peak.megabytes:6.0f} MB at most in all processes together, "
            f"after {peak.seconds_until:.0f} of {peak.seconds:.0f} s; {peak.process_megabytes:.0f} in the largest"
        )
    ratio = peaks[given.sizes[-1]].megabytes / peaks[given.sizes[0]].megabytes
    print(f"ratio {ratio:.2f} (target {TARGETS['ratio']}), target of either {TARGETS['megabytes']} MB")
