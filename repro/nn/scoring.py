"""Scoring with a network: in evaluation mode, without gradients, for all items or candidates.

Shape letters: B users, I items, C candidates.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from repro.errors import UnsupportedError
from repro.nn.batches import to_device
from repro.split import Queries

Net = TypeVar("Net", bound=nn.Module)


def scoring(method: Callable[[Net, Queries], Tensor]) -> Callable[[Net, Queries], Tensor]:
    """Wrap a network's ``score``: evaluation mode and no gradients, then the previous mode."""

    @functools.wraps(method)
    def score(self: Net, queries: Queries) -> Tensor:
        was_training = self.training
        self.eval()
        try:
            with torch.no_grad():
                return method(self, queries)
        finally:
            self.train(was_training)

    return score


def picked(scores: Tensor, queries: Queries) -> Tensor:
    """Return the scores of the candidates, if there are any, from those of all items, (B, I).

    Returns
    -------
    float tensor, shape (B, C) where the queries bring candidates, else (B, I)
    """
    if queries.candidates is None:
        return scores
    index = to_device(queries.candidates, scores.device)
    return scores.gather(1, index)


def known_users(queries: Queries, device: torch.device, name: str) -> Tensor:
    """Return the users' rows in training, shape (B,).

    Raises
    ------
    UnsupportedError
        If a user is not in training.
    """
    if (queries.user < 0).any():
        raise UnsupportedError(
            f"{name} knows only users of its training data, and this protocol asks for others",
            "choose a model that scores from a history, or a protocol such as random_split",
        )
    return to_device(queries.user, device)
