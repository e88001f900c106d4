"""What training has found so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from repro.metrics import Hits, Result
from repro.model import Scorer
from repro.training.ranking import Ranking


@dataclass(eq=False)
class Outcome:
    """What training has found so far."""

    ranking: Ranking | None = None
    """Of the test cases at the selected epoch; with "test:each", at the last evaluation."""
    epoch: int = 0
    """That epoch, from 1."""
    hits_at: dict[int, Hits] = field(default_factory=dict)
    """With "test:each", the hits of the test cases at each epoch that is some metric's best."""
    selected: float = -np.inf
    """The value there of the metric that `select` names."""
    stale: int = 0
    """Evaluations since then."""
    results: dict[str, Result] = field(default_factory=dict)
    """Test metrics by name."""
    curve: list[dict[str, Any]] = field(default_factory=list)
    """Per epoch: phase, epoch, seconds, mean losses; after an evaluation also its metrics."""
    seconds: float = 0.0
    """Spent in epochs and evaluations, over all attempts."""
    attempts: list[dict[str, Any]] = field(default_factory=list)
    """A description of each start: the first, and one after every interruption."""
    embeddings: dict[str, torch.Tensor] = field(default_factory=dict)
    """Embeddings of users and items at the selected epoch, if the model provides them."""
    followed: list[str] = field(default_factory=list)
    """The metrics that every evaluation so far has computed."""

    scorer: Scorer | None = None
    """At the selected epoch, if it was asked for."""

    def forget(self) -> None:
        """Forget the best epoch; the curve stays."""
        self.ranking, self.epoch, self.selected, self.stale = None, 0, -np.inf, 0
        self.results, self.embeddings, self.scorer, self.hits_at = {}, {}, None, {}
