"""The steps from a file to a view, applied in order: each is a function with one argument."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from repro.data.rows import Ids, Rows
from repro.data.times import TICKS, WORDS, day
from repro.errors import ReproError
from repro.interactions import first_appearance

FROM_ONE = 1_000
"""How many times the number of identifiers the largest may be, if they are the numbers."""

FIRST = {"from zero": 0, "from one": 1}
"""The first number of items whose identifiers are their numbers."""


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


def distinct(rows: Rows, which: Literal["first", "last"]) -> Rows:
    """Keep one row of every repeated pair: the "first" or the "last" in row order."""
    order = np.arange(len(rows)) if which == "first" else np.arange(len(rows))[::-1]
    pair = rows.user.astype(np.int64) * len(rows.item_ids) + rows.item
    _, kept = np.unique(pair[order], return_index=True)
    return rows.take(np.sort(order[kept]))


def order(rows: Rows, by: Literal["time", "time, random ties", "oldest first", "file"]) -> Rows:
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
    else:
        tie = np.random.default_rng(0).random(len(rows))
        sorting = np.lexsort([tie, time, rows.user])
    return replace(rows.take(sorting), order="time")


def last_items_per_user(rows: Rows, most: int) -> Rows:
    """Keep each user's last `most` rows, in row order."""
    grouped = np.argsort(rows.user, kind="stable")
    user = rows.user[grouped]
    ends = np.searchsorted(user, user, side="right")
    keep = np.zeros(len(rows), dtype=bool)
    keep[grouped] = ends - np.arange(len(rows)) <= most
    return rows.take(keep)


def number_items(
    rows: Rows, by: Literal["first appearance", "ascending", "from zero", "from one"]
) -> Rows:
    """Fix the items and their numbers; an item that later loses its rows keeps its number.

    "first appearance": in row order. "ascending": by identifier. "from zero" and "from one": the
    identifiers are the numbers, from 0 or 1 to the largest, with or without rows.
    """
    if by == "ascending":
        vocabulary = rows.item_ids[np.flatnonzero(np.bincount(rows.item))]
    elif by == "first appearance":
        vocabulary = rows.item_ids[first_appearance(rows.item, np.arange(len(rows)))]
    else:
        vocabulary = _counted(rows, rows.item_ids[rows.item], by)
    return replace(rows, vocabulary=vocabulary)


def _counted(rows: Rows, known: Ids, by: str) -> Ids:
    """Return the numbers from 0 or 1 to the largest identifier."""
    if rows.item_ids.dtype.kind != "i":
        raise ReproError(f"items cannot be numbered '{by}': their identifiers are text")
    least, most = int(known.min(initial=FIRST[by])), int(known.max(initial=0))
    if least < FIRST[by]:
        hint = "number them 'from zero'" if least == 0 else "number them 'ascending'"
        raise ReproError(f"items cannot be numbered '{by}': there is an item {least}", hint)
    if most > FROM_ONE * len(rows.item_ids):
        raise ReproError(
            f"items cannot be numbered '{by}': the largest of {len(rows.item_ids):,} "
            f"identifiers is {most:,}"
        )
    return np.arange(FIRST[by], most + 1)


def catalogue(rows: Rows, n_items: int) -> Rows:
    """Fix how many items there are, with or without rows; they are numbered from zero or one."""
    known = rows.vocabulary
    first = -1 if known is None or known.dtype.kind != "i" or not len(known) else int(known[0])
    if known is None or first not in FIRST.values() or known[-1] != first + len(known) - 1:
        raise ReproError(
            f"the step catalogue = {n_items} needs items that are numbered from zero or one",
            'write { number_items = "from zero" } before it',
        )
    if n_items < len(known):
        raise ReproError(f"catalogue = {n_items:,}, and there is an item {int(known[-1]):,}")
    return replace(rows, vocabulary=np.arange(first, first + n_items))


def catalogue_of(rows: Rows, negatives: list[Rows], steps: Iterable[Any]) -> tuple[Ids, int]:
    """Return a view's items by number, and how many of them only lists of negatives name.

    NCF draws negatives from the whole catalogue. An item that a step has dropped does not come
    back, and a catalogue that a step has fixed does not grow.

    Parameters
    ----------
    rows : Rows
        What the steps left.
    negatives : list of Rows
        The lists.
    steps : iterable of Step
        The view's.
    """
    items = rows.vocabulary
    if items is None:
        items = rows.item_ids[np.flatnonzero(np.bincount(rows.item))]
    said = {step.name: step.argument for step in steps}
    named = [one.item_ids for one in negatives if one.item_ids.dtype.kind == items.dtype.kind]
    if not named or "catalogue" in said:
        return items, 0
    more = np.setdiff1d(np.concatenate(named), np.concatenate([items, rows.item_ids]))
    if not len(more):
        return items, 0
    whole = np.concatenate([items, more])
    if said.get("number_items") in FIRST:
        whole = _counted(rows, whole, said["number_items"])
    return whole, len(whole) - len(items)


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
        catalogue,
    )
}
"""Every step by name."""


def argument_fault(name: str, argument: Any) -> str:
    """Return what is wrong with the argument of a step; "" if nothing is."""
    wanted = list(get_type_hints(STEPS[name]).values())[1]
    if get_origin(wanted) is Literal:
        known = get_args(wanted)
        return "" if argument in known else _refused(" or ".join(map(repr, known)), argument)
    if wanted is str:  # a day
        try:
            datetime.date.fromisoformat(argument)
        except (TypeError, ValueError):
            return _refused("a date in quotes, such as '2018-01-01'", argument)
        return ""
    allowed = (int, float) if wanted is float else wanted
    if not isinstance(argument, allowed) or isinstance(argument, bool):
        return _refused("a number" if wanted is float else "a whole number", argument)
    return _refused("at least 1", argument) if wanted is int and argument < 1 else ""


def _refused(wanted: str, argument: Any) -> str:
    plain = isinstance(argument, str | int | float | list | dict)
    return f"must be {wanted}, got {argument!r}" if plain else f"must be {wanted}, got {argument}"


def _needed(column: NDArray[Any] | None, name: str) -> NDArray[Any]:
    if column is None:
        raise ReproError(f"the file has no column '{name}', which a step of the view needs")
    return column
