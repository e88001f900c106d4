"""Rows: interactions as a file has them, under their original identifiers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.interactions import IntArray, StrArray

Ids = NDArray[np.int64] | StrArray


@dataclass(frozen=True, eq=False)
class Rows:
    """Interactions as a file has them, in its order.

    Parameters
    ----------
    user, item : int32 array, shape (n,)
        Places in `user_ids` and `item_ids`.
    user_ids, item_ids : int64 or str array
        Original identifiers, ascending; some may have no rows any more.
    rating : float64 array, shape (n,), optional
    time : int64 array, shape (n,), optional
        Since 1970, in UTC.
    order : str
        "": in the order of the file; "time": each user's rows are oldest first; "file": in the
        order of the file, on which a later split depends.
    vocabulary : array, optional
        The items in the order of their numbers, once a step has fixed it.
    part : int64 array, shape (n,), optional
        Which of several files each row comes from; no step uses it.
    ticks : int
        How many of the unit of `time` a second has.
    dated : bool
        Whether the file has dates, so that the unit of `time` is certain.
    doubts : tuple of str
        What was read in one of several possible ways, for the user.
    """

    user: IntArray
    item: IntArray
    user_ids: Ids
    item_ids: Ids
    rating: NDArray[np.float64] | None = None
    time: NDArray[np.int64] | None = None
    order: str = ""
    vocabulary: Ids | None = None
    part: NDArray[np.int64] | None = None
    ticks: int = 1
    dated: bool = False
    doubts: tuple[str, ...] = ()

    @classmethod
    def of(cls, user: Ids, item: Ids, **columns: NDArray[Any] | None) -> Rows:
        """Return rows of original identifiers."""
        users, user_ids = encoded(user)
        items, item_ids = encoded(item)
        return cls(users, items, user_ids, item_ids, **columns)  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self.user)

    def take(self, index: NDArray[Any]) -> Rows:
        """Return the rows of a mask or of positions."""
        return replace(
            self,
            user=self.user[index],
            item=self.item[index],
            rating=None if self.rating is None else self.rating[index],
            time=None if self.time is None else self.time[index],
            part=None if self.part is None else self.part[index],
        )


def encoded(ids: Ids) -> tuple[IntArray, Ids]:
    """Return each identifier's place among the distinct ones, and these, ascending."""
    import pandas as pd

    if ids.dtype.kind == "U":  # pandas would make each a Python object
        texts, places = np.unique(ids, return_inverse=True)
        return places.astype(np.int32), texts.astype(np.str_)
    codes, uniques = pd.factorize(ids, sort=True)
    known: NDArray[np.int64] = np.array(uniques, dtype=np.int64)
    return codes.astype(np.int32), known
