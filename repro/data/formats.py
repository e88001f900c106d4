"""Read files into rows: separated text, Netflix's blocks, JSON lines, NCF's lists of negatives.

A file is read in pieces of whole lines. pyarrow turns a piece into typed columns, so no text of it
ever becomes a Python object; only a piece that does not fit is looked at again, line by line, to
name the line.
"""

from __future__ import annotations

import datetime
import gzip
import json
import math
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from repro.errors import ReproError
from repro.interactions import IntArray, StrArray

if TYPE_CHECKING:
    import pyarrow as pa

Ids = NDArray[np.int64] | StrArray

PIECE = 1 << 25
"""Bytes that are read at once, and so the longest line that is a line."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Interactions as a file has them, in its order.

    Parameters
    ----------
    user, item : int32 array, shape (n,)
        Places in `user_ids` and `item_ids`.
    user_ids, item_ids : int64 or str array
        Original identifiers, ascending; some may have lost their rows.
    rating : float64 array, shape (n,), optional
    time : int64 array, shape (n,), optional
        Seconds.
    order : str
        "": as the file has them; "time": each user's rows stand oldest first; "file": as the file
        has them, and what comes after needs to know.
    vocabulary : array, optional
        The items in the order of their numbers, once a step has fixed it.
    part : int64 array, shape (n,), optional
        Which of several files each row comes from; no step looks at it.
    """

    user: IntArray
    item: IntArray
    user_ids: Ids
    item_ids: Ids
    rating: NDArray[np.float64] | None = None
    time: NDArray[np.int64] | None = None
    order: str = ""
    vocabulary: Ids | None = None
    part: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, user: Ids, item: Ids, **columns: NDArray[Any] | None) -> Rows:
        """Return rows of original identifiers."""
        users, user_ids = encoded(user)
        items, item_ids = encoded(item)
        return cls(users, items, user_ids, item_ids, **columns)  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self.user)

    def take(self, index: NDArray[Any]) -> Rows:
        """Return the rows of a mask or of positions."""
        return replace(
            self,
            user=self.user[index],
            item=self.item[index],
            rating=None if self.rating is None else self.rating[index],
            time=None if self.time is None else self.time[index],
            part=None if self.part is None else self.part[index],
        )


def encoded(ids: Ids) -> tuple[IntArray, Ids]:
    """Return each identifier's place among the distinct ones, and these, ascending."""
    import pandas as pd

    if ids.dtype.kind == "U":  # pandas would make a Python object of each
        texts, places = np.unique(ids, return_inverse=True)
        return places.astype(np.int32), texts.astype(np.str_)
    codes, uniques = pd.factorize(ids, sort=True)
    known: NDArray[np.int64] = np.array(uniques, dtype=np.int64)
    return codes.astype(np.int32), known


@dataclass(frozen=True)
class _Kind:
    """What may stand in a column."""

    arrow: str
    pattern: str
    said: str


_NUMBER = _Kind("int64", r" *-?\d+ *", "a number")
_ID = replace(_NUMBER, said=f'{_NUMBER.said}, and the manifest does not say identifiers = "text"')
_TEXT = _Kind("string", r"[^\0\r\n]+", "an identifier")
_DATE = r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d)?)?"
KINDS = {
    "user": _ID,
    "item": _ID,
    "rating": _Kind("float64", r" *-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)? *", "a number"),
    "time": _NUMBER,
    "date": _Kind("timestamp[s]", _DATE, "a date, as 2005-09-06 or 2005-09-06 12:30:00"),
}
"""What stands under each name; "time" is in seconds, and a "date" becomes one."""


def kinds(text: bool) -> dict[str, _Kind]:
    """Return what stands under each name, with identifiers that are numbers or text."""
    return KINDS | {"user": _TEXT, "item": _TEXT} if text else KINDS


