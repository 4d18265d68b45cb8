"""What preparing clips costs: clips that are converted and checked in a second, and megabytes that an hour of speech takes.

Usually each clip is a process of ffmpeg, which writes a WAV file, and one of ffprobe, which says how long that is; here
as many threads wait for them as the stage has workers. The stage reads, checks, converts and numbers the same clips and
writes them as FLAC into Arrow shards. It is measured three times: as the command that a user types, with the start of
Python and of the workers, which are the same few seconds for a million clips; as the same command on ten times the clips
(each folder as ten sources); and as what is left of it when the workers are up (slices of rows to parts, parts to
shards), which is what a long run does all the time. The base model's tokenizer is there, as it is in the pipeline.
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
LONGER = "the same, ten times the clips"
STEADY = "prepare_audio, workers up"
WAYS = (REFERENCE, WHOLE, LONGER, STEADY)
TARGETS = {"flac": 70, "features": 95}  # megabytes an hour


def jobs(way: str, corpora: list[tuple[Path, str]], workers: int, place: Path) -> Iterator[Job]:
    """Passes over all clips, each into a new folder of `place`; the last one is left there."""
    times = 10 if way == LONGER else 1
    sources = {f"{name}_{i}": source for i in range(times) for name, source in sources_of(corpora).items()}
    if way == REFERENCE:
        work = _with_ffmpeg(files_of(corpora), workers)
    else:
        work = (_steady if way == STEADY else _whole)(sources, _tokenizer(place / "model"), workers)
    clips = float(times * len(files_of(corpora)))
    number = 0
    while True:
        folder = place / f"{number}"
        folder.mkdir(parents=True)
        yield clips, partial(work, folder)
        if number:
            shutil.rmtree(place / f"{number - 1}")
        number += 1


def _tokenizer(folder: Path) -> Path:
    """A base model's folder as far as the stage reads it."""
    from asr.vocabulary import whisper_tokenizer

    whisper_tokenizer(80).save_pretrained(folder)
    return folder


def _with_ffmpeg(clips: list[Path], workers: int) -> Callable[[Path], None]:
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


def _whole(sources: dict[str, dict], model_dir: Path, workers: int) -> Callable[[Path], None]:
    environment = os.environ | {"WORKERS": str(workers)}

    def run(folder: Path) -> None:
        line = command(stage_values(sources, folder / "prepared", model_dir))
        done = subprocess.run(line, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    return run


def _steady(sources: dict[str, dict], model_dir: Path, workers: int) -> Callable[[Path], None]:
    """The stage's own functions, on workers that have started and taken a slice before."""
    from asr.params import PrepareAudio
    from asr.slices import prepare_slice, slices_of
    from prepare_audio import checks_of, join, open_corpora

    params = PrepareAudio(**stage_values(sources, model_dir / "unused", model_dir))
    checks = checks_of(params, model_dir)
    pool = get_context("spawn").Pool(workers)  # unlike an executor's, its workers end with the process that has it

    def run(folder: Path) -> None:
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
    corpora = corpora_of(given.clips)
    need("ffmpeg", "ffprobe")
    with TemporaryDirectory() as place:
        sides = {
            way: Side(jobs, way, corpora, given.workers, Path(place) / str(number), bounds={})
            for number, way in enumerate(WAYS)
        }
        print(table(take_turns(sides, given.rounds), "clips / s", REFERENCE))
        size = megabytes_an_hour(*(Path(place) / f"{WAYS.index(way)}/{given.rounds}" for way in (STEADY, REFERENCE)))
    print("\nMB an hour of speech")
    shards = f"{size['flac']:.1f} in FLAC shards (target {TARGETS['flac']})"
    print(f"  recordings:    {shards}, {size['wav']:.1f} in WAV files")
    for mels in (128, 80):
        target = f" (target {TARGETS['features']})" if mels == 128 else ""
        print(
            f"  {mels} mels:".ljust(16),
            f"{size[f'features {mels}']:.1f} in the cache{target}, {size[f'padded {mels}']:.0f} padded to 30 s in float32",
        )
