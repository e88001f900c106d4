"""Where files are: shipped files, the user's own folders, the data cache, the runs.

Environment: ``REPRO_HOME`` (data cache), ``REPRO_RUNS`` (records), ``REPRO_MIRROR`` (a folder that
``repro fetch`` reads before the network), ``REPRO_PATH`` (folders with a user's own ``tables/``,
``data_manifests/``, ``models/`` and ``protocols/``, searched after ours).
"""

import os
import re
from contextlib import suppress
from functools import cache
from pathlib import Path

import platformdirs

from repro.errors import ReproError

_PACKAGE = Path(__file__).parent

NAME = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}"
"""What may become a part of a path: no separator, no leading dot, and so no way out of a folder."""

NAME_WORDS = "letters, digits, '.', '_' and '-', at most 100, not beginning with '.'"


def is_name(text: str) -> bool:
    """Return whether a text may be the name of a file or folder."""
    return re.fullmatch(NAME, text) is not None


def is_inside(text: str) -> bool:
    """Return whether a text may be the path of a file below a folder: up to eight names."""
    return re.fullmatch(f"{NAME}(/{NAME}){{0,7}}", text) is not None


def home() -> Path:
    """Return the data cache: ``REPRO_HOME``, else the system's place for caches."""
    given = os.environ.get("REPRO_HOME")
    return Path(given) if given else platformdirs.user_cache_path("repro")


def runs() -> Path:
    """Return the folder of records: ``REPRO_RUNS``, else ``./runs``."""
    return Path(os.environ.get("REPRO_RUNS") or "runs")


def mirror() -> Path | None:
    """Return the folder of ``REPRO_MIRROR``, or None.

    Raises
    ------
    ReproError
        If there is no such folder.
    """
    found = _named("REPRO_MIRROR", os.environ.get("REPRO_MIRROR", ""))
    return found[0] if found else None


def user_folders() -> list[Path]:
    """Return the folders of ``REPRO_PATH``, in order.

    Raises
    ------
    ReproError
        If one does not exist.
    """
    return _named("REPRO_PATH", *os.environ.get("REPRO_PATH", "").split(os.pathsep))


def _named(variable: str, *folders: str) -> list[Path]:
    named = [Path(folder) for folder in folders if folder]
    for folder in named:
        if not folder.is_dir():
            raise ReproError(
                f"{variable} names {folder}, which is not a folder", "correct or unset it"
            )
    return named


def shipped(kind: str) -> list[Path]:
    """Return the folders that may hold files of one kind, ours first.

    Parameters
    ----------
    kind : str
        "tables" or "data_manifests".

    Notes
    -----
    In a checkout ``repro/_shipped`` links to the folders at the root, so that an edit takes
    effect at once; in an installed wheel it holds copies.
    """
    ours = _ours(kind)
    return [folder for folder in [ours, *(own / kind for own in user_folders())] if folder.is_dir()]


@cache  # asked thousands of times, and every step of a path is looked up
def _ours(kind: str) -> Path:
    return (_PACKAGE / "_shipped" / kind).resolve()


def is_installed(path: Path) -> bool:
    """Return whether a file belongs to the installed package, not to a checkout or the user."""
    return path.resolve().is_relative_to((_PACKAGE / "_shipped").resolve())


def is_ours(path: Path) -> bool:
    """Return whether a table or manifest is one of the project's, in a checkout or installed."""
    return path.resolve().parent in (_ours("tables"), _ours("data_manifests"))


def files(kind: str) -> dict[str, Path]:
    """Return the TOML files of one kind by name; the first folder that has a name wins."""
    return listed(shipped(kind), "*.toml")


def passed_over() -> list[str]:
    """Return what is told of files of the user's own that are never read.

    Their names belong to a file of ours, or of an earlier folder of ``REPRO_PATH``.
    """
    told = []
    for kind, pattern in KINDS.items():
        ours = _PACKAGE / kind if pattern.endswith(".py") else _ours(kind)
        known = dict(listed([ours], pattern))
        for own in user_folders():
            for name, path in listed([own / kind], pattern).items():
                first = known.setdefault(name, path)
                if not first.exists() or not path.exists() or not first.samefile(path):
                    shipped = first.parent.resolve() == ours.resolve()
                    whose = "a file that comes with repro" if shipped else str(first)
                    told.append(f"{path} is not read, as {whose} has its name: rename it")
    return told


KINDS = {
    "tables": "*.toml",
    "data_manifests": "*.toml",
    "models": "[!_]*.py",
    "protocols": "[!_]*.py",
}
"""The folders of one's own files, and the files in them that are read."""


def listed(folders: list[Path], pattern: str) -> dict[str, Path]:
    """Return the files of some folders by stem, but hidden ones; the first folder of a name wins.

    A hidden file is one that an editor or a file manager leaves behind.

    Raises
    ------
    ReproError
        If a folder cannot be read.
    """
    there = []
    for folder in folders:
        with suppress(FileNotFoundError, NotADirectoryError):
            there.append((folder, folder.stat().st_mtime_ns))
            _check_readable(folder)
    return _listed(tuple(there), pattern)


def _check_readable(folder: Path) -> None:
    if not os.access(folder, os.R_OK | os.X_OK):  # glob would find nothing there
        raise ReproError(f"{folder} cannot be read", "let yourself read the folder and its files")


@cache  # called once per cell; a folder's time changes with its list of files
def _listed(folders: tuple[tuple[Path, int], ...], pattern: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder, _changed in folders:
        for path in sorted(folder.glob(pattern)):
            if not path.name.startswith("."):
                found.setdefault(path.stem, path)
    return found
