"""Beyond accuracy: what is recommended at all, how popular it is, and who is served well.

These need the lists themselves, which `repro run --keep lists` keeps; hits do not tell them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from repro.interactions import IntArray
from repro.metrics import Values
from repro.runs.lists import Lists

HEAD = 0.8
"""The share of training interactions that the most popular items, the short head, hold."""


def coverage(lists: Lists, k: int) -> float:
    """Return the share of all items that are in somebody's first k.

    Notes
    -----
    Herlocker et al. 2004, "catalog coverage".
    """
    return len(np.unique(lists.top(k))) / len(lists.popularity)


def mean_popularity(lists: Lists, k: int) -> float:
    """Return the mean share of training users that a recommended item has.

    Notes
    -----
    "Average recommendation popularity" (Yin et al. 2012), as a share of the users.
    """
    return float(lists.popularity[lists.top(k)].mean() / lists.n_train_users)


def novelty(lists: Lists, k: int) -> float:
    """Return the mean self-information of a recommended item, in bits.

    Notes
    -----
    -log2 of the share of training users who have the item (Zhou et al. 2010). An item that none of
    them has counts as if one had it.
    """
    share = np.maximum(lists.popularity[lists.top(k)], 1) / lists.n_train_users
    return float(-np.log2(share).mean())


def long_tail(lists: Lists, k: int) -> float:
    """Return the share of recommended items that are not in the short head.

    Notes
    -----
    The short head: the fewest items that hold 80 % of the training interactions (Abdollahpouri et
    al. 2019, "average percentage of long tail items"). Of equally popular items at its border, the
    lower numbers belong to it.
    """
    order = np.argsort(-lists.popularity, kind="stable")
    held = np.cumsum(lists.popularity[order]) / max(1, lists.popularity.sum())
    is_tail = np.ones(len(order), dtype=bool)
    is_tail[order[: int(np.searchsorted(held, HEAD)) + 1]] = False
    return float(is_tail[lists.top(k)].mean())


MEASURES: dict[str, Callable[[Lists, int], float]] = {
    "coverage": coverage,
    "mean popularity": mean_popularity,
    "novelty": novelty,
    "long tail": long_tail,
}


def overlap(one: Lists, other: Lists, k: int) -> Values:
    """Return how much two models recommend the same: per user, the Jaccard index of both first k.

    Parameters
    ----------
    one, other : Lists
        Of the same users in the same order.
    """
    mine, theirs = one.items[:, :k], other.items[:, :k]
    both = ((mine[:, :, None] == theirs[:, None, :]) & (mine[:, :, None] >= 0)).sum(axis=(1, 2))
    either = (mine >= 0).sum(axis=1) + (theirs >= 0).sum(axis=1) - both
    return np.divide(both, either, out=np.ones(len(both)), where=either > 0)


@dataclass(frozen=True)
class Group:
    """Test users of similar activity, and their mean of a metric."""

    least: int
    most: int
    """The fewest and the most items in a history."""
    users: int
    value: float
    standard_error: float | None


def by_activity(values: Values, activity: IntArray, n_groups: int = 4) -> list[Group]:
    """Return a metric's mean for groups of users of equal size, the least active first.

    Users with equally long histories stay together, so that sizes may differ.

    Parameters
    ----------
    values : float array, shape (U,)
        The metric per user.
    activity : int array, shape (U,)
        Items in each user's history.
    n_groups : int
        At most so many groups.
    """
    borders = np.quantile(activity, np.linspace(0, 1, n_groups + 1)[1:-1], method="lower")
    group = np.searchsorted(np.unique(borders), activity, side="left")
    found = []
    for number in np.unique(group):
        own, lengths = values[group == number], activity[group == number]
        error = float(own.std(ddof=1) / np.sqrt(len(own))) if len(own) > 1 else None
        one = Group(int(lengths.min()), int(lengths.max()), len(own), float(own.mean()), error)
        found.append(one)
    return found
