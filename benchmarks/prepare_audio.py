"""What preparing clips costs: clips that are converted and checked in a second, and megabytes that an hour of speech takes.

Usually each clip is a process of ffmpeg, which writes a WAV file, and one of ffprobe, which says how long that is; here
as many threads wait for them as the stage has workers. The stage reads, checks, converts and numbers the same clips and
writes them as FLAC into Arrow shards. It is measured twice: as the command that a user types, with the start of Python
and of the workers and the vocabulary, which are the same few seconds for a million clips; and as what is left of it when
the workers are up (slices of rows to parts, parts to shards), which is what a long run does all the time.
Needs ffmpeg and ffprobe.

    python benchmarks/prepare_audio.py
    python benchmarks/prepare_audio.py --clips cv-corpus/de cv-corpus/ru --workers 8
"""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from recordings import REPOSITORY, add_flags, command, corpora_of, files_of, sources_of, stage_values
from side_by_side import Job, Side, flags, table, take_turns

REFERENCE = "ffmpeg and ffprobe a clip"
WHOLE = "prepare_audio, the whole command"
STEADY = "prepare_audio, workers up"
TARGETS = {"flac": 70, "features": 95}  # megabytes an hour


def jobs(way: str, corpora: list[tuple[Path, str]], workers: int, place: Path) -> Iterator[Job]:
    """Passes over all clips, each into a new folder of `place`; the last one is left there."""
    work = {REFERENCE: _with_ffmpeg, WHOLE: _whole, STEADY: _steady}[way](corpora, workers)
    clips = float(len(files_of(corpora)))
    number = 0
    while True:
        folder = place / f"{number}"
        folder.mkdir(parents=True)
        yield clips, partial(work, folder)
        if number:
            shutil.rmtree(place / f"{number - 1}")
        number += 1


def _with_ffmpeg(corpora: list[tuple[Path, str]], workers: int) -> Callable[[Path], None]:
    clips = files_of(corpora)

    def convert(clip: Path, folder: Path) -> dict:
        wav = str(folder / f"{clip.stem}.wav")
        to_wav = ["ffmpeg", "-y", "-i", str(clip), "-ar", "16000", "-ac", "1", "-c:a", "pcm_s16le", wav]
        subprocess.run(to_wav, check=True, capture_output=True)
        length = ["ffprobe", "-v", "quiet", "-show_entries", "format=duration", "-of", "csv=p=0", wav]
        said = subprocess.run(length, check=True, capture_output=True, text=True)
        return {"audio_filepath": wav, "duration": float(said.stdout)}

    def run(folder: Path) -> None:
        with ThreadPoolExecutor(workers) as pool:
            rows = list(pool.map(partial(convert, folder=folder), clips))
        (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    return run


def _whole(corpora: list[tuple[Path, str]], workers: int) -> Callable[[Path], None]:
    environment = os.environ | {"WORKERS": str(workers)}

    def run(folder: Path) -> None:
        line = command(stage_values(sources_of(corpora), folder / "prepared"))
        done = subprocess.run(line, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    return run


def _steady(corpora: list[tuple[Path, str]], workers: int) -> Callable[[Path], None]:
    """The stage's own functions, on workers that have started and taken a slice before."""
    from asr.params import PrepareAudio
    from asr.slices import prepare_slice, slices_of
    from prepare_audio import checks_of, join, open_corpora

    tokenizer = TemporaryDirectory()
    params = PrepareAudio(**stage_values(sources_of(corpora), Path(tokenizer.name) / "unused"))
    checks = checks_of(params, Path(tokenizer.name))
    pool = get_context("spawn").Pool(workers)  # unlike an executor's, its workers end with the process that has it

    def run(folder: Path, kept: TemporaryDirectory = tokenizer) -> None:  # the folder goes when the last job does
        opened = open_corpora(params)
        slices = (s for name, c in opened.items() for s in slices_of(c.utterances, params.sources[name].max_seconds))
        with redirect_stdout(io.StringIO()):
            parts = pool.imap(partial(prepare_slice, checks=checks, folder=folder), slices)
            join(parts, params, {name: corpus.promised for name, corpus in opened.items()}, folder)

    return run


def megabytes_an_hour(prepared: Path, wavs: Path) -> dict[str, float]:
    """Of what the sides have left, and of the log-mels of the same utterances."""
    from asr.features import frames_of
    from asr.utterance import load_split
    from asr.whisper_shape import SAMPLE_RATE, WINDOW_FRAMES

    seconds = load_split(prepared, "train")["seconds"]
    frames = sum(frames_of(round(length * SAMPLE_RATE)) for length in seconds)
    sizes = {
        "flac": sum(file.stat().st_size for file in prepared.glob("train/*.arrow")) / 1e6,
        "wav": sum(file.stat().st_size for file in wavs.glob("*.wav")) / 1e6,
    }
    for mels in (80, 128):
        sizes[f"features {mels}"] = 2e-6 * frames * mels
        sizes[f"padded {mels}"] = 4e-6 * WINDOW_FRAMES * len(seconds) * mels
    return {name: size / (sum(seconds) / 3600) for name, size in sizes.items()}


def need(*programs: str) -> None:
    """Exits with one line if a program is not there."""
    if missing := [program for program in programs if shutil.which(program) is None]:
        sys.exit(f"error: {' and '.join(missing)} not found, which the reference starts; install the package ffmpeg")


if __name__ == "__main__":
    parser = flags(__doc__, rounds=3)
    add_flags(parser)
    given = parser.parse_args()
    need("ffmpeg", "ffprobe")
    corpora = corpora_of(given.clips)
    with TemporaryDirectory() as place:
        sides = {
            way: Side(jobs, way, corpora, given.workers, Path(place) / str(number), bounds={})
            for number, way in enumerate((REFERENCE, WHOLE, STEADY))
        }
        print(table(take_turns(sides, given.rounds), "clips / s", REFERENCE))
        size = megabytes_an_hour(*(Path(place) / f"{side}/{given.rounds}" for side in ("2", "0")))
    print("\nMB an hour of speech")
    shards = f"{size['flac']:.1f} in FLAC shards (target {TARGETS['flac']})"
    print(f"  recordings:    {shards}, {size['wav']:.1f} in WAV files")
    for mels in (128, 80):
        target = f" (target {TARGETS['features']})" if mels == 128 else ""
        print(
            f"  {mels} mels:".ljust(16),
            f"{size[f'features {mels}']:.1f} in the cache{target}, {size[f'padded {mels}']:.0f} padded to 30 s in float32",
        )
