"""APR: He et al., "Adversarial Personalized Ranking for Recommendation", SIGIR 2018.

**Implements** AMF, the paper's instance of APR: matrix factorisation trained with BPR, then with
BPR plus BPR on adversarially perturbed embeddings.
**Reference**: hexiangnan/adversarial_personalized_ranking (authors), commit 54f708f, read for
facts. We did not have the paper.
**Deviations**: the code runs 1,001 adversarial epochs and keeps the one that is best on *test*;
here there are 1,000, and the table's `select` decides. The code's L2 term and its choice of the
hardest of several negatives are off in the authors' own commands, and are left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from repro.hyperparameters import Count, Natural, NonNegative, Positive
from repro.interactions import Interactions
from repro.model import Run
from repro.nn.batches import Positives
from repro.nn.scoring import known_users, picked, scoring
from repro.split import Queries

SHORTEST = 1e-6
"""A gradient with a smaller norm is divided by this instead of its norm, as TensorFlow does."""


@dataclass(frozen=True, kw_only=True)
class APR:
    """Matrix factorisation trained with BPR, also on adversarially perturbed embeddings.

    The defaults are those of the authors' command for the whole experiment (train.sh).
    """

    embedding_dim: Count = 64
    """Of users and items. [code]"""
    learning_rate: NonNegative = 0.05
    """Of AdaGrad. [code]"""
    initial_accumulator: Positive = 0.1
    """Where AdaGrad's sums of squares start, in both phases: TensorFlow's value. [code]"""
    batch_size: Count = 512
    """Pairs, each with one negative. [code]"""
    drop_last: bool = True
    """Skip the incomplete last batch; it has other pairs in every epoch. [code]"""
    epsilon: NonNegative = 0.5
    """Norm of the perturbation of an embedding. [code]"""
    adversarial_weight: NonNegative = 1.0
    """Lambda: weight of the loss on perturbed embeddings. [code]"""
    n_pretrain_epochs: Natural = 1000
    """Of BPR alone. [code]"""
    n_epochs: Natural = 1000
    """Of adversarial training, which starts from BPR's weights. [code]"""

    KNOWN_USERS_ONLY: ClassVar[bool] = True

    def epochs(self, train: Interactions, run: Run) -> Iterator["Factors"]:
        """Train on every pair once per epoch, each with one negative: first BPR, then APR."""
        net = Factors(train, self).to(run.device)
        positives = Positives(train, self.batch_size, run.device)
        n_full, rest = divmod(len(positives.user), self.batch_size)
        n_batches = n_full + bool(rest and not (self.drop_last and n_full))
        phases = [("pretrain", self.n_pretrain_epochs, False), ("train", self.n_epochs, True)]
        for name, n, adversarial in phases:
            run.phase(name)
            net.forget_gradients()
            for _ in run.epochs(n, net=net):
                for u, i, j in islice(positives.triples(), n_batches):
                    run.log(loss=net.update(u, i, j, adversarial))
                yield net


