"""Attach the scores of a file to the test cases of a split, or say which line does not fit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from repro.doors.parts import candidates_of
from repro.doors.place import Asked
from repro.doors.rankings import Ranked
from repro.errors import ReproError
from repro.interactions import IntArray
from repro.metrics import parse

NAMED = 5
"""Users that a message names."""


@dataclass(frozen=True, eq=False)
class Attached:
    """Scores of the test cases, by case."""

    n_listed: IntArray
    """How many items that can be ranked have a score, shape (B,)."""
    missing: tuple[str, ...]
    """Original ids of test users without a score."""
    n_short: int
    """Further users whose list is shorter than the largest cut-off."""
    n_ignored: int
    """Users in the file who are not asked for."""
    offsets: IntArray
    """Where each case's pairs begin, and the end, shape (B + 1,)."""
    item: IntArray
    """The split's number of each pair's item."""
    score: NDArray[np.float64]
    matrix: NDArray[np.floating[Any]] | None = None
    """In place of the pairs, scores of shape (B, I) or (B, C)."""

    def dense(self, case: IntArray, n_items: int) -> NDArray[np.floating[Any]]:
        """Return the scores of some cases, -inf where there is none: (b, I), or as in `matrix`."""
        if self.matrix is not None:
            return self.matrix[case]
        out = np.full((len(case), n_items), -np.inf)
        for row, at in enumerate(case):
            own = slice(self.offsets[at], self.offsets[at + 1])
            out[row, self.item[own]] = self.score[own]
        return out


def attach(ranked: Ranked, asked: Asked, missing: str) -> Attached:
    """Return a file's scores by test case, all checked.

    Parameters
    ----------
    ranked : Ranked
        What the file says.
    asked : Asked
        The split.
    missing : str
        "refuse" users and ranks that the file lacks, or count them as "zero".

    Raises
    ------
    ReproError
        If a line does not fit the split, or users or ranks are missing; nothing is attached.
    """
    found = _of_matrix(ranked, asked) if ranked.matrix is not None else _of_pairs(ranked, asked)
    if missing != "zero":
        _refuse(found, ranked, asked)
    return found


def _of_pairs(ranked: Ranked, asked: Asked) -> Attached:
    """Return the scores of single pairs; lines are checked in the order of the checks."""
    split, data = asked.split, asked.data
    user = _numbers(ranked, ranked.user, data.user_ids, f"no user of {data.id} has the id")
    case_of = np.full(len(data.user_ids), -1)
    case_of[split.test.queries.original] = np.arange(len(split.test))
    case = case_of[user]
    n_ignored = len(np.unique(user[case < 0]))
    kept = np.flatnonzero(case >= 0)
    case = case[kept]

    item = _numbers(ranked, ranked.item, data.item_ids, f"no item of {data.id} has the id", kept)
    item_of = np.full(len(data.item_ids), -1)
    item_of[split.items] = np.arange(len(split.items))
    item = item_of[item]
    _check(ranked, kept, item < 0, "is not in the split: no training user has it")
    score = ranked.score[kept]
    _check(ranked, kept, ~np.isfinite(score), "has a score that is not a finite number")

    pair = case * np.int64(split.train.n_items) + item
    order = np.argsort(pair, kind="stable")
    again = np.zeros(len(pair), dtype=bool)
    again[order[1:]] = pair[order[1:]] == pair[order[:-1]]
    _check(ranked, kept, again, "is listed a second time for this user")
    seen = np.isin(pair, split.test.queries.history.pairs())
    _check(ranked, kept, seen, "is in the user's history, which the protocol never ranks")
    if split.test.queries.candidates is not None:
        other = ~np.isin(pair, candidates_of(split.test).pairs())
        _check(ranked, kept, other, "is none of the user's candidates")
    counts = np.bincount(case, minlength=len(split.test))
    return Attached(
        counts,
        *_lacking(counts, asked),
        n_ignored,
        np.concatenate([[0], np.cumsum(counts)]),
        item[order],
        score[order],
    )


def _numbers(
    ranked: Ranked,
    texts: NDArray[np.object_],
    ids: NDArray[Any],
    fault: str,
    kept: IntArray | None = None,
) -> IntArray:
    """Return the number of each id, of the rows that are kept."""
    rows = np.arange(len(texts)) if kept is None else kept
    number: IntArray = pd.Index([str(one) for one in ids]).get_indexer(texts[rows])  # type: ignore[arg-type]
    unknown = np.flatnonzero(number < 0)
    if len(unknown):
        first = rows[unknown[0]]
        of = f"user {ranked.user[first]!r}: " if kept is not None else ""
        others = f", nor {len(unknown) - 1:,} others" if len(unknown) > 1 else ""
        raise ReproError(
            f"{ranked.at(first)}: {of}{fault} {texts[first]!r}{others}",
            "use the original ids, as an export has them",
        )
    return number


