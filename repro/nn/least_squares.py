"""Weighted least squares for a 0/1 matrix, given the factors of one side; all rows at once.

Shape letters: B rows, n columns, D factors.
"""

from __future__ import annotations

import torch
from torch import Tensor

from repro.errors import ReproError
from repro.nn.batches import Rows

BLOCK_NUMBERS = {"cpu": 2**23, "cuda": 2**26}
"""Numbers in the systems solved at a time: 32 MiB in float32, near a CPU's caches, or 256 MiB. The
solution takes three times as much in addition."""


def solved(
    rows: Rows, fixed: Tensor, ridge: Tensor, everywhere: float, observed: float, pull: float
) -> tuple[Tensor, Tensor]:
    """Return some rows' best factors given the columns', and how much they lower the cost.

    A row's factors x minimise ``x (everywhere * Y^T Y + observed * Y_1^T Y_1 + ridge) x^T
    - 2 pull * sum(Y_1) x^T``, where Y are the columns' factors and Y_1 those of the row's ones:
    with ``pull = everywhere + observed`` that is a weighted sum of squared errors over all cells.

    Parameters
    ----------
    rows : Rows
        The ones of B rows.
    fixed : float tensor, shape (n, D)
        Y; its precision is that of the systems.
    ridge : float tensor, shape (B,)
        L2 strength of each row.
    everywhere, observed : float
        Weight of every cell, and the additional weight of a one.
    pull : float
        Weight with which a one is pulled to 1.

    Returns
    -------
    factors : float tensor, shape (B, D)
        Zero for an empty row.
    explained : float64 tensor, shape ()
        By how much the cost of these rows is below that of factors at zero.

    Raises
    ------
    ReproError
        If a system is singular to the precision of its numbers.

    Notes
    -----
    Rows are sorted by their number of ones, and the systems of a block of rows are summed up
    together, a few ones of each row at a time, so that the gathered factors are no larger than the
    systems. Rows without further ones are left out.
    """
    n, dim = fixed.shape
    padded = torch.cat([fixed, fixed.new_zeros(1, dim)])
    gram = everywhere * fixed.T @ fixed  # (D, D)
    ridge = ridge.to(fixed.dtype)
    factors = fixed.new_zeros(len(rows.count), dim)
    explained = torch.zeros((), dtype=torch.float64, device=fixed.device)
    order = rows.count.argsort(descending=True, stable=True)
    sorted_counts = rows.count[order].cpu()
    size = max(1, BLOCK_NUMBERS.get(fixed.device.type, 2**23) // dim**2)
    for block, counts in zip(order.split(size), sorted_counts.split(size), strict=True):
        a = gram.repeat(len(block), 1, 1)  # (b, D, D)
        a.diagonal(dim1=1, dim2=2).add_(ridge[block, None])
        b = fixed.new_zeros(len(block), dim)
        for first in range(0, int(counts[0]), dim):
            active = int((counts > first).sum())
            width = min(dim, int(counts[0]) - first)
            v = padded[_ones(rows, block[:active], first, width, n)]  # (active, width, D)
            a[:active].baddbmm_(v.mT, v, alpha=observed)
            b[:active] += pull * v.sum(dim=1)
        root, failed = torch.linalg.cholesky_ex(a)
        if bool(failed.any()):
            raise ReproError(
                "least squares: a system of equations is singular to the precision of its numbers",
                "use a larger l2, or --set precision=float64 if the model has that field",
            )
        factors[block] = torch.cholesky_solve(b[:, :, None], root)[:, :, 0]
        explained += (b * factors[block]).sum(dtype=torch.float64)
    return factors, explained


def _ones(rows: Rows, block: Tensor, first: int, width: int, padding: int) -> Tensor:
    """Return some of the ones of some rows, shape (b, width), padded after the last."""
    place = first + torch.arange(width, device=block.device)  # (width,)
    there = place < rows.count[block, None]
    return rows.item[(rows.start[block, None] + place).where(there, 0)].where(there, padding)
