"""Errors that a user can fix, and what the exit codes mean."""

import difflib
import errno
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from repro.text import in_lines, one_line

EXIT_CODES = {
    0: "success",
    1: "an error; check: damaged; with --strict: off or damaged (compare), impossible (audit)",
    2: "invalid command line",
    3: "data must be obtained by hand; the message says how",
    4: "some runs failed, or have a damaged record; the others are recorded",
    130: "interrupted (Ctrl-C); finished runs are recorded",
    143: "terminated (SIGTERM); finished runs are recorded",
}
"""What each exit code of the command line means."""


class ReproError(Exception):
    """An error that the user can fix.

    Parameters
    ----------
    message : str
        What happened, and to what, in one sentence; expected and got, if there are both.
    hint : str, optional
        What to do about it.
    """

    exit_code = 1
    traceback = ""
    """Of a run that failed: where, for `repro --debug`."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        message = one_line(self.message)
        return in_lines(f"{message}\n  {self.hint}") if self.hint else message


class ManualDataError(ReproError):
    """Data that only the user can obtain: behind a form, a login or an e-mail."""

    exit_code = 3


class DamagedError(ReproError, ValueError):
    """A file's content is not what it must be; a ValueError, as those of json and tomllib are."""


class UnsupportedError(ReproError):
    """A model cannot answer the queries of a protocol."""


class LeftOutWarning(UserWarning):
    """A file with faults was left out of what was asked of all files."""


Found = TypeVar("Found")


def readable(names: Iterable[str], read: Callable[[str], Found]) -> Iterator[Found]:
    """Yield what is read under each name; warn of what has faults, and leave it out.

    One broken file of a user's own must not stop what concerns the others.

    Warns
    -----
    LeftOutWarning
        For each file with faults.
    """
    for name in names:
        try:
            found = read(name)
        except ReproError as error:
            warnings.warn(f"left out: {error}", LeftOutWarning, stacklevel=2)
        else:
            yield found


def of_the_system(error: OSError) -> ReproError | None:
    """Return the error for a failed file or disk; None if it names no file, as with a pipe."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        again = "make room, then run the command again to resume"
        return ReproError("the disk is full; finished work is kept", again)
    hint = ""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        hint = (
            "let yourself read and write there; or name other folders: REPRO_HOME for data, "
            "REPRO_RUNS for records"
        )
    return ReproError(f"{error.filename}: {error.strerror}", hint) if error.filename else None


def size(n_bytes: int) -> str:
    """Return bytes for people: "36.5 GB", "120 MB"."""
    return f"{n_bytes / 1e9:,.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:,.0f} MB"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is most like another; "" if none is."""
    by_lower = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return by_lower[near[0]] if near else ""


def unknown(kind: str, name: str, known: Iterable[str], where: str = "") -> ReproError:
    """Return the error for an unknown name; it suggests the nearest known one.

    Parameters
    ----------
    kind : str
        What the name should have named: "model", "dataset".
    name : str
        The name given.
    known : iterable of str
        All names that exist.
    where : str
        File and key, where the name stands in a file.
    """
    names = sorted(set(known))
    separator = "; " if any(", " in name for name in names) else ", "
    near = nearest(name, names)
    hint = f"did you mean {near}?" if near else f"available: {separator.join(names) or 'none'}"
    prefix = f"{where}: " if where else ""
    return ReproError(f"{prefix}no {kind} is called '{name}'", hint)
