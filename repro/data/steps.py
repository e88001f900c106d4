"""The steps between a file and a view: a function and its one argument each, applied in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.data.formats import Ids, Rows
from repro.errors import ReproError


def min_rating(rows: Rows, least: float) -> Rows:
    """Keep ratings of at least so much."""
    return rows.take(_needed(rows.rating, "rating") >= least)


def rating_above(rows: Rows, bound: float) -> Rows:
    """Keep ratings strictly above a bound; with half stars 3.5 is above 3."""
    return rows.take(_needed(rows.rating, "rating") > bound)


def min_items_per_user(rows: Rows, least: int) -> Rows:
    """Keep users with at least so many rows; one pass."""
    return rows.take(_occurrences(rows.user) >= least)


def min_users_per_item(rows: Rows, least: int) -> Rows:
    """Keep items with at least so many rows; one pass."""
    return rows.take(_occurrences(rows.item) >= least)


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
    keys = np.stack([_codes(rows.user), _codes(rows.item)], axis=1)[order]
    _, kept = np.unique(keys, axis=0, return_index=True)
    return rows.take(np.sort(order[kept]))


def order(rows: Rows, by: str) -> Rows:
    """Order the rows.

    "time": by user, then time, equal times as the file has them. "time, random ties": equal times
    in random order, the same on every machine. "oldest first": they stand so already. "file": as
    they stand, which is no order in time.
    """
    if by == "file":
        return replace(rows, ordered=False)
    if by == "oldest first":
        return replace(rows, ordered=True)
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
    return replace(rows.take(sorting), ordered=True)


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
        vocabulary = sorted_ids(rows.item)
    elif by == "first appearance":
        _, first = np.unique(rows.item, return_index=True)
        vocabulary = rows.item[np.sort(first)]
    elif by == "from one" and len(rows):
        vocabulary = np.arange(1, int(rows.item.max()) + 1)
    elif by == "from one":
        vocabulary = sorted_ids(rows.item)
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
        min_items_per_user,
        min_users_per_item,
        core,
        distinct,
        order,
        last_items_per_user,
        number_items,
    )
}
"""Every step by name."""


def sorted_ids(ids: Ids) -> Ids:
    """Return every identifier once, ascending."""
    _, first = np.unique(ids, return_index=True)
    return ids[first]


def _needed(column: NDArray[Any] | None, name: str) -> NDArray[Any]:
    if column is None:
        raise ReproError(f"the file has no column '{name}', which a step of the view needs")
    return column


def _codes(ids: Ids) -> NDArray[np.int64]:
    return np.unique(ids, return_inverse=True)[1].astype(np.int64)


def _occurrences(ids: Ids) -> NDArray[np.int64]:
    """Return for each row how many rows have its identifier."""
    codes = _codes(ids)
    return np.bincount(codes)[codes]
