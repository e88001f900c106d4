"""Remove records, with all that lies beside them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from repro import locks
from repro.errors import ReproError
from repro.runs import locks as run_locks
from repro.runs.record import FILE


def remove(runs: Path, ids: Iterable[str]) -> list[ReproError]:
    """Remove the folders of runs; return why some stay.

    The record goes first: what is left after a crash never vouches for files that are gone.

    Parameters
    ----------
    runs : Path
        The folder of records.
    ids : iterable of str
        The runs. One that a process is running now stays.
    """
    faults: list[ReproError] = []
    for id in ids:
        folder = runs / id
        try:
            with run_locks.held(folder, id):
                (folder / FILE).unlink(missing_ok=True)
                for path in folder.iterdir():
                    if path.name not in (locks.FOLDER, run_locks.FILE):
                        _delete(path)
        except ReproError as error:
            faults.append(error)
            continue
        with suppress(OSError):  # another process has begun to run it
            if (folder / locks.FOLDER).is_dir():
                (folder / locks.FOLDER).rmdir()
            folder.rmdir()
    return faults


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
