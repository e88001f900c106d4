"""The parts of a split, as lists of pairs: what an export writes, in whatever format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from repro.doors.place import Asked
from repro.errors import ReproError
from repro.interactions import IntArray, Interactions
from repro.split import Cases, Split


@dataclass(frozen=True, eq=False)
class Part:
    """A list of users and items: training rows, targets, what is known of users, candidates."""

    name: str
    what: str
    """For people."""
    users: IntArray
    """The number in the dataset of each row's user, shape (R,)."""
    rows: Interactions
    """R rows."""

    def frame(self, asked: Asked) -> pd.DataFrame:
        """Return the pairs under their original ids, as "user" and "item"."""
        user, item = self.users[self.rows.user], asked.split.items[self.rows.item]
        data = asked.data
        return pd.DataFrame({"user": data.user_ids[user], "item": data.item_ids[item]})


def parts_of(split: Split) -> list[Part]:
    """Return the parts of a split; a list of candidates only where the protocol gives one."""
    order = ", oldest first" if split.train.ordered else ""
    found = [Part("train", f"what to train on{order}", split.users, split.train)]
    held = [("valid", "validation", split.valid), ("test", "test", split.test)]
    for name, kind, cases in held:
        if cases is None:
            continue
        users, queries = cases.queries.original, cases.queries
        found += [
            Part(name, f"{kind}: the items that must be found", users, cases.targets),
            Part(
                f"{name}_history",
                f"{kind}: what is known of each user; these items are never ranked",
                users,
                queries.history,
            ),
        ]
        if queries.candidates is not None:
            what = f"{kind}: the items to rank for each user"
            found.append(Part(f"{name}_candidates", what, users, candidates_of(cases)))
    if split.valid is not None:
        users, rows = with_valid(split, split.valid)
        what = "what to train on once all is chosen: training and validation joined"
        found.insert(1, Part("train_valid", f"{what}; validation items last", users, rows))
    return found


def candidates_of(cases: Cases) -> Interactions:
    """Return the candidates of each case."""
    candidates = cases.queries.candidates
    assert candidates is not None, "asked only where there are some"
    user, place = np.nonzero(candidates >= 0)
    item = candidates[user, place].astype(np.int32)
    n_items = cases.targets.n_items
    return Interactions(user.astype(np.int32), item, len(cases), n_items, ordered=False)


def with_valid(split: Split, valid: Cases) -> tuple[IntArray, Interactions]:
    """Return training and validation joined: the numbers of the users, and their rows.

    Of a validation user that training does not know, the history comes first.
    """
    train, numbers = split.train, valid.queries.original
    new = ~np.isin(numbers, split.users)
    users = np.union1d(split.users, numbers)
    history = valid.queries.history.where(new[valid.queries.history.user])
    owner = [split.users[train.user], numbers[history.user], numbers[valid.targets.user]]
    items = np.concatenate([train.item, history.item, valid.targets.item])
    row = np.searchsorted(users, np.concatenate(owner))
    order = np.argsort(row, kind="stable")
    joined = row[order].astype(np.int32), items[order].astype(np.int32)
    return users, Interactions(*joined, len(users), train.n_items, train.ordered)


def counts(split: Split) -> Iterator[tuple[str, int]]:
    """Yield what the parts hold: users, items, and rows of each part."""
    yield "training users", split.train.n_users
    yield "items", split.train.n_items
    yield "test users", len(split.test)
    for part in parts_of(split):
        yield part.name, len(part.rows)


def need_plain(asked: Asked, form: str) -> None:
    """Raise if an id has a character that separates columns, in a format without quotes."""
    for kind, ids in (("user", asked.data.user_ids), ("item", asked.data.item_ids)):
        for one in map(str, ids):
            if one.split() != [one]:
                raise ReproError(
                    f"the {kind} id {one!r} has a character that separates columns, or is empty, "
                    f"so {form} files cannot hold it",
                    "choose csv, parquet or npz",
                )
