"""What log-mels cost: seconds of speech computed in a second, from FLAC in shards to a file on disk.

Usually `datasets.map` takes one row after another, pads it to 30 s and writes float32 (`WhisperFeatureExtractor`). The
stage decodes with threads, computes batches that are padded only to their longest, and writes float16 at each clip's
own length (`scripts/asr/features.py`). Both start from what `prepare_audio` has made of the same real clips, and have
the same number of threads. What an hour of either takes on disk, `benchmarks/prepare_audio.py` says.

    python benchmarks/extract_features.py
    python benchmarks/extract_features.py --mels 128
"""

import io
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from recordings import REPOSITORY, add_flags, command, corpora_of, sources_of, stage_values
from side_by_side import Job, Side, flags, table, take_turns

REFERENCE = "datasets.map, 30 s"
OURS = "extract_features"
BATCH_SECONDS = 30  # of the sample's params.yaml


def jobs(ours: bool, prepared: Path, mels: int, place: Path) -> Iterator[Job]:
    """Passes over all clips, each into a new folder of `place`."""
    from transformers import WhisperFeatureExtractor

    from asr.utterance import load_split

    extractor = WhisperFeatureExtractor(feature_size=mels)
    extractor.save_pretrained(place / "model")  # makes place too
    seconds = sum(load_split(prepared, "train")["seconds"])
    work = _stage(prepared, place / "model") if ours else _map(prepared, extractor)
    number = 0
    while True:
        folder = place / f"{number}"
        folder.mkdir()
        yield seconds, partial(work, folder)
        shutil.rmtree(folder)
        number += 1


def _stage(prepared: Path, model_dir: Path) -> Callable[[Path], None]:
    from asr.params import ExtractFeatures
    from extract_features import main

    def run(folder: Path) -> None:
        given = {"audio_dir": prepared, "model_dir": model_dir, "splits": ["train"], "batch_seconds": BATCH_SECONDS}
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):  # no bar in the middle of a table
            main(ExtractFeatures(output_dir=folder / "features", **given))

    return run


def _map(prepared: Path, extractor) -> Callable[[Path], None]:
    import datasets
    import soundfile

    from asr.utterance import load_split

    def features(row: dict) -> dict:
        waveform, rate = soundfile.read(io.BytesIO(row["audio"]), dtype="float32")
        return {"input_features": extractor(waveform, sampling_rate=rate).input_features[0]}

    def run(folder: Path) -> None:
        datasets.disable_progress_bars()
        split = load_split(prepared, "train")
        cache = {"keep_in_memory": False, "load_from_cache_file": False, "cache_file_name": str(folder / "map.arrow")}
        split.map(features, remove_columns=split.column_names, **cache)

    return run


if __name__ == "__main__":
    parser = flags(__doc__, rounds=3)
    add_flags(parser)
    parser.add_argument("--mels", type=int, choices=[80, 128], default=80, help="mel bins (default 80)")
    given = parser.parse_args()
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "WORKERS"), str(given.workers))
    corpora = corpora_of(given.clips)
    with TemporaryDirectory() as name:
        place = Path(name)
        prepare = command(stage_values(sources_of(corpora), place / "prepared"))
        subprocess.run(prepare, cwd=REPOSITORY, env=os.environ | threads, check=True, stdout=subprocess.DEVNULL)
        sides = {
            way: Side(jobs, way == OURS, place / "prepared", given.mels, place / str(number), bounds=threads)
            for number, way in enumerate((REFERENCE, OURS))
        }
        print(f"{given.mels} mels, {given.workers} threads")
        print(table(take_turns(sides, given.rounds), "speech-seconds / s", REFERENCE))
