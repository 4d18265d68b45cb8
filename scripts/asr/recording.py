"""Where a recording lies: a whole file, a member of a plain tarball, or bytes at hand; and which stretch of it is meant.

Recording(Path("clips/a.mp3"))
Recording(Path("shard.tar"), offset=512, size=41_000)              # so that whoever decodes it reads it
Recording(content, name="wav/S0002/a.wav", start=3.2, end=9.87)    # bytes, of which 6.67 s are meant
"""

import hashlib
import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True)
class Recording:
    """A stretch of a sound file; `start` and `end` in seconds, `offset` and `size` in bytes."""

    source: Path | bytes
    offset: int = 0
    size: int | None = None  # None: all that follows
    start: float = 0.0
    end: float | None = None  # None: to its end
    name: str = ""  # of what the bytes were, for messages

    def cut(self, start: float, end: float) -> "Recording":
        """A stretch of this stretch, in seconds from its start."""
        return replace(self, start=self.start + start, end=self.start + end)

    def open(self) -> Path | BinaryIO:
        """What a decoder can read and seek in: a file's path, or its bytes.

        Raises:
            OSError: it cannot be read.
            ValueError: its name cannot be a file's.
        """
        if isinstance(self.source, bytes):
            return io.BytesIO(self.source)
        if self.size is None and not self.offset:
            with self.source.open("rb"):  # the file system's own words for what is wrong with it
                return self.source
        with self.source.open("rb") as file:
            file.seek(self.offset)
            return io.BytesIO(file.read(-1 if self.size is None else self.size))

    def identity(self) -> tuple:
        """What changes when the recording does, without reading a file: its size and its time of change."""
        if isinstance(self.source, bytes):
            return (hashlib.blake2b(self.source, digest_size=16).digest(), self.start, self.end)
        try:
            status = self.source.stat()
            found = (status.st_size, status.st_mtime_ns)
        except (OSError, ValueError):
            found = ()
        return (str(self.source), *found, self.offset, self.size, self.start, self.end)

    @property
    def held(self) -> int:
        """Bytes that it takes in memory."""
        return len(self.source) if isinstance(self.source, bytes) else 0
