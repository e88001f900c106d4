"""Typed columns from text: which values each allows, and what is wrong with a line.

pyarrow makes the columns. Its errors name no line, so a piece that it rejects is checked again,
line by line, and the error is in our own words.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from repro.data.dialect import PLAIN, Dialect
from repro.data.rows import Ids, Rows, encoded
from repro.data.times import Times, narrow
from repro.errors import ReproError
from repro.interactions import IntArray

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Kind:
    """The values that a column allows."""

    arrow: tuple[str, ...]
    """Types of pyarrow that it may be read as, the fastest first."""
    pattern: str
    said: str
    dialect: Dialect = PLAIN
    """Says of text what may stand around it."""

    @property
    def is_text(self) -> bool:
        """Whether a value may be any text."""
        return self.arrow == ("string",)


_NUMBER = Kind(("int64",), r" *-?\d+ *", "a number")
_ID = replace(_NUMBER, said=f'{_NUMBER.said}, and the manifest does not say identifiers = "text"')
_TEXT = Kind(("string",), r"[^\0\r\n]+", "an identifier")
_DATE = r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d(:?\d\d)?)?)?"
ZONE = "timestamp[ns, tz=UTC]"
"""Dates with a zone; pyarrow converts them to UTC."""
KINDS = {
    "user": _ID,
    "item": _ID,
    "rating": Kind(("float64",), r" *-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)? *", "a number"),
    "time": Kind(("int64", "string"), r" *-?\d{1,19}(\.\d*)? *", "a number"),
    "date": Kind(
        ("timestamp[s]", "timestamp[ns]", ZONE),
        _DATE,
        "a date, as 2005-09-06, 2005-09-06 12:30:00 or 2005-09-06T12:30:00Z",
    ),
}
"""The kind of each column by name. A "time" is a number since 1970, a "date" a time for people."""


def kinds(text: bool, dialect: Dialect = PLAIN) -> dict[str, Kind]:
    """Return the kind of each column by name; identifiers are numbers, or text."""
    ids = replace(_TEXT, dialect=dialect)
    return KINDS | {"user": ids, "item": ids} if text else KINDS


def value_fault(name: str, kind: Kind, value: bytes) -> str | None:
    """Return what is wrong with a value in a column and what to do about it, or None."""
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return f"{name} {value[:40]!r} is not UTF-8 text{_remedy(name, value.decode('latin-1'))}"
    if not re.fullmatch(kind.pattern, text, re.ASCII) or not _exists(name, text):
        return f"{name} {text[:40]!r} is not {kind.said}{_remedy(name, text)}"
    if kind.arrow[0] == "int64" and not fits(value.partition(b".")[0]):
        return f"{name} {text[:40]!r} has more digits than a 64-bit number" + (
            '; identifiers = "text" reads it' * (name in ("user", "item"))
        )
    if kind.is_text and (found := kind.dialect.fault(text)):
        return f"{name} {text[:40]!r} {found}"
    return None


def _remedy(name: str, text: str) -> str:
    """Return what reads a value that is not of its column's kind; "" if nobody knows."""
    plain = text.strip(" ")
    if not plain:
        return f"; it is empty: drop the line, or the {name} from the columns"
    if not plain.isascii() and "\ufffd" in plain:
        return ""
    if any(128 <= ord(one) < 256 for one in plain) and not plain.isdecimal():
        return '; if the file is in another encoding, state it, as encoding = "latin-1"'
    if plain[0] == plain[-1] and plain[0] in "\"'" and plain[1:]:
        mark = "'\"'" if plain[0] == '"' else '"\'"'
        return f"; it is in quotes: quote = {mark} drops them"
    if len(plain.split()) > 1 and plain.split()[0].isdecimal():
        return '; separator = "whitespace" splits at any run of blanks and tabs'
    if name in ("rating", "time") and re.fullmatch(r"-?\d+,\d*", plain, re.ASCII):
        return '; decimal = "," reads it'
    if name == "time" and re.match(r"\d{4}-\d\d-\d\d", plain, re.ASCII):
        return '; the column of such times is called "date", not "time"'
    if name == "date" and re.fullmatch(r"\d{9,19}(\.\d*)?", plain, re.ASCII):
        return '; the column of such numbers is called "time", not "date"'
    if name in ("user", "item") and re.fullmatch(r"-?\d+\.0*", plain, re.ASCII):
        return "; write it without decimals"
    return ""


