"""PureSVD: Cremonesi et al., "Performance of Recommender Algorithms on Top-N ...", RecSys 2010.

The title ends in "Recommendation Tasks"; the authors are Cremonesi, Koren and Turrin.

**Implements** the model of that name: unknown entries are zeros, and a user's scores are the row
times Q Qᵀ, for users in training or not.
**Reference**: the paper, as the evaluation studies describe it; we did not have it.
**Deviations**: 0/1 rows instead of ratings. ARPACK (scipy) computes the leading singular vectors,
on the CPU and in float64. The run's seed gives its start vector, so that a seed always gives the
same bits, and seeds differ in the last digits only.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from scipy.sparse.linalg import svds
from torch import Tensor

from repro.errors import UnsupportedError
from repro.hyperparameters import Count
from repro.interactions import Interactions
from repro.model import Run
from repro.nn.batches import rows_of
from repro.nn.layers import sparse_product
from repro.nn.scoring import picked
from repro.split import Queries


@dataclass(frozen=True, kw_only=True)
class PureSVD:
    """Truncated SVD: a user's row is projected onto the leading right singular vectors."""

    latent_dim: Count = 50
    """f; the better of the paper's 50 and 150 on MovieLens. [paper]"""

    RANDOM: ClassVar[bool] = False  # the seed changes the last digits only

    def epochs(self, train: Interactions, run: Run) -> Iterator["Projection"]:
        """Decompose once; there is one epoch.

        Raises
        ------
        UnsupportedError
            If the matrix has too few users or items for so many dimensions.
        """
        x = train.matrix().astype(np.float64)  # (U, I)
        if self.latent_dim >= min(x.shape):
            raise UnsupportedError(
                f"{self.latent_dim} singular vectors of {x.shape[0]:,} users and {x.shape[1]:,} "
                "items: there must be fewer of them than of users and of items",
                f"use --set latent_dim={max(1, min(x.shape) - 1)}, or less",
            )
        first = run.rng.standard_normal(min(x.shape))
        q = svds(x, self.latent_dim, v0=first, return_singular_vectors="vh")[2]  # (D, I)
        yield Projection(torch.from_numpy(q.T.astype(np.float32)).to(run.device))


@dataclass(frozen=True)
class Projection:
    """Scores are a user's history times Q Qᵀ."""

    q: Tensor
    """Right singular vectors, float32, shape (I, D)."""

    def score(self, queries: Queries) -> Tensor:
        """Return scores of shape (B, I) or (B, C)."""
        x = rows_of(queries.history, self.q.device)
        return picked(sparse_product(x, self.q) @ self.q.T, queries)


MODEL = PureSVD
