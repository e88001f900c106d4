"""Read files into rows: Netflix's blocks, JSON lines, NCF's lists of negatives.

A file is read in pieces of whole lines; see `repro.data.separated`.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import pairwise, product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from repro.data import lines
from repro.data.columns import Gathered, Kind, fault_of, fits, kinds, sound, value_fault
from repro.data.dialect import Dialect
from repro.data.rows import Rows
from repro.data.separated import Layout, is_head
from repro.errors import ReproError
from repro.files import reading

if TYPE_CHECKING:
    import pyarrow as pa


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
    layout = Layout(",", columns)
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


def read_json(
    path: Path,
    fields: Mapping[str, str],
    text: bool = False,
    encoding: str = lines.UTF_8,
    unit: str = "",
) -> Rows:
    """Read one JSON object per line; what gzip has packed is unpacked while it is read.

    Parameters
    ----------
    path : Path
    fields : mapping
        The object's key for "user" and "item", and for "rating", "time" or "date" if they are read.
    text : bool
        Whether identifiers are text; else they are numbers.
    encoding : str
        Of the file.
    unit : str
        Of times that are numbers; "" to recognise it.
    """
    import pyarrow as pa

    of = kinds(text, _IN_JSON)

    def read(piece: bytes) -> dict[str, pa.ChunkedArray]:
        found = _json_columns(piece, fields, of)
        return sound(
            {name: found.column(key) for name, key in fields.items()}, lines.count(piece), of
        )

    gathered = Gathered(path, unit)
    for line, piece in lines.pieces(path, encoding):
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


_IN_JSON = Dialect(quote="none", blanks="keep")
"""JSON has quotes of its own: what is inside them belongs to the value."""


def _json_columns(piece: bytes, fields: Mapping[str, str], of: Mapping[str, Kind]) -> pa.Table:
    """Return the columns of some lines, in the first types that fit."""
    import pyarrow as pa
    from pyarrow import json as pa_json

    types = {
        "string": [pa.string()],
        "int64": [pa.int64()],
        "float64": [pa.float64()],
        "time": [pa.int64(), pa.float64()],
        "date": [pa.timestamp("s"), pa.timestamp("ns")],
    }
    block = pa_json.ReadOptions(block_size=len(piece) + 1)  # an object may fill it
    named = [types.get(name) or types[of[name].arrow[0]] for name in fields]
    failed: pa.ArrowException | None = None
    for chosen in product(*named):
        schema = pa.schema(list(zip(fields.values(), chosen, strict=True)))
        parse = pa_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
        try:
            return pa_json.read_json(pa.BufferReader(piece), block, parse)
        except pa.ArrowException as error:
            failed = failed or error
    assert failed is not None
    raise failed


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
        if is_text != (of[name].is_text or name == "date"):
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
        if not is_head(piece[head:end].removesuffix(b"\n")) or not fits(piece[head:colon]):
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
