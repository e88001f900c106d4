"""Read adjacency lists: a user and all of its items in one line, as NGCF and LightGCN publish."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np

from repro.data import lines
from repro.data.columns import fits
from repro.data.rows import Ids, Rows
from repro.errors import ReproError


def read_adjacency(path: Path, separator: str = " ", text: bool = False) -> Rows:
    """Read "user item item …" lines; a user may have no item, and then has no row.

    Parameters
    ----------
    path : Path
        A text file. Empty lines are skipped.
    separator : str
        Between user and items; a blank stands for any number of blanks and tabs.
    text : bool
        Whether identifiers are text; else they are numbers.

    Raises
    ------
    ReproError
        If an identifier does not fit; it names the file and the line.
    """
    users: list[bytes] = []
    items: list[bytes] = []
    for first, piece in lines.pieces(path):
        for number, line in enumerate(lines.split(piece), start=first):
            parts = _parts(line, separator)
            if not parts:
                continue
            for one in parts:
                if not text and not (one.isdigit() and fits(one)):
                    said = one[:40].decode("utf-8", "replace")
                    raise ReproError(
                        f"{path}, line {number}: expected a user and items, all numbers, got "
                        f"{said!r}",
                        'if identifiers are text, the manifest says identifiers = "text"',
                    )
            users += parts[:1] * (len(parts) - 1)
            items += parts[1:]
    if not items:
        raise ReproError(f"{path} has no rows: no user has an item")
    try:
        user, item = _identifiers(users, text), _identifiers(items, text)
    except UnicodeDecodeError as error:
        raise ReproError(
            f"{path}: the identifier {error.object[:40]!r} is not UTF-8 text"
        ) from error
    return Rows.of(user, item)


def _identifiers(written: list[bytes], text: bool) -> Ids:
    if text:
        return np.array([one.decode() for one in written], dtype=np.str_)
    return np.array([int(one) for one in written], dtype=np.int64)


def _parts(line: bytes, separator: str) -> list[bytes]:
    """Return user and items of a line, without blanks around them."""
    if not separator.strip():
        return line.split()
    return [one for part in line.split(separator.encode()) if (one := part.strip())]


def looks_like_adjacency(path: Path) -> bool:
    """Return whether a file begins with lines of numbers whose lengths differ."""
    try:
        _, piece = next(lines.pieces(path))
    except (ReproError, StopIteration):  # whoever reads it says what is wrong with it
        return False
    begin = [line.split() for line in islice(lines.split(piece), 50) if line.strip()]
    numbers = all(one.isdigit() for parts in begin for one in parts)
    lengths = {len(parts) for parts in begin}
    return numbers and len(lengths) > 1 and max(lengths) > 2
