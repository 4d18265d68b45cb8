"""The card of the data: what there is, how long it is, whose it is, and fifty utterances to listen to.

    card = Card(licences={"general": "CC0"})
    card.kept(utterance.row())           # each row, in any order
    card.rejected(row | {"audio": …})    # bytes in any format, b"" where there are none
    card.write(folder, tally.table)      # card.html, card.md, durations.csv, characters_a_second.csv

Of a million rows it holds counts and a hundred rows. Which rows, a hash of their ids decides, so that neither their order
nor the number of workers changes a byte.
"""

import csv
import html
import re
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import islice
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from asr.card.samples import MAX_BYTES, Counts, Sample
from asr.text import spoken_characters
from asr.utterance import SPLITS

SAMPLED = 50  # rows to listen to, and as many rejected ones
IN_MARKDOWN = 10  # of them, in card.md
MAX_VALUES = 200  # languages, domains, origins: a column that is different in each row must not fill memory and page
BARS = 40  # of a histogram on the page; the last one stands for all that is more
FORMATS = ((b"fLaC", "flac"), (b"RIFF", "wav"), (b"OggS", "ogg"), (b"ID3", "mpeg"), (b"\x1aE\xdf\xa3", "webm"))

_spoken = cache(spoken_characters)  # of one character, three times as fast as of a text


class Card:
    """What is kept of the rows for the card."""

    def __init__(self, licences: Mapping[str, str]):
        self._licences = licences
        self._sample, self._rejected = Sample(SAMPLED), Sample(SAMPLED)
        self._durations: Counter[tuple[str, int]] = Counter()  # split, whole seconds
        self._rates: Counter[tuple[str, int]] = Counter()  # split, whole letters and digits a second
        self._counts = {name: Counts(MAX_VALUES) for name in ("language", "domain", "origin")}

    def kept(self, row: dict) -> None:
        """Count an utterance, a row of a shard."""
        seconds, split = row["seconds"], row["split"]
        self._durations[split, int(seconds)] += 1
        self._rates[split, int(sum(map(_spoken, row["text"])) / seconds) if seconds else 0] += 1
        milliseconds = round(seconds * 1000)
        for name, counts in self._counts.items():
            counts.add(row[name], milliseconds)
        self._sample.add(row, "", row["id"])

    def rejected(self, row: dict) -> None:
        """Look at a row of rejected.jsonl, and its recording."""
        name = "\0".join((row["id"], row["source"], row["split"], row["reason"], row["detail"]))  # ids may be repeated
        self._rejected.add(row, row["reason"], name)

    def write(self, folder: Path, stats: Mapping[str, Mapping[str, dict]]) -> None:
        """Write the four files.

        Args:
            folder: made if it is not there.
            stats: `Tally.table`.
        """
        folder.mkdir(parents=True, exist_ok=True)
        _write_csv(folder / "durations.csv", "seconds", self._durations)
        _write_csv(folder / "characters_a_second.csv", "characters_a_second", self._rates)
        cells = [cell for splits in stats.values() for cell in splits.values()]
        rejected = [
            (source, split, reason, rows)
            for source, splits in stats.items()
            for split, cell in splits.items()
            for reason, rows in cell["rejected"].items()
        ]
        values = {
            "stats": stats,
            "licences": {source: self._licences.get(source) or "not stated" for source in stats},
            "total": {"hours": sum(cell["hours"] for cell in cells)}
            | {name: sum(cell[name] for cell in cells) for name in ("in", "kept")},
            "rejected": sorted(rejected, key=lambda row: (-row[-1], row)),
            "counts": {name: counts.table() for name, counts in self._counts.items() if counts.told},
            "sample": self._sample.rows,
        }
        html_values = {
            "histograms": {"seconds": _bars(self._durations), "characters a second": _bars(self._rates)},
            "rejected_sample": self._rejected.rows,
            "most_bars": BARS,
            "player": _player,
        }
        templates = Environment(
            loader=FileSystemLoader(Path(__file__).parent),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        page = templates.get_template("card.html.jinja").render(values | html_values)
        _write(folder / "card.html", page + "\n")
        _write(folder / "card.md", _markdown(**values))


def _bins(counter: Mapping[tuple[str, int], int]) -> list[list[int]]:
    """Rows by split of each bin from 0 to the last: [bin][split]."""
    bins = [[0] * len(SPLITS) for _ in range(1 + max((number for _, number in counter), default=-1))]
    for (split, number), rows in counter.items():
        bins[number][SPLITS.index(split)] += rows
    return bins


def _bars(counter: Mapping[tuple[str, int], int]) -> list[int]:
    heights = [sum(row) for row in _bins(counter)]
    return heights if len(heights) <= BARS else [*heights[: BARS - 1], sum(heights[BARS - 1 :])]


def _write_csv(file: Path, name: str, counter: Mapping[tuple[str, int], int]) -> None:
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow([name, "utterances", *SPLITS])
        writer.writerows([number, sum(rows), *rows] for number, rows in enumerate(_bins(counter)))


def _write(file: Path, text: str) -> None:
    file.write_bytes(text.encode(errors="backslashreplace"))


def _player(row: dict) -> tuple[str, str]:
    """A recording's address for the page, or "" and why there is none."""
    audio = row["audio"]
    if row["bytes"] > MAX_BYTES:
        return "", f"recording of {row['bytes'] / 1e6:.1f} MB, too large for this page"
    if not audio:
        return "", "no recording"
    kind = next((kind for magic, kind in FORMATS if audio.startswith(magic)), "")
    if not kind and audio[4:8] == b"ftyp":
        kind = "mp4"
    if not kind and len(audio) > 1 and audio[0] == 0xFF and audio[1] >= 0xE0:
        kind = "mpeg"
    if not kind:
        return "", f"{len(audio):,} bytes that are no recording of a known format"
    return f"data:audio/{kind};base64,{b64encode(audio).decode()}", ""


def _markdown(stats, licences, total, rejected, counts, sample) -> str:
    hours = f"{total['hours']:,.2f} hours in {total['kept']:,} utterances, kept of {total['in']:,} rows."
    by_split = [
        (source, split, cell["kept"], f"{cell['hours']:,.2f}", cell["speakers"] or "not told", licences[source])
        for source, splits in stats.items()
        for split, cell in splits.items()
    ]
    parts = ["# The data", hours, "## Sources"]
    parts.append(_table(("source", "split", "utterances", "hours", "speakers", "licence"), by_split))
    for name, rows in counts.items():
        parts += [
            f"## By {name}",
            _table((name, "utterances", "hours"), [(*r[:2], f"{r[2]:,.2f}") for r in rows]),
        ]
    parts += ["## Rejected", _table(("source", "split", "reason", "rows"), rejected) if rejected else "Nothing."]
    shown = [(row["id"], row["language"], f"{row['seconds']:.2f}", row["text"]) for row in islice(sample, IN_MARKDOWN)]
    parts += ["## Some utterances", _table(("id", "language", "seconds", "text"), shown)]
    return "\n\n".join(parts) + "\n"


def _table(header: tuple[str, ...], rows: Iterable[tuple]) -> str:
    lines = [header, ["---"] * len(header), *([_escaped(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escaped(value: object) -> str:
    """Text for a cell of a Markdown table, on one line and not too long, or a number."""
    if isinstance(value, int):
        return f"{value:,}"
    text = " ".join(str(value).split())
    text = html.escape(text if len(text) <= 200 else f"{text[:199]}…", quote=False)
    return re.sub(r"([\\`*_\[\]|~$])", r"\\\1", text)
