"""Manifests of one's own: the dataset "box"."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from builders.toml import section, toml

HEAD = section("archive", title="Box", license="none", source="a test")
BY_HAND = 'manual = "write to them"'
ORDERED = ({"order": "oldest first"},)


def box(
    member: str = "", archive: str = "", *, steps: Sequence[object] = ORDERED, head: str = HEAD
) -> str:
    """Return the manifest of one file and one view, with lines on the archive and on the file."""
    read = '[read]\nrows = { member = "rows.csv" }'
    view = f'[views.all]\nsource = "a test"\nsteps = {toml(steps)}'
    return f'{head}{archive}\n[members."rows.csv"]\n{member}\n{read}\n{view}\n'


def sha256(content: bytes) -> str:
    """Return the line that pins a file's bytes."""
    return f'sha256 = "{hashlib.sha256(content).hexdigest()}"'


def stating(content: bytes) -> str:
    """Return the lines that state a file's size and hash."""
    return f"bytes = {len(content)}\n{sha256(content)}"
