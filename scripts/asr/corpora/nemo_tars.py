"""Which member of a tarred NeMo set each line of its manifest means.

    for where, entry, recording in pair(json_lines(manifest), tars): ...      # a Recording, or why there is none

A line's `audio_filepath` is, best first: the member's name; that name after `-sub<n>` is taken off; the member's name with
more folders in front, or with fewer, and the same without `-sub<n>`. Whatever fits two members, or a member that fits two
recordings' names, is no pair: the wrong text would be worse than none. Where the lines' `shard_id`s are the numbers of the
tars (audio_7.tar), lines are looked for in their own tar only, and one without is in none.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from asr.corpora.archives import members
from asr.recording import Recording

SUB = re.compile(r"-sub\d+(?=(\.[^./]*)?$)")
Line = tuple[str, dict | str]


def in_order(tars: Iterable[Path]) -> list[Path]:
    """By name, numbers by their value: audio_10.tar is after audio_9.tar."""
    return sorted(
        tars, key=lambda tar: [int(part) if part.isdigit() else part for part in re.split("([0-9]+)", str(tar))]
    )


def pair(lines: Iterable[Line], tars: Sequence[Path]) -> Iterator[tuple[str, dict | str, Recording | str]]:
    """Each line with its recording in the order of the tars; then those without one, and why.

    Raises:
        UserError: a tar is broken.
    """
    lines = list(lines)
    numbers = _numbers(lines, tars)
    waiting: dict[int | None, _Waiting] = defaultdict(_Waiting)
    for where, entry in lines:
        waiting[_shard(entry) if numbers else None].add(where, entry)
    del lines
    for tar in tars:
        here = waiting[numbers.get(tar)]
        # All names first: one that fits a line as it is may come after one that fits it in part.
        names: list[str] = []
        list(members(tar, names.append))  # which wants none of them
        meant = here.meant(names)
        for member, recording in members(tar, meant.__contains__):
            for name in meant.pop(member, ()):  # a tar may hold a name twice: the first counts
                yield from ((where, entry, recording) for where, entry in here.lines.pop(name))
    missing = f"no member of this name, or several that may be it, in {tars[0]} and what else is named by tars"
    for here in waiting.values():
        yield from ((where, entry, missing) for left in here.lines.values() for where, entry in left)


def _numbers(lines: Sequence[Line], tars: Sequence[Path]) -> dict[Path, int]:
    """The number of each tar, where they are the `shard_id`s of the lines; else none."""
    found = {tar: [int(digits) for digits in re.findall("[0-9]+", tar.name.partition(".")[0])] for tar in tars}
    numbers = {tar: digits[-1] for tar, digits in found.items() if digits}
    ids = {_shard(entry) for _, entry in lines} - {None}  # a broken line must not mix all tars up
    told = len(set(numbers.values())) == len(tars) and ids == set(numbers.values())
    return numbers if told else {}


def _shard(entry: dict | str) -> int | None:
    shard = entry.get("shard_id") if isinstance(entry, dict) else None
    return int(shard) if isinstance(shard, int | float) and shard % 1 == 0 else None  # pandas writes 1.0


class _Waiting:
    """Lines that have no recording yet, by the name that they give it."""

    def __init__(self):
        self.lines: dict[str, list[Line]] = defaultdict(list)
        self.by_last: dict[str, list[str]] = defaultdict(list)  # names by what comes after their last slash

    def add(self, where: str, entry: dict | str) -> None:
        name = entry.get("audio_filepath") if isinstance(entry, dict) else None
        name = str(PurePosixPath(name)) if isinstance(name, str) and name else ""
        if name not in self.lines:
            for last in dict.fromkeys((_last(name), _last(SUB.sub("", name)))):
                self.by_last[last].append(name)
        self.lines[name].append((where, entry))

    def meant(self, members: Iterable[str]) -> dict[str, list[str]]:
        """Which names each of a tar's members has in the manifest."""
        fits: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for member in dict.fromkeys(members):
            for name in self.by_last.get(_last(member), ()):
                if name in self.lines and (rank := _rank(name, member)) is not None:
                    fits[name].append((rank, member))
        exact, partly = defaultdict(list), defaultdict(list)
        for name, found in fits.items():
            best = min(rank for rank, _ in found)
            if len(of_best := [member for rank, member in found if rank == best]) == 1:
                (exact if best < 2 else partly)[of_best[0]].append(name)
        sure = {m: names for m, names in partly.items() if m not in exact and len({SUB.sub("", n) for n in names}) == 1}
        return sure | exact


def _rank(name: str, member: str) -> int | None:
    """How well a line's name fits a member's, 0 is best."""
    base = SUB.sub("", name)
    ranks = (name == member, base == member, _ends(name, member), _ends(base, member))
    return ranks.index(True) if any(ranks) else None


def _ends(one: str, other: str) -> bool:
    return one.endswith(f"/{other}") or other.endswith(f"/{one}")


def _last(name: str) -> str:
    return name.rpartition("/")[2]
