"""Random split: part of every user's interactions, drawn without regard to time.

Six users; T trained on, v validation, x must be found; everything but T is ranked::

    user 0   T T x T T v T T T x
    user 1   T x T T v
    user 2   T T T v x
    user 3   x T v T T
    user 4   T T                too few to hold anything out: trained on, not tested
    user 5   v T T x T T

Source: the rule of JCA's notebook (Zhu et al. 2019), which published a single draw without a seed.
`given_split` has that draw, this protocol makes others. JCA computes the test share as ``1 - 0.8``,
a hair less than 0.2 in floating point, so users whose count is a multiple of five hold out one row
less there than here.
"""

from dataclasses import dataclass

import numpy as np

from repro.hyperparameters import Natural, Share
from repro.interactions import Dataset
from repro.split import Cases, Split


@dataclass(frozen=True, kw_only=True)
class RandomSplit:
    """Hold out a random share of every user's interactions."""

    test_share: Share = 0.2
    """Of a user's interactions, rounded down, at least one."""
    valid_share: Share = 0.1
    """Of what the test leaves, rounded down, at least one; 0 holds out none."""
    seed: Natural = 0
    """Of the draw, which is the same for every model and every training seed."""

    def split(self, dataset: Dataset) -> Split:
        """Return the split; repeated pairs count once."""
        rows = dataset.interactions.distinct()
        rng = np.random.default_rng(self.seed)
        shuffled = np.lexsort([rng.random(len(rows)), rows.user])
        place = np.empty(len(rows), dtype=np.int64)
        place[shuffled] = rows.position  # place of a row in its user's random order

        n_test = np.maximum(1, (self.test_share * rows.counts).astype(np.int64))
        n_valid = np.zeros_like(n_test)
        if self.valid_share:
            n_valid = np.maximum(1, (self.valid_share * (rows.counts - n_test)).astype(np.int64))
        short = rows.counts <= n_test + n_valid
        n_test[short] = n_valid[short] = 0

        test = place < n_test[rows.user]
        valid = ~test & (place < (n_test + n_valid)[rows.user])
        train = rows.where(~test & ~valid)
        users = np.arange(rows.n_users)
        why = {"too few interactions to hold any out": short}
        return Split(
            train,
            Cases.of(users, train, rows.where(valid), why=why) if self.valid_share else None,
            Cases.of(users, train, rows.where(test), why=why),
        )


PROTOCOL = RandomSplit