def read_separated(
    path: Path, separator: str, header: bool, columns: list[str], text: bool = False
) -> Rows:
    """Read one interaction per line.

    Parameters
    ----------
    path : Path
        A text file; ``.gz`` is unpacked on the way.
    separator : str
        Between the columns: a character, or the same one repeated, as in "::".
    header : bool
        Whether the first line names the columns.
    columns : list of str
        "user", "item", "rating", "time", "date", or "-" for one that is skipped.
    text : bool
        Whether identifiers are text, and else numbers.

    Raises
    ------
    ReproError
        Naming file and line of the first row that does not fit.
    """
    if len(set(separator)) != 1:
        raise ReproError(f"{path}: the separator {separator!r} is not one character, or repeated")
    layout = _Layout(separator, columns, kinds(text))
    gathered = _Gathered(path)
    for line, piece in _pieces(path):
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
        The combined files, in order; or one tar of a file per movie, read in the order of their
        names, so that both give the same rows in the same order.
    columns : list of str
        What stands in a rating's line; the item stands in the block's.
    """
    layout = _Layout(",", columns, KINDS)
    gathered = _Gathered(paths[0])
    for path in paths:
        movie = None
        for where, line, piece in _movie_pieces(path):
            movie = None if line == 1 else movie  # of another file
            ratings, lengths, movies = _split_blocks(where, line, piece, movie)
            if ratings:
                read = layout.read(where, line, piece, ratings)
                gathered.add(read | {"item": np.repeat(movies, lengths)})
            movie = int(movies[-1])
    return gathered.rows()


def read_json(path: Path, fields: Mapping[str, str], text: bool = False) -> Rows:
    """Read one JSON object per line; ``.gz`` is unpacked on the way.

    Parameters
    ----------
    path : Path
    fields : mapping
        The object's key for "user" and "item", and for "rating", "time" or "date" if they are read.
    text : bool
        Whether identifiers are text, and else numbers.
    """
    import pyarrow as pa
    from pyarrow import json as pa_json

    of = kinds(text)
    schema = pa.schema([(key, pa.type_for_alias(of[name].arrow)) for name, key in fields.items()])
    parse = pa_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")

    def read(piece: bytes) -> dict[str, pa.ChunkedArray]:
        block = pa_json.ReadOptions(block_size=len(piece) + 1)  # an object may fill it
        table = pa_json.read_json(pa.BufferReader(piece), block, parse)
        return _sound({name: table.column(key) for name, key in fields.items()}, _n_lines(piece))

    gathered = _Gathered(path)
    for line, piece in _pieces(path):
        try:
            gathered.add(read(piece))
        except (pa.ArrowException, KeyError) as error:
            lines = list(enumerate(_split_lines(piece), start=line))
            raise _fault(
                str(path), lines, lambda one: _json_fault(one, fields, of), read, error
            ) from None
    return gathered.rows()


def read_negatives(path: Path) -> Rows:
    """Read NCF's lists: ``(user,item)`` and the items to rank it against, tab separated.

    Returns
    -------
    Rows
        A row per user and negative; the held-out item in brackets is left out.
    """
    form = re.compile(rb"\((\d+),\d+\)((?:\t\d+)*)[\t ]*\r?")
    users, counts, items = [], [], []
    for first, piece in _pieces(path):
        for number, line in enumerate(_split_lines(piece), start=first):
            found = form.fullmatch(line)
            if found is None or not all(map(_fits, [found[1], *found[2].split()])):
                said = line.strip()[:80].decode("utf-8", "replace")
                raise ReproError(
                    f"{path}, line {number}: expected (user,item) and item numbers, got {said!r}"
                )
            users.append(int(found[1]))
            items.append(np.array(found[2].split(), dtype=np.int64))
            counts.append(len(items[-1]))
    if not users:
        raise ReproError(f"{path} is empty")
    return Rows.of(np.repeat(np.array(users, dtype=np.int64), counts), np.concatenate(items))


class _Layout:
    """How a line of separated columns is read."""

    def __init__(self, separator: str, columns: list[str], of: dict[str, _Kind]) -> None:
        self._separator = separator
        self._columns = columns
        self._kinds = of
        self._text = any(of[name] is _TEXT for name in columns if name != "-")

    def read(
        self, where: str, line: int, piece: bytes, rows: bytes | None = None
    ) -> dict[str, pa.ChunkedArray]:
        """Return the columns of some lines.

        Parameters
        ----------
        where, line, piece
            The file's name, the number of the first line, and the lines as the file has them.
        rows : bytes, optional
            Those of the lines that hold rows; all of them if not given.
        """
        import pyarrow as pa

        try:
            if self._is_suspicious(piece):
                for one in _split_lines(piece):
                    if self._line_fault(one):
                        raise pa.ArrowInvalid("see below")
            return self._columns_of(piece if rows is None else rows)
        except pa.ArrowInvalid as error:
            numbered = [
                (number, one)
                for number, one in enumerate(_split_lines(piece), start=line)
                if rows is None or not _is_head(one)
            ]
            raise _fault(where, numbered, self._line_fault, self._columns_of, error) from None

    def _columns_of(self, rows: bytes) -> dict[str, pa.ChunkedArray]:
        import pyarrow as pa
        from pyarrow import csv

        width = len(self._separator)  # between "::" lies an empty column
        names = [str(i) for i in range(width * (len(self._columns) - 1) + 1)]
        places = {name: str(width * i) for i, name in enumerate(self._columns) if name != "-"}
        between = [name for i, name in enumerate(names) if i % width]
        of_type = {at: pa.type_for_alias(self._kinds[name].arrow) for name, at in places.items()}
        table = csv.read_csv(
            pa.BufferReader(_BOM + rows if rows.startswith(_BOM) else rows),  # it drops one
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
        return _sound({name: table.column(at) for name, at in places.items()}, _n_lines(rows))

    def check_header(self, path: Path, head: bytes) -> None:
        """Refuse a first line that has other columns, or is a row itself."""
        n = len(head.split(self._separator.encode()))
        if n != len(self._columns):
            raise ReproError(f"{path}, line 1: expected {len(self._columns)} columns, got {n}")
        if not self._text and self._line_fault(head) is None:
            raise ReproError(
                f"{path}, line 1: expected the columns' names, got a row: "
                f"{head.decode('utf-8', 'replace').strip()[:80]!r}"
            )

    def _is_suspicious(self, piece: bytes) -> bool:
        """Return whether pyarrow might read what we do not mean: 0x10, or a line end within."""
        return (
            b"0x" in piece
            or b"0X" in piece
            or b"\0" in piece
            or piece.count(b"\r") != piece.count(b"\r\n")
        )

    def _line_fault(self, line: bytes) -> str | None:
        """Return what is wrong with a line, if anything is."""
        if "item" not in self._columns and _is_head(line):
            return None
        line = line.removesuffix(b"\r")
        parts = line.split(self._separator.encode())
        if len(parts) != len(self._columns):
            return f"expected {len(self._columns)} columns, got {len(parts)}"
        for name, part in zip(self._columns, parts, strict=True):
            if name != "-" and (found := _value_fault(name, self._kinds[name], part)):
                return found
        return "a line's end within the line" if b"\r" in line else None


_BOM = b"\xef\xbb\xbf"


def _is_head(line: bytes) -> bool:
    """Return whether a line of Netflix's files begins a block."""
    return re.fullmatch(rb"\d+:\r?", line) is not None


