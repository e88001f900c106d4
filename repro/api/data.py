"""Datasets, and what there is, in a notebook."""

from __future__ import annotations

import warnings
from collections.abc import Hashable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from repro import paths
from repro.data import prepare, views
from repro.data.frames import from_frame
from repro.data.tell import Silent
from repro.errors import ReproError
from repro.interactions import Dataset
from repro.report import lists

if TYPE_CHECKING:
    import pandas as pd


@overload
def dataset(data: str, *, source: str | Path | None = None) -> Dataset: ...


@overload
def dataset(
    data: pd.DataFrame,
    *,
    user: Hashable = "user",
    item: Hashable = "item",
    time: Hashable | None = None,
    name: str = "frame",
) -> Dataset: ...


def dataset(data: Any, *, source: str | Path | None = None, **columns: Any) -> Dataset:
    """Return a dataset: a view of an archive by its id, or the interactions in a DataFrame.

    Parameters
    ----------
    data : str or DataFrame
        "ml-100k/dave", fetched and built if it is not in the cache; or a DataFrame with a row for
        each interaction.
    source : path, optional
        A folder with the archive or its files, instead of the network.
    user, item, time, name
        The columns of a DataFrame, and its name, as in `repro.data.frames.from_frame`.

    Warns
    -----
    UserWarning
        For what of its files was read in one of several possible ways, and for files of your own
        that are not read, as one of repro's has their name.

    Raises
    ------
    ReproError
        If there is no such dataset, its files cannot be fetched, or a column is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> plays = pd.DataFrame({"who": ["ann", "bob", "ann"], "song": [7, 7, 3], "at": [1, 1, 2]})
    >>> data = dataset(plays, user="who", item="song", time="at")
    >>> data.user_ids.tolist(), data.item_ids.tolist()
    (['ann', 'bob'], [3, 7])
    """
    if not isinstance(data, str):
        if source is not None:
            raise ReproError("a DataFrame has no source", "leave it out")
        return from_frame(data, **columns)
    if columns:
        raise ReproError(f"{', '.join(columns)} name columns of a DataFrame, and '{data}' is an id")
    for told in paths.passed_over():
        warnings.warn(told, stacklevel=2)
    asked = prepare.asked_for([data])[0]
    if "/" not in data:
        known = ", ".join(f"{data}/{view}" for view in asked.views)
        raise ReproError(f"'{data}' is an archive, not a view of it", f"available: {known}")
    if source is not None:
        faults = prepare.fetch(asked, Path(source), False, Silent())
        if faults:
            raise faults[0]
    prepare.prepare(data, Silent())
    return views.load(data)


def catalogue(kind: str = "papers") -> pd.DataFrame:
    """Return what `repro list` prints.

    Parameters
    ----------
    kind : str
        "papers", "datasets", "models", "protocols", "metrics", or "results": the frozen ones.

    Raises
    ------
    ReproError
        If there is no such kind.
    """
    import pandas as pd

    return pd.DataFrame([asdict(line) for line in lists.lines(kind)])
