"""A lock on a folder: which process works there, and since when; so that no two do the same work.

A lock is a folder with one file, whose name is a random token. It is taken by renaming a folder
that was prepared beside it; the system refuses that while the place is not empty. It is released,
or taken over, by deleting the file by its name: a process that slept in between cannot delete the
lock of another that came meanwhile. This needs neither flock nor hard links, which many shared
disks lack. No step makes another process wait, so one that is stopped holds up nobody else's work.

The holder rewrites the file every few seconds. A lock is void if its process is gone, or has been
silent for a while, as on another host or in another container.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, Self, TypeVar

from pydantic import Field, TypeAdapter

from repro.errors import ReproError
from repro.files import read_json

FOLDER = "lock"
BEAT_SECONDS = 5.0
SILENT_SECONDS = 90.0
"""Without a beat for so long a lock is void; a slow file server takes less."""
TRIES = 100
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)


class BusyError(ReproError):
    """Another process is working on this."""


@dataclass(frozen=True)
class Lock:
    """The content of the file."""

    USE: ClassVar[str] = "in use"

    token: str
    host: str
    pid: Annotated[int, Field(gt=0, lt=1 << 31)]
    label: str
    """What is locked, for people."""
    began: float
    """Seconds since 1970, on that host's clock."""
    processes: str = ""
    """Among which processes its pid counts: containers do not see each other's."""

    @classmethod
    def here(cls, label: str) -> Self:
        """Return a new lock for this process."""
        here = socket.gethostname(), os.getpid()
        return cls(secrets.token_hex(8), *here, label, time.time(), processes())

    def has_ended(self) -> bool:
        """Return whether its process is gone, as far as can be seen from here."""
        from_here = (self.host, self.processes) == (socket.gethostname(), processes())
        return from_here and not _is_alive(self.pid)


L = TypeVar("L", bound=Lock)


@dataclass(frozen=True)
class Found(Generic[L]):
    """A lock that stands on the disk, held or void."""

    file: Path
    folder: Path
    """What is locked."""
    lock: L | None
    """None if the file is damaged."""
    fault: str = ""

    def is_held(self) -> bool:
        """Return whether its process is there; nobody knows whose a damaged one is."""
        if self.lock and self.lock.has_ended():
            return False
        # Of a time to come: the clock was set back, and a holder would have written it since.
        return -SILENT_SECONDS < _age(self.file, self.folder) < SILENT_SECONDS

    def busy(self, label: str) -> BusyError:
        """Return the error for who wants it, too."""
        if self.lock:
            who = f"process {self.lock.pid} on {self.lock.host}"
            return BusyError(f"{label} is {self.lock.USE} by {who}")
        until = f"it counts for {SILENT_SECONDS:.0f} s; delete it, if no process does this"
        return BusyError(f"{label} has a lock that cannot be read: {self.file}", until)

    def content(self) -> L:
        """Return its content.

        Raises
        ------
        ReproError
            If the file is damaged.
        """
        if self.lock is None:
            raise ReproError(
                f"{self.file} is damaged: {self.fault}", "delete it, if no process is running this"
            )
        return self.lock


