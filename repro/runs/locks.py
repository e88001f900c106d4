"""A lock on a run: which process runs it, since when, and how far; so that no two do the same work.

A lock is a file in the run's folder. Its holder rewrites it every few seconds. A lock is taken over
if its process is gone, or has been silent for a while, as on another host or in another container.
The file also tells `repro status` how far the run is, whatever host it is on.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from repro.errors import ReproError
from repro.files import read_json, write_json

FILE = "lock.json"
BEAT_SECONDS = 5.0
SILENT_SECONDS = 90.0
"""Without a beat for so long a lock is void; a slow file server takes less."""


class BusyError(ReproError):
    """Another process is running this."""


@dataclass(frozen=True)
class Lock:
    """The content of the file."""

    token: str
    host: str
    pid: int
    label: str
    began: float
    """Seconds since 1970, on that host's clock."""
    phase: str = ""
    epoch: int = 0
    n_epochs: int = 0
    left: float | None = None
    """Seconds that the rest of the phase takes at its pace."""
    processes: str = ""
    """Among which processes its pid counts: containers do not see each other's."""

    def is_held(self, folder: Path) -> bool:
        """Return whether its process is there, as far as can be seen from here."""
        from_here = (self.host, self.processes) == (socket.gethostname(), processes())
        if from_here and not _is_alive(self.pid):
            return False
        return _age(folder / FILE) < SILENT_SECONDS


class Holder:
    """Holds a lock: writes its beats, and notices if another process takes it over."""

    def __init__(self, folder: Path, lock: Lock) -> None:
        self.lock = lock
        self._folder = folder
        self._lost = False
        self._over = threading.Event()
        self._beaten = time.monotonic()
        self._seen: dict[str, tuple[float, int]] = {}
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def tell(self, phase: str, epoch: int, n_epochs: int) -> None:
        """Note how far the run is.

        Raises
        ------
        BusyError
            If another process has taken the run over, because this one was silent for too long.
        """
        self.check()
        began, first = self._seen.setdefault(phase, (time.monotonic(), epoch))
        done = epoch - first
        left = (time.monotonic() - began) / done * (n_epochs - epoch) if done else None
        self.lock = replace(self.lock, phase=phase, epoch=epoch, n_epochs=n_epochs, left=left)

    def check(self) -> None:
        """Check that the lock is still held.

        Raises
        ------
        BusyError
            As in `tell`.
        """
        if time.monotonic() - self._beaten > 2 * BEAT_SECONDS:  # this process was asleep
            with _guarded(self._folder):
                self._lost = self._lost or not _is_own(self._folder, self.lock)
        if self._lost:
            raise BusyError(
                f"another process has taken over {self.lock.label} while this one was asleep"
            )

    def release(self) -> None:
        """Release the lock."""
        self._over.set()
        self._thread.join()
        with _guarded(self._folder):
            if _is_own(self._folder, self.lock):
                (self._folder / FILE).unlink()

    def _beat(self) -> None:
        while not self._over.wait(BEAT_SECONDS):
            with suppress(OSError), _guarded(self._folder):  # a full disk: maybe at the next beat
                if not _is_own(self._folder, self.lock):
                    self._lost = True
                    return
                write_json(self._folder / FILE, asdict(self.lock))
                self._beaten = time.monotonic()


@contextmanager
def held(folder: Path, label: str) -> Iterator[Holder]:
    """Hold the lock on a run.

    Parameters
    ----------
    folder : Path
        The run's folder.
    label : str
        What the run is called, for people.

    Raises
    ------
    BusyError
        If another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    here = socket.gethostname(), os.getpid()
    lock = Lock(secrets.token_hex(8), *here, label, time.time(), processes=processes())
    with _guarded(folder):
        if error := busy(folder, label):
            raise error
        write_json(folder / FILE, asdict(lock))
    holder = Holder(folder, lock)
    try:
        yield holder
    finally:
        holder.release()


def read(folder: Path) -> Lock | None:
    """Return the lock on a run, held or void.

    Raises
    ------
    ReproError
        If the file is damaged.
    """
    try:
        return Lock(**read_json(folder / FILE))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise ReproError(
            f"{folder / FILE} is damaged: {error}", "delete it, if no process is running this"
        ) from error


def busy(folder: Path, label: str) -> BusyError | None:
    """Return an error if another process holds the lock on a run; nobody holds a damaged one."""
    with suppress(ReproError):
        lock = read(folder)
        if lock and lock.is_held(folder):
            return BusyError(f"{label} is being run by process {lock.pid} on {lock.host}")
    return None


@contextmanager
def _guarded(folder: Path) -> Iterator[None]:
    """Let one process at a time read a lock and change it."""
    from filelock import FileLock

    with FileLock(folder.parent / ".locks.lock"):
        yield


def _is_own(folder: Path, lock: Lock) -> bool:
    try:
        there = read(folder)
    except ReproError:
        return False
    return there is not None and there.token == lock.token


def processes() -> str:
    """Return a name for the processes that can be seen from here: system start and namespace."""
    start = Path("/proc/sys/kernel/random/boot_id")
    try:
        return f"{start.read_text().strip()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # not Linux: a host's processes are one set
        return ""


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


def _age(file: Path) -> float:
    """Return the seconds since a file was written, by the clock of the disk that it lies on."""
    probe = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
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
