"""Batches of user-item pairs whose sides are interaction vectors, sparse throughout.

An encoder's first layer and a decoder's Bernoulli likelihood over all entries of the vectors, at
the cost of the vectors' ones and of one pass over the logits.

Shape letters: B pairs, K distinct vectors of a batch, m their ones, n a vector's length, H units.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag, pad, softplus

from repro.interactions import Interactions
from repro.nn.batches import Rows, rows_of
from repro.nn.losses import softplus_sum

SORTED_BY_RADIX = 2**15
"""From this length on torch uses radix sort on a CPU, 2 to 5 times as fast as for half as many."""


@dataclass(frozen=True, eq=False)
class Side:
    """The users, or the items, of a batch of pairs: their distinct interaction vectors.

    Parameters
    ----------
    rows : Rows
        The K vectors.
    pair : int64 tensor, shape (B,)
        Which vector each pair has.
    target : int64 tensor, shape (B,), optional
        Each pair's own entry in its vector, which is masked; None: nothing is masked.
    label : float tensor, shape (B,), optional
        1 where there is a one to mask, otherwise 0.
    """

    rows: Rows
    pair: Tensor
    target: Tensor | None = None
    label: Tensor | None = None

    @property
    def n(self) -> int:
        """Length of a vector."""
        return self.rows.n_items

    @cached_property
    def columns(self) -> Rows:
        """Transpose of `rows`: for each of n entries, the vectors that have a one there."""
        rows, n = self.rows, self.n
        key = rows.item.short() if n < 2**15 else rows.item  # 16-bit keys sort twice as fast
        more = max(0, SORTED_BY_RADIX - len(key)) if key.device.type == "cpu" else 0
        entry, order = (part[: len(key)] for part in pad(key, (0, more), value=n).sort())
        every = torch.arange(n, dtype=entry.dtype, device=entry.device)
        start = torch.searchsorted(entry, every, out_int32=rows.item.dtype == torch.int32)
        count = start.diff(append=start.new_tensor([len(entry)]))
        return Rows(entry, rows.row.index_select(0, order), start, count, every, len(rows.count))

    def spread(self, values: Tensor) -> Tensor:
        """Return values per pair, shape (B, ...), from values per vector, shape (K, ...)."""
        return values.index_select(0, self.pair)

    def of_pairs(self, values: Tensor) -> Tensor:
        """Return values per pair, shape (B, ...), computed from `VectorInput`'s output."""
        return values if self.target is not None else self.spread(values)

    def ones(self) -> tuple[Tensor, Tensor]:
        """Return pair and entry of every one in all B vectors."""
        count, start = self.spread(self.rows.count), self.spread(self.rows.start)
        pair = torch.repeat_interleave(torch.arange(len(count), device=count.device), count)
        within = torch.arange(len(pair), device=pair.device) - (count.cumsum(0) - count)[pair]
        return pair, self.rows.item[start[pair] + within]


class Vectors:
    """The interaction vectors of all users, or of all items, on the device."""

    def __init__(self, interactions: Interactions, device: torch.device) -> None:
        self.all = rows_of(interactions, device)
        self._item = self.all.item.int()  # halves what a batch gathers and sorts

    def of(self, number: Tensor, other: Tensor, label: Tensor, masked: bool) -> Side:
        """Return a side of a batch of pairs.

        Parameters
        ----------
        number, other : int64 tensor, shape (B,)
            Whose vectors, and the other side of each pair.
        label : float tensor, shape (B,)
            1 where the two have interacted.
        masked : bool
            Whether that one is masked.
        """
        distinct, pair = number.unique(return_inverse=True)
        count = self.all.count[distinct]
        start = count.cumsum(0) - count
        which = torch.arange(len(distinct), dtype=torch.int32, device=distinct.device)
        row = torch.repeat_interleave(which, count)
        first = (self.all.start[distinct] - start).int()
        at = torch.repeat_interleave(first, count, output_size=len(row))  # no second wait
        at += torch.arange(len(at), dtype=torch.int32, device=at.device)
        item = self._item.index_select(0, at)
        rows = Rows(row, item, start.int(), count.int(), distinct, self.all.n_items)
        return Side(rows, pair, other, label) if masked else Side(rows, pair)


class _RowSums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, side: Side) -> Tensor:
        ctx.side = side
        return embedding_bag(side.rows.item, weight, side.rows.start, mode="sum")

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        columns = ctx.side.columns
        return embedding_bag(columns.item, grad.contiguous(), columns.start, mode="sum"), None


def row_sums(weight: Tensor, side: Side) -> Tensor:
    """Return the sum of a matrix's rows, (n, H), at the ones of each distinct vector: (K, H).

    The gradient is a sum of rows as well, over the transposed vectors: several times faster than
    that of `embedding_bag`, and with the same bits each time on every device.
    """
    return _RowSums.apply(weight, side)  # type: ignore[no-untyped-call]


class VectorInput(nn.Module):
    """A linear layer over interaction vectors, which `normalize` scales to length 1.

    The weight has one row per entry, n in all.
    """

    def __init__(self, n: int, n_units: int, normalize: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(n, n_units)))
        self.bias = nn.Parameter(torch.zeros(n_units))
        self.normalize = normalize

    def forward(self, side: Side) -> Tensor:
        """Return the output for the K distinct vectors, (K, H), or for B pairs if any are masked.

        A vector without ones gives the bias.
        """
        summed, count = row_sums(self.weight, side), side.rows.count
        if side.target is not None and side.label is not None:
            own = self.weight.index_select(0, side.target) * side.label[:, None]
            summed, count = side.spread(summed) - own, side.spread(count) - side.label
        if self.normalize:  # a binary vector's L2 norm is sqrt(count)
            summed = summed * count.clamp(min=1).float().rsqrt()[:, None]
        return summed + self.bias


def pairs_nll(h: Tensor, weight: Tensor, bias: Tensor, side: Side) -> Tensor:
    """Return the negative log-likelihood of all entries of all pairs' vectors, a scalar.

    The logits are h W' + b as in `softplus_sum`. With logit a, a one costs softplus(a) - a and a
    zero softplus(a): only the ones are read from the vectors, and their a are sums of W's rows.
    """
    of_ones = (h * side.spread(row_sums(weight, side))).sum()
    of_ones = of_ones + side.spread(row_sums(bias[:, None], side)).sum()
    return softplus_sum(h, weight, bias) - of_ones


def sampled_pairs_nll(
    h: Tensor, weight: Tensor, bias: Tensor, side: Side, n_entries: int
) -> Tensor:
    """Return an unbiased estimate of `pairs_nll`, from all ones and some zeros.

    The same n_entries entries are drawn for all pairs. A pair's zeros among them stand for all its
    zeros, each with weight n / n_entries.
    """
    drawn = torch.randperm(side.n, device=h.device)[:n_entries]
    scale = side.n / len(drawn)
    logits = torch.addmm(bias[drawn], h, weight[drawn].T)  # (B, n_entries), ones among them
    pair, entry = side.ones()
    ones = (h.index_select(0, pair) * weight.index_select(0, entry)).sum(dim=1) + bias[entry]
    is_drawn = torch.zeros(side.n, device=h.device).index_fill(0, drawn, scale)
    zeros = scale * softplus(logits).sum() - (is_drawn[entry] * softplus(ones)).sum()
    return zeros + softplus(-ones).sum()
