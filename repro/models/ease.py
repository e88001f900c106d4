"""EASE: Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019.

**Implements** Sections 2 and 3.1: the closed form with a zero diagonal.
**Reference**: the paper's own listing. **Deviations**: none known. The inverse is computed in
float64, as float32 loses digits at 20,000 items.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from repro.errors import ReproError
from repro.hyperparameters import NonNegative
from repro.interactions import Interactions
from repro.model import Memory, Run
from repro.nn.item_weights import cooccurrence
from repro.nn.scoring import picked
from repro.split import Queries

SINGULAR = 64 * torch.finfo(torch.float64).eps
"""The reciprocal condition number below which no digit of an inverse is right."""


@dataclass(frozen=True, kw_only=True)
class EASE:
    """Item-item regression with a zero diagonal, in closed form."""

    l2: NonNegative = 500.0
    """Lambda; the value for ML-20M. [paper]"""

    RANDOM: ClassVar[bool] = False

    def memory(self, train: Interactions) -> Memory:
        """Return the need: the Gram matrix, its factors and its inverse, in float64.

        Measured at 9,000 items 24.6 I^2 bytes, and at 20,108 items 25 I^2.
        """
        square = train.n_items**2
        return Memory(process=4 * square, device=24 * square)

    def epochs(self, train: Interactions, run: Run) -> Iterator["ItemWeights"]:
        """Solve once; there is one epoch."""
        gram = torch.from_numpy(cooccurrence(train)).to(run.device).double()  # (I, I), 8 I^2 bytes
        gram.diagonal().add_(self.l2)
        size = torch.linalg.matrix_norm(gram, 1)
        p, failed = torch.linalg.inv_ex(gram)  # failed: a pivot is exactly 0
        del gram
        if failed or not size * torch.linalg.matrix_norm(p, 1) < 1 / SINGULAR:
            raise self._singular()
        b = p.div_(-p.diagonal().clone())  # Eq. 8
        b.fill_diagonal_(0.0)
        yield ItemWeights(b.float())

    def _singular(self) -> ReproError:
        return ReproError(
            f"ease: with l2 = {self.l2:g} the items' Gram matrix is singular, as where items have "
            "the same users, and its inverse would be noise",
            "use a larger l2, well above 0; the paper has 500 on ML-20M",
        )


@dataclass(frozen=True)
class ItemWeights:
    """Scores are a user's history times B."""

    b: Tensor
    """Item-item weights, float32, shape (I, I)."""

    def score(self, queries: Queries) -> Tensor:
        """Return scores of shape (B, I) or (B, C)."""
        x = torch.from_numpy(queries.history.matrix().toarray()).to(self.b.device)  # (B, I)
        return picked(x @ self.b, queries)


MODEL = EASE
