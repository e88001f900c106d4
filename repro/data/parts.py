"""Parts of downloads: the bytes that have arrived, and a note of their source beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from repro import files
from repro.errors import DamagedError
from repro.strict_toml import checked


@dataclass(frozen=True)
class Note:
    """Where the bytes of a part come from."""

    url: str = ""
    validator: str | None = None
    """The ETag or date that the server gave; None if it gave none."""


_NOTE = TypeAdapter(Note)


def size(part: Path) -> int:
    """Return how many bytes have arrived."""
    return part.stat().st_size if part.exists() else 0


def note(part: Path, url: str, validator: str | None) -> None:
    """Write down the address of a part's bytes, and the ETag or date that the server gave."""
    files.write_json(_note_file(part), {"url": url, "validator": validator})


def known(part: Path) -> Note:
    """Return what `note` wrote; without a readable note, no address and no validator."""
    try:
        found = files.read_json(_note_file(part)) if part.exists() else {}
        return checked(found, _NOTE, f"{part} has no readable note")
    except (FileNotFoundError, DamagedError):
        return Note()


def discard(part: Path) -> None:
    """Delete a part and its note."""
    part.unlink(missing_ok=True)
    _note_file(part).unlink(missing_ok=True)


def _note_file(part: Path) -> Path:
    return part.with_name(part.name + ".json")
