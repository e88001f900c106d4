"""What may be deleted: left behind by processes that were killed or finished, or replaced."""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro import files, locks, paths
from repro.data import cache, manifest, views
from repro.errors import ReproError, readable
from repro.runs import index, records
from repro.runs import locks as run_locks
from repro.training import checkpoints

VOID = "lock of a process that has ended"
DAMAGED = "damaged lock"


@dataclass(frozen=True)
class Leftover:
    """A file or folder that nothing needs."""

    kind: str
    path: Path
    bytes: int

    def delete(self) -> None:
        """Delete it."""
        if self.kind in (VOID, DAMAGED) and not self.path.is_dir():
            locks.discard(self.path)
        elif self.path.name == locks.FOLDER:
            with suppress(OSError):  # a process takes the lock this moment
                self.path.rmdir()
        elif self.path.is_dir():
            shutil.rmtree(self.path)
        else:
            self.path.unlink(missing_ok=True)


def leftovers(runs: Path, unfinished: bool = False) -> list[Leftover]:
    """Return what may be deleted, of runs and of data; never what a process is using.

    Parameters
    ----------
    runs : Path
        The folder of records.
    unfinished : bool
        Also what a later command would resume from: checkpoints of runs without a record, and
        partial downloads.
    """
    found = [*_of_runs(runs, unfinished), *_of_data(unfinished), *_of_tables()]
    return [Leftover(kind, path, _size(path)) for kind, path in found]


def delete(found: Iterable[Leftover], runs: Path, unfinished: bool = False) -> None:
    """Delete what may still be deleted: no process has begun to use it in the meantime.

    Parameters
    ----------
    found : iterable of Leftover
        What to delete.
    runs, unfinished
        As in `leftovers`.
    """
    still = {one.path for one in leftovers(runs, unfinished)}
    for one in found:
        if one.path in still:
            one.delete()


def _of_runs(runs: Path, unfinished: bool) -> Iterator[tuple[str, Path]]:
    for file in files.unfinished(runs, index.FILE):
        yield "partly written file", file
    for folder in sorted(path for path in runs.glob("*") if path.is_dir()):
        found = run_locks.find(folder)
        if found and found.is_held():
            continue
        yield from _of_lock(folder, found)
        if (folder / run_locks.FILE).is_symlink():
            yield "link to a lock", folder / run_locks.FILE
        for file in checkpoints.present(folder):
            if _is_finished(folder):
                yield "checkpoint of a finished run", file
            elif unfinished:
                yield "checkpoint of an unfinished run", file
        for file in checkpoints.remains(folder):
            yield "damaged checkpoint", file
        for file in folder.glob("claim.json"):
            if _is_old(file):
                yield "lock of version 0.1", file
        for file in files.unfinished(folder):
            if not file.match(".checkpoint-*") and not file.match(".lock.*"):
                yield "partly written file", file
    if _is_unused(runs / ".locks.lock"):
        yield "lock of version 0.2", runs / ".locks.lock"


def _is_finished(folder: Path) -> bool:
    """Return whether a run has a record; one that is damaged does not count."""
    with suppress(FileNotFoundError, ReproError):
        records.load(folder)
        return True
    return False


def _of_lock(folder: Path, void: locks.Found[Any] | None) -> Iterator[tuple[str, Path]]:
    """Yield what is left of a lock that no process holds."""
    if void:
        yield VOID if void.lock else DAMAGED, void.file
    elif (folder / locks.FOLDER).is_dir() and not list(folder.glob(f"{locks.FOLDER}/*")):
        yield VOID, folder / locks.FOLDER
    for file in files.unfinished(folder, "lock*"):
        if _is_old(file):
            yield "partly written lock", file


def _is_old(file: Path) -> bool:
    with suppress(FileNotFoundError):  # it has gone by itself
        return time.time() - file.lstat().st_mtime > locks.SILENT_SECONDS
    return False


def _is_unused(file: Path) -> bool:
    """Return whether a file that version 0.2 gave to flock is there, and no process uses it."""
    try:
        with file.open() as opened:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return _is_old(file)
    except OSError:  # it is not there, it is in use, or this disk does not know
        return False


def _of_data(unfinished: bool) -> Iterator[tuple[str, Path]]:
    for found in readable(manifest.names(), manifest.load):
        name = found.id
        if cache.is_busy(name):
            continue
        folder = cache.folder(name)
        yield from _of_lock(folder, locks.find(folder, locks.Lock))
        if _is_unused(folder / ".lock"):
            yield "lock of version 0.2", folder / ".lock"
        used = {views.folder(f"{name}/{view}") for view in found.views}
        for path in sorted(folder.glob("views/*")):
            if path not in used:
                yield "old view", path
        if unfinished:
            for path in sorted(folder.glob("parts/*.part*")):
                yield "partial download", path
    known = set(manifest.names())  # not those of a REPRO_PATH that is not set now: raw data stay
    for path in sorted((paths.home() / "data").glob("*/views/*")):
        if path.parent.parent.name not in known:
            yield "view without a manifest", path


def _of_tables() -> Iterator[tuple[str, Path]]:
    """Yield what a `repro freeze` that was killed was writing; one that still runs is quicker."""
    for folder in paths.shipped("tables"):
        for at in (folder / "reference" / part for part in ("", "figures", "counts")):
            for path in files.unfinished(at):
                if time.time() - path.stat().st_mtime > locks.SILENT_SECONDS:
                    yield "partly written file", path


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