def _value_fault(name: str, kind: _Kind, value: bytes) -> str | None:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return f"{name} {value[:40]!r} is not UTF-8 text"
    if not re.fullmatch(kind.pattern, text, re.ASCII) or not _exists(kind, text):
        return f"{name} {text[:40]!r} is not {kind.said}"
    if kind.arrow == "int64" and not _fits(value):
        return f"{name} {text[:40]!r} has more digits than a 64-bit number"
    return None


def _exists(kind: _Kind, text: str) -> bool:
    """Return whether a value of the right form is one: there is no 30th of February."""
    try:
        if kind.arrow == "timestamp[s]":
            datetime.datetime.fromisoformat(text)
        return kind.arrow != "float64" or math.isfinite(float(text))
    except ValueError:
        return False


def _fits(digits: bytes) -> bool:
    """Return whether a number has 64 bits; Python itself refuses to read thousands of digits."""
    number = digits.strip(b" ")
    size = number.lstrip(b"-").lstrip(b"0")
    return len(size) < 20 and int(size or b"0") <= 2**63 - 1 + number.startswith(b"-")


def _json_fault(line: bytes, fields: Mapping[str, str], of: dict[str, _Kind]) -> str | None:
    """Return what is wrong with a line of JSON, if anything is."""
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
        if fault := _value_fault(name, of[name], value):
            return fault
    return None


