"""Random masks over users and items that are never stored, but hashed from a number for each."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from repro.interactions import Interactions

HASHED_ROWS = 64
"""Rows of a mask that are hashed at a time."""


@dataclass(frozen=True, eq=False)
class Keys:
    """A random number per row and per column, for both sides, from which masks are hashed."""

    user: tuple[Tensor, Tensor]
    """Numbers of users and of items, int32, shapes (U,) and (I,)."""
    item: tuple[Tensor, Tensor]
    """Numbers of items and of users; the same numbers if the mask is shared."""

    @classmethod
    def drawn(cls, train: Interactions, device: torch.device, shared: bool) -> Keys:
        """Return new keys."""

        def numbers(n: int) -> Tensor:
            return torch.randint(-(2**31), 2**31, (n,), dtype=torch.int32, device=device)

        users, items = numbers(train.n_users), numbers(train.n_items)
        if shared:
            return cls((users, items), (items, users))
        return cls((users, items), (numbers(train.n_items), numbers(train.n_users)))


def hashed(a: Tensor, b: Tensor, share: float) -> Tensor:
    """Return which cells a mask hits: bool, of the shape to which a and b broadcast.

    Parameters
    ----------
    a, b : int32 tensor
        Keys of rows and columns; the order does not matter.
    share : float
        Probability of a cell, in [0, 1].
    """
    h = (a | 1) * (b | 1)  # odd numbers: a product with a random one is as random; it wraps
    h ^= h >> 16
    h *= 73244475
    limit = int(share * 2**32) - 2**31
    return h < limit if limit < 2**31 else torch.ones_like(h, dtype=torch.bool)
