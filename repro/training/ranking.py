"""Rank: scores in, hits out; on the device that holds the scores.

Shape letters: U users, B users of a batch, I items, C candidates, K depth of the ranking.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repro import metrics
from repro.errors import ReproError
from repro.interactions import IntArray, Interactions
from repro.metrics import DEPTH
from repro.model import Scorer
from repro.nn.batches import to_device
from repro.split import Cases, Queries

BATCH_SCORES = 2**25
"""Scores held at a time, users times items: 128 MiB in float32."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """The result of a ranking.

    Parameters
    ----------
    hits : bool array, shape (U, K)
        Whether the item at each rank is a target, best first.
    n_targets : int array, shape (U,)
        Targets per user.
    tie_size : float
        Mean over users of how many other items have the deciding score: the target's among
        candidates, the last ranked item's in a full ranking.
    constant : float
        Share of users for whom all items have the same score.
    items : int array, shape (U, K), optional
        The item at each rank, -1 where there is none; if they were to be kept.
    depth : int
        How many ranks were kept of more; 0: all.
    """

    hits: metrics.Hits
    n_targets: IntArray
    tie_size: float
    constant: float
    items: IntArray | None = None
    depth: int = 0

    def value(self, metric: str) -> float:
        """Return a metric's mean over users."""
        return float(self.per_user(metric).mean())

    def standard_error(self, metric: str) -> float | None:
        """Return the standard error of a metric's mean over users."""
        return metrics.standard_error(self.per_user(metric))

    def per_user(self, metric: str) -> metrics.Values:
        """Return a metric of every user.

        Raises
        ------
        ReproError
            If its cut-off is deeper than the ranks that were kept.
        """
        if self.depth and metrics.parse(metric)[1] > self.depth:
            raise ReproError(
                f"{metric} needs more than the {self.depth:,} ranks that were kept",
                "name it when you fit or rank",
            )
        return metrics.per_user(metric, self.hits, self.n_targets)


@torch.no_grad()
def rank(
    scorer: Scorer,
    cases: Cases,
    name: str = "the model",
    *,
    keep_items: bool = False,
    depth: int = 0,
) -> Ranking:
    """Rank items for every case, and mark the targets among them.

    Without candidates, every item that is not in the user's history is ranked, and ties go to the
    lower item number. If all items score the same, that order would be the catalogue's, which often
    begins with the most popular items: such a user gets a random order, the same in every run, so
    that a model that has collapsed is as good as chance. Among candidates, a target comes *after*
    every other item with its score (as in He et al. 2018 (APR); NCF's own code broke ties by the
    order of a dictionary).

    Parameters
    ----------
    scorer : Scorer
        Scores a batch of users at a time.
    cases : Cases
        Queries and targets of U users.
    name : str
        The model's name, for messages.
    keep_items : bool
        Keep the ranked items themselves.
    depth : int
        How many ranks to keep, where that is more than `repro.metrics.DEPTH`.

    Raises
    ------
    ReproError
        If a score is not a number or positive infinity, if scores are no tensor of the shape that
        was asked for, or if there is no case.
    """
    if not len(cases):
        raise ReproError("no user has a target", "check the minimum counts of the protocol")
    hits, items, tied, constant = [], [], 0.0, 0
    kept = max(DEPTH, depth)
    for index in _batches(len(cases), cases.targets.n_items):
        queries, targets = cases.queries.rows(index), cases.targets.rows(index)
        if queries.candidates is None:
            scores = scored(scorer, queries, name)
            found = _rank_all(scores, queries.history, targets, index, kept, name)
        else:
            found = _rank_candidates(scorer, queries, queries.candidates, targets, name)
        hits.append(found[0].cpu().numpy())
        if keep_items:
            items.append(found[3][:, :kept].to(torch.int32).cpu().numpy())
        tied += float(found[1].sum())
        constant += int(found[2].sum())
    n_users = len(cases)
    return Ranking(
        np.concatenate(hits),
        cases.targets.counts,
        tied / n_users,
        constant / n_users,
        np.concatenate(items) if keep_items else None,
        kept if cases.queries.candidates is None and kept < cases.targets.n_items else 0,
    )


def scored(scorer: Scorer, queries: Queries, name: str = "the model") -> Tensor:
    """Return a scorer's scores as a tensor of floats; an array of numpy may stand for one.

    Raises
    ------
    ReproError
        If there is no method `score`, or it returns anything but a score for each item or
        candidate.
    """
    if not callable(getattr(scorer, "score", None)):
        raise ReproError(
            f"{name} yields a {type(scorer).__name__}, which has no method score",
            "yield an object with score(self, queries), as repro/models/ease.py does",
        )
    scores: Any = scorer.score(queries)
    if isinstance(scores, np.ndarray) and scores.dtype.kind in "iufb":
        scores = torch.from_numpy(np.array(scores))  # a copy: the caller overwrites it
    if not isinstance(scores, Tensor):
        raise ReproError(
            f"{name}: score returns a {type(scores).__name__}, and not scores",
            "return a tensor of floats (or a numpy array) with a row for each query",
        )
    if queries.candidates is None:
        asked, what = (len(queries), queries.history.n_items), "a query and item"
    else:
        asked, what = queries.candidates.shape, "a query and candidate"
    if tuple(scores.shape) != asked:
        raise ReproError(
            f"{name}: score returns the shape {tuple(scores.shape)}, not {asked}",
            f"return one score for {what}",
        )
    return scores if scores.is_floating_point() else scores.double()  # whole numbers, to mask some


_Found = tuple[Tensor, Tensor, Tensor, Tensor]
"""Hits (B, K); tied items (B,); whether all scores are equal (B,); items (B, K), -1 where none."""


