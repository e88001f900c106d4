"""Sequential split: train on a user's past, rank for the user's future.

Six users, oldest first, ``last = 10``; . cut off, T trained on, x must be found::

    user 0   . . . T T T T T T T T x x      13 rows: the last 10 are split 8 : 2
    user 1   T T T T x                       5 rows: floor(0.2 * 5) = 1 test row
    user 2   T T T T T T T T x x
    user 3   T T T T                         too few for a test row: trained on, not tested
    user 4   T T T T T T T T x               9 rows: floor(1.8) = 1 test row
    user 5   T T T T x

With ``valid_share`` the newest share of T, here v, is not trained on but validated on::

    user 2   T T T T T T T v x x    valid_share = 0.2: floor(0.2 * 8) = 1 row

T and v are the history at test time, and are masked in the ranking. Items that were cut off may be
recommended, and count as misses.

Source: ACVAE, Section 4.4, and the authors' loader (ACVAE-PyTorch, commit 9a1dac6, read for facts),
which keeps the last M + 1 rows *before* splitting; M = 200 (50 on Yelp). The baselines on ML-1m
seem to have been run without the cut; `last` turns it off. A test row repeated within a user counts
once. One that is also in the history is masked, and so a miss, as in the loader's evaluation.
"""

from dataclasses import dataclass

import numpy as np

from repro.errors import ReproError
from repro.hyperparameters import Natural, Share
from repro.interactions import Dataset, Interactions
from repro.split import Cases, Split


@dataclass(frozen=True, kw_only=True)
class SequentialSplit:
    """Hold out the newest share of every user's interactions."""

    test_share: Share = 0.2
    """Of a user's rows after the cut, rounded down."""
    last: Natural = 0
    """How many of every user's newest rows are kept before the split; 0 keeps all."""

    valid_share: Share = 0.0
    """Newest share of a user's rows before the test rows, rounded down; 0 as in ACVAE, which has no
    validation and selects on test."""

    def split(self, dataset: Dataset) -> Split:
        """Return the split.

        Raises
        ------
        ReproError
            If the dataset's rows are not ordered in time.
        """
        rows = dataset.interactions
        if not rows.ordered:
            raise ReproError(
                f"{dataset.id} is not ordered in time, so it has no newest interactions",
                "use a view with order = 'time'",
            )
        if self.last:
            rows = rows.where(rows.counts[rows.user] - rows.position <= self.last)
        known, test = _newest(rows, self.test_share)
        users = np.arange(rows.n_users)
        why = {"too few interactions to hold any out": test.counts == 0}
        cases = Cases.of(users, known, test.distinct(), why=why)
        if not self.valid_share:
            return Split(known, None, cases)
        train, valid = _newest(known, self.valid_share)
        why = {"too few interactions to hold any out": valid.counts == 0}
        return Split(train, Cases.of(users, train, valid.distinct(), why=why), cases)


def _newest(rows: Interactions, share: float) -> tuple[Interactions, Interactions]:
    """Return the rows without every user's newest share, and that share."""
    n_newest = (share * rows.counts).astype(np.int64)
    newest = rows.position >= (rows.counts - n_newest)[rows.user]
    return rows.where(~newest), rows.where(newest)


PROTOCOL = SequentialSplit
