"""Files that the tables and lists of corpora name, and the text files themselves."""

import codecs
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from asr.errors import UserError

BYTE_ORDER_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16", codecs.BOM_UTF8: "utf-8-sig"}


def inside(folder: Path, name: str) -> Path | None:
    """The file that `name` means, seen from `folder`; None if it lies outside, or is no name at all.

    An absolute path is as good as a relative one while it stays inside. Links are followed: they are the user's own.
    """
    if not name or "\0" in name:
        return None
    base = Path(os.path.normpath(folder.absolute()))  # of "../corpus", which no file's path would start with
    path = PurePosixPath(str(base)) / name.replace("\\", "/")
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            if len(parts) < 2:
                return None
            parts.pop()
        else:
            parts.append(part)
    found = Path(*parts)
    return found if found.is_relative_to(base) and found != base else None


def lacking(file: Path | None) -> str:
    """Why there is no recording at what `inside` gave, as the reason of a `Rejected`; "" if there is one."""
    if file is None:
        return "outside_corpus"
    try:
        return "" if file.is_file() else "missing_clip"
    except OSError:  # a name longer than the file system's, a folder that may not be entered
        return "unreadable_audio"


def exists(path: Path, remedy: str) -> Path:
    """`path`, or a `UserError` that says that it is not there and what to do (`remedy`: a sentence's end)."""
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; {remedy}")
    return path


def files_below(folder: Path, wanted: Callable[[str], bool]) -> list[str]:
    """Names, as seen from `folder`, of the files below it whose own names are wanted, sorted.

    Links to folders are followed, since a corpus may lie on several disks; a folder is visited once.

    Raises:
        UserError: a folder cannot be read.
    """

    def fail(error: OSError) -> None:
        raise unreadable(Path(error.filename), error) from error

    names: list[str] = []
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, onerror=fail, followlinks=True):
        if (real := os.path.realpath(place)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        names += [Path(place, file).relative_to(folder).as_posix() for file in files if wanted(file)]
    return sorted(names)


def text_of(content: bytes, name: str) -> str:
    """The text of a file's bytes, decoded as their byte order mark says, else as UTF-8.

    Raises:
        UserError: it is not UTF-8, nor has it a byte order mark.
    """
    try:
        return content.decode(_encoding(content))
    except UnicodeDecodeError as error:
        raise not_utf8(name, error) from None


def lines_of(path: Path) -> Iterator[str]:
    """The lines of a text file with their ends, decoded as its byte order mark says, else as UTF-8; surrogates stand for
    bytes that are not, see `printable`.

    Raises:
        UserError: it cannot be read, or its first line is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            yield from _lines(file, path)
    except OSError as error:
        raise unreadable(path, error) from error


def lines_in(content: bytes, name: str) -> Iterator[str]:
    """As `lines_of`, of the bytes of a file that is called `name`."""
    return _lines(io.BytesIO(content), name)


def _lines(file: BinaryIO, name: object) -> Iterator[str]:
    encoding = _encoding(file.read(4))
    file.seek(0)
    lines = io.TextIOWrapper(file, encoding, errors="surrogateescape", newline="")
    try:
        if first := lines.readline():
            first.encode("utf-8", "surrogateescape").decode()
            yield first
        yield from lines
    except UnicodeDecodeError as error:
        raise not_utf8(name, error) from None


def _encoding(start: bytes) -> str:
    return next((name for mark, name in BYTE_ORDER_MARKS.items() if start.startswith(mark)), "utf-8")


def printable(text: str) -> str:
    """Text of `lines_of`, the same if all of it was UTF-8; else with � for what was not."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def not_utf8(name: object, error: UnicodeDecodeError) -> UserError:
    return UserError(f"{name}: not UTF-8 ({error}); save it as UTF-8")


def unreadable(path: Path, error: OSError) -> UserError:
    reason = error.strerror or error
    return UserError(f"{path}: cannot be read ({reason}); check its permissions and its disk, or download it again")
