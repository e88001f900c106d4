"""Files that are whole or absent, and JSON in them."""

import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a file to write; it gets its name when the block ends well, else it goes.

    So a file is either whole or absent, even when power or process is cut.

    Parameters
    ----------
    path : Path
        The name it gets; its folder is made.
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
    """Return what processes that were killed in `whole` have left, for files of a name."""
    found = folder.glob(f".{name}.*.*")
    return [path for path in found if re.search(r"\.\d+\.[0-9a-f]{8}$", path.name)]


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is either whole or absent."""
    with whole(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a mapping as JSON, atomically."""
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(path, (text + "\n").encode())


def read_json(path: Path) -> Any:
    """Return what `write_json` wrote; ValueError if the file is damaged."""
    text = path.read_text(encoding="utf-8")  # whatever the system's encoding is
    return json.loads(text, parse_constant=_refused)


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is no number")
