"""Toy data in memory that has something to find: popularity and co-occurrence."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from repro.interactions import Dataset, Interactions, from_rows
from repro.plugins import PROTOCOLS
from repro.split import Split

N_USERS, N_ITEMS, N_EACH = 120, 130, 12


def as_rows(lists: np.ndarray) -> Interactions:
    """Return the interactions of lists of one length, shape (U, n)."""
    user = np.repeat(np.arange(len(lists)), lists.shape[1])
    return from_rows(user, lists.ravel(), len(lists), N_ITEMS, ordered=True)


@pytest.fixture(scope="session")
def toy() -> Dataset:
    """Two tastes; every user touches popular items of the own taste most."""
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
        interactions=as_rows(lists),
        user_ids=np.arange(N_USERS).astype(str),
        item_ids=item.astype(str),
        digest="toy",
        parts={
            "train": as_rows(lists[:, :-2]),
            "valid": as_rows(lists[:, :1]),
            "test": as_rows(lists[:, -2:]),
        },
    )


@pytest.fixture(scope="session")
def split(toy: Dataset) -> Callable[..., Split]:
    """Return how a protocol splits the toy data, with the changes it makes for smoke runs."""

    def made(name: str, **given: object) -> Split:
        smoke = {k: v for k, v in PROTOCOLS.entry(name).smoke.items() if k != "dataset"}
        return PROTOCOLS.load(name)(**{**smoke, **given}).split(toy)

    return made
