"""Lists of one JSON object a line: NeMo's manifests, Golos's, Whisper-Finetune's.

for where, entry in json_lines(path): ...     # ("…/train.jsonl:17", {…}), or ("…:18", "why it is none")
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from asr.corpora.files import lines_of, printable


def json_lines(path: Path) -> Iterator[tuple[str, dict | str]]:
    """Each line's place and object; in place of the object what is wrong with a line that holds none.

    Raises:
        UserError: the file cannot be read, or its first line is not UTF-8.
    """
    return parse_json_lines(lines_of(path), str(path))


def parse_json_lines(lines: Iterable[str], name: str) -> Iterator[tuple[str, dict | str]]:
    """As `json_lines`, of lines that are called `name`."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{name}:{number}"
        if (clean := printable(line)) != line:
            yield where, f"not UTF-8, but {clean.strip()[:80]}"
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield where, f"not JSON: {error}"
            continue
        yield where, entry if isinstance(entry, dict) else f"not an object, but {line.strip()[:80]}"


def count_lines(path: Path) -> int:
    """Lines that hold something."""
    return sum(1 for line in lines_of(path) if line.strip())