def _rank_all(
    scores: Tensor,
    history: Interactions,
    targets: Interactions,
    users: IntArray,
    depth: int,
    name: str,
) -> _Found:
    """Rank every item that is not in the history; `users` are their numbers among all cases."""
    n_items = targets.n_items
    device = scores.device
    scores[to_device(history.user, device), to_device(history.item, device)] = -torch.inf
    depth = min(depth, n_items)
    beyond = min(depth + 1, n_items)  # one more shows whether a tie crosses the last rank
    value, item = scores.topk(beyond, dim=1)  # (B, K + 1); a NaN counts as the largest
    _check_numbers(value, name)

    # topk breaks ties arbitrarily; sorted by number, then stably by score, the lower number wins
    item, order = item.sort(dim=1)
    value, by_score = value.gather(1, order).sort(dim=1, descending=True, stable=True)
    item = item.gather(1, by_score)
    last = value[:, depth - 1]
    tied = torch.zeros_like(last)
    crossing = (value[:, beyond - 1] == last) & (last > -torch.inf) & (beyond > depth)
    if bool(crossing.any()):
        rows = scores[crossing]
        tied[crossing] = (rows == last[crossing, None]).sum(dim=1).to(tied.dtype) - 1
        item[crossing] = rows.sort(dim=1, descending=True, stable=True).indices[:, :beyond]

    ranked = value > -torch.inf
    lowest = value.where(ranked, torch.inf).amin(dim=1)
    constant = lowest == value[:, 0]
    if bool(constant.any()):
        rows = scores[constant]
        same = (rows == value[constant, :1]).sum(dim=1)
        constant[constant.clone()] = same == (rows > -torch.inf).sum(dim=1)
        of = constant.nonzero()[:, 0]
        shuffled = _in_random_order(scores[of] > -torch.inf, to_device(users, device)[of])
        item[of] = shuffled[:, :beyond]
    constant |= ~ranked[:, 0] & (to_device(history.counts, device) < n_items)  # all are -inf

    row = torch.arange(len(item), device=device)[:, None]
    hits = _is_in(row * n_items + item, targets) & ranked
    return hits[:, :depth], tied, constant, item.where(ranked, -1)[:, :depth]


def _in_random_order(ranked: Tensor, users: Tensor) -> Tensor:
    """Return the items of each user in a random order, those that are not ranked last.

    The order depends on the user's number alone: neither batches nor the device change it.

    Parameters
    ----------
    ranked : Tensor, shape (B, I)
        Whether an item is ranked.
    users : Tensor, shape (B,)
        Numbers.
    """
    key = users[:, None] * 0x9E3779B1 + torch.arange(ranked.shape[1], device=users.device) + 1
    for factor in (0x2545F4914F6CDD1D, 0x27D4EB2F165667C5):  # a hash: int64 products wrap
        key = (key ^ (key >> 29)) * factor
    key = (key >> 1) & (2**62 - 1)
    return key.where(ranked, 2**62).argsort(dim=1, stable=True)


def _rank_candidates(
    scorer: Scorer, queries: Queries, candidates: IntArray, targets: Interactions, name: str
) -> _Found:
    """Rank the candidates; a target comes after all others with its score."""
    present = torch.from_numpy(candidates >= 0)
    asked = replace(queries, candidates=np.maximum(candidates, 0))
    scores = scored(scorer, asked, name)
    device = scores.device
    present = present.to(device)
    scores = scores.masked_fill(~present, -torch.inf)
    _check_numbers(scores, name)
    row = torch.arange(len(scores), device=device)[:, None]
    item = to_device(candidates, device)
    target = _is_in(row * targets.n_items + item, targets) & present

    n_others = (~target).sum(dim=1, keepdim=True)  # targets go behind them, each kind in order
    place = torch.where(target, n_others + target.cumsum(dim=1), (~target).cumsum(dim=1)) - 1
    others_first = torch.empty_like(scores).scatter_(1, place, scores)
    order = others_first.argsort(dim=1, descending=True, stable=True)
    hits = order >= n_others
    at_place = torch.empty_like(item).scatter_(1, place, item.where(present, -1))

    of, own = target.nonzero(as_tuple=True)
    same = (scores[of] == scores[of, own][:, None]) & present[of]  # (targets, C)
    n_same = torch.zeros_like(n_others[:, 0]).index_add_(0, of, same.sum(dim=1) - 1)
    tied = n_same / target.sum(dim=1).clamp(min=1)
    highest = scores.amax(dim=1)
    constant = highest == scores.masked_fill(~present, torch.inf).amin(dim=1)
    return hits, tied, constant, at_place.gather(1, order)


def _is_in(pairs: Tensor, targets: Interactions) -> Tensor:
    """Return which numbers row * I + item are pairs of the targets."""
    known = to_device(targets.pairs(), pairs.device)
    place = torch.searchsorted(known, pairs).clamp(max=len(known) - 1)
    return known[place] == pairs


def _batches(n_users: int, n_items: int) -> Iterator[IntArray]:
    """Yield user indices, as many at a time as the scores' memory allows."""
    size = max(1, min(4096, BATCH_SCORES // n_items))
    for start in range(0, n_users, size):
        yield np.arange(start, min(start + size, n_users))


def _check_numbers(scores: Tensor, name: str) -> None:
    """Raise if a score is no number, or infinite; -inf is how a model rules an item out."""
    for fault, what in ((scores.isnan(), "not a number"), (scores == torch.inf, "infinite")):
        if bool(fault.any()):
            raise ReproError(
                f"{name} gave a score that is {what}",
                "its training has diverged; a lower learning rate may help",
            )
