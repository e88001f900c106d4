"""Toy interactions, written as one list of items per user."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from repro.interactions import Dataset, Interactions, from_rows

Lists = Sequence[Sequence[int]]


def interactions(lists: Lists, n_items: int = 12, ordered: bool = True) -> Interactions:
    user = np.repeat(np.arange(len(lists)), [len(items) for items in lists])
    item = np.array([item for items in lists for item in items], dtype=np.int64)
    return from_rows(user, item, len(lists), n_items, ordered)


@pytest.fixture(scope="session")
def build() -> Callable[..., Interactions]:
    return interactions


@pytest.fixture(scope="session")
def dataset() -> Callable[..., Dataset]:
    def made(lists: Lists, n_items: int = 12, ordered: bool = True, **parts: Lists) -> Dataset:
        whole = interactions(lists, n_items, ordered)
        return Dataset(
            id="toy/lists",
            interactions=whole,
            user_ids=np.arange(len(lists)).astype(str),
            item_ids=np.arange(n_items).astype(str),
            digest="",
            parts={name: interactions(part, n_items, ordered) for name, part in parts.items()},
        )

    return made
