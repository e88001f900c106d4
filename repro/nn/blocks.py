"""Blocks of users and items, on which models with a user side and an item side train.

Shape letters: U users, I items; of a block B users, C items, m pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from repro.interactions import Interactions, from_rows
from repro.nn.batches import Rows, UserRows


@dataclass(frozen=True, eq=False)
class Block:
    """Some users, some items, and their training pairs.

    Parameters
    ----------
    users, items : int64 tensor, shapes (B,) and (C,)
        Their numbers.
    row, column : int64 tensor, shape (m,)
        Places of each pair among the users and the items, sorted by row, then by column.
    """

    users: Tensor
    items: Tensor
    row: Tensor
    column: Tensor

    def user_rows(self) -> Rows:
        """Return the users' 0/1 rows within the block, B of them over C columns."""
        return sparse_rows(self.users, self.row, self.column, len(self.items))

    def item_rows(self) -> Rows:
        """Return the items' 0/1 columns within the block, C of them over B users."""
        order = self.column.argsort(stable=True)
        return sparse_rows(self.items, self.column[order], self.row[order], len(self.users))

    def negatives(self) -> tuple[Tensor, Tensor]:
        """Return for each pair an item of the block that its user does not have, drawn uniformly.

        Returns
        -------
        tuple of int64 and bool tensor, shape (m,) each
            The column of each, and whether there is one; if there is none, the column is arbitrary.
        """
        x, n_items = self.user_rows(), len(self.items)
        free = n_items - x.count[x.row]  # (m,)
        drawn = (torch.rand(len(x.row), device=x.row.device) * free).long().minimum(free - 1)
        # The k-th column that is not a user's lies at k plus the user's columns before it; these
        # are the ones with fewer than k + 1 free columns to their left.
        within = torch.arange(len(x.row), device=x.row.device) - x.start[x.row]
        apart = x.row * (n_items + 1)
        before = torch.searchsorted(apart + x.item - within, apart + drawn, right=True)
        column = drawn + before - x.start[x.row]
        return column.clamp(0, n_items - 1), free > 0


def sparse_rows(numbers: Tensor, row: Tensor, column: Tensor, n_columns: int) -> Rows:
    """Return rows with these numbers, shape (B,), and these entries, sorted by row, shape (m,)."""
    ends = torch.searchsorted(row, torch.arange(len(numbers) + 1, device=row.device))
    return Rows(row, column, ends[:-1], ends.diff(), numbers, n_columns)


class Blocks:
    """Every block of users and items once per epoch, both in a new random order, users outermost.

    Parameters
    ----------
    train : Interactions
        Training data, which is copied to the device by user and by item.
    size : int
        Users, and items, in a block; the last ones may be smaller.
    device : torch.device
        Where.
    skip_last : bool
        Leave out the last block of items, unless it is the only one.
    """

    def __init__(
        self, train: Interactions, size: int, device: torch.device, skip_last: bool = False
    ) -> None:
        columns = from_rows(train.item, train.user, train.n_items, train.n_users, ordered=False)
        self.users = UserRows(train, size, device)
        self.items = UserRows(columns, size, device)
        self.size, self.skip_last = size, skip_last
        self.n_users, self.n_items = train.n_users, train.n_items
        n_columns = max(1, -(-self.n_items // size) - skip_last)
        self.shape = (-(-self.n_users // size), n_columns)
        """Number of blocks of users, and of items."""

    def __len__(self) -> int:
        """Return the number of blocks in an epoch."""
        return self.shape[0] * self.shape[1]

    def shuffled(self) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Return all users and all items in a new random order, each split by the block size."""
        device = self.users.users.device
        users = torch.randperm(self.n_users, device=device).split(self.size)
        items = torch.randperm(self.n_items, device=device).split(self.size)
        return users, items[:-1] if self.skip_last and len(items) > 1 else items

    def __iter__(self) -> Iterator[Block]:
        users, items = self.shuffled()
        pairs, size = self.users.all, self.size
        row = _places(users, self.n_users)[pairs.row]
        column = _places(items, self.n_items)[pairs.item]  # -1 if skipped
        block = row // size * len(items) + column // size
        block = block.where(column >= 0, len(users) * len(items))
        key, order = (row % size * size + column % size + block * size**2).sort()
        row, column = row[order] % size, column[order] % size
        numbers = torch.arange(len(users) * len(items) + 1, device=key.device)
        ends = torch.searchsorted(key, numbers * size**2).tolist()
        for n, (u, i) in enumerate(product(users, items)):
            of = slice(ends[n], ends[n + 1])
            yield Block(u, i, row[of], column[of])


def _places(parts: tuple[Tensor, ...], n: int) -> Tensor:
    """Return the place of each of n numbers in the concatenated parts; -1 if it is in none."""
    order = torch.cat(parts)
    place = torch.full((n,), -1, device=order.device)
    place[order] = torch.arange(len(order), device=order.device)
    return place
