"""What a protocol makes of a dataset: training data, queries and targets."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

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
    original : int array, shape (B,), optional
        Each user's number in the dataset; if not given, that in training. It attaches scores from
        elsewhere to users that training does not know.
    case : int array, shape (B,), optional
        Each query's number among all cases, of which a batch has some; if not given, from 0.
    """

    user: IntArray
    history: Interactions
    candidates: IntArray | None = None
    item_users: Interactions | None = None
    original: IntArray = None  # type: ignore[assignment]
    case: IntArray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.original is None:
            object.__setattr__(self, "original", self.user)
        if self.case is None:
            object.__setattr__(self, "case", np.arange(len(self.user)))

    def __len__(self) -> int:
        return len(self.user)

    def rows(self, index: IntArray) -> Queries:
        """Return some of the queries."""
        return Queries(
            self.user[index],
            self.history.rows(index),
            None if self.candidates is None else self.candidates[index],
            self.item_users,
            self.original[index],
            self.case[index],
        )


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
        original: IntArray | None = None,
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
        original : int array, shape (B,), optional
            Each user's number in the dataset, where that is not the row in training.
        """
        have = np.flatnonzero(targets.counts)
        numbers = user if original is None else original
        queries = Queries(user, history, candidates, None, numbers).rows(have)
        return Cases(replace(queries, case=np.arange(len(have))), targets.rows(have))


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
    users, items : int array, shapes (U,) and (I,), optional
        The number in the dataset of each user and item of `train`; if not given, they are the same.
    """

    train: Interactions
    valid: Cases | None
    test: Cases
    others: t.Mapping[str, tuple[Cases, ...]] = field(default_factory=dict)
    users: IntArray = None  # type: ignore[assignment]
    items: IntArray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.users is None:
            object.__setattr__(self, "users", np.arange(self.train.n_users))
        if self.items is None:
            object.__setattr__(self, "items", np.arange(self.train.n_items))


class Splitter(t.Protocol):
    """An evaluation protocol: a frozen dataclass with one method."""

    def split(self, dataset: Dataset) -> Split:
        """Return the split; the same dataset gives the same split."""
        ...
