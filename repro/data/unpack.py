"""Extract one file from a zip or tar, by its name there; nothing else is ever unpacked.

So nothing else in an archive can do harm: paths outside it, links, files that nobody asked for.
"""

from __future__ import annotations

import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

from repro.errors import ReproError
from repro.files import reading

RATIO = 200
"""How many times its archive's size a file of no stated size may have; ratings shrink tenfold."""


@contextmanager
def opened(archive: Path, inside: str, bytes_stated: int | None) -> Iterator[tuple[Member, int]]:
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
        If the archive is damaged, lacks the file or has several of its name; or if the file is a
        link or folder, has another size, or is so large that it can only be meant to fill the disk.
    """
    *outer, last = inside.split("//")
    failure = f"{inside} cannot be read from {archive}"
    with archive.open("rb") as stream:
        with reading(failure):
            inner: IO[bytes] = stream
            packed_size = whole_size = archive.stat().st_size
            for name in outer:
                inner, packed_size, _ = _found(inner, name, archive, packed_size, seekable=True)
            found, size, rest = _found(inner, last, archive, packed_size)
        if bytes_stated is not None and size != bytes_stated:
            raise ReproError(
                f"{archive} holds a {last} of {size:,} bytes, expected {bytes_stated:,}"
            )
        if bytes_stated is None and size > RATIO * whole_size:
            raise ReproError(
                f"{archive} holds a {last} of {size:,} bytes, more than {RATIO} times its own "
                "size: it can only be meant to fill the disk"
            )
        member = Member(found, size, failure, rest)
        yield member, size
        member.finish()


class Member:
    """The bytes of a file in an archive, to be read in order.

    An empty piece, the sign of the end, is given only once the file is known to be whole and the
    only one of its name. So who reads to the end has nothing else.
    """

    def __init__(
        self, stream: IO[bytes], size: int, failure: str, rest: Callable[[], None]
    ) -> None:
        self._stream = stream
        self._size = size
        self._failure = failure
        self._rest = rest

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        with reading(self._failure):
            piece = self._stream.read(size)
        if not piece:
            self.finish()
        return piece

    def finish(self) -> None:
        """Raise if the file is shorter than announced, or another one has its name."""
        with reading(self._failure):
            if self._stream.tell() != self._size:
                raise EOFError(f"there are not as many bytes as it announces: {self._size:,}")
            self._rest()


Found = tuple[IO[bytes], int, Callable[[], None]]
"""The bytes of a file, their number, and what raises if another file further on has its name."""


def _found(
    stream: IO[bytes], name: str, archive: Path, packed_size: int, seekable: bool = False
) -> Found:
    """Return a file in an archive; if not `seekable`, it is read only once, in order, but faster.

    Parameters
    ----------
    stream, packed_size
        The archive, and its size.
    name, archive
        The file in it, and, for messages, the archive on the disk.
    seekable : bool
        Whether the file is itself an archive.
    """
    is_zip = stream.read(4) == b"PK\x03\x04"
    stream.seek(0)
    if is_zip:
        packed = zipfile.ZipFile(stream)
        infos = [info for info in packed.infolist() if _plain(info.filename) == name]
        if not infos:
            raise _absent(archive, name, [_plain(info.filename) for info in packed.infolist()])
        _check_only(archive, name, len(infos))
        if infos[0].is_dir() or stat.S_ISLNK(infos[0].external_attr >> 16):
            raise ReproError(f"{archive} has a link or folder in place of the file {name}")
        return packed.open(infos[0]), infos[0].file_size, lambda: None
    mode: Literal["r:*", "r|*"] = "r:*" if seekable else "r|*"
    tar = tarfile.open(fileobj=stream, mode=mode)  # noqa: SIM115 - its file is returned
    seen = []

    def rest() -> None:
        entries = _entries(tar, name, archive, packed_size)  # begins again with those known
        _check_only(archive, name, sum(_plain(one.name) == name for one in entries))

    for one in _entries(tar, name, archive, packed_size):
        seen.append(_plain(one.name))
        if seen[-1] == name:
            if seekable:
                rest()
            found = tar.extractfile(one) if one.isreg() else None
            if found is None:
                raise ReproError(f"{archive} has a link or folder in place of the file {name}")
            return found, one.size, rest
    raise _absent(archive, name, seen)


def _entries(
    tar: tarfile.TarFile, name: str, archive: Path, packed_size: int
) -> Iterator[tarfile.TarInfo]:
    """Yield the entries of a tar; raise if those besides `name` are too large to go through."""
    passed = 0
    for one in tar:
        passed += 0 if _plain(one.name) == name else one.size
        if passed > RATIO * packed_size:
            raise ReproError(
                f"{archive} unpacks to more than {RATIO} times its own size: it can only be meant "
                "to fill the disk"
            )
        yield one


def _check_only(archive: Path, name: str, count: int) -> None:
    """Raise if an archive has several files of one name: programs differ in which one they take."""
    if count > 1:
        raise ReproError(f"{archive} holds {count} files called {name}, expected one")


def _plain(name: str) -> str:
    return name.removeprefix("./")


class AbsentError(ReproError):
    """An archive does not hold the file."""


def _absent(archive: Path, name: str, there: list[str]) -> AbsentError:
    some = ", ".join(there[:8]) + (", …" if there[8:] else "")
    return AbsentError(f"{archive} does not hold {name}", f"it holds: {some or 'nothing'}")
