"""Tables in text files: TSV, CSV and the like, a row at a time.

for row in table_rows(path, delimiter="\t", quotes=False, columns=("path", "sentence")):
    row.fields["sentence"], row.where       # "…/train.tsv:17"
    row.whole                               # as many fields as the header has
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.corpora.files import lines_of
from asr.errors import UserError


@dataclass(frozen=True)
class Row:
    """A row's fields by column, each "" where it is missing."""

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
        UserError: it cannot be read, lacks a column, or is no table; the message has the line.
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
    table = csv.DictReader(lines, fieldnames=header, delimiter=delimiter, quoting=quoting, strict=quotes)
    try:
        if missing := [column for column in columns if column not in (table.fieldnames or ())]:
            raise UserError(
                f"{name}: no column {', '.join(missing)}; its header is {table.fieldnames}; correct the names of the "
                f"columns, or the delimiter, which is {delimiter!r}"
            )
        for row in table:
            whole = None not in row and None not in row.values()  # csv's marks for too many and too few fields
            fields = {column: value or "" for column, value in row.items() if column is not None}
            yield Row(fields, f"{name}:{table.line_num}", whole)
    except csv.Error as error:
        raise UserError(f"{name}:{table.reader.line_num}: {error}; mend or remove this line") from None
