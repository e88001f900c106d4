"""Toy data of any size: users with a taste, in the file formats of real archives.

Every user and every item belongs to a taste cluster. Users interact mostly with popular items of
their own cluster, in an order in which neighbours in the cluster follow each other. So every family
of models has something to find: popularity, co-occurrence, sequence.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from repro.data.manifest import Generate
from repro.files import write_atomically

RECIPE = 1  # of the generated data; a change replaces the old files


def generate(size: Generate, folder: Path) -> None:
    """Write ``ratings.csv``, a split of it, and NCF's leave-one-out files.

    Parameters
    ----------
    size : Generate
        How many users, items and clusters; the seed.
    folder : Path
        Where to write.
    """
    rng = np.random.default_rng(size.seed)
    taste = np.arange(size.items) % size.clusters
    popular = 1.0 / (1.0 + np.arange(size.items) // size.clusters)  # within each cluster
    lists = []
    for user in range(size.users):
        weight = popular * np.where(taste == user % size.clusters, 1.0, 0.05)
        n = int(np.clip(rng.poisson(size.per_user), 6, size.items // 3))
        items = rng.choice(size.items, size=n, replace=False, p=weight / weight.sum())
        steps = (items - rng.integers(size.items)) % size.items  # each user begins elsewhere
        lists.append(items[np.argsort(steps + rng.normal(0.0, 0.02 * size.items, n))])

    def rows(parts: list[np.ndarray]) -> list[tuple[int, int]]:
        return [(user + 1, int(item) + 1) for user, part in enumerate(parts) for item in part]

    liked = [rng.random(len(items)) < 0.9 for items in lists]
    lines = [
        f"{user + 1},{item + 1},{4 + (item + user) % 2 if good else 2},{1_000_000 + 60 * t}"
        for user, items in enumerate(lists)
        for t, (item, good) in enumerate(zip(items, liked[user], strict=True))
    ]
    _write(folder / "ratings.csv", ["userId,movieId,rating,timestamp", *lines])

    order = [rng.permutation(items) for items in lists]
    cut = [max(1, len(items) // 5) for items in order]
    train = [items[n:] for items, n in zip(order, cut, strict=True)]
    split = {
        "train": train,
        "test": [items[:n] for items, n in zip(order, cut, strict=True)],
        "vali": [items[: max(1, len(items) // 10)] for items in train],
    }
    for name, part in split.items():
        _write(folder / f"{name}.csv", ["userId,itemId", *(f"{u},{i}" for u, i in rows(part))])

    held_out = [items[-1] for items in lists]
    n_negatives = min(99, size.items - max(len(items) for items in lists))
    free = [np.setdiff1d(np.arange(size.items), items) for items in lists]
    drawn = [rng.choice(items, n_negatives, replace=False) for items in free]
    tab = "\t".join
    _write(
        folder / "toy.train.rating",
        [
            tab(map(str, (user, item, 5, 1_000_000 + 60 * t)))
            for user, items in enumerate(lists)
            for t, item in enumerate(items[:-1])
        ],
    )
    _write(
        folder / "toy.test.rating",
        [tab(map(str, (user, item, 5, 2_000_000))) for user, item in enumerate(held_out)],
    )
    _write(
        folder / "toy.test.negative",
        [
            tab([f"({user},{item})", *map(str, negatives)])
            for user, (item, negatives) in enumerate(zip(held_out, drawn, strict=True))
        ],
    )


def _write(path: Path, lines: list[str]) -> None:
    write_atomically(path, ("\n".join(lines) + "\n").encode())
