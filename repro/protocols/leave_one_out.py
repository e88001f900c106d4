"""Leave-one-out: rank one held-out item per user among negatives fixed in advance.

Six users, rows oldest first; T trained on, v validation, x must be found among itself and
``negatives`` items that the user never touched::

    user 0   T T v T x          test = "latest": x is the newest row
    user 1   T T T v x
    user 2   v T T T x          v is drawn at random from the rest
    user 3   T x T v T          test = "random": x is drawn at random
    user 4   T T v x T
    user 5   T T T v | x        test = "given": x and the negatives come from the archive

Every user is in training, so a model may know them. Negatives are drawn uniformly without
replacement from items that the user has in neither training, validation nor test; validation has
its own list. A given list may contain the held-out item itself (156 of 6,040 users in NCF's ML-1M
files) or another item twice: each item counts once, as in the dictionary of scores of NCF's own
evaluation. So does a test row that is repeated. A user whose list holds nothing but the held-out
item is not asked: the first rank of one says nothing.

Source: He et al. 2017 (NCF), Section 4.1; DAVE, Section 4.1.2, adds the validation item. Ties at
the latest second are broken by the view's order.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from repro.errors import ReproError
from repro.hyperparameters import Count, Natural, NonNegative
from repro.interactions import Dataset, IntArray, Interactions, from_rows
from repro.protocols._noise import corrupted
from repro.split import Cases, Split

BATCH = 1024  # users whose negatives are drawn together; changes the memory, not the result


@dataclass(frozen=True, kw_only=True)
class LeaveOneOut:
    """Hold out one interaction of every user for test, and another for validation."""

    test: Literal["latest", "random", "given"] = "latest"
    """Which interaction is held out; "given": the archive's own choice."""
    negatives: Count = 99
    """How many items that the user does not have are ranked with the held-out one."""
    given_negatives: bool = False
    """Take the test negatives from the archive."""
    validation: bool = True
    """Hold out another interaction per user, at random, for validation."""
    seed: Natural = 0
    """Of the draws; the lists are the same for every model and every training seed."""
    noise: tuple[NonNegative, ...] = ()
    """Shares of noise in the vectors of users and items; the test is repeated for each, with the
    same trained model (DAVE, Figure 2). The cases are called "noise 0.1" and so on."""
    noise_kind: Literal["interactions", "entries", "replace"] = "interactions"
    """What the noise is, and what the share is taken of: see `repro.protocols._noise`."""
    noise_draws: Count = 5
    """Draws of the noise over which the metrics are averaged."""

    SMOKE: ClassVar[dict[str, str]] = {"dataset": "toy/leave_one_out"}

    def split(self, dataset: Dataset) -> Split:
        """Return the split.

        Raises
        ------
        ReproError
            If users have too few interactions, the rows are not ordered in time, or the archive
            lacks what should be given.
        """
        rng = np.random.default_rng(self.seed)
        train, test = self._test(dataset, rng)
        touched = np.unique(np.concatenate([train.pairs(), test.pairs()]))
        n_asked = self.negatives
        if self.given_negatives:
            [given] = dataset.given("negatives")
            lists, n_asked = _padded(given), _usual_length(given)
        else:
            lists = self._negatives(test, touched, rng)
        candidates = _beside(test, lists)
        users = np.arange(train.n_users)
        held = None
        if self.validation:
            drawn = _one_per_user(train, rng)
            train, valid = train.where(~drawn), train.where(drawn)
            beside = _beside(valid, self._negatives(valid, touched, rng))
            why = {"no training row to hold out": valid.counts == 0}
            held = Cases.of(users, train, valid, beside, why=why, negatives=self.negatives)
        why = {"no test row": test.counts == 0}
        cases = Cases.of(users, train, test, candidates, why=why, negatives=n_asked)
        return Split(train, held, cases, self._noisy(train, cases))

    def _noisy(self, train: Interactions, clean: Cases) -> dict[str, tuple[Cases, ...]]:
        """Return the test under noise; every model gets the same draws."""
        by_item = from_rows(train.item, train.user, train.n_items, train.n_users, ordered=False)
        found = {}
        for level, share in enumerate(self.noise):
            draws = []
            for draw in range(self.noise_draws):
                rng = np.random.default_rng([self.seed, level, draw])
                users = corrupted(train, share, self.noise_kind, rng).rows(clean.queries.user)
                items = corrupted(by_item, share, self.noise_kind, rng)
                queries = replace(clean.queries, history=users, item_users=items)
                draws.append(replace(clean, queries=queries))
            found[f"noise {share:g}"] = tuple(draws)
        return found

    def _test(
        self, dataset: Dataset, rng: np.random.Generator
    ) -> tuple[Interactions, Interactions]:
        """Return the remaining rows, and the held-out ones, one per user."""
        if self.test == "given":
            train, test = (part.distinct() for part in dataset.given("train", "test"))
            several = np.flatnonzero(test.counts > 1)
            if len(several):
                user, n = dataset.user_ids[several[0]], test.counts[several[0]]
                raise ReproError(
                    f"{dataset.id} gives {len(several):,} users more than one test item: user "
                    f"{user} has {n:,}",
                    "leave-one-out holds out one; given_split takes a test file with several",
                )
            return train.without(test), test
        rows = dataset.interactions.distinct()
        if self.test == "latest" and not rows.ordered:
            raise ReproError(
                f"{dataset.id} is not ordered in time, so no interaction is the latest",
                "use test = 'random', or a view with order = 'time'",
            )
        needed = 2 + self.validation
        short = int((rows.counts < needed).sum())
        if short:
            raise ReproError(
                f"{dataset.id}: {short:,} users have fewer than {needed} interactions",
                "filter them in the view, with a step such as min_items_per_user",
            )
        if self.test == "latest":
            drawn = rows.position == rows.counts[rows.user] - 1
        else:
            drawn = _one_per_user(rows, rng)
        return rows.where(~drawn), rows.where(drawn)

    def _negatives(
        self, target: Interactions, touched: IntArray, rng: np.random.Generator
    ) -> IntArray:
        """Draw items that the users do not have; int32, shape (U, negatives), -1 where too few."""
        n_users, n_items = target.n_users, target.n_items
        width = min(self.negatives, n_items)
        out = np.empty((n_users, width), dtype=np.int32)
        for start in range(0, n_users, BATCH):
            end = min(start + BATCH, n_users)
            keys = rng.random((end - start, n_items), dtype=np.float32)
            begin, stop = np.searchsorted(touched, [start * n_items, end * n_items])
            pairs = touched[begin:stop]
            keys[pairs // n_items - start, pairs % n_items] = 2.0  # above every draw
            best = np.argpartition(keys, width - 1, axis=1)[:, :width]
            free = np.take_along_axis(keys, best, axis=1) < 2.0
            out[start:end] = np.where(free, best, -1)
        return out


def _one_per_user(rows: Interactions, rng: np.random.Generator) -> np.ndarray:
    """Return a mask of shape (n,) that keeps one row of each user, drawn uniformly."""
    have = np.flatnonzero(rows.counts)
    drawn = np.zeros(len(rows), dtype=bool)
    drawn[rows.offsets[have] + rng.integers(rows.counts[have])] = True
    return drawn


def _beside(target: Interactions, negatives: IntArray) -> IntArray:
    """Return each user's target and negatives, ascending, -1 last; shape (U, C).

    In ascending order, an item's place does not tell whether it is the target. A repeated item is
    kept once.
    """
    never = np.iinfo(np.int32).max
    together = np.concatenate([_padded(target)[:, :1], negatives], axis=1)
    together = np.sort(np.where(together < 0, never, together), axis=1)
    again = together[:, 1:] == together[:, :-1]
    together[:, 1:][again] = never
    together.sort(axis=1)
    return np.where(together == never, -1, together).astype(np.int32)


def _usual_length(lists: Interactions) -> int:
    """Return the most frequent length of the lists that are not empty."""
    return int(np.bincount(lists.counts[lists.counts > 0]).argmax()) if len(lists) else 0


def _padded(rows: Interactions) -> IntArray:
    """Return each user's items, shorter lists padded with -1; shape (U, longest)."""
    out = np.full((rows.n_users, int(rows.counts.max(initial=0))), -1, dtype=np.int32)
    out[rows.user, rows.position] = rows.item
    return out


PROTOCOL = LeaveOneOut
