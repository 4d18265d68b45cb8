"""Tables in text files: TSV, CSV and the like, a row at a time.

for row in table_rows(path, delimiter="\t", quotes=False, columns=("path", "sentence")):
    row.fields["sentence"], row.where       # "…/train.tsv:17"
    row.whole                               # as many fields as the header has, all of them UTF-8
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.corpora.files import lines_of, printable
from asr.errors import UserError

csv.field_size_limit(10_000_000)  # the longest field that is one


@dataclass(frozen=True)
class Row:
    """A row's fields by column, each "" where it is missing, with � for what is not UTF-8."""

    fields: dict[str, str]
    where: str
    whole: bool


def table_rows(
    path: Path, *, delimiter: str, quotes: bool, columns: Sequence[str], header: Sequence[str] | None = None
) -> Iterator[Row]:
    """The rows of a table in a file: UTF-8 or UTF-16, any line ends.

    Args:
        quotes: a quotation mark at a field's start begins a quoted one, which may hold delimiters and line ends; else it
            is a character like any other.
        columns: those that must be there.
        header: the columns of a table that does not name them.

    Raises:
        UserError: it cannot be read, its first line is not UTF-8, it lacks a column, or it has a quoted field of several
            lines that does not end; the message has the line.
    """
    return parse_table(lines_of(path), str(path), delimiter=delimiter, quotes=quotes, columns=columns, header=header)


def parse_table(
    lines: Iterable[str],
    name: str,
    *,
    delimiter: str,
    quotes: bool,
    columns: Sequence[str],
    header: Sequence[str] | None = None,
) -> Iterator[Row]:
    """As `table_rows`, of lines that are called `name`."""
    quoting = csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
    table = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=quotes)
    try:
        names = next(table, None) if header is None else header
        if missing := [column for column in columns if column not in (names or ())]:
            raise UserError(
                f"{name}: no column {', '.join(missing)}; its header is {names}; correct the names of the "
                f"columns, or the delimiter, which is {delimiter!r}"
            )
        while True:
            before = table.line_num
            try:
                values, whole = next(table), True
            except StopIteration:
                return
            except csv.Error:
                if table.line_num > before + 1:  # a quoted field, and nobody knows how many rows are in it
                    raise
                values, whole = [""], False
            if values:
                clean = [printable(value) for value in values]
                whole = whole and clean == values and len(values) == len(names)
                fields = dict(zip(names, [*clean, *len(names) * [""]], strict=False))
                yield Row(fields, f"{name}:{table.line_num}", whole)
    except csv.Error as error:
        raise UserError(f"{name}:{table.line_num}: {error}; mend or remove this line") from None
