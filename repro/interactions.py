"""Interactions of users with items: the one form of all data after preparation.

Shape letters: U users, I items, T sequence length, n interactions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from repro.errors import ReproError

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_matrix

IntArray = NDArray[np.integer]
StrArray = NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Interactions:
    """Pairs of user and item, grouped by user; each user's are in the view's order.

    Parameters
    ----------
    user, item : int32 array, shape (n,)
        Numbers from 0; `user` ascends. A pair may occur more than once.
    n_users, n_items : int
        How many there are, including those without interactions.
    ordered : bool
        True: each user's rows are oldest first; False: they are in the order of the file.
    row : int32 array, shape (n,), optional
        Each row's place in the file, if a split depends on it: the file may be sorted by item.
    """

    user: IntArray
    item: IntArray
    n_users: int
    n_items: int
    ordered: bool
    row: IntArray | None = None

    def __post_init__(self) -> None:
        assert self.user.shape == self.item.shape
        assert len(self.user) == 0 or bool((np.diff(self.user) >= 0).all()), "not grouped by user"

    def __len__(self) -> int:
        return len(self.user)

    def __getitem__(self, user: int) -> IntArray:
        """Return one user's items."""
        return self.item[self.offsets[user] : self.offsets[user + 1]]

    @cached_property
    def counts(self) -> IntArray:
        """Interactions per user, shape (U,)."""
        return np.bincount(self.user, minlength=self.n_users)

    @cached_property
    def offsets(self) -> IntArray:
        """Where each user's rows begin, and the end; int64, shape (U + 1,)."""
        return np.concatenate([[0], np.cumsum(self.counts)])

    @cached_property
    def position(self) -> IntArray:
        """Each row's place among its user's rows, from 0; shape (n,)."""
        return np.arange(len(self)) - self.offsets[self.user]

    def where(self, keep: NDArray[np.bool_]) -> Interactions:
        """Return the rows that a mask of shape (n,) keeps; users and items keep their numbers."""
        return Interactions(
            self.user[keep],
            self.item[keep],
            self.n_users,
            self.n_items,
            self.ordered,
            None if self.row is None else self.row[keep],
        )

    def rows(self, users: IntArray) -> Interactions:
        """Return the rows of some users, renumbered from 0 in the order given."""
        lengths = self.counts[users]
        starts = np.repeat(self.offsets[users] - np.cumsum(lengths) + lengths, lengths)
        index = starts + np.arange(int(lengths.sum()))
        return Interactions(
            np.repeat(np.arange(len(users), dtype=np.int32), lengths),
            self.item[index],
            len(users),
            self.n_items,
            self.ordered,
            None if self.row is None else self.row[index],
        )

    def _pair(self) -> NDArray[np.int64]:
        """Return user * I + item of every row."""
        return self.user.astype(np.int64) * self.n_items + self.item

    def complete_users(self) -> IntArray:
        """Return the users who have every item."""
        few: list[int] = np.flatnonzero(self.counts >= self.n_items).tolist()
        return np.array([user for user in few if len(np.unique(self[user])) == self.n_items])

    def distinct(self) -> Interactions:
        """Return the first row of every pair."""
        pair = self._pair()
        if _ascends(pair):
            return self
        _, first = np.unique(pair, return_index=True)
        if len(first) == len(self):
            return self
        keep = np.zeros(len(self), dtype=bool)
        keep[first] = True
        return self.where(keep)

    def pairs(self) -> NDArray[np.int64]:
        """Return user * I + item of every distinct pair, ascending."""
        pair = self._pair()
        return pair if _ascends(pair) else np.unique(pair)

    def matrix(self) -> csr_matrix:
        """Return the sparse 0/1 matrix, float32, shape (U, I)."""
        from scipy.sparse import csr_matrix

        matrix = csr_matrix(
            (np.ones(len(self), dtype=np.float32), (self.user, self.item)),
            shape=(self.n_users, self.n_items),
        )
        matrix.data[:] = 1.0  # the constructor adds up repeated pairs
        return matrix

    def sequences(self) -> IntArray:
        """Return each user's items in order, padded with zeros; int64, shape (U, T).

        T is the length of the longest list, at least 1.
        """
        out = np.zeros((self.n_users, self.longest), dtype=np.int64)
        out[self.user, self.position] = self.item
        return out

    def sequence_bytes(self) -> int:
        """Return how many bytes `sequences` takes."""
        return 8 * self.n_users * self.longest

    @property
    def longest(self) -> int:
        """T, the length of the longest list, at least 1."""
        return max(1, int(self.counts.max(initial=0)))

    def without(self, other: Interactions) -> Interactions:
        """Return the rows whose pair does not occur in `other`, which must have as many items."""
        assert self.n_items == other.n_items
        return self.where(~np.isin(self._pair(), other.pairs()))


