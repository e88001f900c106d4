"""Linear models of items: a user's scores are the history times sparse item-item weights.

Shape letters: B users, I items.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_matrix, vstack
from torch import Tensor

from repro.interactions import Interactions
from repro.nn.scoring import picked
from repro.split import Queries

ITEM_ROWS = 1024
"""Rows of the items' co-occurrence matrix that are computed at a time."""


def cooccurrence(train: Interactions) -> np.ndarray:
    """Return how many users have both items, float32, shape (I, I); the diagonal is their counts.

    It is computed in blocks of rows: scipy's whole sparse product would take twice the memory.
    """
    x = train.matrix()  # (U, I)
    by_item = x.T.tocsr()
    gram = np.empty((train.n_items, train.n_items), dtype=np.float32)  # exact below 2^24 users
    for start in range(0, train.n_items, ITEM_ROWS):
        gram[start : start + ITEM_ROWS] = (by_item[start : start + ITEM_ROWS] @ x).toarray()
    return gram


@dataclass(frozen=True, eq=False)
class SparseItemWeights:
    """Scores are a user's history times W.

    The product is computed on the CPU: a history has tens of items and a row of W hundreds of
    entries, so it costs less than the dense scores that it fills.
    """

    w: csr_matrix
    """Weight of each item in the history (row) for each scored item (column), shape (I, I)."""
    device: torch.device
    """Device of the scores."""

    def score(self, queries: Queries) -> Tensor:
        """Return scores of shape (B, I) or (B, C), float32."""
        scores = (queries.history.matrix() @ self.w).toarray()  # (B, I)
        return picked(torch.from_numpy(scores).to(self.device), queries)


def stacked(blocks: list[csr_matrix]) -> csr_matrix:
    """Return W from blocks of rows of its transpose."""
    return vstack(blocks, format="csr").T.tocsr()
