"""Write files whole or not at all; read and write JSON."""

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from repro.errors import ReproError


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
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself must survive a power cut
    finally:
        os.close(folder)


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


def read_json(path: Path) -> Any:
    """Return what `write_json` wrote; ValueError if the file is damaged."""
    text = path.read_text(encoding="utf-8")  # whatever the system's encoding
    return json.loads(text, parse_constant=_refused)


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is not valid JSON")
