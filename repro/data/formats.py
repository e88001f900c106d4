"""Read files into rows: separated text, and NCF's lists of negatives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.errors import ReproError
from repro.interactions import StrArray

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


def read_separated(path: Path, separator: str, header: bool, columns: list[str]) -> Rows:
    """Read one interaction per line.

    Parameters
    ----------
    path : Path
        A text file; ``.gz`` is unpacked on the way.
    separator : str
        Between the columns; two of one character, as in "::", are read as such.
    header : bool
        Whether the first line names the columns.
    columns : list of str
        "user", "item", "rating", "time", or "-" for one that is skipped.

    Raises
    ------
    ReproError
        Naming file and line of the first row that does not fit.
    """
    import pandas as pd

    step = len(separator)
    if step > 1 and len(set(separator)) > 1:
        raise ReproError(f"{path}: the separator {separator!r} is more than one character repeated")
    wanted = {name: step * i for i, name in enumerate(columns) if name != "-"}
    kinds = {"user": "int64", "item": "int64", "rating": "float64", "time": "int64"}

    def read(types: dict[int, str]) -> pd.DataFrame:
        return pd.read_csv(
            path,
            sep=separator[0],
            header=None,
            skiprows=1 if header else 0,
            usecols=list(types),
            dtype=types,
            encoding="utf-8",
            na_filter=False,
            skip_blank_lines=False,
            engine="c",
        )

    try:
        try:
            frame = read({place: kinds[name] for name, place in wanted.items()})
        except ValueError:  # identifiers may be text; numbers must be numbers
            text = {**kinds, "user": "str", "item": "str"}
            frame = read({place: text[name] for name, place in wanted.items()})
            fault = _first_fault(path, separator, header, columns)
            if fault and _looks_numeric(frame[wanted["user"]]):
                raise ReproError(fault) from None
    except (ValueError, UnicodeDecodeError, pd.errors.ParserError) as error:
        fault = _first_fault(path, separator, header, columns)
        raise ReproError(fault or f"{path} cannot be read: {error}") from error
    except pd.errors.EmptyDataError:
        raise ReproError(f"{path} is empty") from None
    got: dict[str, Any] = {name: frame[place].to_numpy() for name, place in wanted.items()}
    for name in ("user", "item"):
        if got[name].dtype == object:
            got[name] = got[name].astype(np.str_)
    return Rows(**got)


def _looks_numeric(column: Any) -> bool:
    """Return whether most identifiers are numbers, so that one that is not is a fault."""
    head = column.head(1000)
    return bool(head.str.fullmatch(r"\d+").mean() > 0.5)


def _first_fault(path: Path, separator: str, header: bool, columns: list[str]) -> str | None:
    """Return file, line and what is wrong with the first row that does not fit, if any."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if header and number == 1:
                continue
            fields = line.rstrip("\r\n").split(separator)
            if len(fields) < len(columns):
                return (
                    f"{path}, line {number}: expected {len(columns)} columns, got {len(fields)}: "
                    f"{line.strip()[:80]!r}"
                )
            for name, field in zip(columns, fields, strict=False):
                if name == "-":
                    continue
                try:
                    float(field) if name == "rating" else int(field)
                except ValueError:
                    return f"{path}, line {number}: {name} {field[:40]!r} is not a number"
    return None


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