def _check(ranked: Ranked, kept: IntArray, wrong: NDArray[np.bool_], fault: str) -> None:
    """Raise for the first line that is wrong in some way, and say how many more are."""
    places = np.flatnonzero(wrong)
    if len(places):
        first = kept[places[0]]
        more = f" ({len(places):,} such lines)" if len(places) > 1 else ""
        who = f"user {ranked.user[first]!r}, item {ranked.item[first]!r}"
        raise ReproError(f"{ranked.at(first)}: {who} {fault}{more}", "correct the file")


def _of_matrix(ranked: Ranked, asked: Asked) -> Attached:
    """Return the scores of a matrix, whose rows are the test cases in order."""
    split, scores = asked.split, ranked.matrix
    assert scores is not None
    queries, n_items = split.test.queries, split.train.n_items
    shapes = [(len(queries), n_items)]
    shapes += [] if queries.candidates is None else [queries.candidates.shape]
    if scores.shape not in shapes:
        due = " or ".join(map(str, shapes))
        raise ReproError(
            f"{ranked.name}: `scores` has shape {scores.shape}, not {due}",
            "rows are the test users and columns the items, or candidates, of an npz export",
        )
    if queries.candidates is not None:
        if scores.shape == shapes[0]:
            scores = np.take_along_axis(scores, np.maximum(queries.candidates, 0), axis=1)
        able = queries.candidates >= 0
    else:
        able = np.ones(scores.shape, dtype=bool)
        able[queries.history.user, queries.history.item] = False
    wrong = np.argwhere(able & (np.isnan(scores) | (scores == np.inf)))
    if len(wrong):
        row, column = wrong[0]
        item = column if queries.candidates is None else queries.candidates[row, column]
        user = asked.data.user_ids[queries.original[row]]
        raise ReproError(
            f"{ranked.name}, row {row} of `scores`: the score of user '{user}' for item "
            f"'{asked.data.item_ids[split.items[item]]}' is {scores[row, column]}",
            "correct the file; -inf marks what is not ranked",
        )
    counts = (able & (scores > -np.inf)).sum(axis=1)
    nothing: IntArray = np.empty(0, dtype=np.int64)
    return Attached(counts, *_lacking(counts, asked), 0, nothing, nothing, np.empty(0), scores)


def _lacking(counts: IntArray, asked: Asked) -> tuple[tuple[str, ...], int]:
    """Return the test users without a score, and how many more have too few."""
    split = asked.split
    queries = split.test.queries
    able = split.train.n_items - queries.history.distinct().counts
    if queries.candidates is not None:
        able = (queries.candidates >= 0).sum(axis=1)
    deepest = max(parse(metric)[1] for metric in asked.place.metrics.values())
    none = counts == 0
    short = ~none & (counts < np.minimum(able, deepest))
    ids = asked.data.user_ids[queries.original[none]]
    return tuple(map(str, ids)), int(short.sum())


def _refuse(found: Attached, ranked: Ranked, asked: Asked) -> None:
    """Raise if users or ranks are missing."""
    how = "add them, or count what is missing as misses with --missing zero"
    n_users = len(asked.split.test)
    if found.missing:
        raise ReproError(
            f"{ranked.name} lacks {len(found.missing):,} of the {n_users:,} test users: "
            f"{named(found.missing)}",
            how,
        )
    if found.n_short:
        deepest = max(parse(metric)[1] for metric in asked.place.metrics.values())
        first = int(np.argmin(found.n_listed))
        user = asked.data.user_ids[asked.split.test.queries.original[first]]
        raise ReproError(
            f"{ranked.name} has fewer than {deepest} items for {found.n_short:,} of the "
            f"{n_users:,} test users, as for '{user}', with {found.n_listed[first]}",
            how,
        )


def named(ids: Iterable[str]) -> str:
    """Return the first of some ids, and how many more there are."""
    every = list(ids)
    more = f" and {len(every) - NAMED:,} more" if len(every) > NAMED else ""
    return ", ".join(f"'{one}'" for one in every[:NAMED]) + more
