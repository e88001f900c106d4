"""Rank scores from a file as those of any model, and what ties leave open."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from repro.doors.attach import Attached
from repro.metrics import per_user
from repro.model import Scorer
from repro.split import Cases, Queries
from repro.training.ranking import Ranking, rank


@dataclass(frozen=True, eq=False)
class Outside:
    """Hands out the scores of a file."""

    scores: Attached
    n_items: int

    def score(self, queries: Queries) -> Tensor:
        """Return scores of shape (B, I) or (B, C), -inf where the file has none."""
        found = self.scores.dense(queries.case, self.n_items)
        if queries.candidates is not None and self.scores.matrix is None:
            found = np.take_along_axis(found, queries.candidates, axis=1)
        return torch.from_numpy(found)


@dataclass(frozen=True, eq=False)
class Untied:
    """Scores without ties: among equal ones, targets come first or last."""

    scorer: Scorer
    cases: Cases
    targets_first: bool

    def score(self, queries: Queries) -> Tensor:
        """Return the place of each score among the distinct ones, half a place off for targets."""
        scores = self.scorer.score(queries)
        value, order = scores.sort(dim=1)
        step = torch.zeros_like(value, dtype=torch.float64)
        step[:, 1:] = (value[:, 1:] != value[:, :-1]).cumsum(dim=1)
        place = torch.empty_like(step).scatter_(1, order, step)
        wanted = self.cases.targets.rows(queries.case)
        is_target = torch.zeros(len(queries), wanted.n_items, dtype=torch.bool)
        is_target[wanted.user, wanted.item] = True
        if queries.candidates is not None:
            is_target = is_target.gather(1, torch.from_numpy(queries.candidates).long())
        place[is_target] += 0.25 if self.targets_first else -0.25
        return place.where(scores > -torch.inf, -torch.inf)


def ranked(scores: Attached, cases: Cases, name: str) -> Ranking:
    """Return the ranking by the scores of a file; what it does not list is no hit."""
    return _listed(rank(Outside(scores, cases.targets.n_items), cases, name), scores)


def ties(scores: Attached, cases: Cases, metrics: list[str]) -> dict[str, tuple[float, float]]:
    """Return each metric with targets last and first among equal scores, where these differ."""
    found = {}
    scorer = Outside(scores, cases.targets.n_items)
    ends = [
        _listed(rank(Untied(scorer, cases, first), cases, "the file"), scores)
        for first in (False, True)
    ]
    for metric in metrics:
        worst, best = (float(per_user(metric, e.hits, e.n_targets).mean()) for e in ends)
        if worst != best:
            found[metric] = worst, best
    return found


def _listed(ranking: Ranking, scores: Attached) -> Ranking:
    """Return a ranking whose hits end with each user's list.

    Users with less than two scores are not constant: their scores are missing.
    """
    depth = ranking.hits.shape[1]
    hits = ranking.hits & (np.arange(depth) < scores.n_listed[:, None])
    alone = float((scores.n_listed < 2).mean())
    return replace(ranking, hits=hits, constant=max(0.0, ranking.constant - alone))
