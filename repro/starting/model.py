"""NAME: say in one line what it is, then name its paper.

`repro check models/NAME.py` puts it through the checks that our own models pass;
`repro run toy --table 1 --model NAME` trains it on generated data.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from repro.hyperparameters import NonNegative
from repro.interactions import Interactions
from repro.model import Run
from repro.split import Queries


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """Two items are alike that have users in common."""

    shrinkage: NonNegative = 10.0
    """The larger, the less an item counts that few users have. [ours]"""

    RANDOM: ClassVar[bool] = False  # its results do not depend on the seed `run.seed`

    def epochs(self, train: Interactions, run: Run) -> Iterator["Weights"]:
        """Train, and yield something that can score after each epoch; this one has one epoch."""
        x = train.matrix()  # users x items, 0 or 1
        together = (x.T @ x).toarray()
        users = np.sqrt(together.diagonal())
        np.fill_diagonal(together, 0.0)
        yield Weights(together / (np.outer(users, users) + self.shrinkage))


@dataclass(frozen=True, eq=False)
class Weights:
    """Scores are a user's history times the weights of its items."""

    weights: np.ndarray  # items x items

    def score(self, queries: Queries) -> np.ndarray:
        """Return a score of each item for each user, or of the candidates; higher is better."""
        scores = queries.history.matrix() @ self.weights
        if queries.candidates is None:
            return scores
        return np.take_along_axis(scores, queries.candidates, axis=1)


MODEL = Neighbours
