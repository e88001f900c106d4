"""Popularity: every user is recommended the items with the most training users.

**Implements** the row POP of ACVAE (Section 4.2) and "TopPopular" of the evaluation studies.
**Reference**: NeuRec's Pop, read for facts; only training interactions are counted.
**Deviations**: a repeated pair counts once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from repro.interactions import Interactions
from repro.model import Run
from repro.nn.scoring import picked
from repro.split import Queries


@dataclass(frozen=True, kw_only=True)
class Popularity:
    """The same ranking for everybody: items by their number of training users."""

    RANDOM: ClassVar[bool] = False

    def epochs(self, train: Interactions, run: Run) -> Iterator["Counts"]:
        """Count the training users of every item; there is one epoch."""
        counts = np.bincount(train.distinct().item, minlength=train.n_items)
        yield Counts(torch.from_numpy(counts.astype(np.float32)).to(run.device))


@dataclass(frozen=True)
class Counts:
    """The same score for everybody."""

    count: Tensor
    """Users per item, float32, shape (I,)."""

    def score(self, queries: Queries) -> Tensor:
        """Return scores of shape (B, I) or (B, C)."""
        return picked(self.count.repeat(len(queries), 1), queries)


MODEL = Popularity