class Factors(nn.Module):
    """User and item embeddings; the score is their inner product."""

    def __init__(self, train: Interactions, model: APR) -> None:
        super().__init__()
        self.model = model
        self.user = Embeddings(train.n_users, model)
        self.item = Embeddings(train.n_items, model)

    def forget_gradients(self) -> None:
        """Reset AdaGrad's sums of squares."""
        for table in (self.user, self.item):
            table.squares.fill_(self.model.initial_accumulator)

    @torch.no_grad()
    def update(self, u: Tensor, i: Tensor, j: Tensor, adversarial: bool) -> Tensor:
        """Make one AdaGrad step on the rows of a batch, and return the loss before it.

        Parameters
        ----------
        u, i, j : int64 tensor, shape (B,)
            Users, their items, and the negatives.
        adversarial : bool
            Whether the loss on perturbed embeddings is added.

        Notes
        -----
        Losses are sums over the batch (code). The second loss takes the perturbation as a constant.
        """
        ij = torch.cat([i, j])
        p = self.user.weight.index_select(0, u)  # (B, D); a tenth of the time of weight[u]
        q = self.item.weight.index_select(0, ij)  # (2 B, D)
        loss, of_p, of_q = bpr(p, q)
        if adversarial:
            delta_p = self.user.perturbation(u, of_p)  # (B, D)
            delta_q = self.item.perturbation(ij, of_q)  # (2 B, D)
            perturbed, of_p_too, of_q_too = bpr(p + delta_p, q + delta_q)
            weight = self.model.adversarial_weight
            loss = loss + weight * perturbed
            of_p, of_q = of_p + weight * of_p_too, of_q + weight * of_q_too
        self.user.step(u, of_p)
        self.item.step(ij, of_q)
        return loss

    @scoring
    def score(self, queries: Queries) -> Tensor:
        """Return scores of shape (B, I) or (B, C)."""
        u = known_users(queries, self.user.weight.device, "APR")
        return picked(self.user.weight[u] @ self.item.weight.T, queries)


def bpr(p: Tensor, q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return BPR's loss, summed over the batch, and its gradients with respect to p and q.

    Parameters
    ----------
    p : float tensor, shape (B, D)
        Embeddings of the users.
    q : float tensor, shape (2 B, D)
        Of the items that should rank higher, then of those that should rank lower.

    Notes
    -----
    The loss of a triple is softplus(-x), x = p . (q_i - q_j); its derivative is -sigmoid(-x).
    """
    better, worse = q.chunk(2)
    apart = better - worse  # (B, D)
    x = (p * apart).sum(dim=1)  # (B,)
    slope = -(-x).sigmoid()[:, None]
    of_better = slope * p
    return softplus(-x).sum(), slope * apart, torch.cat([of_better, -of_better])


class Embeddings(nn.Module):
    """A table of embeddings with AdaGrad's sums of squares, read and written by rows.

    A step costs only the rows of its batch. That is exact: AdaGrad without L2 changes no other row.

    Parameters
    ----------
    n : int
        Rows of the table.
    model : APR
        Hyper-parameters.
    """

    def __init__(self, n: int, model: APR) -> None:
        super().__init__()
        self.model = model
        self.weight = nn.Parameter(torch.empty(n, model.embedding_dim), requires_grad=False)
        nn.init.trunc_normal_(self.weight, std=0.01, a=-0.02, b=0.02)
        self.register_buffer("squares", torch.empty(n, model.embedding_dim))
        self.register_buffer("scratch", torch.empty(n, model.embedding_dim), persistent=False)

    squares: Tensor
    scratch: Tensor

    def summed(self, row: Tensor, gradient: Tensor) -> Tensor:
        """Return at each place the sum of the gradients at all places with the same row.

        Parameters
        ----------
        row : int64 tensor, shape (m,)
            Rows of the table; a row may occur more than once.
        gradient : float tensor, shape (m, D)
            With respect to the embedding at each place.
        """
        self.scratch[row] = 0.0
        return self.scratch.index_add_(0, row, gradient).index_select(0, row)

    def perturbation(self, row: Tensor, gradient: Tensor) -> Tensor:
        """Return epsilon times the normalised gradient of the row at each place, shape (m, D)."""
        total = self.summed(row, gradient)
        norm = total.norm(dim=1, keepdim=True)
        return total * (self.model.epsilon / norm.clamp(min=SHORTEST))

    def step(self, row: Tensor, gradient: Tensor) -> None:
        """Make an AdaGrad step on the rows; places with the same row write the same values."""
        total = self.summed(row, gradient)
        squares = self.squares.index_select(0, row) + total.square()
        moved = (
            self.weight.index_select(0, row) - self.model.learning_rate * total * squares.rsqrt()
        )
        self.squares[row], self.weight[row] = squares, moved


MODEL = APR
