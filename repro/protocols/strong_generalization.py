"""Strong generalisation: rank for users who are not in training.

Six users, ``heldout_users = 2``; T trained on, h history given at test time, x must be found::

    user 0   T T T T T
    user 1   h h h h x          test
    user 2   h h x h h          validation
    user 3   T T T T T          training: all rows
    user 4   x h h h h          validation: the history is given, x must be found
    user 5   h x h h h          test, likewise

The item vocabulary is the training users' items, numbered by first appearance in the file, which
may be sorted by user (MovieLens) or by item (Netflix); other items do not exist.

Source: Liang et al. 2018, Section 4.1, and the authors' notebook (dawenl/vae_cf, commit ad103c5,
read for facts). It draws from NumPy's legacy generator, seeded again for the permutation and for
each held-out set, over users by ascending id. That random stream is frozen, so the published split
can be reproduced exactly. The notebook's text mentions an item filter that its code does not apply.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from repro.errors import ReproError
from repro.hyperparameters import Count, Natural, Share
from repro.interactions import Dataset, IntArray, Interactions, first_appearance
from repro.split import Cases, Split

MIN_TO_DRAW = 5  # users with fewer rows keep all of them as history (Liang et al.'s notebook)


@dataclass(frozen=True, kw_only=True)
class StrongGeneralization:
    """Hold out whole users: part of their items is given, the rest must be found."""

    heldout_users: Count = 10_000
    """Users for validation, and as many for test: 10,000 on ML-20M, 40,000 on Netflix."""
    heldout_share: Share = 0.2
    """Share of a held-out user's rows that must be found, rounded down."""
    seed: Natural = 98765
    """The notebook's; another seed gives another split."""
    users: Literal["drawn", "given"] = "drawn"
    """"drawn" as in the notebook, or "given": the files of such a split, as EVCF publishes them,
    with the parts train, valid_history, valid, test_history and test."""

    SMOKE: ClassVar[dict[str, int]] = {"heldout_users": 40}

    def split(self, dataset: Dataset) -> Split:
        """Return the split; items are renumbered by first appearance in training rows.

        Raises
        ------
        ReproError
            If there are too few users, or a given split is asked for and the dataset has none.
        """
        if self.users == "given":
            return _given(dataset)
        rows = dataset.interactions
        n_training = rows.n_users - 2 * self.heldout_users
        if n_training < 1:
            raise ReproError(
                f"{dataset.id} has {rows.n_users:,} users, too few to hold out "
                f"{self.heldout_users:,} for validation and as many for test",
                "set a lower heldout_users",
            )
        order = self._generator().permutation(rows.n_users)
        training = np.sort(order[:n_training])
        valid = np.sort(order[n_training : n_training + self.heldout_users])
        test = np.sort(order[n_training + self.heldout_users :])

        train = rows.rows(training)
        in_file = np.arange(len(train)) if train.row is None else train.row
        vocabulary = first_appearance(train.item, in_file)
        number = np.full(rows.n_items, -1, dtype=np.int32)
        number[vocabulary] = np.arange(len(vocabulary), dtype=np.int32)
        return Split(
            _renumbered(train, number, len(vocabulary)),
            self._cases(rows.rows(valid), valid, number, len(vocabulary)),
            self._cases(rows.rows(test), test, number, len(vocabulary)),
            users=training,
            items=vocabulary,
        )

    def _generator(self) -> np.random.RandomState:
        return np.random.RandomState(self.seed)

    def _cases(self, every: Interactions, users: IntArray, number: IntArray, n_items: int) -> Cases:
        """Draw the rows that must be found; `users` are the original numbers, ascending."""
        rows = _renumbered(every, number, n_items)
        generator = self._generator()
        asked = np.zeros(len(rows), dtype=bool)
        for user in range(rows.n_users):  # one draw per held-out user, in the notebook's order
            n = int(rows.counts[user])
            if n >= MIN_TO_DRAW:
                drawn = generator.choice(n, size=int(self.heldout_share * n), replace=False)
                asked[rows.offsets[user] + drawn] = True
        unknown: IntArray = np.full(rows.n_users, -1)
        why = {
            "no interaction with an item that training knows": rows.counts == 0,
            f"fewer than {MIN_TO_DRAW} interactions, all of which are given": rows.counts
            < MIN_TO_DRAW,
        }
        lost = len(every) - len(rows)
        return Cases.of(
            unknown, rows.where(~asked), rows.where(asked), original=users, why=why, lost=lost
        )


def _given(dataset: Dataset) -> Split:
    """Return the split in the archive; items keep their numbers."""

    def cases(history: Interactions, targets: Interactions) -> Cases:
        users = np.union1d(history.user, targets.user)
        unknown: IntArray = np.full(len(users), -1)
        return Cases.of(unknown, history.rows(users), targets.rows(users), original=users)

    train, valid_history, valid, test_history, test = dataset.given(
        "train", "valid_history", "valid", "test_history", "test"
    )
    known = np.unique(train.user)
    held = cases(valid_history, valid), cases(test_history, test)
    return Split(train.rows(known), *held, users=known)


def _renumbered(rows: Interactions, number: IntArray, n_items: int) -> Interactions:
    """Return the rows whose items have a new number, renumbered."""
    known = rows.where(number[rows.item] >= 0)
    return replace(known, item=number[known.item], n_items=n_items)


PROTOCOL = StrongGeneralization
