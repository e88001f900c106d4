"""FPMC: Rendle et al., "Factorizing Personalized Markov Chains", WWW 2010.

**Implements** the pairwise factorisation of the users' transition cube, learned with S-BPR, for
baskets of one item.
**Reference**: wubinzzu/NeuRec (the framework of ACVAE's table), versions 2 (commit 9e9391b) and 3
(commit 28f192c), read for facts.
**Deviations**: Adam on shuffled mini-batches of all transitions, as in both versions of NeuRec,
where the paper draws single quadruples with replacement and takes plain SGD steps. NeuRec 2 starts
from uniform numbers within 0.01 of zero; here, as in NeuRec 3, they are normal with standard
deviation 0.01. NeuRec keeps an item once per user; here a repeated item is a transition as well.
By default NeuRec 2 trains on single items with a cross-entropy averaged over a batch of 512, while
its regularisation is summed over the batch (`loss`, `reduction`, l2 0.01). That cannot have given a
published row: the loss pulls a row with at most 1 / 512, l2 with 0.01, so that all tables shrink to
zero. On ML-latest the loss stays at log 2 and Recall@10 at 0.003.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from repro.errors import UnsupportedError
from repro.hyperparameters import Count, Natural, NonNegative
from repro.interactions import Interactions
from repro.model import Run
from repro.nn.batches import Positives, to_device, with_negatives
from repro.nn.scoring import known_users, picked, scoring
from repro.split import Queries

Batch = tuple[Tensor, Tensor, Tensor, Tensor]
"""User, last item, items, label: (B,), (B,), (B, C), (B,)."""


@dataclass(frozen=True, kw_only=True)
class FPMC:
    """Matrix factorisation plus a factorised Markov chain from the last item to the next."""

    embedding_dim: Count = 64
    """Of all four tables. [other NeuRec 3]"""
    loss: Literal["bpr", "pointwise"] = "bpr"
    """"bpr": the paper's S-BPR, the next item against a negative. "pointwise": the cross-entropy of
    single items and negatives, the default of NeuRec 2. [paper; other NeuRec 3]"""
    reduction: Literal["sum", "mean"] = "sum"
    """Of the loss over a batch; "mean" is NeuRec 2's with the pointwise loss. The regularisation is
    always summed: Adam cancels a factor of both, but not one of the loss alone. [other NeuRec 3]"""
    n_negatives: Count = 1
    """Per transition, drawn again in every epoch; 4 in NeuRec 2. [other NeuRec 3]"""
    learning_rate: NonNegative = 0.001
    """Adam's. [other NeuRec 3]"""
    batch_size: Count = 1024
    """Transitions, each with one negative; with the pointwise loss, positives and negatives. [other
    NeuRec 3]"""
    l2: NonNegative = 0.001
    """Times half the squared norm of the rows that a batch uses, counted once per use. [other
    NeuRec 3]"""
    n_epochs: Natural = 500
    """Also in NeuRec 2; 40 to 300 in ACVAE's paper (its Section 4.3). [other NeuRec 3]"""

    KNOWN_USERS_ONLY: ClassVar[bool] = True

    def epochs(self, train: Interactions, run: Run) -> Iterator["FPMCNet"]:
        """Train on every transition from an item to the next once per epoch."""
        if not train.ordered:
            raise UnsupportedError(
                "FPMC needs interactions ordered in time, and this dataset's are not"
            )
        net = FPMCNet(train, self).to(run.device)
        optimizer = torch.optim.Adam(net.parameters(), self.learning_rate, fused=True)
        transitions = Transitions(train, self.n_negatives, self.batch_size, run.device)
        for _ in run.epochs(self.n_epochs, net=net, optimizer=optimizer):
            batches = transitions.pairs() if self.loss == "bpr" else transitions.singles()
            for u, last, items, label in batches:
                x, size = net(u, last, items)  # (B, C), ()
                each = self.losses(x, label)  # (B,)
                loss = each.sum() if self.reduction == "sum" else each.mean()
                optimizer.zero_grad()
                (loss + self.l2 * size).backward()
                optimizer.step()
                run.log(loss=each.mean())
            yield net

    def losses(self, x: Tensor, label: Tensor) -> Tensor:
        """Return each example's loss, shape (B,), from its scores, shape (B, C), and its label."""
        if self.loss == "bpr":
            return -logsigmoid(x[:, 0] - x[:, 1])
        return binary_cross_entropy_with_logits(x[:, 0], label, reduction="none")


