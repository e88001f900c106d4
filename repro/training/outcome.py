"""What a training has found so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from repro.metrics import Result
from repro.training.ranking import Ranking


@dataclass(eq=False)
class Outcome:
    """What a training has found so far."""

    ranking: Ranking | None = None
    """Of the test cases at the epoch that counts; with "test:each" at the last look."""
    epoch: int = 0
    """That epoch, from 1."""
    selected: float = -np.inf
    """What `select` saw there."""
    stale: int = 0
    """Looks since."""
    results: dict[str, Result] = field(default_factory=dict)
    """Test metrics by name."""
    curve: list[dict[str, Any]] = field(default_factory=list)
    """Per epoch: phase, epoch, seconds, mean losses; at a look also the metrics of the cases."""
    seconds: float = 0.0
    """Spent in epochs and looks, over all attempts."""
    attempts: list[dict[str, Any]] = field(default_factory=list)
    """What is said of each start: the first, and one after every cut."""
    embeddings: dict[str, torch.Tensor] = field(default_factory=dict)
    """Where a model that says so places users and items, at the epoch that counts."""
    followed: list[str] = field(default_factory=list)
    """The metrics that every look so far has seen."""

    def forget(self) -> None:
        """Forget the best epoch; the curve stays."""
        self.ranking, self.epoch, self.selected, self.stale = None, 0, -np.inf, 0
        self.results, self.embeddings = {}, {}
