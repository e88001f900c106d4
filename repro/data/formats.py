"""Read files into rows: separated text, Netflix's blocks, JSON lines, NCF's lists of negatives.

A file is read in pieces of whole lines. pyarrow turns a piece into typed columns, so its text never
becomes Python objects; only a piece that does not fit is checked again, line by line, to name the
line.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from repro.data import lines
from repro.data.columns import (
    KINDS,
    TEXT,
    Gathered,
    Kind,
    fault_of,
    fits,
    kinds,
    sound,
    value_fault,
)
from repro.data.rows import Rows
from repro.errors import ReproError
from repro.files import reading

if TYPE_CHECKING:
    import pyarrow as pa


def read_separated(
    path: Path, separator: str, header: bool, columns: list[str], text: bool = False
) -> Rows:
    """Read one interaction per line.

    Parameters
    ----------
    path : Path
        A text file; ``.gz`` is decompressed while it is read.
    separator : str
        Between the columns: a character, or the same one repeated, as in "::".
    header : bool
        Whether the first line names the columns.
    columns : list of str
        "user", "item", "rating", "time", "date", or "-" for one that is skipped.
    text : bool
        Whether identifiers are text; else they are numbers.

    Raises
    ------
    ReproError
        If a row does not fit; it names the file and the first such line.
    """
    if len(set(separator)) != 1:
        raise ReproError(
            f"{path}: the separator {separator!r} is not one character, once or repeated"
        )
    layout = _Layout(separator, columns, kinds(text))
    gathered = Gathered(path)
    for line, piece in lines.pieces(path):
        if header and line == 1:
            head, _, piece = piece.partition(b"\n")
            layout.check_header(path, head)
            line = 2
        if piece:
            gathered.add(layout.read(str(path), line, piece))
    return gathered.rows()


def read_netflix(paths: list[Path], columns: list[str]) -> Rows:
    """Read Netflix's blocks: a line with a movie's number and a colon, then its ratings.

    Parameters
    ----------
    paths : list of Path
        The combined files, in order; or one tar with a file per movie, read in the order of their
        names. Both give the same rows in the same order.
    columns : list of str
        The columns of a rating's line; the item is in the block's first line.
    """
    layout = _Layout(",", columns, KINDS)
    gathered = Gathered(paths[0])
    for path in paths:
        movie = None
        for where, line, piece in _movie_pieces(path):
            movie = None if line == 1 else movie  # else of another file
            ratings, lengths, movies = _split_blocks(where, line, piece, movie)
            if ratings:
                read = layout.read(where, line, piece, ratings)
                gathered.add(read | {"item": np.repeat(movies, lengths)})
            movie = int(movies[-1])
    return gathered.rows()


def read_json(path: Path, fields: Mapping[str, str], text: bool = False) -> Rows:
    """Read one JSON object per line; ``.gz`` is decompressed while it is read.

    Parameters
    ----------
    path : Path
    fields : mapping
        The object's key for "user" and "item", and for "rating", "time" or "date" if they are read.
    text : bool
        Whether identifiers are text; else they are numbers.
    """
    import pyarrow as pa
    from pyarrow import json as pa_json

    of = kinds(text)
    schema = pa.schema([(key, pa.type_for_alias(of[name].arrow)) for name, key in fields.items()])
    parse = pa_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")

    def read(piece: bytes) -> dict[str, pa.ChunkedArray]:
        block = pa_json.ReadOptions(block_size=len(piece) + 1)  # an object may fill it
        table = pa_json.read_json(pa.BufferReader(piece), block, parse)
        return sound({name: table.column(key) for name, key in fields.items()}, lines.count(piece))

    gathered = Gathered(path)
    for line, piece in lines.pieces(path):
        try:
            gathered.add(read(piece))
        except (pa.ArrowException, KeyError) as error:
            numbered = list(enumerate(lines.split(piece), start=line))
            raise fault_of(
                str(path), numbered, lambda one: _json_fault(one, fields, of), read, error
            ) from None
    return gathered.rows()


def read_negatives(path: Path) -> Rows:
    """Read NCF's lists: ``(user,item)`` and the items to rank it against, tab separated.

    Returns
    -------
    Rows
        A row per user and negative, without the held-out item; a repeated line counts once.
    """
    form = re.compile(rb"\((\d+),\d+\)((?:\t\d+)*)[\t ]*\r?")
    users, counts, items = [], [], []
    seen: set[bytes] = set()
    for first, piece in lines.pieces(path):
        for number, line in enumerate(lines.split(piece), start=first):
            found = form.fullmatch(line)
            if found is None or not all(map(fits, [found[1], *found[2].split()])):
                said = line.strip()[:80].decode("utf-8", "replace")
                raise ReproError(
                    f"{path}, line {number}: expected (user,item) and item numbers, got {said!r}"
                )
            if line in seen:  # of a test row that is repeated
                continue
            seen.add(line)
            users.append(int(found[1]))
            items.append(np.array(found[2].split(), dtype=np.int64))
            counts.append(len(items[-1]))
    if not users:
        raise ReproError(f"{path} is empty")
    return Rows.of(np.repeat(np.array(users, dtype=np.int64), counts), np.concatenate(items))


class _Layout:
    """How a line of separated columns is read."""

    def __init__(self, separator: str, columns: list[str], of: dict[str, Kind]) -> None:
        self._separator = separator
        self._columns = columns
        self._kinds = of
        self._text = any(of[name] is TEXT for name in columns if name != "-")

    def read(
        self, where: str, line: int, piece: bytes, rows: bytes | None = None
    ) -> dict[str, pa.ChunkedArray]:
        """Return the columns of some lines.

        Parameters
        ----------
        where, line, piece
            The file's name, the number of the first line, and the lines as the file has them.
        rows : bytes, optional
            The lines that hold rows; by default all.
        """
        import pyarrow as pa

        try:
            if self._is_suspicious(piece):
                for one in lines.split(piece):
                    if self._line_fault(one):
                        raise pa.ArrowInvalid("see below")
            return self._columns_of(piece if rows is None else rows)
        except pa.ArrowException as error:
            numbered = [
                (number, one)
                for number, one in enumerate(lines.split(piece), start=line)
                if rows is None or not _is_head(one)
            ]
            raise fault_of(where, numbered, self._line_fault, self._columns_of, error) from None

    def _columns_of(self, rows: bytes) -> dict[str, pa.ChunkedArray]:
        import pyarrow as pa
        from pyarrow import csv

        width = len(self._separator)  # between "::" lies an empty column
        names = [str(i) for i in range(width * (len(self._columns) - 1) + 1)]
        places = {name: str(width * i) for i, name in enumerate(self._columns) if name != "-"}
        between = [name for i, name in enumerate(names) if i % width]
        of_type = {at: pa.type_for_alias(self._kinds[name].arrow) for name, at in places.items()}
        table = csv.read_csv(
            pa.BufferReader(
                lines.BOM + rows if rows.startswith(lines.BOM) else rows
            ),  # pyarrow drops one
            csv.ReadOptions(column_names=names, block_size=1 << 22),
            csv.ParseOptions(
                delimiter=self._separator[0], quote_char=False, ignore_empty_lines=False
            ),
            csv.ConvertOptions(
                column_types=of_type | dict.fromkeys(between, pa.null()),
                include_columns=[*places.values(), *between],
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
        return sound({name: table.column(at) for name, at in places.items()}, lines.count(rows))

    def check_header(self, path: Path, head: bytes) -> None:
        """Raise if the first line has other columns, or is a row itself."""
        n = len(head.split(self._separator.encode()))
        if n != len(self._columns):
            raise ReproError(f"{path}, line 1: expected {len(self._columns)} columns, got {n}")
        if not self._text and self._line_fault(head) is None:
            raise ReproError(
                f"{path}, line 1: expected the columns' names, got a row: "
                f"{head.decode('utf-8', 'replace').strip()[:80]!r}"
            )

    def _is_suspicious(self, piece: bytes) -> bool:
        """Return whether pyarrow might misread a piece: 0x10, or a line break in a line."""
        return (
            b"0x" in piece
            or b"0X" in piece
            or b"\0" in piece
            or piece.count(b"\r") != piece.count(b"\r\n")
        )

    def _line_fault(self, line: bytes) -> str | None:
        """Return what is wrong with a line, or None."""
        if "item" not in self._columns and _is_head(line):
            return None
        line = line.removesuffix(b"\r")
        parts = line.split(self._separator.encode())
        if len(parts) != len(self._columns):
            return f"expected {len(self._columns)} columns, got {len(parts)}"
        for name, part in zip(self._columns, parts, strict=True):
            if name != "-" and (found := value_fault(name, self._kinds[name], part)):
                return found
        return "a line break in the line" if b"\r" in line else None


def _is_head(line: bytes) -> bool:
    """Return whether a line of Netflix's files begins a block."""
    return re.fullmatch(rb"\d+:\r?", line) is not None


