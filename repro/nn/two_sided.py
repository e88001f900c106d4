"""Models with a network for users and one for items: shared parts of training and scoring.

Shape letters: U users, I items; of a block B users, C items, m pairs; n inputs, H units, D latent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, linear, relu

from repro.nn.batches import Rows, rows_of
from repro.nn.blocks import Block
from repro.nn.gaussians import drawn, gaussian_kl
from repro.nn.scoring import known_users, picked
from repro.split import Queries


def pair_hinge(
    block: Block,
    user: tuple[Tensor, nn.Linear],
    item: tuple[Tensor, nn.Linear],
    margin: float,
) -> Tensor:
    """Return the sum over a block's pairs of max(0, margin - s(pair) + s(negative)).

    A pair's score s is the mean of both sides' sigmoid outputs, which are evaluated for these pairs
    only. The negative is one of the block's items that the user does not have; a user who has them
    all is left out.

    Parameters
    ----------
    block : Block
        B users and C items.
    user, item : tuple of tensor and layer
        Last hidden layer, (B, H) or (C, H), and the output layer, H -> I or H -> U.
    margin : float
        By which a pair should be above its negative.

    Notes
    -----
    Zhu et al. 2019 (JCA); the negative is drawn as in their code.
    """

    def scores(column: Tensor) -> Tensor:
        by_user = _logits(*user, block.row, block.items[column])
        by_item = _logits(*item, column, block.users[block.row])
        return (by_user.sigmoid() + by_item.sigmoid()) / 2

    negative, there = block.negatives()
    return (relu(scores(negative) - scores(block.column) + margin) * there).sum()


def _logits(h: Tensor, output: nn.Linear, row: Tensor, column: Tensor) -> Tensor:
    """Return single logits of a layer, shape (m,), without computing the whole matrix."""
    bias = embedding(column, output.bias[:, None])[:, 0]
    return (embedding(row, h) * embedding(column, output.weight)).sum(dim=1) + bias


class SideVAE(nn.Module):
    """The variational autoencoder of one side: n -> H -> H -> D -> H (-> H) -> n.

    Glorot's uniform weights and zero biases, Keras's default. The caller computes the first product
    and the output, as either may be sparse.

    Parameters
    ----------
    n_inputs, hidden_dim, latent_dim : int
        n, H and D.
    second : str
        Activation of the encoder's second hidden layer; all others are tanh.
    n_decoder_layers : int
        Number of the decoder's hidden layers.
    """

    def __init__(
        self,
        n_inputs: int,
        hidden_dim: int,
        latent_dim: int,
        second: Literal["tanh", "sigmoid"],
        n_decoder_layers: int,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_inputs, hidden_dim))
        self.bias = nn.Parameter(torch.empty(hidden_dim))
        self.hidden = nn.Linear(hidden_dim, hidden_dim)
        self.act = nn.Tanh() if second == "tanh" else nn.Sigmoid()
        self.mean = nn.Linear(hidden_dim, latent_dim)
        self.logvar = nn.Linear(hidden_dim, latent_dim)
        decoder: list[nn.Module] = []
        for depth in range(n_decoder_layers):
            decoder += [nn.Linear(hidden_dim if depth else latent_dim, hidden_dim), nn.Tanh()]
        self.decoder = nn.Sequential(*decoder)
        self.output = nn.Linear(hidden_dim, n_inputs)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            else:
                nn.init.xavier_uniform_(parameter)

    def forward(self, product: Tensor, sample: bool = True) -> tuple[Tensor, Tensor]:
        """Return the decoder's last hidden layer, and KL(q(z | x) || p(z)): (B, H) and (B,).

        Parameters
        ----------
        product : float tensor, shape (B, H)
            The input times `weight`.
        sample : bool
            Draw z; otherwise it is the mean.
        """
        h = self.act(self.hidden((product + self.bias).tanh()))
        mean, logvar = self.mean(h), self.logvar(h)
        z = drawn(mean, logvar) if sample else mean
        return self.decoder(z), gaussian_kl(mean, logvar)


def staircase(rate: float, factor: float, step: int, n_users: int, block_size: int) -> float:
    """Return JoVA's learning rate, multiplied by the factor every 50 * ceil(U / size) updates.

    Notes
    -----
    An epoch has one update per block, not per block of users, so the learning rate falls every 50 /
    (blocks of items) epochs, not every 50.
    """
    return rate * factor ** (step // (50 * -(-n_users // block_size)))


@dataclass(frozen=True, eq=False)
class BothSides:
    """Scores known users: alpha times the user side's output plus 1 - alpha times the item side's.

    A side with weight 0 is not evaluated. The item side's last hidden layer is computed once, and
    its output only for the users of a query.

    Parameters
    ----------
    name : str
        The model's name, for messages.
    user_hidden : callable
        Returns the last hidden layer, (B, H), for users' histories and numbers.
    item_hidden : callable
        Returns the last hidden layer of all items, (I, H).
    user_output, item_output : nn.Linear
        H -> I and H -> U.
    alpha : float
        Weight of the user side.
    """

    name: str
    user_hidden: Callable[[Rows, Tensor], Tensor]
    item_hidden: Callable[[], Tensor]
    user_output: nn.Linear
    item_output: nn.Linear
    alpha: float = 0.5

    @cached_property
    def _items(self) -> Tensor:
        return self.item_hidden()

    @torch.no_grad()
    def score(self, queries: Queries) -> Tensor:
        """Return scores of shape (B, I) or (B, C)."""
        users = known_users(queries, self.user_output.weight.device, self.name)
        scores: Tensor | None = None
        if self.alpha > 0:
            h = self.user_hidden(rows_of(queries.history, users.device), users)
            scores = self.user_output(h).sigmoid_().mul_(self.alpha)
        if self.alpha < 1:
            weight, bias = self.item_output.weight[users], self.item_output.bias[users]
            by_item = linear(weight, self._items).add_(bias[:, None]).sigmoid_()
            by_item.mul_(1 - self.alpha)
            scores = by_item if scores is None else scores.add_(by_item)
        assert scores is not None
        return picked(scores, queries)
