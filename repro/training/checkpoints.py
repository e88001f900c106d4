"""The newest two checkpoints of a run, each whole or absent; a damaged one is set aside.

A checkpoint ends with the sha256 of its content: a flipped bit on disk must not change a result.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from repro.files import unfinished, write_atomically

KEPT = 2


def present(folder: Path) -> list[Path]:
    """Return a run's checkpoints, the newest first."""
    found = [file for file in folder.glob("checkpoint-*.pt") if _digits(file).isdecimal()]
    return sorted(found, key=lambda file: int(_digits(file)), reverse=True)


def save(folder: Path, content: bytes) -> None:
    """Write the next checkpoint, and delete all but the newest two."""
    number = max((int(_digits(file)) for file in present(folder)), default=0) + 1
    file = folder / f"checkpoint-{number:06}.pt"
    write_atomically(file, content + hashlib.sha256(content).digest())
    for old in [*reversed(present(folder)[KEPT:]), *_cut_off(folder)]:  # oldest first
        old.unlink()


def read(file: Path) -> bytes:
    """Return a checkpoint's content.

    Raises
    ------
    ValueError
        If the file is damaged.
    """
    whole = file.read_bytes()
    content, digest = whole[:-32], whole[-32:]
    if hashlib.sha256(content).digest() != digest:
        raise ValueError("its checksum does not match")
    return content


def put_aside(file: Path) -> Path:
    """Rename a checkpoint that cannot be read; return its new name."""
    return file.rename(file.with_suffix(".damaged"))


def clear(folder: Path) -> None:
    """Delete all checkpoints of a run, damaged ones too."""
    for file in [*present(folder), *remains(folder)]:
        file.unlink()


def remains(folder: Path) -> list[Path]:
    """Return the checkpoints of a run that cannot be read: damaged, or only partly written."""
    return [*folder.glob("checkpoint-*.damaged"), *_cut_off(folder)]


def _cut_off(folder: Path) -> list[Path]:
    return unfinished(folder, "checkpoint-*")


def _digits(file: Path) -> str:
    return file.stem.removeprefix("checkpoint-")
