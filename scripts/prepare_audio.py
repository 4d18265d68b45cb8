"""Raw corpora to checked, deduplicated, split utterances of 16 kHz mono audio.

In: the corpora of `prepare_audio.sources`, and `tokenizer.json` of the base model.
Out: `<split>/00000.arrow`, … (rows of `asr.utterance`, FLAC), `rejected.jsonl` (one line a rejected row, with its
reason), `stats.json` (a source's and split's rows in = kept + rejected, hours, speakers).

    python scripts/prepare_audio.py
"""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import islice

from asr.command import run_stage
from asr.environment import workers
from asr.errors import UserError
from asr.params import CorpusSource, PrepareAudio, SpeakerSplit
from asr.paths import output_folder
from asr.utterance import SPLITS, Rejected, Utterance, columns

TASK_UTTERANCES = 16  # handed to a worker at once
TASKS_AHEAD = 4  # tasks a worker, in flight or waiting: bounds the memory


def main(params: PrepareAudio) -> None:
    from asr.checks import Checks
    from asr.corpora import SpeakerHash, read_corpus
    from asr.progress import progress
    from asr.shards import ShardWriter

    tokenizer_file = params.model_dir / "tokenizer.json"
    if not tokenizer_file.is_file():
        raise UserError(
            f"{tokenizer_file}: no such file; run the stage base_model first, or correct prepare_audio.model_dir"
        )
    speaker_hash = SpeakerHash(**params.speaker_split.model_dump())
    corpora = {
        name: read_corpus(source=name, speaker_hash=speaker_hash, **source.model_dump(exclude={"max_seconds"}))
        for name, source in params.sources.items()
    }
    checks = Checks(
        tokenizer_file=tokenizer_file,
        min_seconds=params.min_seconds,
        max_seconds={name: source.max_seconds for name, source in params.sources.items()},
        min_peak=params.min_peak,
        max_tokens=params.max_tokens,
    )
    rows = (item for corpus in corpora.values() for item in corpus.utterances)
    total = sum(corpus.rows for corpus in corpora.values())
    stats = Stats(params.sources)
    seen = Seen()
    with output_folder(params.output_dir) as folder, ExitStack() as stack:
        shard_bytes = params.shard_megabytes * 1_000_000
        shards = {split: stack.enter_context(ShardWriter(folder / split, columns(), shard_bytes)) for split in SPLITS}
        rejected = stack.enter_context((folder / "rejected.jsonl").open("w", encoding="utf-8"))
        prepared = in_order(checks.prepare, rows, workers())
        for item in progress(prepared, total, "prepare", "clip"):
            if isinstance(item, Utterance):
                item = seen.check(item)
            stats.count(item)
            if isinstance(item, Rejected):
                rejected.write(json.dumps(item.row(), ensure_ascii=False) + "\n")
            else:
                shards[item.split].write(item.row())
        stats.check(total, {name: _promised(source, params.speaker_split) for name, source in params.sources.items()})
        (folder / "stats.json").write_text(
            json.dumps(stats.table, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    print(stats)


def _promised(source: CorpusSource, speaker_split: SpeakerSplit) -> list[str]:
    """The splits that a source must fill; only official ones of Common Voice may be fewer than three."""
    if source.corpus == "hugging_face":
        return list(source.splits)
    shares = {"train": 1 - speaker_split.dev_share - speaker_split.test_share}
    shares |= {"dev": speaker_split.dev_share, "test": speaker_split.test_share}
    return [split for split in SPLITS if shares[split] > 0] if source.splits == "speaker" else []


def in_order(
    prepare: Callable[[Utterance], Utterance | Rejected], items: Iterable[Utterance | Rejected], processes: int
) -> Iterator[Utterance | Rejected]:
    """`prepare` of each utterance, in the order of `items`, computed by a bounded number of tasks ahead.

    What is rejected already passes through. The result does not depend on `processes`.
    """
    items = iter(items)
    tasks = iter(lambda: list(islice(items, TASK_UTTERANCES)), [])
    if processes == 1:
        for task in tasks:
            yield from _run(prepare, task)
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # spawn: a forked child would inherit the locks of this process's threads
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        waiting = deque()
        try:
            for task in tasks:
                waiting.append(pool.submit(_run, prepare, task))
                if len(waiting) >= processes * TASKS_AHEAD:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _run(prepare: Callable, task: list[Utterance | Rejected]) -> list[Utterance | Rejected]:
    return [prepare(item) if isinstance(item, Utterance) else item for item in task]


class Seen:
    """Rejects what a source holds twice: an id, or the same recording with the same text."""

    def __init__(self):
        self.digests: set[bytes] = set()

    def check(self, utterance: Utterance) -> Utterance | Rejected:
        content = f"{utterance.source}\0{utterance.text}\0".encode() + utterance.audio
        names = {"the id": utterance.id.encode(), "audio and text": content}
        digests = {name: hashlib.blake2b(value, digest_size=16).digest() for name, value in names.items()}
        repeated = [name for name, digest in digests.items() if digest in self.digests]
        if repeated:
            whose = (utterance.id, utterance.source, utterance.split, utterance.speaker)
            return Rejected(*whose, "duplicate", f"{' and '.join(repeated)} of an earlier row")
        self.digests.update(digests.values())
        return utterance


class Stats:
    """What came in, what was kept and what was rejected, by source and split."""

    def __init__(self, sources: Iterable[str]):
        self._table = {source: {} for source in sources}
        self._speakers: dict[tuple[str, str], set[bytes]] = {}

    def count(self, item: Utterance | Rejected) -> None:
        empty = {"in": 0, "kept": 0, "rejected": {}, "seconds": 0.0}
        cell = self._table[item.source].setdefault(item.split, empty)
        cell["in"] += 1
        if isinstance(item, Rejected):
            cell["rejected"][item.reason] = cell["rejected"].get(item.reason, 0) + 1
            return
        cell["kept"] += 1
        cell["seconds"] += item.seconds
        if item.speaker:
            digest = hashlib.blake2b(item.speaker.encode(), digest_size=16).digest()
            self._speakers.setdefault((item.source, item.split), set()).add(digest)

    @property
    def table(self) -> dict[str, dict[str, dict]]:
        """`{source: {split: {"in", "kept", "rejected": {reason: rows}, "hours", "speakers"}}}`"""
        return {
            source: {
                split: {
                    "in": cells[split]["in"],
                    "kept": cells[split]["kept"],
                    "rejected": dict(sorted(cells[split]["rejected"].items())),
                    "hours": round(cells[split]["seconds"] / 3600, 4),
                    "speakers": len(self._speakers.get((source, split), ())),
                }
                for split in SPLITS
                if split in cells
            }
            for source, cells in self._table.items()
        }

    def check(self, total: int, promised: dict[str, list[str]]) -> None:
        """Every row is accounted for, every split that had or must have rows kept some, and `train` is among them.

        Raises:
            UserError: a split is empty; the message has the counts.
        """
        cells = [(source, split, cell) for source, splits in self.table.items() for split, cell in splits.items()]
        assert total == sum(cell["in"] for *_, cell in cells), (total, self.table)
        for source, split, cell in cells:
            assert cell["in"] == cell["kept"] + sum(cell["rejected"].values()), cell
            if not cell["kept"]:
                raise UserError(
                    f"prepare_audio.sources.{source}: nothing left of split {split}: {cell['in']} rows in, rejected: "
                    f"{_counts(cell['rejected'])}; mend the corpus or the limits of prepare_audio"
                )
        for source, splits in self.table.items():
            if not splits:
                raise UserError(
                    f"prepare_audio.sources.{source}: the corpus has no rows; correct its path, or remove it"
                )
            if empty := [split for split in promised[source] if split not in splits]:
                had = ", ".join(f"{cell['in']} rows in {split}" for split, cell in splits.items())
                raise UserError(
                    f"prepare_audio.sources.{source}: no rows for split {', '.join(empty)}, only {had}; "
                    "change the source's splits, or for splits: speaker the shares or the seed of speaker_split"
                )
        if not any(split == "train" for _, split, _ in cells):
            raise UserError(
                f"prepare_audio: no source has a split train, only {sorted({split for _, split, _ in cells})}"
            )

    def __str__(self) -> str:
        lines = [f"{'source':<20} {'split':<6} {'in':>8} {'kept':>8} {'hours':>8} {'speakers':>8}  rejected"]
        for source, splits in self.table.items():
            for split, cell in splits.items():
                figures = f"{cell['in']:>8} {cell['kept']:>8} {cell['hours']:>8.2f} {cell['speakers']:>8}"
                lines.append(f"{source:<20} {split:<6} {figures}  {_counts(cell['rejected'])}")
        return "\n".join(lines)


def _counts(rejected: dict[str, int]) -> str:
    return ", ".join(f"{rows} {reason}" for reason, rows in rejected.items()) or "0"


if __name__ == "__main__":
    run_stage(PrepareAudio, main)
