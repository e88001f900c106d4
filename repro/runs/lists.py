"""Lists: what a run recommended to its test users, where that is kept."""

from __future__ import annotations

from dataclasses import dataclass

from repro.interactions import IntArray


@dataclass(frozen=True, eq=False)
class Lists:
    """What a model recommended to the test users, and what was known of items and users."""

    items: IntArray
    """Shape (U, K): the item at each rank, best first; -1 where there is none."""
    popularity: IntArray
    """Shape (I,): training users of each item."""
    n_train_users: int
    activity: IntArray
    """Shape (U,): items in each test user's history."""

    def top(self, k: int) -> IntArray:
        """Return the items of the first k ranks of all users, one after the other."""
        found = self.items[:, :k]
        return found[found >= 0]
