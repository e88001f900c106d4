"""A dataset from a DataFrame of interactions."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from repro.errors import ReproError, unknown
from repro.interactions import Dataset, IntArray, digest, from_rows

if TYPE_CHECKING:
    import pandas as pd


def from_frame(
    frame: pd.DataFrame,
    *,
    user: Hashable = "user",
    item: Hashable = "item",
    time: Hashable | None = None,
    name: str = "frame",
) -> Dataset:
    """Return a dataset of the interactions in a DataFrame.

    Parameters
    ----------
    frame : DataFrame
        A row for each interaction. A pair of user and item counts once: the oldest row, or without
        a time the first. Drop what is not an interaction, such as a low rating, beforehand.
    user, item : str
        The columns of identifiers, of any type.
    time : str, optional
        A column to sort each user's rows by, the oldest first; rows of one time keep their order.
        Without it rows keep the order of the frame.
    name : str
        The name of the dataset in messages and records.

    Returns
    -------
    Dataset
        Users and items are numbered by their sorted identifiers, or, if these cannot be sorted, in
        the order of their first appearance.

    Raises
    ------
    ReproError
        If a column or an identifier is missing, or there is no row.
    """
    import pandas as pd

    columns = [user, item, *([] if time is None else [time])]
    for column in columns:
        if column not in frame.columns:
            raise unknown(f"column of {name}", str(column), map(str, frame.columns))
        if missing := int(frame[column].isna().sum()):
            place = int(np.flatnonzero(frame[column].isna())[0])
            raise ReproError(
                f"{name}: {missing:,} of {len(frame):,} rows have no {column}, the first at "
                f"position {place}",
                "drop these rows, or fill them in",
            )
    if frame.empty:
        raise ReproError(f"{name} has no interactions")
    kept = frame[columns].reset_index(drop=True).rename(columns=str)
    if time is not None:
        try:
            kept = kept.sort_values(str(time), kind="stable")
        except TypeError as error:
            raise ReproError(f"{name}: the column {time} cannot be sorted: {error}") from error
    users, user_ids = _numbered(kept[str(user)])
    items, item_ids = _numbered(kept[str(item)])
    first = ~pd.DataFrame({"user": users, "item": items}).duplicated().to_numpy()
    sizes = len(user_ids), len(item_ids)
    ordered = time is not None
    rows = from_rows(users[first], items[first], *sizes, ordered=ordered, numbered=not ordered)
    arrays: dict[str, NDArray[Any]] = {
        "user_ids": np.array([str(id) for id in user_ids]),
        "item_ids": np.array([str(id) for id in item_ids]),
        "whole_user": rows.user,
        "whole_item": rows.item,
    }
    return Dataset(name, rows, user_ids, item_ids, digest(arrays), verified=False)


def _numbered(ids: pd.Series[Any]) -> tuple[IntArray, NDArray[Any]]:
    """Return each identifier's number, and the identifiers by number."""
    import pandas as pd

    try:
        codes, known = pd.factorize(ids, sort=True)
    except TypeError:  # numbers and texts in one column
        codes, known = pd.factorize(ids)
    ids_by_number = np.asarray(known)
    if ids_by_number.ndim > 1 or ids_by_number.dtype == object:  # tuples must not become columns
        ids_by_number = np.empty(len(known), dtype=object)
        ids_by_number[:] = list(known)
    return codes.astype(np.int32), ids_by_number
