"""Is one row above another for the same users and seeds? The chance that both share cancels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from repro import metrics
from repro.experiment import Experiment
from repro.interactions import IntArray
from repro.metrics import Values
from repro.results.frozen import RowName
from repro.results.significance import freedom


class PerUser(Protocol):
    """The hits of every test user of a run: a record, or what was kept of one."""

    @property
    def experiment(self) -> Experiment:
        """What was run."""

    @property
    def digest(self) -> str:
        """Of the dataset."""

    @property
    def cases(self) -> str:
        """Digest of the test cases; "" if it was not kept."""

    @property
    def n_users(self) -> int:
        """Test users."""

    def keeps(self, metric: str) -> bool:
        """Return whether the hits of the epoch are kept that counts for a metric."""

    def hits_of(self, columns: Iterable[str]) -> tuple[dict[str, metrics.Hits], IntArray]:
        """Return hits by metric, bool of shape (U, K), and targets per user, shape (U,)."""


@dataclass(frozen=True)
class Difference:
    """How far one row's result is above another's in a column."""

    label: str
    """The metric as printed."""
    value: float
    """Mean over users and seeds."""
    standard_error: float | None
    """Over users and seeds; with one seed, over users alone."""
    df: float
    """Its degrees of freedom; 0 without one."""
    of_seeds: tuple[float, ...]
    """Mean over the users, by seed."""


@dataclass(frozen=True)
class Pair:
    """Two rows in one column group, over the test users and seeds that they share."""

    group: str
    row: RowName
    against: RowName
    n_users: int
    seeds: tuple[int, ...]
    differences: tuple[Difference, ...]


def paired(
    group: str,
    row: tuple[RowName, Iterable[PerUser]],
    against: tuple[RowName, Iterable[PerUser]],
    columns: Mapping[str, str],
) -> Pair | None:
    """Return how far one row is above another; None if no seed has the same test cases in both.

    Parameters
    ----------
    group : str
        The column group's label.
    row, against : tuple of RowName and iterable of PerUser
        Name and runs, one per seed. A run that kept no hits of the epochs that count is left out.
    columns : mapping
        Metric by printed label.
    """
    mine, theirs = (
        {r.experiment.seed: r for r in records if all(map(r.keeps, columns.values()))}
        for _, records in (row, against)
    )
    same: dict[int, tuple[_Hits, _Hits]] = {}
    for seed in sorted(mine.keys() & theirs.keys()):
        if _asked_the_same(mine[seed], theirs[seed]):
            own, n_targets = mine[seed].hits_of(columns.values())
            other, also = theirs[seed].hits_of(columns.values())
            if np.array_equal(n_targets, also):
                same[seed] = (own, n_targets), (other, also)
    if not same:
        return None
    made = []
    for label, metric in columns.items():
        ours, others = (_of_seeds(metric, side) for side in zip(*same.values(), strict=True))
        values = ours - others
        of_seeds = values.mean(axis=1)
        error, df = standard_error(values)
        made.append(Difference(label, float(values.mean()), error, df, tuple(of_seeds.tolist())))
    return Pair(group, row[0], against[0], values.shape[1], tuple(same), tuple(made))


_Hits = tuple[dict[str, metrics.Hits], IntArray]
"""Hits by metric, and targets per user."""


def _of_seeds(metric: str, runs: Sequence[_Hits]) -> Values:
    """Return a metric of every user, shape (S seeds, U users)."""
    hits = np.concatenate([kept[metric] for kept, _ in runs])
    n_targets = np.concatenate([n for _, n in runs])
    return metrics.per_user(metric, hits, n_targets).reshape(len(runs), -1)


def standard_error(values: Values) -> tuple[float | None, float]:
    """Return the standard error of the mean of values, shape (S seeds, U users), and its freedom.

    Users and seeds are crossed, and both are samples (two-way random effects). The users' part is
    the variance of the users' means. The seeds' part is what the seeds' means vary beyond the
    residual; no number of users makes it smaller. One user has no standard error.
    """
    of_users = metrics.standard_error(values.mean(axis=0))
    n_seeds, n_users = values.shape
    if of_users is None:
        return None, 0.0
    if n_seeds == 1:
        return of_users, n_users - 1.0
    means = values.mean(axis=1)
    rest = values - values.mean(axis=0) - means[:, None] + values.mean()
    noise = (rest**2).sum() / ((n_seeds - 1) * (n_users - 1)) / n_users
    of_seeds = max(0.0, float(means.var(ddof=1) - noise)) / n_seeds
    df = freedom([(of_users**2, n_users - 1.0), (of_seeds, n_seeds - 1.0)])
    return math.sqrt(of_users**2 + of_seeds), df


def _asked_the_same(one: PerUser, other: PerUser) -> bool:
    """Return whether the test cases of two records are the same.

    The digest of equal cases may differ between versions of this code, but a protocol makes the
    same cases of the same data.
    """
    where = [(r.digest, r.experiment.dataset, r.experiment.protocol) for r in (one, other)]
    return where[0] == where[1] or bool(one.cases and one.cases == other.cases)
