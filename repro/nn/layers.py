"""Layers that several models share.

Shape letters: B users, I items, H units, m entries; n columns, K rank of factors.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

from repro.nn.batches import Rows


class SparseInput(nn.Module):
    """A linear layer over sparse user rows, which are L2-normalised and then dropped out.

    It gives the same numbers as `Linear(dropout(normalize(x)))` on dense rows, but sums only one
    weight row per interaction.

    Parameters
    ----------
    n_items : int
        I.
    n_units : int
        H.
    dropout : float
        Share of the entries dropped in training; the rest is scaled up.
    """

    def __init__(self, n_items: int, n_units: int, dropout: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_items, n_units))
        self.bias = nn.Parameter(torch.zeros(n_units))
        self.dropout = nn.Dropout(dropout)
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x: Rows) -> Tensor:
        """Return the layer's output, shape (B, H); a user without items gets the bias."""
        value = x.count[x.row].float().rsqrt()  # a binary row's L2 norm is sqrt(count)
        value = self.dropout(value)
        return sparse_product(x, self.weight, value) + self.bias


def sparse_product(x: Rows, weight: Tensor, value: Tensor | None = None) -> Tensor:
    """Return 0/1 rows (or rows of the given values) times a weight of shape (n, H): (B, H)."""
    return embedding_bag(x.item, weight, x.start, per_sample_weights=value, mode="sum")


@dataclass(frozen=True, eq=False)
class Input:
    """Rows that are dense, or single cells, or the product of two factors with cells added.

    Parameters
    ----------
    dense : float tensor, shape (B, n), optional
        The rows; if given, nothing else is.
    cells : tuple of Rows and float tensor of shape (m,), optional
        Single cells and their values.
    factors : tuple of float tensor, shapes (B, K) and (n, K), optional
        Factors of low-rank rows, to which the cells are added.
    """

    dense: Tensor | None = None
    cells: tuple[Rows, Tensor] | None = None
    factors: tuple[Tensor, Tensor] | None = None

    def times(self, weight: Tensor) -> Tensor:
        """Return the rows times a weight of shape (n, H), shape (B, H)."""
        if self.dense is not None:
            return self.dense @ weight
        assert self.cells is not None
        out = sparse_product(self.cells[0], weight, self.cells[1])
        return out if self.factors is None else out + self.factors[0] @ (self.factors[1].T @ weight)
