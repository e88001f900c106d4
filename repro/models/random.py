"""Random: a random ranking of the items for every user, the score of pure chance.

**Implements** nothing published: a lower bound for every table. **Deviations**: none known.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from repro.interactions import Interactions
from repro.model import Run
from repro.nn.batches import to_device
from repro.nn.scoring import picked
from repro.split import Queries


@dataclass(frozen=True, kw_only=True)
class Random:
    """A random ranking for every user, from a hash of history, item and seed."""

    def epochs(self, train: Interactions, run: Run) -> Iterator["Hash"]:
        """Train nothing; there is one epoch."""
        yield Hash(train.n_items, run.seed, run.device)


class Hash:
    """Pseudo-random scores: a hash of history, item and seed, the same in every batch and call."""

    def __init__(self, n_items: int, seed: int, device: torch.device) -> None:
        self.item = torch.arange(n_items, device=device)
        self.seed = seed

    def score(self, queries: Queries) -> Tensor:
        """Return scores in [0, 1), shape (B, I) or (B, C)."""
        history = queries.history
        user = torch.zeros(len(queries), dtype=torch.int64, device=self.item.device)
        row = to_device(history.user, user.device)
        item = to_device(history.item, user.device)
        user = _mixed(user.index_add(0, row, _mixed(item + 1)) + self.seed)
        mixed = _mixed(user[:, None] + _mixed(self.item + 1)[None, :])
        return picked((mixed & 0xFFFFFF).float() / 2.0**24, queries)


def _mixed(x: Tensor) -> Tensor:
    """Return a scrambled 64-bit integer (the multiply-and-shift steps of SplitMix64)."""
    x = (x ^ (x >> 30)) * -4658895280553007687
    x = (x ^ (x >> 27)) * -7723592293110705685
    return x ^ (x >> 31)


MODEL = Random
