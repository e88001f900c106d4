"""The steps from a file to a view, applied in order: each is a function with one argument."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.data.rows import Rows
from repro.data.times import TICKS, WORDS, day
from repro.errors import ReproError
from repro.interactions import first_appearance

FROM_ONE = 1_000
"""How many times the number of identifiers the largest may be, if they are numbered "from one"."""


def min_rating(rows: Rows, least: float) -> Rows:
    """Keep ratings of at least `least`."""
    return rows.take(_needed(rows.rating, "rating") >= least)


def rating_above(rows: Rows, bound: float) -> Rows:
    """Keep ratings strictly above a bound; with half stars 3.5 is above 3."""
    return rows.take(_needed(rows.rating, "rating") > bound)


def since(rows: Rows, day: str) -> Rows:
    """Keep rows of a day, such as "2018-01-01", and later; days are in UTC."""
    try:
        first = np.datetime64(datetime.date.fromisoformat(day), "s").astype(np.int64)
    except ValueError as error:
        raise ReproError(f"'{day}' is not a date", "write it as 2018-01-01") from error
    time = _needed(rows.time, "time")
    if not rows.dated:
        _check_times(time, rows.ticks)
    return rows.take(time >= first * rows.ticks)


EARLIEST, LATEST = 100_000_000, 4_102_444_800
"""1973 and 2100: outside lie times of a wrong unit, and numbers that are no times."""


def _check_times(time: NDArray[np.int64], ticks: int) -> None:
    """Raise if numbers cannot be times in their unit; 0 stands for one that is unknown."""
    strange = (time < EARLIEST * ticks) | (time >= LATEST * ticks)
    strange &= (time != 0) if time.any() else True
    if strange.any():
        row = int(np.argmax(strange))
        unit = next(unit for unit, per_second in TICKS.items() if per_second == ticks)
        raise ReproError(
            f"a step asks for a day, and the time {time[row]} is on {day(int(time[row]) // ticks)} "
            f"if it is in {WORDS[unit]}",
            'state the unit in the entry of `read`, as time_unit = "ms"; leave the step out if the '
            "numbers are no times",
        )


def min_items_per_user(rows: Rows, least: int) -> Rows:
    """Keep users with at least `least` rows; one pass."""
    return rows.take(np.bincount(rows.user)[rows.user] >= least)


def min_users_per_item(rows: Rows, least: int) -> Rows:
    """Keep items with at least `least` rows; one pass."""
    return rows.take(np.bincount(rows.item)[rows.item] >= least)


def min_rows_of_both(rows: Rows, least: int) -> Rows:
    """Keep rows whose user and item both have at least `least`, counted before any is dropped."""
    often = np.bincount(rows.user)[rows.user] >= least
    return rows.take(often & (np.bincount(rows.item)[rows.item] >= least))


def core(rows: Rows, least: int) -> Rows:
    """Drop users, then items, with fewer than `least` rows, until nothing changes."""
    while True:
        before = len(rows)
        rows = min_users_per_item(min_items_per_user(rows, least), least)
        if len(rows) == before:
            return rows


def distinct(rows: Rows, which: str) -> Rows:
    """Keep one row of every repeated pair: the "first" or the "last" in row order."""
    if which not in ("first", "last"):
        raise ReproError(f"the step distinct cannot keep '{which}'", "available: first; last")
    order = np.arange(len(rows)) if which == "first" else np.arange(len(rows))[::-1]
    pair = rows.user.astype(np.int64) * len(rows.item_ids) + rows.item
    _, kept = np.unique(pair[order], return_index=True)
    return rows.take(np.sort(order[kept]))


def order(rows: Rows, by: str) -> Rows:
    """Order the rows.

    "time": by user, then time, equal times in the order of the file. "time, random ties": equal
    times in random order, the same on every machine. "oldest first": they are in this order
    already. "file": as they are, which is not an order in time.
    """
    if by == "file":
        return replace(rows, order="file")
    if by == "oldest first":
        return replace(rows, order="time")
    time = _needed(rows.time, "time")
    if by == "time":
        sorting = np.lexsort([time, rows.user])
    elif by == "time, random ties":
        tie = np.random.default_rng(0).random(len(rows))
        sorting = np.lexsort([tie, time, rows.user])
    else:
        raise ReproError(
            f"a view cannot be ordered by '{by}'",
            "available: time; time, random ties; oldest first; file",
        )
    return replace(rows.take(sorting), order="time")


def last_items_per_user(rows: Rows, most: int) -> Rows:
    """Keep each user's last `most` rows, in row order."""
    grouped = np.argsort(rows.user, kind="stable")
    user = rows.user[grouped]
    ends = np.searchsorted(user, user, side="right")
    keep = np.zeros(len(rows), dtype=bool)
    keep[grouped] = ends - np.arange(len(rows)) <= most
    return rows.take(keep)


def number_items(rows: Rows, by: str) -> Rows:
    """Fix the items and their numbers; an item that later loses its rows keeps its number.

    "first appearance": in row order. "ascending": by identifier. "from one": the identifiers
    are the numbers, from 1 to the largest, with or without rows.
    """
    if by == "ascending":
        vocabulary = rows.item_ids[np.flatnonzero(np.bincount(rows.item))]
    elif by == "first appearance":
        vocabulary = rows.item_ids[first_appearance(rows.item, np.arange(len(rows)))]
    elif by == "from one":
        if rows.item_ids.dtype.kind != "i":
            raise ReproError("items cannot be numbered 'from one': their identifiers are text")
        most = int(rows.item_ids[rows.item].max(initial=0))
        if most > FROM_ONE * len(rows.item_ids):
            raise ReproError(
                f"items cannot be numbered 'from one': the largest of {len(rows.item_ids):,} "
                f"identifiers is {most:,}"
            )
        vocabulary = np.arange(1, most + 1)
    else:
        raise ReproError(
            f"items cannot be numbered by '{by}'",
            "available: first appearance; ascending; from one",
        )
    return replace(rows, vocabulary=vocabulary)


STEPS: dict[str, Callable[[Rows, Any], Rows]] = {
    step.__name__: step
    for step in (
        min_rating,
        rating_above,
        since,
        min_items_per_user,
        min_users_per_item,
        min_rows_of_both,
        core,
        distinct,
        order,
        last_items_per_user,
        number_items,
    )
}
"""Every step by name."""


def _needed(column: NDArray[Any] | None, name: str) -> NDArray[Any]:
    if column is None:
        raise ReproError(f"the file has no column '{name}', which a step of the view needs")
    return column
