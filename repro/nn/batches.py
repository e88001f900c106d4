"""Training data on the device, and batches drawn from it there.

Shape letters: U users, I items, B batch, n interactions of all users, m of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from repro.errors import UnsupportedError
from repro.interactions import Interactions


def to_device(numbers: np.ndarray, device: torch.device) -> Tensor:
    """Return integers as int64 on the device."""
    return torch.from_numpy(numbers.astype(np.int64)).to(device)


def sent(numbers: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor from the host to the device without waiting, and return the copy."""
    if device.type == "cuda":  # a copy from pageable memory would wait
        numbers = numbers.pin_memory()
    return numbers.to(device, non_blocking=True)


@dataclass(frozen=True, eq=False)
class Rows:
    """The 0/1 rows of a batch of users, sparse.

    Parameters
    ----------
    row : int64 tensor, shape (m,)
        Which user of the batch; ascending.
    item : int64 tensor, shape (m,)
        Which item.
    start : int64 tensor, shape (B,)
        Where each user's entries start.
    count : int64 tensor, shape (B,)
        How many entries each user has.
    user : int64 tensor, shape (B,)
        The users' numbers.
    n_items : int
        I.
    """

    row: Tensor
    item: Tensor
    start: Tensor
    count: Tensor
    user: Tensor
    n_items: int

    def dense(self) -> Tensor:
        """Return the rows as a float32 matrix, shape (B, I)."""
        x = torch.zeros(len(self.count), self.n_items, device=self.item.device)
        x[self.row, self.item] = 1.0
        return x


def rows_of(interactions: Interactions, device: torch.device) -> Rows:
    """Return all rows of some interactions; repeated pairs count once."""
    known = interactions.distinct()
    return Rows(
        row=to_device(known.user, device),
        item=to_device(known.item, device),
        start=to_device(known.offsets[:-1], device),
        count=to_device(known.counts, device),
        user=torch.arange(known.n_users, device=device),
        n_items=known.n_items,
    )


class UserRows:
    """Every user once per epoch, in a new random order; the last batch may be smaller.

    Parameters
    ----------
    train : Interactions
        Training data, which is copied to the device.
    batch_size : int
        B.
    device : torch.device
        Where.
    """

    def __init__(self, train: Interactions, batch_size: int, device: torch.device) -> None:
        self.all = rows_of(train, device)
        self.users = torch.arange(train.n_users, device=device)[self.all.count > 0]
        self.batch_size = batch_size

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return -(-len(self.users) // self.batch_size)

    def __iter__(self) -> Iterator[Rows]:
        users = self.users[torch.randperm(len(self.users), device=self.users.device)]
        batches = users.split(self.batch_size)
        counts = self.all.count[users].split(self.batch_size)
        totals = torch.stack([count.sum() for count in counts]).tolist()  # the epoch's only wait
        for batch, total in zip(batches, totals, strict=True):
            yield self.of(batch, total)

    def of(self, users: Tensor, total: int | None = None) -> Rows:
        """Return the rows of some users, in the order given.

        Parameters
        ----------
        users : int64 tensor, shape (B,)
            Their numbers.
        total : int, optional
            m, how many entries they have; None: the host waits for the device to tell.
        """
        count = self.all.count[users]
        start = count.cumsum(0) - count
        numbers = torch.arange(len(users), device=users.device)
        row = torch.repeat_interleave(numbers, count, output_size=total)
        within = torch.arange(len(row), device=users.device) - start[row]
        item = self.all.item[self.all.start[users][row] + within]
        return Rows(row, item, start, count, users, self.all.n_items)


def with_negatives(train: Interactions) -> Interactions:
    """Return the rows of the users who lack an item; a user who has all has no negative."""
    full = train.counts >= train.n_items
    if full.any():
        full = train.distinct().counts >= train.n_items
    return train.where(~full[train.user]) if full.any() else train


class Positives:
    """The training pairs, with negatives drawn for them.

    A negative is drawn uniformly from the items that the user does not have in training; it may be
    a held-out item of validation or test, as in the code of NCF and of BPR. A user who has every
    item has no negative, and so no pair here.

    Parameters
    ----------
    train : Interactions
        Repeated pairs count once.
    batch_size : int
        Pairs in a batch.
    device : torch.device
        Where.

    Raises
    ------
    UnsupportedError
        If every user has every item.
    """

    def __init__(self, train: Interactions, batch_size: int, device: torch.device) -> None:
        distinct = with_negatives(train).distinct()
        if len(train) and not len(distinct):
            raise UnsupportedError(
                f"every user has all {train.n_items:,} items, so there is no negative to draw",
                "choose a model without negatives",
            )
        self.user = to_device(distinct.user, device)
        self.item = to_device(distinct.item, device)
        self.pairs = to_device(distinct.pairs(), device)
        self.n_items = train.n_items
        self.batch_size = batch_size

    def negatives(self, user: Tensor) -> Tensor:
        """Return for each user an item that the user does not have in training."""
        item = torch.randint(self.n_items, user.shape, device=user.device)
        again = self._touched(user, item).nonzero()[:, 0]
        while len(again):
            item[again] = torch.randint(self.n_items, again.shape, device=user.device)
            again = again[self._touched(user[again], item[again])]
        return item

    def triples(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield batches of user, item and negative: every pair once, in a new random order."""
        order = torch.randperm(len(self.user), device=self.user.device)
        negative = self.negatives(self.user)
        for index in order.split(self.batch_size):
            yield self.user[index], self.item[index], negative[index]

    def labelled(self, n_negatives: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield batches of user, item and label: the pairs, and n_negatives for each of them."""
        n = len(self.user)
        user = self.user.repeat(1 + n_negatives)
        item = torch.cat([self.item, self.negatives(user[n:])])
        label = torch.zeros(len(user), device=user.device)
        label[:n] = 1.0
        order = torch.randperm(len(user), device=user.device)
        for index in order.split(self.batch_size):
            yield user[index], item[index], label[index]

    def _touched(self, user: Tensor, item: Tensor) -> Tensor:
        pair = user * self.n_items + item
        place = torch.searchsorted(self.pairs, pair).clamp(max=len(self.pairs) - 1)
        return self.pairs[place] == pair
