"""An index of a folder of runs, so that listing thousands of records reads one file.

It lies beside the records, in ``.index``. An entry counts only while the file that it was made
from is unchanged: same inode, size and times. Whatever is wrong with the index, it is ignored.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG
from typing import Any

from pydantic_core import from_json

from repro import __version__
from repro.errors import ReproError
from repro.files import write_atomically
from repro.runs.sealed import FORMAT, damaged

FILE = ".index"

FEWEST = 100
"""Files that are read although the index should have them, before it is written again: reading a
few takes less time than writing thousands of entries."""

TICK_NS = 2_000_000_000
"""A file that changed so shortly before the index was written may change again without a sign: the
coarsest file systems note times in steps of two seconds."""

_MADE_BY = {"index": 2, "format": FORMAT, "version": __version__}

State = list[int]
"""Inode, size, and the times of the last change to content and to inode."""

Entries = dict[str, tuple[State, Any]]


def listed(
    runs: Path, file: str, read: Callable[[Path], Any]
) -> tuple[dict[str, Any], dict[str, ReproError]]:
    """Return what is known of every folder that has a file, and the errors of those that fail.

    Parameters
    ----------
    runs : Path
        The folder of folders.
    file : str
        The name of the file in each.
    read : callable
        Returns what is to be known of a folder, as plain JSON values; called where the index has
        no entry that counts. May raise FileNotFoundError, if the file has gone meanwhile.
    """
    index = _load(runs / FILE)
    entries: Entries = {}
    faults: dict[str, ReproError] = {}
    n_new = 0
    for name, state in present(runs, file):
        known = index.get(name)
        if isinstance(state, ReproError):
            faults[name] = state
        elif known and known[0] == state:
            entries[name] = known
        else:
            try:
                entries[name] = state, read(runs / name)
                n_new += 1
            except FileNotFoundError:  # a forced run is being saved this moment
                continue
            except ReproError as error:
                faults[name] = error
    if n_new >= FEWEST:
        with suppress(OSError):  # a read-only folder, a full disk: an index is no necessity
            write_atomically(runs / FILE, _packed(entries))
    return {name: value for name, (_, value) in entries.items()}, faults


def present(runs: Path, file: str, only: str = "") -> Iterator[tuple[str, State | ReproError]]:
    """Yield the folders that have a file, or one of them, each with the file's state or fault."""
    for name in [only] if only else _names(runs):
        try:
            if state := _state(f"{runs}/{name}/{file}"):
                yield name, state
        except ReproError as error:
            yield name, error


def _names(runs: Path) -> list[str]:
    with suppress(FileNotFoundError, NotADirectoryError):
        return sorted(path.name for path in runs.iterdir() if not path.name.startswith("."))
    return []


def _state(path: str) -> State | None:
    """Return the state of a file; None if there is none.

    Raises
    ------
    ReproError
        If something else lies in its place.
    """
    try:
        found = os.stat(path)  # noqa: PTH116 - of thousands, and a Path takes twice the time
    except (FileNotFoundError, NotADirectoryError):
        for link in (Path(path), Path(path).parent):
            if link.is_symlink() and not link.exists():
                raise damaged(link, "it is a link to something that does not exist") from None
        return None
    except OSError as error:
        raise damaged(Path(path), error.strerror or str(error)) from error
    if not S_ISREG(found.st_mode):
        raise damaged(Path(path), "it is not a file")
    return [found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _packed(entries: Entries) -> bytes:
    """Return an index: a line on what made it, with the digest of the second line, its entries."""
    body = json.dumps(entries, separators=(",", ":")).encode()
    head = _MADE_BY | {"sha256": hashlib.sha256(body).hexdigest()}
    return json.dumps(head).encode() + b"\n" + body


def _load(path: Path) -> Entries:
    """Return the entries of an index that may count; none if it is missing, damaged or old."""
    try:
        if _state(str(path)) is None:
            return {}
        with path.open("rb") as file:
            written = os.fstat(file.fileno()).st_mtime_ns - TICK_NS
            head, body = file.readline(), file.read()
        if json.loads(head) != _MADE_BY | {"sha256": hashlib.sha256(body).hexdigest()}:
            return {}
        entries: Entries = from_json(body)
        return {name: known for name, known in entries.items() if max(known[0][2:]) < written}
    except (OSError, ReproError, ValueError, RecursionError, TypeError, AttributeError):
        return {}
