"""Item-kNN: Sarwar et al., "Item-Based Collaborative Filtering ...", WWW 2001.

The title ends in "Recommendation Algorithms". The form for implicit feedback is that of Deshpande
and Karypis, "Item-Based Top-N Recommendation Algorithms", ACM TOIS 2004.

**Implements** cosine similarity between the items' columns, the k nearest neighbours of every
scored item, and the sum of their similarities over the user's history.
**Reference**: MaurizioFD/RecSys2019_DeepLearning_Evaluation, commit f5618c6, read for facts: where
the shrink term is added, and that the neighbours are those of the *scored* item. With the k nearest
neighbours of the item in the history, NDCG@10 on JCA's Yelp is 0.0517, not 0.0556. We did not have
the papers.
**Deviations**: among equally similar neighbours, those with lower item numbers are taken. A
repeated pair counts once.

Similarities are computed for a block of items at a time, so that no (I, I) matrix exists; k entries
per item are kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from repro.hyperparameters import Count, NonNegative
from repro.interactions import Interactions
from repro.model import Memory, Run
from repro.nn.item_weights import ITEM_ROWS, SparseItemWeights, stacked


@dataclass(frozen=True, kw_only=True)
class ItemKNN:
    """Item-based nearest neighbours with cosine similarity."""

    n_neighbors: Count = 100
    """k, per item; Ferrari Dacrema et al. tune it from 5 to 1,000. [ours]"""
    shrink: NonNegative = 0.0
    """Added to the product of the norms, which lowers the similarities of rare items; 0 is the
    plain cosine of Sarwar et al. [paper]"""
    normalize: bool = False
    """Divide an item's score by the sum of its neighbours' similarities, as Sarwar et al. do for
    ratings ("weighted sum"). [ours]"""

    RANDOM: ClassVar[bool] = False

    def memory(self, train: Interactions) -> Memory:
        """Return the need: some copies of a block of similarities, and k entries per item.

        Measured: 1.3 to 2.0 GB at 20,000 items, where this gives 1.36; 3.2 GB at 39,000, where it
        gives 2.6.
        """
        n_items = train.n_items
        kept = 24 * n_items * min(self.n_neighbors, n_items)
        return Memory(process=64 * n_items * min(ITEM_ROWS, n_items) + kept)

    def epochs(self, train: Interactions, run: Run) -> Iterator[SparseItemWeights]:
        """Find every item's neighbours; there is one epoch."""
        x = train.matrix()  # (U, I)
        by_item = x.T.tocsr()
        norm = torch.from_numpy(np.diff(by_item.indptr)).float().sqrt()  # of a 0/1 column, (I,)
        blocks = []
        for start in range(0, train.n_items, ITEM_ROWS):
            both = torch.from_numpy((by_item[start : start + ITEM_ROWS] @ x).toarray())  # (B, I)
            both.diagonal(start).zero_()  # an item is not its own neighbour
            norms = torch.outer(norm[start : start + ITEM_ROWS], norm)
            similar = nearest(both / (norms + self.shrink).clamp(min=1e-12), self.n_neighbors)
            if self.normalize:
                similar /= similar.sum(dim=1, keepdim=True).clamp(min=1e-12)
            blocks.append(csr_matrix(similar.numpy()))
        yield SparseItemWeights(stacked(blocks), run.device)


def nearest(similar: Tensor, k: int) -> Tensor:
    """Return the k largest similarities of every row, zeros elsewhere.

    Parameters
    ----------
    similar : float tensor, shape (B, I)
        Not negative.
    k : int
        Among equal similarities, those with lower numbers are taken.
    """
    if k >= similar.shape[1]:
        return similar
    least = similar.topk(k, dim=1).values[:, -1:]  # (B, 1)
    above, equal = similar > least, similar == least
    room = k - above.sum(dim=1, keepdim=True)
    return similar * (above | (equal & (equal.cumsum(dim=1, dtype=torch.int32) <= room)))


MODEL = ItemKNN
