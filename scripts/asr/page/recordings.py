"""The recordings of the page: inside of it while they are small together, else in a folder beside it.

recordings = place(folder, ["a/1", "a/2", "a/1"], audio, limit=20_000_000)
recordings.numbers     # [0, 1, 0]: the recording of each row
recordings.inlined     # {0: "ZkxhQ…", 1: …}; or none, and audio/0.flac and audio/1.flac are written
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = "audio"


@dataclass(frozen=True)
class Recordings:
    """Where the recordings are."""

    numbers: Sequence[int | None]  # of each row; none where there is no recording
    inlined: Mapping[int, str]  # base64 by number
    size: int  # bytes, of all recordings

    @property
    def beside(self) -> bool:
        """Whether they are in the folder."""
        return bool(self.size) and not self.inlined


def place(folder: Path, ids: Sequence[str], audio: Mapping[str, bytes], limit: int) -> Recordings:
    """Take the recordings of the rows with these ids, each once.

    Args:
        folder: the page's; `audio/<number>.flac` in it if they have more than `limit` bytes together. Files have numbers,
            since an id may be no name of a file. No more than `limit` bytes and one recording are held at once.

    Raises:
        ValueError: a recording is no FLAC.
    """
    numbers: dict[str, int] = {}
    held: dict[int, bytes] = {}
    size = 0
    for name in dict.fromkeys(ids):
        if name not in audio:
            continue
        sound = audio[name]
        if not sound.startswith(b"fLaC"):
            raise ValueError(f"{name}: its recording is no FLAC")
        held[numbers.setdefault(name, len(numbers))] = sound
        size += len(sound)
        if size > limit:
            (folder / FOLDER).mkdir(exist_ok=True)
            for number, data in held.items():
                (folder / FOLDER / f"{number}.flac").write_bytes(data)
            held.clear()
    inlined = {number: b64encode(data).decode() for number, data in held.items()}
    return Recordings([numbers.get(name) for name in ids], inlined, size)
