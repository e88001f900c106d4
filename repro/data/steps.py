"""The steps between a file and a view: a function and its one argument each, applied in order."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.data.rows import Rows
from repro.errors import ReproError
from repro.interactions import first_appearance

FROM_ONE = 1_000
"""How many numbers an identifier may take that is its own number."""


def min_rating(rows: Rows, least: float) -> Rows:
    """Keep ratings of at least so much."""
    return rows.take(_needed(rows.rating, "rating") >= least)


def rating_above(rows: Rows, bound: float) -> Rows:
    """Keep ratings strictly above a bound; with half stars 3.5 is above 3."""
    return rows.take(_needed(rows.rating, "rating") > bound)


def since(rows: Rows, day: str) -> Rows:
    """Keep rows of that day, as "2018-01-01", and later; days are UTC's."""
    try:
        first = np.datetime64(datetime.date.fromisoformat(day), "s").astype(np.int64)
    except ValueError as error:
        raise ReproError(f"'{day}' is no day", "as in 2018-01-01") from error
    return rows.take(_needed(rows.time, "time") >= first)


def min_items_per_user(rows: Rows, least: int) -> Rows:
    """Keep users with at least so many rows; one pass."""
    return rows.take(np.bincount(rows.user)[rows.user] >= least)


def min_users_per_item(rows: Rows, least: int) -> Rows:
    """Keep items with at least so many rows; one pass."""
    return rows.take(np.bincount(rows.item)[rows.item] >= least)


def min_rows_of_both(rows: Rows, least: int) -> Rows:
    """Keep rows whose user and item both have at least so many, counted before any goes."""
    often = np.bincount(rows.user)[rows.user] >= least
    return rows.take(often & (np.bincount(rows.item)[rows.item] >= least))


def core(rows: Rows, least: int) -> Rows:
    """Drop users, then items, with fewer rows, until nothing changes."""
    while True:
        before = len(rows)
        rows = min_users_per_item(min_items_per_user(rows, least), least)
        if len(rows) == before:
            return rows


def distinct(rows: Rows, which: str) -> Rows:
    """Keep one row of every repeated pair: the "first" or the "last" as the rows stand."""
    if which not in ("first", "last"):
        raise ReproError(f"no row of a pair is called '{which}'", "there are: first; last")
    order = np.arange(len(rows)) if which == "first" else np.arange(len(rows))[::-1]
    pair = rows.user.astype(np.int64) * len(rows.item_ids) + rows.item
    _, kept = np.unique(pair[order], return_index=True)
    return rows.take(np.sort(order[kept]))


def order(rows: Rows, by: str) -> Rows:
    """Order the rows.

    "time": by user, then time, equal times as the file has them. "time, random ties": equal times
    in random order, the same on every machine. "oldest first": they stand so already. "file": as
    they stand, which is no order in time.
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
            "there are: time; time, random ties; oldest first; file",
        )
    return replace(rows.take(sorting), order="time")


def last_items_per_user(rows: Rows, most: int) -> Rows:
    """Keep each user's last rows, as the rows stand."""
    grouped = np.argsort(rows.user, kind="stable")
    user = rows.user[grouped]
    ends = np.searchsorted(user, user, side="right")
    keep = np.zeros(len(rows), dtype=bool)
    keep[grouped] = ends - np.arange(len(rows)) <= most
    return rows.take(keep)


def number_items(rows: Rows, by: str) -> Rows:
    """Fix the items and their numbers: what later steps leave without rows keeps its number.

    "first appearance": as the rows stand. "ascending": by identifier. "from one": the identifiers
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
            "there are: first appearance; ascending; from one",
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
