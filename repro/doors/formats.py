"""Write the parts of a split as CSV, Parquet, NPZ or TREC files.

What a format cannot say is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from repro.doors import recbole
from repro.doors.parts import need_plain, parts_of
from repro.doors.place import Asked


def csv(asked: Asked, folder: Path) -> str:
    """Write a CSV file for each part, and the ids by number."""
    for name, frame in _frames(asked).items():
        frame.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    return _TABLES.format(suffix="csv", read="pandas.read_csv(file, dtype=str)")


def parquet(asked: Asked, folder: Path) -> str:
    """Write a Parquet file for each part, and the ids by number."""
    for name, frame in _frames(asked).items():
        frame.to_parquet(folder / f"{name}.parquet", index=False)
    return _TABLES.format(suffix="parquet", read="pandas.read_parquet(file)")


def npz(asked: Asked, folder: Path) -> str:
    """Write a sparse matrix for each part, lists of candidates, and the ids by number."""
    from scipy.sparse import save_npz

    split = asked.split
    for part in parts_of(split):
        if not part.name.endswith("_candidates"):
            save_npz(folder / f"{part.name}.npz", part.rows.matrix())
    rows = {"train": split.users}
    for name, cases in (("valid", split.valid), ("test", split.test)):
        if cases is not None:
            rows[name] = cases.queries.original
            if cases.queries.candidates is not None:
                np.savez_compressed(
                    folder / f"{name}_candidates.npz", candidates=cases.queries.candidates
                )
    joined = {part.name: part.users for part in parts_of(split) if part.name == "train_valid"}
    ids = {f"{name}_users": asked.data.user_ids[at] for name, at in (rows | joined).items()}
    where = {int(user): row for row, user in enumerate(split.users)}
    test_rows = [where.get(int(user), -1) for user in split.test.queries.original]
    items = asked.data.item_ids[split.items]
    np.savez_compressed(folder / "ids.npz", items=items, test_rows=test_rows, **ids)  # type: ignore[arg-type]
    return _MATRICES


def trec(asked: Asked, folder: Path) -> str:
    """Write qrels of targets, runs of candidates, and the rest as tab-separated pairs."""
    need_plain(asked, "trec")
    for part in parts_of(asked.split):
        frame, name = part.frame(asked), part.name
        if name.endswith("_candidates"):
            name = f"{name}.run"
            frame = _in_order(frame, "user", "Q0", "item", "0", "0", "candidates")
        elif name in ("valid", "test"):
            name, frame = f"{name}.qrels", _in_order(frame, "user", "0", "item", "1")
        else:
            name = f"{name}.tsv"
        separator = "\t" if name.endswith(".tsv") else " "
        frame.to_csv(folder / name, sep=separator, index=False, header=False, lineterminator="\n")
    return _TREC


FORMATS: dict[str, Callable[[Asked, Path], str]] = {
    "csv": csv,
    "parquet": parquet,
    "npz": npz,
    "recbole": recbole.write,
    "trec": trec,
}
"""Each writes a split into a folder, and returns what README says of the files."""


def _frames(asked: Asked) -> dict[str, pd.DataFrame]:
    """Return a table for each part, and the ids by number."""
    data, items = asked.data, asked.split.items
    found = {part.name: part.frame(asked) for part in parts_of(asked.split)}
    number = np.arange(len(items))
    found["items"] = pd.DataFrame({"number": number, "item": data.item_ids[items]})
    every = pd.DataFrame({"number": np.arange(len(data.user_ids)), "user": data.user_ids})
    return found | {"users": every}


def _in_order(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Return columns of a frame, and constants under their own value, in the order given."""
    made = {
        place: frame[name] if name in frame.columns else name for place, name in enumerate(columns)
    }
    return pd.DataFrame(made, index=frame.index)


_TABLES = """\
Each `.{suffix}` file has the columns user and item, with the original ids: `{read}`.

`users.{suffix}` and `items.{suffix}` number the ids from 0. Among equal scores the lower item
number comes first in a full ranking.
"""

_MATRICES = """\
Each part is a sparse 0/1 matrix: `scipy.sparse.load_npz("train.npz")`. Columns are items; a row of
`train.npz` is a training user, a row of the `test` and `valid` files one test or validation user.
A matrix holds neither the order of a user's items nor repeated pairs: take csv for those.

`ids.npz` has the original ids: `items` of the columns; `train_users`, `test_users` and so on of the
rows; `test_rows`, the row in training of each test user, or -1. `test_candidates.npz`, if there,
has `candidates`: the columns to rank for each test user, -1 where there are fewer.

With implicit, for users that training knows:

    train, test = load_npz("train.npz"), load_npz("test.npz")
    ids = numpy.load("ids.npz")
    model = implicit.als.AlternatingLeastSquares().fit(train)
    scores = model.user_factors[ids["test_rows"]] @ model.item_factors.T
    numpy.savez("scores.npz", scores=scores)

`repro score` takes such a file: `scores` of shape (test users, items), in this order.
"""

_TREC = """\
`test.qrels` has a line `user 0 item 1` for each item that must be found. `test_candidates.run`, if
there, has a line `user Q0 item 0 0 candidates` for each item to rank; else every item is ranked but
those of `test_history.tsv`. The `.tsv` files have user and item, without a header.

Metrics that trec_eval computes from your run agree with ours unless scores are tied: it breaks ties
by document id.
"""