def _fault(
    where: str,
    lines: list[tuple[int, bytes]],
    wrong: Callable[[bytes], str | None],
    read: Callable[[bytes], object],
    error: Exception,
) -> ReproError:
    """Return the error that names the first line that is wrong.

    Parameters
    ----------
    where : str
        The file.
    lines : list of int and bytes
        Lines with their numbers.
    wrong : callable
        Says in our words what is wrong with a line.
    read : callable
        Raises, as it did of all lines, if one that it is given is wrong in a way that we have no
        words for.
    error : Exception
        What it raised.
    """
    import pyarrow as pa

    for number, one in lines:
        if found := wrong(one):
            return ReproError(f"{where}, line {number}: {found}")
    good, bad = 0, len(lines)  # so many can be read, so many cannot
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            read(b"".join(one + b"\n" for _, one in lines[:middle]))
            good = middle
        except (pa.ArrowException, KeyError) as found_error:
            bad, error = middle, found_error
    number, one = lines[bad - 1]
    said = one.decode("utf-8", "replace").strip()[:80]
    return ReproError(f"{where}, line {number}: {said!r} cannot be read: {error}")


def _sound(columns: dict[str, pa.ChunkedArray], n_lines: int) -> dict[str, pa.ChunkedArray]:
    """Return columns in which every line has a row, and every row a value that is one.

    Raises
    ------
    ArrowInvalid
        If they are not such.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    for name, column in columns.items():
        if len(column) != n_lines:
            raise pa.ArrowInvalid(f"{n_lines} lines gave {len(column)} rows")
        if column.null_count:
            raise pa.ArrowInvalid(f"{name} is empty")
        if name == "rating" and not pc.all(pc.is_finite(column)).as_py():
            raise pa.ArrowInvalid("a rating is not finite")
        if pa.types.is_string(column.type):
            column.validate(full=True)  # that it is UTF-8
            if pc.any(pc.match_substring_regex(column, r"^$|[\x00\r\n]")).as_py():
                raise pa.ArrowInvalid(f"{name} is empty, or has a line's end within")
    return columns


def _n_lines(piece: bytes) -> int:
    return piece.count(b"\n") + (not piece.endswith(b"\n"))


def _split_lines(piece: bytes) -> list[bytes]:
    return piece.removesuffix(b"\n").split(b"\n")


class _Gathered:
    """Columns that grow piece by piece."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._columns: dict[str, list[Any]] = {}

    def add(self, columns: Mapping[str, Any]) -> None:
        for name, column in columns.items():
            self._columns.setdefault(name, []).append(_narrow(column))

    def rows(self) -> Rows:
        if not self._columns:
            raise ReproError(f"{self._path} has no rows")
        users, user_ids = _encoded(self._columns.pop("user"))
        items, item_ids = _encoded(self._columns.pop("item"))
        time = self._columns.pop("time", None) or self._columns.pop("date", None)
        rating = self._columns.pop("rating", None)
        return Rows(
            users,
            items,
            user_ids,
            item_ids,
            None if rating is None else np.concatenate(rating),
            None if time is None else np.concatenate(time).astype(np.int64),
        )


