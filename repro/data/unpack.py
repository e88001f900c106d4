"""Extract one file from a zip or tar, by its name there; nothing else is ever unpacked.

So nothing else in an archive can do harm: paths outside it, links, files that nobody asked for.
"""

from __future__ import annotations

import errno
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

from repro.errors import ReproError

RATIO = 200
"""How many times its archive's size a file of no stated size may have; ratings shrink tenfold."""

_DAMAGED = (
    EOFError,
    OSError,
    RuntimeError,  # encrypted
    NotImplementedError,  # an unknown compression
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
)
"""What the standard library raises for an archive that is cut off, corrupt, or unsupported."""


@contextmanager
def opened(archive: Path, inside: str, bytes_stated: int | None) -> Iterator[tuple[IO[bytes], int]]:
    """Yield the bytes of one file in an archive, and how many there are.

    Parameters
    ----------
    archive : Path
        A zip, or a tar of any compression.
    inside : str
        The file's path; "outer.tar//inner.csv" names a file in an archive in this one.
    bytes_stated : int, optional
        The size that it must have.

    Raises
    ------
    ReproError
        If the archive is damaged or lacks the file; or if the file is a link or folder, has another
        size, or is so large that it can only be meant to fill the disk.
    """
    *outer, last = inside.split("//")
    try:
        with archive.open("rb") as stream:
            inner: IO[bytes] = stream
            for name in outer:
                inner, _ = _member(inner, name, archive, holds_another=True)
            found, size = _member(inner, last, archive)
            if bytes_stated is not None and size != bytes_stated:
                raise ReproError(
                    f"{archive} holds a {last} of {size:,} bytes, expected {bytes_stated:,}"
                )
            if bytes_stated is None and size > RATIO * archive.stat().st_size:
                raise ReproError(
                    f"{archive} holds a {last} of {size:,} bytes, more than {RATIO} times its own "
                    "size: it can only be meant to fill the disk"
                )
            yield found, size
            if found.tell() != size:
                raise ReproError(
                    f"{archive} does not hold as many bytes of {last} as it announces: {size:,}"
                )
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # of the disk; a damaged zip seeks to before its beginning
        raise ReproError(f"{inside} cannot be read from {archive}: {error}") from error


def _member(
    stream: IO[bytes], name: str, archive: Path, holds_another: bool = False
) -> tuple[IO[bytes], int]:
    """Return the bytes of a file in an archive, and their number.

    With `holds_another` they can be read in any order; else only once, in order, but faster.
    """
    is_zip = stream.read(4) == b"PK\x03\x04"
    stream.seek(0)
    if is_zip:
        packed = zipfile.ZipFile(stream)
        infos = {_plain(info.filename): info for info in packed.infolist()}
        if name not in infos:
            raise _absent(archive, name, list(infos))
        info = infos[name]
        if info.is_dir() or stat.S_ISLNK(info.external_attr >> 16):
            raise ReproError(f"{archive} has a link or folder in place of the file {name}")
        return packed.open(info), info.file_size
    seen = []
    mode: Literal["r:*", "r|*"] = "r:*" if holds_another else "r|*"
    for one in (tar := tarfile.open(fileobj=stream, mode=mode)):  # noqa: SIM115 - it is yielded from
        seen.append(_plain(one.name))
        if seen[-1] == name:
            found = tar.extractfile(one) if one.isreg() else None
            if found is None:
                raise ReproError(f"{archive} has a link or folder in place of the file {name}")
            return found, one.size
    raise _absent(archive, name, seen)


def _plain(name: str) -> str:
    return name.removeprefix("./")


class AbsentError(ReproError):
    """An archive does not hold the file."""


def _absent(archive: Path, name: str, there: list[str]) -> AbsentError:
    some = ", ".join(there[:8]) + (", …" if there[8:] else "")
    return AbsentError(f"{archive} does not hold {name}", f"it holds: {some or 'nothing'}")
