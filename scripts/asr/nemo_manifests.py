"""NeMo's form of what `prepare_audio` wrote, for those who train with NeMo: a manifest, and the recordings as files or tars.

    write_nemo_manifest(Path("outputs/prepare_audio"), "train", Path("nemo"), tarred=True)

    untarred    nemo/train_manifest.jsonl                 and nemo/audio/train/0000000.flac, 0000001.flac, …
    tarred      nemo/train/tarred_audio_manifest.json     and nemo/train/audio_0.tar, audio_1.tar, … (`shard_id`)

A line has NeMo's audio_filepath, duration, text and lang, and ours: speaker, source, domain, segments. The same shards give
the same bytes. asr/corpora/nemo.py reads both.
"""

import json
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from asr.utterance import load_split

TAR_BYTES = 500_000_000  # of recordings; a tar is closed by the one that passes it


NEMO_SPLITS = {"dev": "val"}  # what NeMo's examples, and the guides, call it


def write_nemo_manifest(shards_dir: Path, split: str, folder: Path, tarred: bool, tar_bytes: int = TAR_BYTES) -> Path:
    """Write a split of `shards_dir` into `folder`; returns the manifest, which is written last.

    Raises:
        UserError: there is no such split, or it is empty.
    """
    rows = load_split(shards_dir, split)
    folder = Path(folder)
    manifest = (
        folder / split / "tarred_audio_manifest.json"
        if tarred
        else folder / f"{NEMO_SPLITS.get(split, split)}_manifest.jsonl"
    )
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.unlink(missing_ok=True)  # an old one does not describe new recordings
    lines = _tars(rows, manifest.parent, tar_bytes) if tarred else _files(rows, folder, f"audio/{split}")
    with _whole_file(manifest) as file:
        for line in lines:
            file.write(f"{json.dumps(line, ensure_ascii=False)}\n".encode())
    return manifest


def _files(rows, folder: Path, below: str) -> Iterator[dict]:
    (folder / below).mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(rows):
        name = f"{below}/{number:07d}.flac"
        with _whole_file(folder / name) as file:
            file.write(row["audio"])
        yield _line(row, name)


def _tars(rows, folder: Path, tar_bytes: int) -> Iterator[dict]:
    number = shard = 0
    while number < len(rows):
        path = folder / f"audio_{shard}.tar"
        with _whole_file(path) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            size = 0
            while number < len(rows) and size < tar_bytes:
                row = rows[number]
                member = tarfile.TarInfo(f"{number:07d}.flac")  # no time, no owner
                member.size = len(row["audio"])
                tar.addfile(member, BytesIO(row["audio"]))
                yield _line(row, member.name) | {"shard_id": shard}
                number, size = number + 1, size + member.size
        shard += 1
    while (left := folder / f"audio_{shard}.tar").exists():  # of a longer split, written here before
        left.unlink()
        shard += 1


def _line(row: dict, name: str) -> dict:
    line = {"audio_filepath": name, "duration": row["seconds"], "text": row["text"], "lang": row["language"]}
    line |= {key: row[key] for key in ("speaker", "source", "domain") if row[key]}
    return line | ({"segments": row["segments"]} if row["segments"] else {})


@contextmanager
def _whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which has its name only when it is whole."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as file:
        yield file
    os.replace(partial, path)
