"""BPR-MF: Rendle et al., "BPR: Bayesian Personalized Ranking from Implicit Feedback", UAI 2009.

**Implements** Sections 4 and 5.1: matrix factorisation with the BPR-Opt criterion.
**Reference**: the paper. The repositories of JCA and JoVA, whose data MVAE uses, have no BPR.
**Deviations**: Adam on shuffled mini-batches of all pairs, where the paper draws single triples
with replacement and takes plain SGD steps (Figure 4). The optimum is the same, and a pass is a
hundred times cheaper. As in the paper, each triple regularises the embeddings that it uses.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from repro.hyperparameters import Count, Natural, NonNegative
from repro.interactions import Interactions
from repro.model import Run
from repro.nn.batches import Positives
from repro.nn.scoring import known_users, picked, scoring
from repro.split import Queries


@dataclass(frozen=True, kw_only=True)
class BPR:
    """Matrix factorisation trained to rank a user's items above sampled negatives."""

    embedding_dim: Count = 64
    """The largest in the paper's Figure 5. [paper Figure 5]"""
    learning_rate: NonNegative = 0.001
    """Adam's own default; the paper states none. [ours]"""
    batch_size: Count = 1024
    """Pairs, each with one negative. [ours]"""
    l2: NonNegative = 1e-5
    """Strength per triple; the paper tunes it and states no value. [ours]"""
    item_bias: bool = False
    """Add a bias per item; Section 5.1 has none. [paper 5.1]"""
    n_epochs: Natural = 200
    """Passes over the pairs. [other MVAE's paper, Section V-C]"""

    KNOWN_USERS_ONLY: ClassVar[bool] = True

    def epochs(self, train: Interactions, run: Run) -> Iterator["Factors"]:
        """Train on every pair once per epoch, each with one negative."""
        net = Factors(train, self).to(run.device)
        optimizer = torch.optim.Adam(net.parameters(), self.learning_rate, fused=True)
        positives = Positives(train, self.batch_size, run.device)
        for _ in run.epochs(self.n_epochs, net=net, optimizer=optimizer):
            for u, i, j in positives.triples():
                better, worse, size = net(u, i, j)  # (B,) each
                loss = (self.l2 * size - logsigmoid(better - worse)).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.log(loss=loss)
            yield net


class Factors(nn.Module):
    """User and item embeddings; the score is their inner product."""

    def __init__(self, train: Interactions, model: BPR) -> None:
        super().__init__()
        self.user = nn.Embedding(train.n_users, model.embedding_dim)
        self.item = nn.Embedding(train.n_items, model.embedding_dim)
        self.bias = nn.Parameter(torch.zeros(train.n_items), requires_grad=model.item_bias)
        nn.init.normal_(self.user.weight, std=0.01)
        nn.init.normal_(self.item.weight, std=0.01)

    def forward(self, u: Tensor, i: Tensor, j: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return both scores of each triple and its parameters' squared norm, shape (B,) each."""
        w, hi, hj = self.user(u), self.item(i), self.item(j)  # (B, D)
        bi, bj = self.bias[i], self.bias[j]
        size = (w.square() + hi.square() + hj.square()).sum(dim=1) + bi.square() + bj.square()
        return (w * hi).sum(dim=1) + bi, (w * hj).sum(dim=1) + bj, size

    @scoring
    def score(self, queries: Queries) -> Tensor:
        """Return scores of shape (B, I) or (B, C)."""
        u = known_users(queries, self.bias.device, "BPR")
        return picked(self.user(u) @ self.item.weight.T + self.bias, queries)


MODEL = BPR