def _narrow(column: Any) -> Any:
    """Return a piece of a column in half the memory where that loses nothing; text as it is."""
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        if pa.types.is_string(column.type):
            return column
        seconds = pa.types.is_timestamp(column.type)
        column = (column.cast("int64") if seconds else column).to_numpy()
    small = np.iinfo(np.int32)
    if column.dtype == np.int64 and small.min <= column.min() and column.max() <= small.max:
        return column.astype(np.int32)
    return column


def _encoded(pieces: list[Any]) -> tuple[IntArray, Ids]:
    """Return the places of a whole column's identifiers, and these, ascending."""
    import pyarrow as pa

    if isinstance(pieces[0], np.ndarray):
        return encoded(np.concatenate(pieces))
    chunks = [chunk for piece in pieces for chunk in piece.chunks]
    packed = pa.chunked_array(chunks).dictionary_encode().combine_chunks()
    packed = packed if isinstance(packed, pa.DictionaryArray) else packed.chunk(0)
    known = packed.dictionary.to_numpy(zero_copy_only=False).astype(np.str_)
    order = np.argsort(known)
    place = np.empty(len(known), dtype=np.int32)
    place[order] = np.arange(len(known), dtype=np.int32)
    return place[packed.indices.to_numpy()], known[order]


def _pieces(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield whole lines, many at once, with the number of the first."""
    with _opened(path) as stream:
        yield from _lines(str(path), stream)


def _lines(where: str, stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    line, rest, empty = 1, b"", True
    try:
        while chunk := stream.read(PIECE):
            chunk = chunk.removeprefix(_BOM) if empty else chunk
            empty = False
            end = chunk.rfind(b"\n") + 1
            if end:
                piece, rest = rest + chunk[:end], chunk[end:]
                yield line, piece
                line += piece.count(b"\n")
            else:
                rest += chunk
            if len(rest) > PIECE:
                raise ReproError(f"{where}, line {line}: longer than {PIECE:,} bytes")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ReproError(f"{where} is cut off or damaged: {error}") from error
    if empty:
        raise ReproError(f"{where} is empty")
    if rest:
        yield line, rest


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _movie_pieces(path: Path) -> Iterator[tuple[str, int, bytes]]:
    """Yield where, first line and lines of a combined file, or of each file in a tar by name."""
    if path.suffix != ".tar":
        yield from ((str(path), line, piece) for line, piece in _pieces(path))
        return
    try:
        with tarfile.open(path, "r:") as packed:
            files = [one for one in packed if re.search(r"mv_\d+\.txt$", one.name)]
            with path.open("rb") as raw:  # tarfile takes a damaged head for the end
                raw.seek(packed.offset)
                rest = raw.read(1 << 20)  # the end is two empty blocks and some padding
            if len(rest) < 512 or rest.strip(b"\0"):
                raise tarfile.TarError(f"it does not end at byte {packed.offset:,}")
            for one in sorted(files, key=lambda file: file.name):
                stream = packed.extractfile(one) if one.isreg() else None
                if stream is None:
                    raise ReproError(f"{path}: {one.name} is no file")
                where = f"{path}, {one.name}"
                yield from ((where, line, piece) for line, piece in _lines(where, stream))
    except (tarfile.TarError, OSError) as error:
        raise ReproError(f"{path} is cut off or damaged: {error}") from error


def _split_blocks(
    where: str, line: int, piece: bytes, movie: int | None
) -> tuple[bytes, list[int], NDArray[np.int64]]:
    """Return the rating lines of a piece, and how many belong to which movie.

    Parameters
    ----------
    where, line, piece
        As of a piece.
    movie : int, optional
        The movie whose block the piece begins in.
    """
    blocks: list[bytes] = []
    movies = [movie]
    begin = 0
    while (colon := piece.find(b":", begin)) >= 0:
        head = piece.rfind(b"\n", begin, colon) + 1 or begin
        end = piece.find(b"\n", colon) + 1 or len(piece)
        if not _is_head(piece[head:end].removesuffix(b"\n")) or not _fits(piece[head:colon]):
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
    lengths = [_n_lines(block) if block else 0 for block in blocks]
    return b"".join(blocks), lengths, np.array(movies, dtype=np.int64)