class Transitions:
    """Every transition from a user's item to the next, with sampled negatives.

    Parameters
    ----------
    train : Interactions
        Each user's rows oldest first.
    n_negatives : int
        Per transition, drawn again in every epoch.
    batch_size : int
        B.
    device : torch.device
        Where.
    """

    def __init__(
        self, train: Interactions, n_negatives: int, batch_size: int, device: torch.device
    ) -> None:
        train = with_negatives(train)
        second = np.flatnonzero(train.position > 0)
        self.user = to_device(train.user[second], device)
        self.last = to_device(train.item[second - 1], device)
        self.item = to_device(train.item[second], device)
        self.positives = Positives(train, batch_size, device)
        self.n_negatives = n_negatives
        self.batch_size = batch_size

    def pairs(self) -> Iterator[Batch]:
        """Yield user, last item, and the next item with a negative; all labels are 1."""
        k = self.n_negatives
        u, last, i = self.user.repeat(k), self.last.repeat(k), self.item.repeat(k)
        items = torch.stack([i, self.positives.negatives(u)], dim=1)
        return self._shuffled(u, last, items, torch.ones(len(u), device=u.device))

    def singles(self) -> Iterator[Batch]:
        """Yield user, last item, and one item: the next with label 1, or a negative with 0."""
        n, k = len(self.user), self.n_negatives
        u, last = self.user.repeat(1 + k), self.last.repeat(1 + k)
        items = torch.cat([self.item, self.positives.negatives(u[n:])])[:, None]
        label = torch.zeros(len(u), device=u.device)
        label[:n] = 1.0
        return self._shuffled(u, last, items, label)

    def _shuffled(self, *parts: Tensor) -> Iterator[Batch]:
        order = torch.randperm(len(parts[0]), device=parts[0].device)
        for index in order.split(self.batch_size):
            u, last, items, label = (part[index] for part in parts)
            yield u, last, items, label


class FPMCNet(nn.Module):
    """Four tables: a score is <v_UI, v_IU> + <v_IL, v_LI>, of user, item and last item."""

    def __init__(self, train: Interactions, model: FPMC) -> None:
        super().__init__()
        self.UI = nn.Embedding(train.n_users, model.embedding_dim)
        self.IU = nn.Embedding(train.n_items, model.embedding_dim)
        self.IL = nn.Embedding(train.n_items, model.embedding_dim)
        self.LI = nn.Embedding(train.n_items, model.embedding_dim)
        for table in (self.UI, self.IU, self.IL, self.LI):
            nn.init.normal_(table.weight, std=0.01)

    def forward(self, u: Tensor, last: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scores of some items, shape (B, C), and half the squared norm of all rows.

        Parameters
        ----------
        u, last : int64 tensor, shape (B,)
            Users, and the items that they touched last.
        items : int64 tensor, shape (B, C)
            Items to score.
        """
        rows = self.UI(u)[:, None], self.IU(items), self.IL(items), self.LI(last)[:, None]
        ui, iu, il, li = rows  # (B, 1, D), (B, C, D) twice, (B, 1, D)
        x = (ui * iu + il * li).sum(dim=2)
        return x, 0.5 * torch.stack([row.square().sum() for row in rows]).sum()

    @scoring
    def score(self, queries: Queries) -> Tensor:
        """Return scores of shape (B, I) or (B, C); without a history, from the user alone."""
        device = self.UI.weight.device
        u = known_users(queries, device, "FPMC")
        history = queries.history
        last = to_device(history.item[history.position + 1 == history.counts[history.user]], device)
        li = torch.zeros(len(u), self.LI.embedding_dim, device=device)
        li[to_device(history.counts, device) > 0] = self.LI(last)
        return picked(self.UI(u) @ self.IU.weight.T + li @ self.IL.weight.T, queries)


MODEL = FPMC