def _json_fault(line: bytes, fields: Mapping[str, str], of: dict[str, Kind]) -> str | None:
    """Return what is wrong with a line of JSON, or None."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"not JSON: {error}"
    if not isinstance(found, dict):
        return "expected an object of keys and values"
    for name, key in fields.items():
        if found.get(key) is None:
            return f"the key '{key}', which is the {name}, is missing"
        is_text = isinstance(found[key], str)
        if is_text != (of[name].arrow in ("string", "timestamp[s]")):
            return f"{name} {repr(found[key])[:42]} is {'' if is_text else 'not '}text"
        value = str(found[key]).encode("utf-8", "surrogatepass")
        if fault := value_fault(name, of[name], value):
            return fault
    return None


def _movie_pieces(path: Path) -> Iterator[tuple[str, int, bytes]]:
    """Yield name, first line and lines of a combined file, or of each file in a tar, by name."""
    if path.suffix != ".tar":
        yield from ((str(path), line, piece) for line, piece in lines.pieces(path))
        return
    with ExitStack() as stack:
        with reading(f"{path} is cut off or damaged"):
            packed = stack.enter_context(tarfile.open(path, "r:"))
            files = [one for one in packed if re.search(r"mv_\d+\.txt$", one.name)]
            with path.open("rb") as raw:  # tarfile takes a damaged header for the end
                raw.seek(packed.offset)
                rest = raw.read(1 << 20)  # the end is two empty blocks and some padding
            if len(rest) < 512 or rest.strip(b"\0"):
                raise tarfile.TarError(f"it does not end at byte {packed.offset:,}")
        names = sorted(one.name for one in files)
        if twice := [one for one, after in pairwise(names) if one == after]:
            raise ReproError(f"{path} holds several files called {twice[0]}, expected one")
        for one in sorted(files, key=lambda file: file.name):
            stream = packed.extractfile(one) if one.isreg() else None
            if stream is None:
                raise ReproError(f"{path}: {one.name} is not a file")
            where = f"{path}, {one.name}"
            yield from ((where, line, piece) for line, piece in lines.of_stream(where, stream))


def _split_blocks(
    where: str, line: int, piece: bytes, movie: int | None
) -> tuple[bytes, list[int], NDArray[np.int64]]:
    """Return the rating lines of a piece, and how many belong to which movie.

    Parameters
    ----------
    where, line, piece
        As `_movie_pieces` yields them.
    movie : int, optional
        The movie whose block the piece begins in.
    """
    blocks: list[bytes] = []
    movies = [movie]
    begin = 0
    while (colon := piece.find(b":", begin)) >= 0:
        head = piece.rfind(b"\n", begin, colon) + 1 or begin
        end = piece.find(b"\n", colon) + 1 or len(piece)
        if not _is_head(piece[head:end].removesuffix(b"\n")) or not fits(piece[head:colon]):
            said = piece[head:end].decode("utf-8", "replace").strip()[:80]
            at = line + piece.count(b"\n", 0, head)
            raise ReproError(f"{where}, line {at}: expected a movie's number and ':', got {said!r}")
        blocks.append(piece[begin:head])
        movies.append(int(piece[head:colon]))
        begin = end
    blocks.append(piece[begin:])
    if movie is None:
        if blocks[0]:
            said = blocks[0].partition(b"\n")[0].decode("utf-8", "replace")[:80]
            raise ReproError(f"{where}, line {line}: expected a movie's number, got {said!r}")
        blocks, movies = blocks[1:], movies[1:]
    lengths = [lines.count(block) if block else 0 for block in blocks]
    return b"".join(blocks), lengths, np.array(movies, dtype=np.int64)
