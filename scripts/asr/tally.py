"""What came in, what was kept and what was rejected, by source and split.

    tally = Tally(["general", "noise"])
    tally.count(item)      # each Utterance | Rejected
    tally.check(promised={"general": ("train", "dev", "test"), "noise": ()})
    tally.table            # for a file; str(tally) for people

In each cell, rows in = kept + rejected.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from asr.errors import UserError
from asr.utterance import SPLITS, Rejected, Utterance


class Tally:
    """Counts, hours and speakers."""

    def __init__(self, sources: Iterable[str]):
        self._table = {source: {} for source in sources}
        self._speakers: dict[tuple[str, str], set[bytes]] = {}
        self._examples: dict[tuple[str, str, str], str] = {}  # by source, split and reason

    def count(self, item: Utterance | Rejected) -> None:
        empty = {"in": 0, "kept": 0, "rejected": {}, "seconds": 0.0}
        cell = self._table[item.source].setdefault(item.split, empty)
        cell["in"] += 1
        if isinstance(item, Rejected):
            cell["rejected"][item.reason] = cell["rejected"].get(item.reason, 0) + 1
            self._examples.setdefault((item.source, item.split, item.reason), f"{item.id}: {item.detail}")
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

    def check(self, promised: Mapping[str, Sequence[str]]) -> None:
        """Every row is accounted for, every split that had or must have rows kept some, and `train` is among them.

        Args:
            promised: by source, the splits that must have rows.

        Raises:
            UserError: a split is empty; the message has the counts.
        """
        cells = [(source, split, cell) for source, splits in self.table.items() for split, cell in splits.items()]
        for source, split, cell in cells:
            assert cell["in"] == cell["kept"] + sum(cell["rejected"].values()), cell
            if not cell["kept"]:
                examples = "".join(
                    f"\n  {reason}, such as {self._examples[source, split, reason]}" for reason in cell["rejected"]
                )
                raise UserError(
                    f"source {source}: nothing left of split {split}: {cell['in']} rows in, rejected: "
                    f"{_counts(cell['rejected'])}; mend the corpus, or the limits in params.yaml{examples}"
                )
        for source, splits in self.table.items():
            if not splits:
                raise UserError(f"source {source}: the corpus has no rows; correct its path, or remove the source")
            if empty := [split for split in promised[source] if split not in splits]:
                had = ", ".join(f"{cell['in']} rows in {split}" for split, cell in splits.items())
                raise UserError(
                    f"source {source}: no rows for split {', '.join(empty)}, only {had}; "
                    "change the source's splits, or for splits: speaker the shares or the seed of speaker_split"
                )
        if not any(split == "train" for _, split, _ in cells):
            raise UserError(f"no source has a split train, only {sorted({split for _, split, _ in cells})}")

    def __str__(self) -> str:
        lines = [f"{'source':<20} {'split':<6} {'in':>8} {'kept':>8} {'hours':>8} {'speakers':>8}  rejected"]
        for source, splits in self.table.items():
            for split, cell in splits.items():
                figures = f"{cell['in']:>8} {cell['kept']:>8} {cell['hours']:>8.2f} {cell['speakers']:>8}"
                lines.append(f"{source:<20} {split:<6} {figures}  {_counts(cell['rejected'])}")
        return "\n".join(lines)


def _counts(rejected: dict[str, int]) -> str:
    return ", ".join(f"{rows} {reason}" for reason, rows in rejected.items()) or "0"
