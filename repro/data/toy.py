"""Toy data of any size: users with a taste, in the file formats of real archives.

Every user and every item belongs to a taste cluster. Users interact mostly with popular items of
their own cluster, in an order in which neighbours in the cluster follow each other. So every family
of models has something to find: popularity, co-occurrence, sequence.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from repro.data import cache
from repro.data.manifest import Manifest
from repro.data.schema import Generate
from repro.files import write_atomically
from repro.interactions import IntArray

RECIPE = 1  # of the generated data; a change replaces the old files


def is_cached(manifest: Manifest) -> bool:
    """Return whether the cache holds the data that a manifest has generated."""
    have, recipe = cache.receipts(manifest), _recipe(manifest)
    return all(name in have and have[name].source == recipe for name in manifest.all_members())


def fill(manifest: Manifest) -> None:
    """Generate a manifest's data in the cache, unless it is there."""
    assert manifest.generate is not None
    if is_cached(manifest):  # made by the process that this one has waited for
        return
    raw = cache.raw_folder(manifest.id)
    generate(manifest.generate, raw)
    for name in manifest.all_members():
        cache.sign(manifest, name, cache.digests(raw / name), True, _recipe(manifest))


def _recipe(manifest: Manifest) -> str:
    """Return what the receipts of generated data name as their source."""
    assert manifest.generate is not None
    return cache.canonical_hash(manifest.generate.model_dump() | {"recipe": RECIPE})


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
    lists = list(_lists(size, rng))
    _write_ratings(folder, lists, rng)
    _write_split(folder, lists, rng)
    _write_leave_one_out(folder, lists, size.items, rng)


def _lists(size: Generate, rng: np.random.Generator) -> Iterator[IntArray]:
    """Yield each user's items, oldest first."""
    taste = np.arange(size.items) % size.clusters
    popular = 1.0 / (1.0 + np.arange(size.items) // size.clusters)  # within each cluster
    for user in range(size.users):
        weight = popular * np.where(taste == user % size.clusters, 1.0, 0.05)
        n = int(np.clip(rng.poisson(size.per_user), 6, size.items // 3))
        items = rng.choice(size.items, size=n, replace=False, p=weight / weight.sum())
        steps = (items - rng.integers(size.items)) % size.items  # each user begins elsewhere
        yield items[np.argsort(steps + rng.normal(0.0, 0.02 * size.items, n))]


def _write_ratings(folder: Path, lists: list[IntArray], rng: np.random.Generator) -> None:
    """Write ratings with times, a tenth of them low, as MovieLens has them."""
    liked = [rng.random(len(items)) < 0.9 for items in lists]
    lines = [
        f"{user + 1},{item + 1},{4 + (item + user) % 2 if good else 2},{1_000_000 + 60 * t}"
        for user, items in enumerate(lists)
        for t, (item, good) in enumerate(zip(items, liked[user], strict=True))
    ]
    _write(folder / "ratings.csv", ["userId,movieId,rating,timestamp", *lines])


def _write_split(folder: Path, lists: list[IntArray], rng: np.random.Generator) -> None:
    """Write a random split as JCA's: a fifth for test; the validation part is also in training."""
    order = [rng.permutation(items) for items in lists]
    cut = [max(1, len(items) // 5) for items in order]
    train = [items[n:] for items, n in zip(order, cut, strict=True)]
    split = {
        "train": train,
        "test": [items[:n] for items, n in zip(order, cut, strict=True)],
        "vali": [items[: max(1, len(items) // 10)] for items in train],
    }
    for name, parts in split.items():
        pairs = [(user, item) for user, part in enumerate(parts) for item in part]
        lines = [f"{user + 1},{item + 1}" for user, item in pairs]
        _write(folder / f"{name}.csv", ["userId,itemId", *lines])


def _write_leave_one_out(
    folder: Path, lists: list[IntArray], n_items: int, rng: np.random.Generator
) -> None:
    """Write NCF's three files: the newest item is held out, among items that the user lacks."""
    n_negatives = min(99, n_items - max(len(items) for items in lists))
    free = [np.setdiff1d(np.arange(n_items), items) for items in lists]
    drawn = [rng.choice(items, n_negatives, replace=False) for items in free]
    train, test, negative = [], [], []
    for user, (items, negatives) in enumerate(zip(lists, drawn, strict=True)):
        *seen, held_out = items
        train += [f"{user}\t{item}\t5\t{1_000_000 + 60 * t}" for t, item in enumerate(seen)]
        test.append(f"{user}\t{held_out}\t5\t2000000")
        negative.append("\t".join([f"({user},{held_out})", *map(str, negatives)]))
    _write(folder / "toy.train.rating", train)
    _write(folder / "toy.test.rating", test)
    _write(folder / "toy.test.negative", negative)


def _write(path: Path, lines: list[str]) -> None:
    write_atomically(path, ("\n".join(lines) + "\n").encode())
