"""Read files into rows: separated text, and NCF's lists of negatives."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from repro.errors import ReproError
from repro.interactions import StrArray

if TYPE_CHECKING:
    import pandas as pd

Ids = NDArray[np.int64] | StrArray


@dataclass(frozen=True, eq=False)
class Rows:
    """Interactions as a file has them, in its order, under the original identifiers.

    Parameters
    ----------
    user, item : int64 or str array, shape (n,)
        Original identifiers.
    rating : float64 array, shape (n,), optional
    time : int64 array, shape (n,), optional
        Seconds.
    ordered : bool
        Whether each user's rows stand oldest first.
    vocabulary : array, optional
        The items in the order of their numbers, once a step has fixed it.
    part : int64 array, shape (n,), optional
        Which of several files each row comes from; no step looks at it.
    """

    user: Ids
    item: Ids
    rating: NDArray[np.float64] | None = None
    time: NDArray[np.int64] | None = None
    ordered: bool = False
    vocabulary: Ids | None = None
    part: NDArray[np.int64] | None = None

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


KINDS = {"user": "int64", "item": "int64", "rating": "float64", "time": "int64"}


def read_separated(path: Path, separator: str, header: bool, columns: list[str]) -> Rows:
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
        "user", "item", "rating", "time", or "-" for one that is skipped.

    Raises
    ------
    ReproError
        Naming file and line of the first row that does not fit.

    Notes
    -----
    An identifier is a number, or text where most of its column is text; a number is expected of the
    rest.
    """
    import pandas as pd

    if len(set(separator)) != 1:
        raise ReproError(f"{path}: the separator {separator!r} is not one character, or repeated")
    _check_columns(path, separator, header, len(columns))
    places = {name: len(separator) * i for i, name in enumerate(columns) if name != "-"}

    def read(kinds: dict[str, str]) -> dict[str, pd.Series[Any]]:
        frame = pd.read_csv(
            path,
            sep=separator[0],
            header=None,
            skiprows=1 if header else 0,
            usecols=list(places.values()),
            dtype={place: kinds[name] for name, place in places.items()},
            quoting=csv.QUOTE_NONE,
            encoding="utf-8",
            na_filter=False,
            skip_blank_lines=False,
            engine="c",
        )
        return {name: frame[place] for name, place in places.items()}

    try:
        got: dict[str, Any] = {name: column.to_numpy() for name, column in read(KINDS).items()}
    except pd.errors.EmptyDataError:
        raise ReproError(f"{path} has no rows") from None
    except UnicodeDecodeError as error:
        raise ReproError(f"{path} is not UTF-8 text: {error}") from None
    except (ValueError, OverflowError):  # identifiers may be text; numbers must be numbers
        text = read(dict.fromkeys(KINDS, "str"))
        got = {name: _parsed(path, 1 + header, name, column) for name, column in text.items()}
    return Rows(**got)


def _check_columns(path: Path, separator: str, header: bool, n_columns: int) -> None:
    """Refuse a file in which a line below the header has more columns or fewer, naming the line."""
    expected = (n_columns - 1) * len(separator)
    n_lines = pending = 0
    last = b""
    with _opened(path) as stream:
        while chunk := stream.read(1 << 24):
            letters = np.frombuffer(chunk, dtype=np.uint8)
            ends = np.flatnonzero(letters == ord("\n"))
            separators = np.flatnonzero(letters == ord(separator[0]))
            before = np.searchsorted(separators, ends)
            found = np.diff(before, prepend=0)
            if len(ends):
                found[0] += pending
                pending = 0
            if header and n_lines == 0:
                found[:1] = expected
            wrong = np.flatnonzero(found != expected)
            if len(wrong):
                got = int(found[wrong[0]]) // len(separator) + 1
                raise _columns(path, n_lines + int(wrong[0]) + 1, n_columns, got)
            pending += len(separators) - (int(before[-1]) if len(ends) else 0)
            n_lines += len(ends)
            last = chunk[-1:]
    if not last:
        raise ReproError(f"{path} is empty")
    if last != b"\n" and pending != expected:
        raise _columns(path, n_lines + 1, n_columns, pending // len(separator) + 1)


def _columns(path: Path, line: int, expected: int, got: int) -> ReproError:
    return ReproError(f"{path}, line {line}: expected {expected} columns, got {got}")


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _parsed(path: Path, first_line: int, name: str, column: pd.Series[Any]) -> NDArray[Any]:
    """Return a column of text as what it should be, or name the first line where it is not."""
    pattern = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?" if name == "rating" else r"[+-]?\d+"
    fits = column.str.fullmatch(pattern).to_numpy(dtype=bool)
    if name in ("user", "item") and fits.mean() < 0.5:
        fits = (column != "").to_numpy(dtype=bool)
        kind = "str"
    else:
        kind = KINDS[name]
    wrong = np.flatnonzero(~fits)
    if len(wrong):
        value = str(column.iloc[wrong[0]])[:40]
        expected = "an identifier" if kind == "str" else "a number"
        line = first_line + int(wrong[0])
        raise ReproError(f"{path}, line {line}: {name} {value!r} is not {expected}")
    if kind == "str":
        return column.to_numpy(dtype=object).astype(np.str_)
    try:
        return column.to_numpy(dtype=object).astype(kind)
    except OverflowError:
        raise ReproError(f"{path}: a {name} has more digits than a 64-bit number") from None


def read_negatives(path: Path) -> Rows:
    """Read NCF's lists: ``(user,item)`` and the items to rank it against, tab separated.

    Returns
    -------
    Rows
        A row per user and negative; the held-out item in brackets is left out.
    """
    users, counts, items = [], [], []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            pair, *negatives = line.split()
            try:
                user, _held_out = pair.strip("()").split(",")
                users.append(int(user))
                items.append(np.array(negatives, dtype=np.int64))
            except ValueError:
                raise ReproError(
                    f"{path}, line {number}: expected (user,item) and item numbers, "
                    f"got {line.strip()[:80]!r}"
                ) from None
            counts.append(len(negatives))
    if not users:
        raise ReproError(f"{path} is empty")
    return Rows(np.repeat(np.array(users, dtype=np.int64), counts), np.concatenate(items))
