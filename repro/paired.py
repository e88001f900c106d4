"""Is one row above another for the same users and seeds? Differences that chance shares cancel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from repro import metrics
from repro.records import Record


@dataclass(frozen=True)
class Difference:
    """How far one row's result is above another's in a column."""

    label: str
    """The metric as printed."""
    value: float
    """Mean over users and seeds."""
    standard_error: float | None
    """Of the users' own mean differences over the seeds."""


@dataclass(frozen=True)
class Pair:
    """Two rows in one column group, over the test users and seeds that they share."""

    group: str
    row: str
    against: str
    n_users: int
    seeds: tuple[int, ...]
    differences: tuple[Difference, ...]


def paired(
    group: str,
    row: tuple[str, Iterable[Record]],
    against: tuple[str, Iterable[Record]],
    columns: Mapping[str, str],
) -> Pair | None:
    """Return how far one row is above another; None if no seed has the same test cases in both.

    Parameters
    ----------
    group : str
        The column group's label.
    row, against : tuple of str and iterable of Record
        Name and records, one per seed. A record where each metric has its own best epoch keeps no
        hits of these epochs, and is left out.
    columns : mapping
        Metric by printed label.
    """
    mine, theirs = (
        {r.experiment["seed"]: r for r in records if r.experiment["select"] != "test:each"}
        for _, records in (row, against)
    )
    seeds = [
        seed
        for seed in sorted(mine.keys() & theirs.keys())
        if _asked_the_same(mine[seed], theirs[seed])
    ]
    if not seeds:
        return None
    hits = [(mine[seed].hits(), theirs[seed].hits()) for seed in seeds]
    made = []
    for label, metric in columns.items():
        per_seed = [
            metrics.per_user(metric, *own) - metrics.per_user(metric, *others)
            for own, others in hits
        ]
        values = np.mean(per_seed, axis=0)
        error = metrics.standard_error(values)
        made.append(Difference(label, float(values.mean()), error))
    n_users = len(hits[0][0][1])
    return Pair(group, row[0], against[0], n_users, tuple(seeds), tuple(made))


def _asked_the_same(one: Record, other: Record) -> bool:
    """Return whether the test cases of two records are the same.

    A digest of equal cases may differ between versions of this code, but a protocol gives the same
    cases of the same data.
    """
    where = [(r.digest, r.experiment["dataset"], r.experiment["protocol"]) for r in (one, other)]
    if one.cases != other.cases and where[0] != where[1]:
        return False
    return np.array_equal(one.hits()[1], other.hits()[1])
