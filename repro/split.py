"""What a protocol makes of a dataset: training data, queries and targets."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from repro.interactions import IntArray, Interactions, digest

Users = NDArray[np.bool_]
"""Whether something holds of each user, shape (B,)."""


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
    """Queries with their targets; every user has at least one target.

    Parameters
    ----------
    queries : Queries
        What a model sees.
    targets : Interactions
        What must be found, a row for each query.
    dropped : mapping, optional
        How many users the protocol does not ask, by reason: "no target".
    lost : int
        Interactions of all these users with items that training lacks, which the protocol leaves
        out.
    negatives : int, optional
        How many candidates besides the targets the protocol asks for.
    """

    queries: Queries
    targets: Interactions
    dropped: t.Mapping[str, int] = field(default_factory=dict)
    lost: int = 0
    negatives: int | None = None

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
        *,
        why: t.Mapping[str, Users] | None = None,
        lost: int = 0,
        negatives: int | None = None,
    ) -> Cases:
        """Return the cases of the rows that have a target, and something to rank it against.

        Where nothing but targets can be ranked, the first rank says nothing of a model.

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
        why : mapping, optional
            Reasons for having no target, each with the users of whom it holds; the first counts.
        lost, negatives
            As above.
        """
        have = targets.counts > 0
        alone = have & ~_have_rivals(history, targets, candidates)
        dropped, left = {}, ~have
        for reason, users in {**(why or {}), NO_TARGET: left}.items():
            dropped[reason] = int((left & users).sum())
            left = left & ~users
        dropped[NO_RIVAL] = int(alone.sum())
        keep = np.flatnonzero(have & ~alone)
        numbers = user if original is None else original
        queries = Queries(user, history, candidates, None, numbers).rows(keep)
        return Cases(
            replace(queries, case=np.arange(len(keep))),
            targets.rows(keep),
            {reason: n for reason, n in dropped.items() if n},
            lost,
            negatives,
        )


NO_TARGET = "no target"
NO_RIVAL = "nothing to rank a target against"


def _have_rivals(
    history: Interactions, targets: Interactions, candidates: IntArray | None
) -> Users:
    """Return which users have an item to rank besides the targets, shape (B,)."""
    found = np.ones(targets.n_users, dtype=bool)
    if candidates is None:
        few = history.counts + targets.counts >= targets.n_items
    else:
        few = (candidates >= 0).sum(axis=1) <= targets.counts
    for row in np.flatnonzero(few).tolist():
        known = [targets[row]] if candidates is not None else [targets[row], history[row]]
        ranked = np.arange(targets.n_items) if candidates is None else candidates[row]
        found[row] = len(np.setdiff1d(ranked[ranked >= 0], np.concatenate(known))) > 0
    return found


@dataclass(frozen=True)
class CasesSummary:
    """What the cases of a test, or of a validation, ask."""

    users: int
    """Users who are asked."""
    of: int
    """Users whom the protocol could have asked: these, and those it dropped."""
    dropped: dict[str, int]
    """Users who are not asked, by reason."""
    without_history: int
    """Users of whom no interaction is known."""
    without_training: int
    """Users without a training row, as all are under strong generalisation."""
    targets: int
    """Items to be found."""
    unknown_targets: int
    """Targets that no training row has."""
    masked_targets: int
    """Targets that stand in the history, and so are never ranked; they count as misses."""
    lost: int
    """Interactions with items that training lacks, which the protocol leaves out."""
    full: bool
    """Whether all items are ranked that are not in the history; else each user has candidates."""
    negatives_asked: int | None
    """How many candidates besides the targets the protocol asks for; null: it does not say."""
    negatives_mean: float
    """How many items besides the targets are ranked, mean over users."""
    negatives_min: int
    """How many are for the user with the fewest."""
    known_negatives: int
    """Candidates besides the targets that stand in the history."""

    @property
    def is_short(self) -> bool:
        """Whether there are fewer candidates than asked for, by more than a hundredth.

        Less cannot be seen in a metric: NCF's own lists lack one negative of 99 for 3 % of users.
        """
        asked = self.negatives_asked
        return asked is not None and self.users > 0 and self.negatives_mean < 0.99 * asked

    @property
    def ranked_mean(self) -> float:
        """How many items are ranked, mean over users."""
        found = self.targets - self.masked_targets
        return self.negatives_mean + (found / self.users if self.users else 0.0)

    @staticmethod
    def of_cases(cases: Cases, train: Interactions) -> CasesSummary:
        """Return what cases ask of what was trained on."""
        user, history = cases.queries.user, cases.queries.history
        targets, candidates = cases.targets.distinct(), cases.queries.candidates
        trained = np.bincount(train.item, minlength=train.n_items) > 0
        known = np.where(user >= 0, train.counts[np.maximum(user, 0)], 0) if len(user) else user
        ranked = targets.without(history) if candidates is None else targets
        return CasesSummary(
            users=len(cases),
            of=len(cases) + sum(cases.dropped.values()),
            dropped=dict(cases.dropped),
            without_history=int((history.counts == 0).sum()),
            without_training=int((known == 0).sum()),
            targets=len(targets),
            unknown_targets=int((~trained[targets.item]).sum()),
            masked_targets=len(targets) - len(ranked),
            lost=cases.lost,
            full=candidates is None,
            negatives_asked=cases.negatives,
            **_negatives(history, targets, ranked, candidates),
        )


def _negatives(
    history: Interactions,
    targets: Interactions,
    ranked: Interactions,
    candidates: IntArray | None,
) -> dict[str, t.Any]:
    """Return what a summary says of the items that are ranked besides the targets."""
    n_users = targets.n_users
    if candidates is None or not n_users:
        n = targets.n_items - history.distinct().counts - ranked.counts
        return {
            "negatives_mean": float(n.mean()) if n_users else 0.0,
            "negatives_min": int(n.min(initial=targets.n_items)),
            "known_negatives": 0,
        }
    row, place = np.nonzero(candidates >= 0)
    pair = row.astype(np.int64) * targets.n_items + candidates[row, place]
    negative = ~np.isin(pair, targets.pairs())
    n = np.bincount(row[negative], minlength=n_users)
    return {
        "negatives_mean": float(n.mean()),
        "negatives_min": int(n.min()),
        "known_negatives": int(np.isin(pair[negative], history.pairs()).sum()),
    }


@dataclass(frozen=True)
class SplitSummary:
    """What a split trains on, and what it asks."""

    train_users: int
    """Users with a training row."""
    train_items: int
    """Items with a training row."""
    train_interactions: int
    full_users: int
    """Users who have every item in training: a model that draws negatives leaves them out."""
    test: CasesSummary
    valid: CasesSummary | None
    """Null: nothing is held out for validation."""

    @classmethod
    def from_json(cls, content: t.Mapping[str, t.Any]) -> SplitSummary:
        """Return the summary that `dataclasses.asdict` gave."""
        held = {name: content[name] and CasesSummary(**content[name]) for name in ("test", "valid")}
        return cls(**{**content, **held})


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

    @cached_property
    def summary(self) -> SplitSummary:
        """What is asked: of how many users, for how many items, among how many."""
        train = self.train
        return SplitSummary(
            train_users=int((train.counts > 0).sum()),
            train_items=len(np.unique(train.item)),
            train_interactions=len(train),
            full_users=len(train.complete_users()),
            test=CasesSummary.of_cases(self.test, train),
            valid=None if self.valid is None else CasesSummary.of_cases(self.valid, train),
        )