class Holder(Generic[L]):
    """Takes a lock, writes its beats, and notices if another process takes it over.

    Parameters
    ----------
    folder : Path
        What to lock.
    lock : Lock
        What the file says at first.
    """

    def __init__(self, folder: Path, lock: L) -> None:
        self.lock = lock
        self.file = folder / FOLDER / f"{lock.token}.json"
        self._folder = folder
        self._n_bytes = len(_json(lock)) + 512  # all that it will say has room
        self.is_taken = False
        self._lost = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def take(self) -> None:
        """Take the lock, and begin to write beats.

        Raises
        ------
        BusyError
            If another process holds it.
        ReproError
            If something that is no lock is in its place.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        for _ in range(TRIES):
            if found := find(self._folder, type(self.lock)):
                if found.is_held():
                    raise found.busy(self.lock.label)
                found.file.unlink(missing_ok=True)
            refused = self._put()
            if self._is_there():  # whatever the answer was: a file server may give it twice
                self._thread.start()
                self.is_taken = True
                return
            with suppress(OSError):  # some disks rename onto no folder, not even an empty one
                self.file.parent.rmdir()
        raise ReproError(
            f"cannot lock {self._folder}: {self.file.parent}: {refused}",
            "delete it, if no process is running this",
        )

    def check(self) -> None:
        """Check that the lock is still held.

        Raises
        ------
        BusyError
            If another process has taken it over, because this one was silent for too long.
        """
        self._lost = self._lost or not self._is_there()
        if self._lost:
            raise BusyError(
                f"another process has taken over {self.lock.label} while this one was asleep"
            )

    def release(self) -> None:
        """Release the lock, if it is held."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        discard(self.file)

    def _put(self) -> str:
        """Try to put the lock into its place; return why that was refused, or ""."""
        prepared = temporary(self._folder)
        prepared.mkdir()
        try:
            (prepared / self.file.name).write_bytes(self._block())
            try:
                prepared.rename(self.file.parent)
            except OSError as error:
                return error.strerror or str(error)
        finally:
            shutil.rmtree(prepared, ignore_errors=True)
        return ""

    def _is_there(self) -> bool:
        try:
            os.close(os.open(self.file, os.O_RDONLY))  # unlike stat it asks the file server
        except OSError as error:
            return error.errno not in _GONE
        return True

    def _block(self) -> bytes:
        """Return the file's content, of one length, so that a beat is a single write."""
        return _json(self.lock).ljust(self._n_bytes)

    def _beat(self) -> None:
        while not self._over.wait(BEAT_SECONDS):
            try:
                opened = os.open(self.file, os.O_WRONLY)  # it makes none: a lost lock stays lost
                try:
                    os.pwrite(opened, self._block(), 0)
                finally:
                    os.close(opened)
            except OSError as error:  # a file server that is away: maybe at the next beat
                if error.errno in _GONE:
                    self._lost = True
                    return


H = TypeVar("H", bound=Holder[Any])


@contextmanager
def held(holder: H) -> Iterator[H]:
    """Hold a lock.

    Raises
    ------
    BusyError
        If another process holds it, or has taken it over when the block fails: what one meets who
        works on in another's files is no error of its own.
    """
    try:
        holder.take()
        yield holder
    except BusyError:
        raise
    except Exception:
        if holder.is_taken:
            holder.check()
        raise
    finally:
        holder.release()


def find(folder: Path, kind: type[L]) -> Found[L] | None:
    """Return the lock on a folder, held or void."""
    try:
        files = [file for file in (folder / FOLDER).iterdir() if file.suffix == ".json"]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:  # a link to itself, a folder that may not be read
        return Found(folder / FOLDER, folder, None, error.strerror or str(error))
    return at(files[0], folder, kind) if files else None


def at(file: Path, folder: Path, kind: type[L]) -> Found[L] | None:
    """Return the lock on a folder that a file holds, held or void."""
    fault, schema = "", _schema(kind)  # type: ignore[arg-type] # a class is hashable
    for _ in range(2):  # it may have been half written
        try:
            return Found(file, folder, schema.validate_python(read_json(file)))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, OSError) as error:
            fault = getattr(error, "strerror", None) or str(error).removeprefix(
                f"{file} is damaged: "
            )
    return Found(file, folder, None, fault)


def discard(file: Path) -> None:
    """Delete a lock's file, and its folder unless another process has taken the lock meanwhile."""
    with suppress(NotADirectoryError):  # something else lies in place of the folder
        file.unlink(missing_ok=True)
    if file.parent.name == FOLDER:
        with suppress(OSError):
            file.parent.rmdir()


def temporary(folder: Path, name: str = FOLDER) -> Path:
    """Return a name beside the final one; `repro.files.unfinished` finds it after a crash."""
    return folder / f".{name}.{os.getpid()}.{secrets.token_hex(4)}"


def processes() -> str:
    """Return a name for the processes that can be seen from here: system start and namespace."""
    start = Path("/proc/sys/kernel/random/boot_id")
    try:
        return f"{start.read_text().strip()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # not Linux: a host's processes are one set
        return ""


@cache
def _schema(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _json(lock: Lock) -> bytes:
    return json.dumps(asdict(lock)).encode()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's process
        return True
    stat = Path(f"/proc/{pid}/stat")
    try:  # a killed process stays listed until its parent waits for it
        return stat.read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (OSError, IndexError):
        return True


def _age(file: Path, folder: Path) -> float:
    """Return the seconds since a file was written, by the clock of the disk that it lies on.

    The probe lies in the folder, not in the lock's: that must be empty to be taken over.
    """
    probe = temporary(folder)
    try:
        probe.touch()
        now = probe.stat().st_mtime
        probe.unlink()
    except OSError:  # read-only: use this machine's clock
        now = time.time()
    try:
        return now - file.stat().st_mtime
    except FileNotFoundError:  # released this moment
        return float("inf")