def _exists(name: str, text: str) -> bool:
    """Return whether a value of the right form exists: there is no 30th of February."""
    try:
        if name == "date":
            datetime.datetime.fromisoformat(text)
        return name != "rating" or math.isfinite(float(text))
    except ValueError:
        return False


def fits(digits: bytes) -> bool:
    """Return whether a number fits into 64 bits; Python itself refuses thousands of digits."""
    number = digits.strip(b" ")
    size = number.lstrip(b"-").lstrip(b"0")
    return len(size) < 20 and int(size or b"0") <= 2**63 - 1 + number.startswith(b"-")


def fault_of(
    where: str,
    lines: list[tuple[int, bytes]],
    wrong: Callable[[bytes], str | None],
    read: Callable[[bytes], object],
    error: Exception,
) -> ReproError:
    """Return the error that names the first wrong line.

    Parameters
    ----------
    where : str
        The file.
    lines : list of int and bytes
        Lines with their numbers.
    wrong : callable
        Returns in our own words what is wrong with a line, or None.
    read : callable
        Reads lines; raises if one of them is wrong, also where `wrong` finds nothing.
    error : Exception
        What `read` raised for all lines.
    """
    import pyarrow as pa

    for number, one in lines:
        if found := wrong(one):
            return ReproError(f"{where}, line {number}: {found}")
    good, bad = 0, len(lines)  # the first `good` lines can be read, the first `bad` cannot
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


def sound(
    columns: dict[str, pa.ChunkedArray], n_lines: int, of: Mapping[str, Kind] = KINDS
) -> dict[str, pa.ChunkedArray]:
    """Return the columns if every line has a row, and every row a valid value.

    Raises
    ------
    ArrowInvalid
        If not.
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
        if name == "time" and pa.types.is_floating(column.type):  # of JSON
            exact = pc.less(pc.abs(column), 2.0**53)
            if not pc.all(exact).as_py():
                raise pa.ArrowInvalid("a time is not finite, or too large")
        if of[name].is_text:
            column.validate(full=True)  # checks that it is UTF-8
            if pc.any(pc.match_substring_regex(column, of[name].dialect.refused)).as_py():
                raise pa.ArrowInvalid(f"{name} is empty, or has something around it")
    return columns


class Gathered:
    """Columns that grow piece by piece."""

    def __init__(self, path: Path, unit: str = "") -> None:
        self._path = path
        self._unit = unit
        self._columns: dict[str, list[Any]] = {}
        self._times = Times()

    def add(self, columns: Mapping[str, Any]) -> None:
        """Add the columns of another piece, by name."""
        for name, column in columns.items():
            if name in ("time", "date"):
                self._times.add(column)
            else:
                self._columns.setdefault(name, []).append(_narrow(column))

    def rows(self) -> Rows:
        """Return all pieces as rows."""
        if not self._columns:
            raise ReproError(f"{self._path} has no rows")
        users, user_ids = _encoded(self._columns.pop("user"))
        items, item_ids = _encoded(self._columns.pop("item"))
        rating = self._columns.pop("rating", None)
        time = self._times.found(str(self._path), self._unit)
        return Rows(
            users,
            items,
            user_ids,
            item_ids,
            None if rating is None else np.concatenate(rating),
            None if time is None else time.values,
            ticks=time.ticks if time else 1,
            dated=bool(time and time.dated),
            doubts=(time.doubt,) if time and time.doubt else (),
        )


def _narrow(column: Any) -> Any:
    """Return a piece of a column as int32 if that loses nothing; text as it is."""
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        if pa.types.is_string(column.type):
            return column
        column = column.to_numpy()
    return narrow(column)


def _encoded(pieces: list[Any]) -> tuple[IntArray, Ids]:
    """Return each identifier's place among a column's distinct ones, and these, ascending."""
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
