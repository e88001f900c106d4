"""Write files whole or not at all; turn what reading a file raises into our errors; JSON."""

import json
import math
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from repro.errors import DamagedError, ReproError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a temporary file to write; rename it if the block succeeds, else delete it.

    So the file is either whole or absent, even after a power cut or a killed process.

    Parameters
    ----------
    path : Path
        The final name; its folder is created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself must survive a power cut
    finally:
        os.close(folder)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill; put it in the place of `path` if the block succeeds.

    So the folder is complete, as before, or absent. What processes that were killed left of
    earlier ones is deleted.

    Parameters
    ----------
    path : Path
        The final name. A folder that is there is replaced, with all that is in it.
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in unfinished(path.parent, path.name):
        if not _is_running(int(left.name.split(".")[-2])):
            shutil.rmtree(left, ignore_errors=True)
    made, before = (
        path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}") for _ in range(2)
    )
    try:
        made.mkdir()
        yield made
        for file in made.rglob("*"):
            if file.is_file():
                sync(file)
        if path.exists():
            path.replace(before)
        made.replace(path)
    finally:
        for rest in (made, before):
            shutil.rmtree(rest, ignore_errors=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def sync(file: Path) -> None:
    """Have a file's content on the disk, and not only in memory."""
    with file.open("rb+") as stream:
        os.fsync(stream.fileno())


def unfinished(folder: Path, name: str = "*") -> list[Path]:
    """Return the temporary files that processes killed in `whole` left, by the final name."""
    found = folder.glob(f".{name}.*.*")
    return [path for path in found if re.search(r"\.\d+\.[0-9a-f]{8}$", path.name)]


def need_room(folder: Path, n_bytes: int) -> None:
    """Raise if the disk of a folder cannot hold so many more bytes."""
    free = shutil.disk_usage(folder).free
    if n_bytes > free:
        raise ReproError(
            f"{n_bytes:,} bytes are needed in {folder}, but only {free:,} are free",
            "make room, or set REPRO_HOME to a folder on a larger disk",
        )


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is either whole or absent."""
    with whole(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a mapping as JSON, atomically."""
    write_atomically(path, json_bytes(content))


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """Return a mapping as the JSON that `write_json` writes."""
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def need_writable(folder: Path, hint: str) -> None:
    """Create a folder, and raise if no file can be written there: an error with that hint."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ReproError(f"no file can be written in {folder}: {error.strerror}", hint) from error


@contextmanager
def reading(failure: str, hint: str = "") -> Iterator[None]:
    """Turn whatever a library raises while it reads a file into one error that names the file.

    Zip, tar, zlib, json, tomllib and numpy raise far more than they document: UnicodeDecodeError,
    TypeError, RecursionError, struct.error. No list of them is whole, so every exception counts.
    Therefore the block must hold calls of the library and nothing of our own, whose faults would
    be taken for the file's.

    Parameters
    ----------
    failure : str
        The beginning of the message: which file is not what it should be.
    hint : str, optional
        What to do about it.

    Raises
    ------
    DamagedError
        If the library raises. Two exceptions pass: FileNotFoundError, because a file that is
        absent is not damaged, and ReproError.
    """
    try:
        yield
    except (FileNotFoundError, ReproError):
        raise
    except Exception as error:
        raise DamagedError(f"{failure}: {_said(error)}", hint) from error


def _said(error: Exception) -> str:
    """Return the words of a library's exception, on one line and not too long."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    said = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return " ".join(said.split())[:300] or type(error).__name__


def check_regular(path: Path) -> None:
    """Raise ValueError if a path is no file: a pipe would be waited for, a device has no end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError(f"{path.name} is not a regular file")


def changed(path: Path) -> int:
    """Return when a file was last changed, for caches of what was read from it."""
    with reading(f"{path} cannot be read"):
        return path.stat().st_mtime_ns


def read_json(path: Path, hint: str = "") -> Any:
    """Return what `write_json` wrote.

    Raises
    ------
    DamagedError
        If the file is not JSON, or a number in it is too large; with that hint.
    FileNotFoundError
        If there is none.
    """
    with reading(f"{path} is damaged", hint):
        return json.loads(text(path), parse_constant=finite, parse_float=finite)


def text(path: Path, most: int = -1) -> str:
    """Return the text of a file, or its first `most` characters; ValueError if it is no file."""
    check_regular(path)
    with path.open(encoding="utf-8") as file:  # whatever the system's encoding
        return file.read(most)


def finite(number: str) -> float:
    """Return the number that a text in JSON or TOML states; ValueError if it is infinite or nan."""
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number[:40]} is not a finite number")
    return value
