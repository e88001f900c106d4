"""The lock on a run also tells how far the run is, to `repro status` on whatever host."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from repro import locks
from repro.locks import BusyError, Found

FILE = "lock.json"
"""The whole lock in version 0.2; now a link for that version to see ours."""


@dataclass(frozen=True)
class Lock(locks.Lock):
    """The content of the file."""

    USE: ClassVar[str] = "being run"

    phase: str = ""
    epoch: int = 0
    n_epochs: int = 0
    left: float | None = None
    """Seconds that the rest of the phase takes at its pace."""


class Holder(locks.Holder[Lock]):
    """Holds the lock on a run.

    Parameters
    ----------
    folder : Path
        The run's folder.
    label : str
        What the run is called, for people.
    """

    def __init__(self, folder: Path, label: str) -> None:
        super().__init__(folder, Lock.here(label))
        self._seen: dict[str, tuple[float, int]] = {}

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


@contextmanager
def held(folder: Path, label: str) -> Iterator[Holder]:
    """Hold the lock on a run.

    Parameters
    ----------
    folder, label
        As for `Holder`.

    Raises
    ------
    BusyError
        If another process holds it, or has taken it over when the block fails.
    """
    with locks.held(Holder(folder, label)) as holder:
        older = _of_version_0_2(folder)
        if older and older.is_held():
            raise older.busy(label)
        with _shown_to_version_0_2(folder, holder.file):
            yield holder


def find(folder: Path) -> Found[Lock] | None:
    """Return the lock on a run, held or void."""
    found, older = locks.find(folder, Lock), _of_version_0_2(folder)
    if found and older:
        return older if older.is_held() else found
    return found or older


def read(folder: Path) -> Lock | None:
    """Return the content of the lock on a run, held or void.

    Raises
    ------
    ReproError
        If the file is damaged.
    """
    found = find(folder)
    return found.content() if found else None


def busy(folder: Path, label: str) -> BusyError | None:
    """Return an error if another process holds the lock on a run."""
    found = find(folder)
    return found.busy(label) if found and found.is_held() else None


def _of_version_0_2(folder: Path) -> Found[Lock] | None:
    file = folder / FILE
    return None if file.is_symlink() else locks.at(file, folder, Lock)


@contextmanager
def _shown_to_version_0_2(folder: Path, file: Path) -> Iterator[None]:
    link, target = folder / FILE, file.relative_to(folder)
    prepared = locks.temporary(folder, FILE)
    with suppress(OSError):  # not every disk has symbolic links
        prepared.symlink_to(target)
        prepared.replace(link)
    with suppress(OSError):
        prepared.unlink()  # where something else lies in its place
    try:
        yield
    finally:
        with suppress(OSError):
            if link.readlink() == target:
                link.unlink()
