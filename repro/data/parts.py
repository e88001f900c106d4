"""Parts of downloads: the bytes that have arrived, and a note of their source beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from repro import files


def size(part: Path) -> int:
    """Return how many bytes have arrived."""
    return part.stat().st_size if part.exists() else 0


def note(part: Path, url: str, validator: str | None) -> None:
    """Write down the address of a part's bytes, and the ETag or date that the server gave."""
    files.write_json(_note_file(part), {"url": url, "validator": validator})


def known(part: Path) -> dict[str, Any]:
    """Return what `note` wrote; without a readable note, no address and no validator."""
    nothing = {"url": "", "validator": None}
    try:
        return nothing | files.read_json(_note_file(part)) if part.exists() else nothing
    except (FileNotFoundError, ValueError, TypeError):
        return nothing


def discard(part: Path) -> None:
    """Delete a part and its note."""
    part.unlink(missing_ok=True)
    _note_file(part).unlink(missing_ok=True)


def _note_file(part: Path) -> Path:
    return part.with_name(part.name + ".json")
