"""Arrow shards, written in order and read back by `asr.utterance.load_split`."""

from pathlib import Path

import datasets
from datasets.arrow_writer import ArrowWriter

BATCH_ROWS = 100  # rows a record batch: what one random access maps
BATCH_BYTES = 32_000_000  # of audio in one, which is held until it is full


class ShardWriter:
    """Writes rows to `<folder>/00000.arrow`, `00001.arrow`, … and starts the next one past `shard_bytes` of `audio`.

    with ShardWriter(folder / "train", columns(), shard_bytes=500_000_000) as shards:
        shards.write(utterance.row())
    """

    def __init__(self, folder: Path, features: datasets.Features, shard_bytes: int):
        self.folder, self.features, self.shard_bytes = folder, features, shard_bytes
        self.shards = self.bytes = self.held = 0
        self.writer = self.file = None

    def write(self, row: dict) -> None:
        if self.writer is None or self.bytes >= self.shard_bytes:
            self.close()
            self.folder.mkdir(parents=True, exist_ok=True)
            self.file = (self.folder / f"{self.shards:05d}.arrow").open("wb")
            self.writer = ArrowWriter(stream=self.file, features=self.features, writer_batch_size=BATCH_ROWS)
            self.shards, self.bytes = self.shards + 1, 0
        self.writer.write(row)
        self.bytes += len(row["audio"])
        self.held += len(row["audio"])
        if self.held >= BATCH_BYTES:
            self.writer.write_examples_on_file()
            self.held = 0

    def close(self) -> None:
        if self.writer is not None:
            self.writer.finalize()
            self.file.close()
            self.writer = None

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, exception_type, *_) -> None:
        if exception_type is None:
            self.close()
        elif self.file is not None:
            self.file.close()
