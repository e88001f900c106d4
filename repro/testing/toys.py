"""Toy data in memory with something to learn: popularity and co-occurrence."""

from __future__ import annotations

from copy import deepcopy
from functools import cache

import numpy as np

from repro.interactions import Dataset, IntArray, Interactions, from_rows
from repro.protocols.random_split import RandomSplit
from repro.split import Split

N_USERS, N_ITEMS, N_EACH = 120, 130, 12


def toy_dataset() -> Dataset:
    """Return 120 users with 12 of 130 items each; every call gives a new copy of the same data.

    An even user touches mostly even items, an odd user odd ones; low numbers are popular. The parts
    are "train", "valid" and "test".
    """
    return deepcopy(_dataset())


def toy_split() -> Split:
    """Return the toy data split at random within each user; a new copy of the same split."""
    return deepcopy(_split())


@cache
def _split() -> Split:
    return RandomSplit().split(_dataset())


@cache
def _dataset() -> Dataset:
    """Two tastes; every user touches popular items of their own taste most."""
    rng = np.random.default_rng(0)
    item = np.arange(N_ITEMS)
    popular = 1.0 / (1.0 + item // 2)
    lists = np.empty((N_USERS, N_EACH), dtype=np.int64)
    for user in range(N_USERS):
        weight = popular * np.where(item % 2 == user % 2, 1.0, 0.02)
        lists[user] = rng.choice(N_ITEMS, N_EACH, replace=False, p=weight / weight.sum())
    lists = rng.permuted(lists, axis=1)
    return Dataset(
        id="toy/memory",
        interactions=_rows(lists),
        user_ids=np.arange(N_USERS).astype(str),
        item_ids=item.astype(str),
        digest="toy",
        parts={
            "train": _rows(lists[:, :-2]),
            "valid": _rows(lists[:, :1]),
            "test": _rows(lists[:, -2:]),
        },
    )


def _rows(lists: IntArray) -> Interactions:
    """Return the interactions of lists of one length, shape (U, n)."""
    user = np.repeat(np.arange(len(lists)), lists.shape[1])
    return from_rows(user, lists.ravel(), len(lists), N_ITEMS, ordered=True)
