"""Tarballs, read from front to back and never unpacked to disk.

    for name, recording in members(path, lambda name: name.endswith(".wav")): ...

A plain tarball gives the place of each member, so that whoever decodes a recording reads it; a compressed one has to
give bytes. Names are keys and never become paths of files; links and devices are not followed.
"""

import bz2
import gzip
import io
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import TypeVar

from asr.corpora.files import unreadable
from asr.errors import UserError
from asr.recording import Recording

Row = TypeVar("Row")
# A member of a compressed tarball that says it is larger is passed over: a few kilobytes can become a terabyte. It has to
# be held; what lies in a plain one is not.
MEMBER_BYTES = 200_000_000
HEADER_BYTES = 1_000_000  # of a long name, or of what pax says of a member
BROKEN = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile)
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2")
COMPRESSIONS = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open}  # by the first two bytes


def is_archive(path: Path | str) -> bool:
    """Whether a name is that of a tarball."""
    return str(path).endswith(ARCHIVES)


def members(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, Recording]]:
    """Name and content of the wanted plain files of a tarball, in its order.

    Raises:
        UserError: it cannot be read, or not to its end.
    """
    try:
        with path.open("rb") as file:
            decompress = COMPRESSIONS.get(file.read(2))
        with decompress(path) if decompress else path.open("rb") as file:
            mode = "r|" if decompress else "r:"
            with tarfile.open(fileobj=file, mode=mode, tarinfo=_Header) as archive:
                for member in archive:
                    name = member_name(member)
                    held = decompress or member.issparse()  # a sparse one's bytes do not lie in one piece
                    if member.isfile() and (not held or member.size <= MEMBER_BYTES) and wanted(name):
                        if held:
                            yield name, Recording(archive.extractfile(member).read(), name=name)
                        else:
                            _whole(member, path)
                            yield name, Recording(path, member.offset_data, member.size, name=name)
                    archive.members = []  # tarfile keeps each header otherwise
    except BROKEN as error:
        raise UserError(f"{path}: not a whole tarball ({error}); download it again") from error
    except OSError as error:
        raise unreadable(path, error) from error


def with_members(
    path: Path, waiting: dict[str, Iterable[Row]], key: Callable[[str], str] = str
) -> Iterator[tuple[Row, Recording | None]]:
    """Rows with the recordings that they wait for, in the order of a tarball; then those whose member is not in it.

    Args:
        waiting: the rows by `key` of their member's name; those that have come are taken out.

    Raises:
        UserError: as `members`.
    """
    for name, recording in members(path, lambda name: key(name) in waiting):
        for row in waiting.pop(key(name)):  # a tarball may hold a name twice: the first counts
            yield row, recording
    for rows in waiting.values():
        for row in rows:
            yield row, None


def members_within(recording: Recording, where: str) -> Iterator[tuple[str, Recording]]:
    """Name and content of the plain files of a tarball inside of another one.

    Raises:
        UserError: it is not whole.
    """
    content = recording.open()
    try:
        file = content if isinstance(content, io.BytesIO) else content.open("rb")
        with tarfile.open(fileobj=file, tarinfo=_Header) as archive:
            for member in archive:
                if member.isfile() and member.size <= MEMBER_BYTES:
                    name = member_name(member)
                    yield name, Recording(archive.extractfile(member).read(), name=name)
    except BROKEN as error:
        raise UserError(f"{where}: not a whole tarball ({error}); download it again") from error


def member_name(member: tarfile.TarInfo) -> str:
    """The name without `./` in front."""
    return str(PurePosixPath(member.name))


class _Header(tarfile.TarInfo):
    """A member's header. tarfile takes a broken one, or none after a cut between members, for the end of the archive,
    which is a block of zeros.
    """

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> tarfile.TarInfo:
        try:
            return super().fromtarfile(archive)
        except (tarfile.InvalidHeaderError, tarfile.EmptyHeaderError, tarfile.TruncatedHeaderError) as error:
            raise tarfile.ReadError(f"no header and no end mark at byte {archive.offset}: {error}") from None

    def _proc_gnulong(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        return self._bounded(super()._proc_gnulong, archive)

    def _proc_pax(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        return self._bounded(super()._proc_pax, archive)

    def _bounded(self, read: Callable, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.size > HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        return read(archive)


def _whole(member: tarfile.TarInfo, path: Path) -> None:
    if member.offset_data + member.size > path.stat().st_size:
        raise EOFError(f"it ends inside of {member.name}")
