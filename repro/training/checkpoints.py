"""The newest two checkpoints of a run, each whole or absent; a damaged or foreign one is set aside.

A checkpoint begins with a line of JSON that says which run it is of and how far that run was, and
ends with the sha256 of all before: a flipped bit on disk, or another run's file in the folder, must
not change a result. Nothing here needs torch, so that `repro status` can say where a run stands.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from repro.files import unfinished, write_atomically

KEPT = 2

DIGEST_BYTES = 32
LONGEST_HEAD = 4096


@dataclass(frozen=True)
class Place:
    """How far a run is."""

    loop: int
    """The loop of epochs, from 0."""
    epoch: int
    """How many epochs of that loop are done."""
    n_epochs: int
    """How many it has."""
    phase: str = "train"
    """What the model calls that loop."""


def present(folder: Path) -> list[Path]:
    """Return a run's checkpoints, the newest first."""
    found = [file for file in folder.glob("checkpoint-*.pt") if _digits(file).isdecimal()]
    return sorted(found, key=lambda file: int(_digits(file)), reverse=True)


def save(folder: Path, content: bytes, place: Place) -> None:
    """Write the next checkpoint of the run that the folder is named after; keep the newest two."""
    number = max((int(_digits(file)) for file in present(folder)), default=0) + 1
    file = folder / f"checkpoint-{number:06}.pt"
    head = json.dumps({"run": folder.name, **asdict(place)}, ensure_ascii=False)
    whole = head.encode() + b"\n" + content
    write_atomically(file, whole + hashlib.sha256(whole).digest())
    for old in [*reversed(present(folder)[KEPT:]), *_cut_off(folder)]:  # oldest first
        delete(old)


def read(file: Path) -> tuple[Place, bytes]:
    """Return how far the run was, and the checkpoint's content.

    Raises
    ------
    ValueError
        If it is no file, or is damaged, or is not of the run that its folder is named after.
    """
    if not file.is_file():  # a link that leads nowhere or to itself, a folder, a pipe
        raise ValueError("it is not a file")
    whole = file.read_bytes()
    if hashlib.sha256(memoryview(whole)[:-DIGEST_BYTES]).digest() != whole[-DIGEST_BYTES:]:
        raise ValueError("its checksum does not match")
    end, expected = whole.find(b"\n", 0, LONGEST_HEAD), file.parent.name
    try:
        said = json.loads(whole[: max(end, 0)])
        run, place = said.pop("run"), Place(**said)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        raise ValueError(f"it does not say which run it is of; expected {expected}") from None
    if run != expected:
        raise ValueError(f"it is of run {run}; expected {expected}")
    return place, whole[end + 1 : -DIGEST_BYTES]


def reached(folder: Path) -> Place | None:
    """Return how far a run's newest good checkpoint is; None without one. No file is changed."""
    for file in present(folder):
        try:
            return read(file)[0]
        except (ValueError, OSError):  # the run will report it
            continue
    return None


def put_aside(file: Path) -> Path:
    """Rename a checkpoint that cannot be used; return its new name."""
    return file.rename(file.with_suffix(".damaged"))


def clear(folder: Path) -> None:
    """Delete all checkpoints of a run, damaged ones too."""
    for file in [*present(folder), *remains(folder)]:
        delete(file)


def remains(folder: Path) -> list[Path]:
    """Return the checkpoints of a run that cannot be used: damaged, foreign or partly written."""
    return [*folder.glob("checkpoint-*.damaged"), *_cut_off(folder)]


def delete(file: Path) -> None:
    """Delete a checkpoint, or a link in its place."""
    if file.is_symlink() or not file.is_dir():  # nobody here has made a folder of such a name
        file.unlink()


def _cut_off(folder: Path) -> list[Path]:
    return unfinished(folder, "checkpoint-*")


def _digits(file: Path) -> str:
    return file.stem.removeprefix("checkpoint-")
