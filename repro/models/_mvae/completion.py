"""Factors P and Q of a 0/1 matrix, whose product fills in the unobserved cells.

Shape letters: U users, I items, K rank.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from repro.interactions import Interactions
from repro.nn.batches import UserRows
from repro.nn.least_squares import solved


def truncated_svd(train: Interactions, rank: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return P S and Q of the truncated singular value decomposition P S Q^T.

    Parameters
    ----------
    train : Interactions
        The matrix; unobserved cells are zeros.
    rank : int
        K; at most min(U, I) - 1 are taken.
    device : torch.device
        Where the factors are placed.

    Returns
    -------
    tuple of float tensor, shapes (U, K) and (I, K)
    """
    from scipy.sparse.linalg import svds

    matrix = train.matrix().astype(np.float64)
    shortest = min(matrix.shape)
    start = np.ones(shortest)  # otherwise ARPACK draws one, which no seed repeats
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
    """Return factors by alternating least squares, starting from small random ones.

    They minimise the sum of ``observed * (1 - P_u Q_i)^2`` over observed pairs and of
    ``unobserved * (R_ui - P_u Q_i)^2`` over all cells, plus l2 times all squared norms.

    Parameters
    ----------
    users, items : UserRows
        The matrix by row and by column.
    rank : int
        K.
    l2 : float
        Strength, not multiplied by a row's number of entries.
    unobserved, observed : float
        Weight of every cell, and the additional weight of an observed one.
    n_sweeps : int
        Each over users, then items.

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
    weights = unobserved, observed, unobserved + observed
    ridges = [torch.full_like(side.all.count, l2, dtype=q.dtype) for side in (users, items)]
    for _ in range(n_sweeps):
        p, _ = solved(users.all, q, ridges[0], *weights)
        q, _ = solved(items.all, p, ridges[1], *weights)
    return p.float(), q.float()
