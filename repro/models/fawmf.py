"""FAWMF: Chen et al., "Fast Adaptively Weighted Matrix Factorization ...", AAAI 2020.

**Implements** the factorisation in which every cell has its own weight, inferred from the user's
communities, with full-batch training at a cost linear in the observed cells. The title ends in "for
Recommendation with Implicit Feedback".
**Reference**: jiawei-chen/FAWMF (authors), commit 63045ee, read for facts: the loss, by its
gradients; sizes, strengths, initialisation. We did not have the paper.
**Deviations**: the code makes 1,000 steps, ranks the test users at every 25th by two rules and
keeps the best precision@5 of either. Here an epoch is one step, the table's `select` decides which
epoch counts, and `prediction` which rule. Gradients come from autograd, not from formulas.

Shape letters: U users, I items, K factors, D communities, n observed cells.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from repro.hyperparameters import Count, Natural, NonNegative, Share
from repro.interactions import Interactions
from repro.model import Run
from repro.nn.batches import rows_of
from repro.nn.scoring import known_users, picked, scoring
from repro.split import Queries


@dataclass(frozen=True, kw_only=True)
class FAWMF:
    """Matrix factorisation that weights a cell by how likely the user is to know the item.

    The defaults are those of the authors' code.
    """

    latent_dim: Count = 20
    """Factors of a user or an item. [code]"""
    n_communities: Count = 20
    """D; a user belongs to all of them, in shares that sum to one. [code]"""
    learning_rate: NonNegative = 0.1
    """Adam's, for the factors. [code]"""
    weight_learning_rate: NonNegative = 0.1
    """Adam's, for the parameters of the weights. [code]"""
    l2: NonNegative = 0.01
    """Strength of half the squared norm of the factors. [code]"""
    community_l2: NonNegative = 0.001
    """The same for the logits of a user's communities. [code]"""
    weight_l2: NonNegative = 0.01
    """The same for the items' slopes and offsets. [code]"""
    eta: NonNegative = 1.0
    """Weight of the loss of a user who does not know the item, which is subtracted in each cell.
    [code]"""
    epsilon: Share = 1e-5
    """Expected value of a cell whose user does not know the item. [code]"""
    prediction: Literal["product", "weighted"] = "product"
    """Score by u . v, or by this product times the cell's weight. [code]"""
    n_epochs: Natural = 1000
    """Full-batch steps. [code]"""

    KNOWN_USERS_ONLY: ClassVar[bool] = True

    def epochs(self, train: Interactions, run: Run) -> Iterator["FAWMFNet"]:
        """Make one step on all cells per epoch."""
        net = FAWMFNet(train, self).to(run.device)
        weights = [net.communities, net.slope, net.offset]
        groups = [
            {"params": [net.user, net.item], "lr": self.learning_rate},
            {"params": weights, "lr": self.weight_learning_rate},
        ]
        optimizer = torch.optim.Adam(groups, fused=True)
        for _ in run.epochs(self.n_epochs, net=net, optimizer=optimizer):
            loss = net.loss() + net.penalty()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.log(loss=loss)
            yield net


def sum_over_all(p: Tensor, u: Tensor, q: Tensor, v: Tensor) -> Tensor:
    """Return the sum over all cells of (p_u . q_i) (u . v)^2, a scalar.

    Parameters
    ----------
    p, u : float tensors, shapes (U, D) and (U, K)
        Of the users.
    q, v : float tensors, shapes (I, D) and (I, K)
        Of the items.

    Notes
    -----
    Both factors are bilinear, so the sums over users and over items separate: each is of shape
    (D, K, K), at a cost of (U + I) D K^2 instead of U I (D + K).
    """
    users = torch.einsum("ud,uj,uk->djk", p, u, u)
    items = torch.einsum("id,ij,ik->djk", q, v, v)
    return (users * items).sum()


class FAWMFNet(nn.Module):
    """Factors of users and items, the weights of the cells, and the loss of all of them."""

    user_of: Tensor
    item_of: Tensor

    def __init__(self, train: Interactions, model: FAWMF) -> None:
        super().__init__()
        self.model = model
        shapes = [(train.n_users, model.latent_dim), (train.n_items, model.latent_dim)]
        self.user, self.item = (nn.Parameter(0.1 * torch.rand(shape)) for shape in shapes)
        logits = torch.rand(train.n_users, model.n_communities) - 0.5
        self.communities = nn.Parameter(logits)
        self.slope = nn.Parameter(0.01 + 0.01 * torch.rand(train.n_items))
        self.offset = nn.Parameter(torch.rand(train.n_items) - 0.5)
        observed = rows_of(train, torch.device("cpu"))
        self.register_buffer("user_of", observed.row, persistent=False)  # (n,)
        self.register_buffer("item_of", observed.item, persistent=False)

    def clamped_slope(self) -> Tensor:
        """Return w1 clamped to at least 1e-5, shape (I,), with the gradient of w1 itself.

        The code uses the clamped value, and updates the one that is not clamped.
        """
        return self.slope + (self.slope.clamp(min=1e-5) - self.slope).detach()

    def memberships(self) -> tuple[Tensor, Tensor]:
        """Return p and q, (U, D) and (I, D), whose inner product is a cell's weight.

        A user's shares in the communities sum to one. An item is better known in a community the
        more of its members have touched it.
        """
        p = self.communities.softmax(dim=1)
        touched = p.new_zeros(len(self.item), p.shape[1])
        touched = touched.index_add(0, self.item_of, embedding(self.user_of, p))  # s, (I, D)
        return p, (self.clamped_slope()[:, None] * touched + self.offset[:, None]).sigmoid()

    def loss(self) -> Tensor:
        """Return the sum over all cells of weight [(x - u . v)^2 - eta (x - epsilon)^2].

        All cells first count as zeros; then the difference of the observed ones is added.
        """
        u, v, (p, q) = self.user, self.item, self.memberships()
        eta, epsilon = self.model.eta, self.model.epsilon
        known = (p.sum(dim=0) * q.sum(dim=0)).sum()  # the weights of all cells
        zeros = sum_over_all(p, u, q, v) - eta * epsilon**2 * known
        weight = (embedding(self.user_of, p) * embedding(self.item_of, q)).sum(dim=1)  # (n,)
        product = (embedding(self.user_of, u) * embedding(self.item_of, v)).sum(dim=1)
        more = (1.0 - 2.0 * product) - eta * (1.0 - 2.0 * epsilon)
        return zeros + (weight * more).sum()

    def penalty(self) -> Tensor:
        """Return the L2 terms, a scalar."""
        slopes = self.clamped_slope().square().sum() + self.offset.square().sum()
        factors = self.user.square().sum() + self.item.square().sum()
        communities = self.communities.square().sum()
        model = self.model
        total = model.l2 * factors + model.community_l2 * communities + model.weight_l2 * slopes
        return 0.5 * total

    @scoring
    def score(self, queries: Queries) -> Tensor:
        """Return scores of shape (B, I) or (B, C)."""
        users = known_users(queries, self.user.device, "FAWMF")
        scores = self.user[users] @ self.item.T
        if self.model.prediction == "weighted":
            p, q = self.memberships()
            scores *= p[users] @ q.T
        return picked(scores, queries)


MODEL = FAWMF
