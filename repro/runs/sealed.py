"""Seals: digests that show whether a record, and the files beside it, are as they were written.

A seal is no signature: whoever rewrites a record and its seal can say anything. It shows damage,
and edits by hand or by other programs.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from repro.errors import ReproError
from repro.experiment import canonical
from repro.files import read_json

FORMAT = 1
"""Of record.json; a record that an older version would misread has the next number."""

_OWN = ("format", "seal")


def seal_of(content: Mapping[str, Any]) -> str:
    """Return the sha256 of a record's content, apart from the seal itself."""
    text = canonical({key: value for key, value in content.items() if key != "seal"})
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record's content with the number of its format and its seal."""
    whole = {**content, "format": FORMAT}
    return whole | {"seal": seal_of(whole)}


def opened(file: Path) -> tuple[dict[str, Any], str]:
    """Return the content of a record's file without format and seal, and the seal.

    The seal is empty for a record from before records were sealed.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ReproError
        If it cannot be read, does not fit its seal, or is of a later version.
    """
    content = read_object(file)
    number, seal = (content.get(key) for key in _OWN)
    if isinstance(number, int) and number > FORMAT:
        raise later(file, f"its format is {number}, and this version reads up to {FORMAT}")
    if seal is None and {"format", "arrays"} & content.keys():
        raise damaged(file, "its seal is missing")
    if seal is not None and seal != seal_of(content):
        raise damaged(file, "its content does not fit its seal: it was edited or damaged")
    return {key: value for key, value in content.items() if key not in _OWN}, seal or ""


def read_object(file: Path) -> dict[str, Any]:
    """Return the JSON object in a file, whatever its seal.

    Raises
    ------
    FileNotFoundError, ReproError
        As `opened`.
    """
    try:
        if not stat.S_ISREG(file.stat().st_mode):  # a pipe would be waited for
            raise damaged(file, "it is not a file")
        content = read_json(file, REMEDY)
    except FileNotFoundError:
        if file.is_symlink():
            raise damaged(file, "it is a link to a file that does not exist") from None
        raise
    except OSError as error:
        raise damaged(file, error.strerror or str(error)) from error
    if not isinstance(content, dict):
        raise damaged(file, "it is not a JSON object")
    return content


REMEDY = "delete its folder and run again, or run with --force"


def damaged(file: Path, reason: str) -> ReproError:
    """Return the error for a file of a record that cannot be used."""
    return ReproError(f"{file} is damaged: {' '.join(reason.split())}", REMEDY)


def later(file: Path, reason: str) -> ReproError:
    """Return the error for a record that a later version has written."""
    return ReproError(
        f"{file} was written by a later version of repro: {reason}",
        "update repro, or move its folder elsewhere",
    )
