"""What is kept of a million rows: a hundred of them, and counts by value, the same whatever order they come in.

sample = Sample(50)
sample.add(row, group="silent", name=row["id"])    # each row; `rows` are up to fifty, evenly of all groups
counts = Counts(200)
counts.add("de", 3_200)                            # milliseconds; `table()` has utterances and hours by value
"""

from hashlib import blake2b
from heapq import heappush, heappushpop

MAX_BYTES = 1_000_000  # of a recording on the page; a window of 30 s has half of that


class Sample:
    """Up to `size` rows, spread evenly over groups, of each group those whose names have the smallest hashes."""

    def __init__(self, size: int):
        self._size = size
        self._groups: dict[str, dict[bytes, dict]] = {}
        self._held = 0
        self._limit: tuple[str, bytes] | None = None  # once it is full: group and hash of the row that is next to go

    def add(self, row: dict, group: str, name: str) -> None:
        """Keep the row, or forget it; its recording too if it is too large for the page."""
        key = _hash(name)
        if self._limit and group == self._limit[0] and key > self._limit[1]:
            return
        audio = row["audio"]
        row = row | {"audio": audio if len(audio) <= MAX_BYTES else b"", "bytes": len(audio)}
        rows = self._groups.setdefault(group, {})
        if key in rows:  # the same row again; which recording is shown must not depend on the order
            rows[key] = min(rows[key], row, key=lambda row: (row["audio"], row["bytes"]))
            return
        rows[key] = row
        self._held += 1
        if self._held > self._size:
            group, key = self._next_to_go()
            del self._groups[group][key]
            if not self._groups[group]:
                del self._groups[group]
            self._held = self._size
        if self._held == self._size:
            self._limit = self._next_to_go()

    @property
    def rows(self) -> list[dict]:
        """The rows, by group and hash."""
        return [rows[key] for _, rows in sorted(self._groups.items()) for key in sorted(rows)]

    def _next_to_go(self) -> tuple[str, bytes]:
        """Of the fullest group, of equals the last by name, the largest hash: the same whatever came first."""
        group = max(self._groups, key=lambda group: (len(self._groups[group]), group))
        return group, max(self._groups[group])


class Counts:
    """Utterances and time by value: exact, and of more than `limit` values for those with the smallest hashes."""

    def __init__(self, limit: int):
        self._limit = limit
        self._cells: dict[str, list[int]] = {}  # utterances, milliseconds: whole numbers add up alike in any order
        self._others = [0, 0]
        self._largest: list[tuple[int, str]] = []  # a heap of the negative hashes

    def add(self, value: str, milliseconds: int) -> None:
        cell = self._cells.get(value) or self._new(value)
        cell[0] += 1
        cell[1] += milliseconds

    @property
    def told(self) -> bool:
        """Whether there is any value but ""."""
        return any(self._cells)

    def table(self) -> list[tuple[str, int, float]]:
        """(value, utterances, hours), the most first; at the end those that were not counted by value."""
        rows = [(value or "not told", *cell) for value, cell in self._cells.items()]
        rows.sort(key=lambda row: (-row[1], row[0]))
        if self._others[0]:
            rows.append(("others", *self._others))
        return [(value, utterances, milliseconds / 3_600_000) for value, utterances, milliseconds in rows]

    def _new(self, value: str) -> list[int]:
        item = (-int.from_bytes(_hash(value), "big"), value)
        if len(self._largest) < self._limit:
            heappush(self._largest, item)
        else:
            _, out = heappushpop(self._largest, item)
            if out == value:
                return self._others
            self._others = [sum(both) for both in zip(self._others, self._cells.pop(out), strict=True)]
        return self._cells.setdefault(value, [0, 0])


def _hash(name: str) -> bytes:
    # A file's name may be no Unicode.
    return blake2b(name.encode(errors="backslashreplace"), digest_size=16, key=b"asr.card").digest()
