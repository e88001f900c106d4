"""What a protocol makes of a dataset: training data, queries and targets."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

import numpy as np

from repro.interactions import Dataset, IntArray, Interactions, digest


@dataclass(frozen=True, eq=False)
class Queries:
    """All that a model may see at test time; it holds no target.

    Parameters
    ----------
    user : int array, shape (B,)
        Each query's row in training; -1 if the user is not in training.
    history : Interactions
        B rows: the known interactions of each user. Their items are never recommended.
    candidates : int array, shape (B, C), optional
        The items to rank, ascending; shorter lists are padded with -1. None: every item that is not
        in the history.
    item_users : Interactions, optional
        I rows: the users of each item, where they differ from those in training, as when the
        history is corrupted. Models without item vectors ignore it.
    """

    user: IntArray
    history: Interactions
    candidates: IntArray | None = None
    item_users: Interactions | None = None

    def __len__(self) -> int:
        return len(self.user)

    def rows(self, index: IntArray) -> Queries:
        """Return some of the queries."""
        candidates = None if self.candidates is None else self.candidates[index]
        return Queries(self.user[index], self.history.rows(index), candidates, self.item_users)


@dataclass(frozen=True, eq=False)
class Cases:
    """Queries with their targets; every user has at least one target."""

    queries: Queries
    targets: Interactions

    def __post_init__(self) -> None:
        assert len(self.queries) == self.targets.n_users
        assert bool((self.targets.counts > 0).all()), "a user without targets"

    def __len__(self) -> int:
        return len(self.queries)

    def digest(self) -> str:
        """Return the sha256 of users, histories, targets and candidates."""
        arrays = {
            "user": self.queries.user,
            "history_of": self.queries.history.user,
            "history": self.queries.history.item,
            "targets": self.targets.pairs(),
        }
        if self.queries.candidates is not None:
            arrays["candidates"] = self.queries.candidates
        return digest(arrays)

    @staticmethod
    def of(
        user: IntArray,
        history: Interactions,
        targets: Interactions,
        candidates: IntArray | None = None,
    ) -> Cases:
        """Return the cases of the rows that have a target.

        Parameters
        ----------
        user : int array, shape (B,)
            Row in training, or -1.
        history, targets : Interactions
            B rows each.
        candidates : int array, shape (B, C), optional
            Items to rank.
        """
        have = np.flatnonzero(targets.counts)
        return Cases(Queries(user, history, candidates).rows(have), targets.rows(have))


@dataclass(frozen=True, eq=False)
class Split:
    """Training interactions, and the cases of validation and test.

    Parameters
    ----------
    train : Interactions
        What to train on.
    valid : Cases or None
        What may select the epoch.
    test : Cases
        What is reported.
    others : mapping
        Further cases by name, which no table reports, with several draws of each: their mean
        metrics go into the curve at the selected epoch.
    """

    train: Interactions
    valid: Cases | None
    test: Cases
    others: t.Mapping[str, tuple[Cases, ...]] = field(default_factory=dict)


class Splitter(t.Protocol):
    """An evaluation protocol: a frozen dataclass with one method."""

    def split(self, dataset: Dataset) -> Split:
        """Return the split; the same dataset gives the same split."""
        ...
