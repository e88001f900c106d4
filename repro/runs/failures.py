"""Failures: why the last attempt at a run gave no record."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from repro.errors import ReproError
from repro.files import read_json, write_json

FAILURE = "failure.json"


@dataclass(frozen=True)
class Failure:
    """Why the last attempt at a run gave no record."""

    message: str
    when: str
    code: dict[str, Any]
    traceback: str = ""
    refused: bool = False
    """Whether the model cannot serve the protocol: a fact, not a failure."""


def save_failure(folder: Path, failure: Failure) -> Path:
    """Write why a run failed; return the file."""
    write_json(folder / FAILURE, asdict(failure))
    return folder / FAILURE


def failure(folder: Path) -> Failure | None:
    """Return why a run failed, if its last attempt did.

    Raises
    ------
    ReproError
        If the file that says so is damaged.
    """
    file = folder / FAILURE
    try:
        return Failure(**read_json(file, "delete it")) if file.exists() else None
    except TypeError as error:
        raise ReproError(f"{file} is damaged: {error}", "delete it") from error
