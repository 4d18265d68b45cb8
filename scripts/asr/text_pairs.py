"""References and hypotheses from files, paired by id, so that any recogniser's transcripts can be judged.

    pairs = read_pairs(Path("hyp.jsonl"), Path("ref.jsonl"))
    pairs = read_pairs(Path("both.csv"), None)                     # columns `reference` and `hypothesis`

In: JSON lines, CSV or TSV, told by their names, with `id` and `text`. Out: pairs in the references' order. What does not pair
(missing, doubled, unknown, empty) is an error that names the ids: a rate of what is left would be a wrong number.
"""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from asr.errors import UserError

SHOWN = 5  # ids in a message
DELIMITERS = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True)
class Pair:
    """What was said, and what was recognised; `speaker` is "" where nobody knows."""

    id: str
    reference: str
    hypothesis: str
    speaker: str = ""


def read_pairs(predictions: Path, references: Path | None) -> list[Pair]:
    """The pairs of two files, or of one with both texts.

    Raises:
        UserError: a file cannot be read, or the two do not pair; with file, line or ids.
    """
    if references is None:
        rows = _rows(
            predictions, ("reference", "hypothesis"), "; of predictions alone, --references names the other file"
        )
        if any(_text(row, "id") for _, row in rows):
            _require_fields(predictions, rows, ("id",))
        else:
            rows = [(line, {**row, "id": str(number)}) for number, (line, row) in enumerate(rows, 1)]
        both = _by_id(predictions, rows)
        pairs = [Pair(id, row["reference"], row["hypothesis"], _text(row, "speaker")) for id, row in both.items()]
    else:
        said, heard = (_by_id(path, _rows(path, ("id", "text"))) for path in (references, predictions))
        _require_same(references, said, predictions, heard)
        pairs = [Pair(id, row["text"], heard[id]["text"], _text(row, "speaker")) for id, row in said.items()]
    empty = [pair.id for pair in pairs if not pair.reference.strip()]
    if empty:
        raise UserError(
            f"{references or predictions}: {_listed(empty)} without a reference; give the words that are said, or leave the rows "
            "out: words that are written where nobody speaks have no rate"
        )
    return pairs


def same_references(others: list[Pair], pairs: list[Pair], their_file: Path, file: Path) -> list[Pair]:
    """`others` in the order of `pairs`.

    Raises:
        UserError: they are not of the same ids, or say something else of one.
    """
    by_id = {pair.id: pair for pair in others}
    _require_same(file, {pair.id: pair for pair in pairs}, their_file, by_id)
    if different := [pair.id for pair in pairs if by_id[pair.id].reference != pair.reference]:
        raise UserError(f"{their_file}: {_listed(different)} with another reference than in {file}")
    return [by_id[pair.id] for pair in pairs]


def _text(row: Mapping, name: str) -> str:
    """ "" where there is nothing; 0 is something."""
    return "" if row.get(name) is None else str(row[name])


def _by_id(path: Path, rows: list[tuple[int, Mapping]]) -> dict[str, Mapping]:
    lines: dict[str, list[int]] = {}
    for line, row in rows:
        lines.setdefault(str(row["id"]), []).append(line)
    if doubled := {id: at for id, at in lines.items() if len(at) > 1}:
        id, at = next(iter(doubled.items()))
        raise UserError(
            f"{path}:{at[1]}: {_listed(list(doubled))} more than once (id {id} in line {at[0]} too); an id names one utterance"
        )
    return {str(row["id"]): row for _, row in rows}


def _require_same(references: Path, said: Mapping, predictions: Path, heard: Mapping) -> None:
    missing = [id for id in said if id not in heard]
    unknown = [id for id in heard if id not in said]
    problems = []
    if missing:
        problems.append(f"{predictions}: {_listed(missing)} missing, which {references} has")
    if unknown:
        problems.append(f"{predictions}: {_listed(unknown)}, which {references} does not have")
    if problems:
        raise UserError("\n".join(problems))


def _listed(ids: list[str]) -> str:
    more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    return f"{'ids' if len(ids) > 1 else 'id'} {', '.join(ids[:SHOWN])}{more}"


def _rows(path: Path, wanted: tuple[str, ...], hint: str = "") -> list[tuple[int, Mapping]]:
    """Line numbers and rows, each with the wanted fields as text. `hint`: what to say besides where one is not there."""
    read: Callable[[Path], Iterator[tuple[int, Mapping]]]
    read = _table if path.suffix.lower() in DELIMITERS else _json_lines
    try:
        rows = list(read(path))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; give one of JSON lines, CSV or TSV") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder; give a file of JSON lines, CSV or TSV") from None
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror or error}); mend that, or give another file"
        ) from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8") from None
    if not rows:
        raise UserError(
            f"{path}: no row in it, so that there is nothing to judge; give a file with {' and '.join(wanted)}"
        )
    _require_fields(path, rows, wanted, hint)
    return rows


def _require_fields(path: Path, rows: list[tuple[int, Mapping]], wanted: tuple[str, ...], hint: str = "") -> None:
    for line, row in rows:
        for name in wanted:
            if name not in row:
                there = ", ".join(map(str, row)) or "none"
                raise UserError(f"{path}:{line}: no field {name!r}; there are {there}{hint}")
            if isinstance(row[name], bool) or not isinstance(row[name], str | int if name == "id" else str):
                raise UserError(
                    f"{path}:{line}: {name}: {json.dumps(row[name])} is no text; put it in quotes, or leave the row out"
                )
            if name == "id" and not str(row[name]).strip():
                raise UserError(f"{path}:{line}: id: is empty; give each row one, or none of them")


def _json_lines(path: Path) -> Iterator[tuple[int, Mapping]]:
    with path.open(encoding="utf-8-sig") as file:
        for line, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                row = json.loads(text)
            except json.JSONDecodeError as error:
                raise UserError(f"{path}:{line}: not JSON ({error.msg}); tables are told by .csv and .tsv") from None
            if not isinstance(row, Mapping):
                raise UserError(f"{path}:{line}: not a JSON object: {text.strip()[:60]}")
            yield line, row


def _table(path: Path) -> Iterator[tuple[int, Mapping]]:
    tabs = path.suffix.lower() == ".tsv"
    quoting = csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL  # as Common Voice's, where a quote is a part of the text
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter="\t" if tabs else ",", quoting=quoting, strict=not tabs)
        try:
            head = next(reader, [])
            if doubled := [name for name in head if head.count(name) > 1]:
                raise UserError(f"{path}:1: two columns are called {doubled[0]!r}; rename one of them")
            if len(head) == 1 and not tabs and (";" in head[0] or "\t" in head[0]):
                raise UserError(
                    f"{path}:1: columns are not separated by commas: {head[0][:60]!r}; use commas, or tabs in a .tsv"
                )
            for cells in reader:
                if not cells:  # an empty line
                    continue
                if len(cells) != len(head):
                    remedy = "a tab separates columns" if tabs else "put double quotes around a text with a comma in it"
                    raise UserError(
                        f"{path}:{reader.line_num}: {len(head)} columns in the head, {len(cells)} here; {remedy}"
                    )
                yield reader.line_num, dict(zip(head, cells, strict=True))
        except csv.Error as error:
            remedy = (
                "a text in double quotes ends with one, and has two for one inside it; a .tsv takes them as they are"
            )
            raise UserError(f"{path}:{reader.line_num}: {error}; {remedy}") from None
