"""Factors P and Q of a 0/1 matrix, whose product fills in what is not observed.

Shape letters: U users, I items, K rank; of a part B rows of at most L entries each.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from repro.interactions import Interactions
from repro.nn.batches import UserRows

PART = 64
"""Rows of about the same length that `als` solves at a time."""


def truncated_svd(train: Interactions, rank: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return P S and Q of the truncated singular value decomposition P S Q^T.

    Parameters
    ----------
    train : Interactions
        The matrix; unobserved cells are zeros.
    rank : int
        K; at most min(U, I) - 1 are taken.
    device : torch.device
        Where the factors shall lie.

    Returns
    -------
    tuple of float tensor, shapes (U, K) and (I, K)
    """
    from scipy.sparse.linalg import svds

    matrix = train.matrix().astype(np.float64)
    shortest = min(matrix.shape)
    start = np.ones(shortest)  # ARPACK draws one otherwise, and no seed would repeat it
    p, s, q = svds(matrix, k=min(rank, shortest - 1), v0=start)
    return tuple(torch.from_numpy(f.astype(np.float32)).to(device) for f in (p * s, q.T))  # type: ignore[return-value]


def als(
    users: UserRows,
    items: UserRows,
    rank: int,
    l2: float,
    unobserved: float,
    observed: float,
    n_sweeps: int,
) -> tuple[Tensor, Tensor]:
    """Return factors by alternating least squares, from small random ones on.

    They minimise the sum of ``observed * (1 - P_u Q_i)^2`` over observed pairs and of
    ``unobserved * (R_ui - P_u Q_i)^2`` over all cells, plus l2 times all squared norms.

    Parameters
    ----------
    users, items : UserRows
        The matrix by row and by column.
    rank : int
        K.
    l2 : float
        Not multiplied by a row's entries.
    unobserved, observed : float
        Weight of every cell, and what an observed one has on top.
    n_sweeps : int
        Of users, then items.

    Returns
    -------
    tuple of float tensor, shapes (U, K) and (I, K)

    Notes
    -----
    Hu et al., "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008, Eq. 4 and 5,
    with `unobserved` 1 and `observed` alpha. With `unobserved` 0 it is MVAE's Eq. 2.
    """
    q = 0.1 * torch.randn(items.all.count.shape[0], rank, device=items.all.item.device).double()
    p = q
    for _ in range(n_sweeps):
        p = _solved(users, q, l2, unobserved, observed)
        q = _solved(items, p, l2, unobserved, observed)
    return p.float(), q.float()


def _solved(rows: UserRows, q: Tensor, l2: float, unobserved: float, observed: float) -> Tensor:
    """Return the factors of all rows, given those of the columns."""
    n, rank = q.shape
    common = unobserved * q.T @ q + l2 * torch.eye(rank, device=q.device, dtype=q.dtype)
    padded = torch.cat([q, q.new_zeros(1, rank)])
    count, order = rows.all.count.sort()
    out = q.new_zeros(len(order), rank)
    for part, lengths in zip(order.split(PART), count.split(PART), strict=True):
        x = rows.of(part)
        within = torch.arange(len(x.row), device=q.device) - x.start[x.row]
        index = torch.full((len(part), int(lengths[-1])), n, device=q.device)
        index[x.row, within] = x.item
        own = padded[index]  # (B, L, K)
        gram = common + observed * own.mT @ own
        out[part] = torch.linalg.solve(gram, (unobserved + observed) * own.sum(dim=1))
    return out
