"""Layers that several models share. Shape letters: B users, I items, H units, m entries."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

from repro.nn.batches import Rows


class SparseInput(nn.Module):
    """A linear layer over sparse user rows: L2-normalised, then dropout.

    The same numbers as `Linear(dropout(normalize(x)))` on dense rows, at the cost of the entries
    that are there: one weight row is summed per interaction.

    Parameters
    ----------
    n_items : int
        I.
    n_units : int
        H.
    dropout : float
        Share of the entries that is dropped in training; the rest is scaled up.
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
        summed = embedding_bag(x.item, self.weight, x.start, per_sample_weights=value, mode="sum")
        return summed + self.bias