def _ascends(numbers: NDArray[np.int64]) -> bool:
    """Return whether each is larger than the one before; this costs a tenth of sorting."""
    return bool((numbers[1:] > numbers[:-1]).all())


def from_rows(
    user: IntArray,
    item: IntArray,
    n_users: int,
    n_items: int,
    ordered: bool,
    numbered: bool = False,
) -> Interactions:
    """Return interactions from rows in any order; a user's rows keep their order.

    With `numbered`, `row` holds the place of each among the rows given.
    """
    order = np.argsort(user, kind="stable")
    return Interactions(
        user[order].astype(np.int32, copy=False),
        item[order].astype(np.int32, copy=False),
        n_users,
        n_items,
        ordered,
        order.astype(np.int32) if numbered else None,
    )


def first_appearance(item: IntArray, row: IntArray) -> IntArray:
    """Return the distinct items in the order of their first appearance in a file.

    Parameters
    ----------
    item : int array, shape (n,)
        Numbers from 0.
    row : int array, shape (n,)
        The place of each in the file.
    """
    never = np.iinfo(np.int64).max
    first = np.full(int(item.max(initial=-1)) + 1, never)
    np.minimum.at(first, item, row)
    order = np.argsort(first, kind="stable")
    return order[: int((first < never).sum())]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A prepared view of an archive.

    Parameters
    ----------
    id : str
        Archive and view: "ml-20m/liang2018".
    interactions : Interactions
        All of them.
    user_ids, item_ids : array, shapes (U,) and (I,)
        Original identifiers, by number: texts, or as a DataFrame had them.
    digest : str
        sha256 of all arrays; part of every experiment's id.
    parts : mapping, optional
        What the authors published besides or instead of one list: "train", "valid", "test", and
        "negatives" (items without interactions of the user, to be ranked against the test item).
    verified : bool
        Whether the files that it was made from have the hashes of the manifest.
    """

    id: str
    interactions: Interactions
    user_ids: StrArray
    item_ids: StrArray
    digest: str
    parts: Mapping[str, Interactions] = field(default_factory=dict)
    verified: bool = True

    def given(self, *names: str) -> list[Interactions]:
        """Return parts by name.

        Raises
        ------
        ReproError
            If the archive does not come with one of them.
        """
        missing = [name for name in names if name not in self.parts]
        if missing:
            raise ReproError(
                f"{self.id} does not come with its own {' and '.join(missing)}",
                "choose a view that has them, or a protocol that makes its own split",
            )
        return [self.parts[name] for name in names]

    def to_frame(self, interactions: Interactions | None = None) -> pd.DataFrame:
        """Return interactions as a DataFrame of "user" and "item", under their identifiers.

        Parameters
        ----------
        interactions : Interactions, optional
            Some whose users have the numbers of the dataset, such as the training part of a split
            that leaves out no user; all of them if not given.
        """
        import pandas as pd

        rows = self.interactions if interactions is None else interactions
        return pd.DataFrame({"user": self.user_ids[rows.user], "item": self.item_ids[rows.item]})


def digest(arrays: Mapping[str, NDArray[np.generic]]) -> str:
    """Return the sha256 of named arrays: names, types, shapes and bytes."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        total.update(array.reshape(-1).view(np.uint8).data)  # no copy: it may be gigabytes
    return total.hexdigest()
