"""WMF: Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008.

**Implements** Section 4: alternating least squares on all pairs, where a one counts more than a
zero. Fields give the form of Rendle et al., "Revisiting the Performance of iALS on Item
Recommendation Benchmarks", RecSys 2022: a weight of all pairs besides that of the ones, and an L2
that grows with how often a user or item occurs.
**Reference**: google-research/google-research, `ials`, commit 30adf0e, read for facts: what scales
the L2, how factors are initialised, and that a user is scored by a solve on the history.
**Deviations**: every user is scored by such a solve, known or not. For a training user this is the
next half-sweep: the best factor given the items' current factors, where Hu et al. and the NCF part
of `ials` use the user's factor from before the items were solved. A sweep does not need the users'
factors of the previous one, so none are kept. Data are 0/1, so Hu et al.'s confidence 1 + alpha r
is a single weight.

A half-sweep sums an outer product for every pair, 2 n D^2 operations, and solves a system per user
or item, D^3 / 3 each.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from repro.hyperparameters import Count, Natural, NonNegative, Positive
from repro.interactions import Interactions, from_rows
from repro.model import Run
from repro.nn.batches import Rows, rows_of
from repro.nn.least_squares import solved
from repro.nn.scoring import picked, scoring
from repro.split import Queries


@dataclass(frozen=True, kw_only=True)
class WMF:
    """Weighted matrix factorisation of the 0/1 matrix (iALS) by alternating least squares."""

    latent_dim: Count = 200
    """f; the largest of Hu et al. [paper]"""
    positive_weight: NonNegative = 41.0
    """Of a one: 1 + alpha r with Hu et al.'s alpha of 40. Rendle et al. have 1. [paper]"""
    unobserved_weight: NonNegative = 1.0
    """Alpha_0, of a zero: 1 in Hu et al.; Rendle et al. tune it (0.1 on ML-20M). [paper]"""
    weighting: Literal["replace", "add"] = "replace"
    """Whether a one has positive_weight instead of unobserved_weight (Hu et al., Eq. 3), or counts
    as a zero, like all pairs, and in addition as a one (Rendle et al.). [paper Eq. 3]"""
    l2: NonNegative = 100.0
    """Lambda; Hu et al. find it by cross-validation. Ours is near that of Rendle et al. on ML-20M
    divided by their alpha_0: 62 for a user with the mean number of items, 360 for an item.
    [ours]"""
    l2_exponent: float = 0.0
    """Nu: lambda is multiplied by (ones + unobserved_weight * all)^nu of the user or item. Hu et
    al. have 0, Rendle et al. 1. [paper]"""
    init_std: Positive = 0.1
    """Sigma*: factors start normal with standard deviation sigma* / sqrt(latent_dim) (Rendle et
    al.); Hu et al. do not say. [other Rendle et al. 2022]"""
    n_epochs: Natural = 10
    """Sweeps over users and items (Hu et al., Section 4); Rendle et al. make 16 on ML-20M. [paper
    4]"""
    precision: Literal["float32", "float64"] = "float32"
    """Of factors and systems. [technical]"""

    def epochs(self, train: Interactions, run: Run) -> Iterator["WMFNet"]:
        """Solve for all users, then for all items, once per epoch."""
        by_user = rows_of(train, run.device)
        by_item = rows_of(
            from_rows(train.item, train.user, train.n_items, train.n_users, ordered=False),
            run.device,
        )
        net = WMFNet(train.n_items, self).to(run.device)
        for _ in run.epochs(self.n_epochs, net=net):
            x, _ = self.solve(by_user, net.y)  # (U, D)
            net.y, explained = self.solve(by_item, x)  # (I, D)
            shrunk = (self.strength(by_user.count, train.n_items) * x.square().sum(dim=1)).sum()
            cost = self.positive_weight * len(by_user.item) - explained + shrunk
            run.log(cost=cost / max(1, len(by_user.item)))
            yield net

    def strength(self, count: Tensor, n: int) -> Tensor:
        """Return the L2 strength of rows with these counts of ones among n; float64, shape (B,)."""
        return self.l2 * (count.double() + self.unobserved_weight * n).pow(self.l2_exponent)

    def solve(self, rows: Rows, fixed: Tensor) -> tuple[Tensor, Tensor]:
        """Return some rows' best factors given the other side's, and how much they lower the cost.

        Hu et al., Eq. 4 and 5; see `repro.nn.least_squares.solved`.
        """
        more = self.positive_weight
        more -= self.unobserved_weight if self.weighting == "replace" else 0.0
        ridge = self.strength(rows.count, len(fixed))
        return solved(rows, fixed, ridge, self.unobserved_weight, more, self.positive_weight)


class WMFNet(nn.Module):
    """The items' factors; a user's factor is solved from the history."""

    y: Tensor
    """Shape (I, D)."""

    def __init__(self, n_items: int, model: WMF) -> None:
        super().__init__()
        self.model = model
        dtype = getattr(torch, model.precision)
        begin = torch.randn(n_items, model.latent_dim, dtype=dtype)
        self.register_buffer("y", begin * model.init_std / math.sqrt(model.latent_dim))

    @scoring
    def score(self, queries: Queries) -> Tensor:
        """Return scores of shape (B, I) or (B, C)."""
        x, _ = self.model.solve(rows_of(queries.history, self.y.device), self.y)  # (B, D)
        return picked((x @ self.y.T).float(), queries)


MODEL = WMF
