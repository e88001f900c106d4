"""JCA: Zhu et al., "Improving Top-K Recommendation via Joint Collaborative Autoencoders", WWW 2019.

**Implements** the model that the MVAE paper compares with: an autoencoder of user rows and one of
item columns, trained together with a pairwise hinge loss on the mean of their outputs.
**Reference**: Zziwei/Joint-Collaborative-Autoencoder (authors), commits 4642264 and 19d46d9, read
for facts: sizes, initialisation, blocks, pairs. We did not have the paper.
**Deviations** from that code: where U or I is a multiple of 1500, the code has an empty last block,
which is left out here. A user who has every item of a block gives no pair there. The code evaluates
all outputs of a block, here only those of its pairs are, which changes no number.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from repro.hyperparameters import Count, Natural, NonNegative
from repro.interactions import Interactions
from repro.model import Run, Scorer
from repro.nn.batches import Rows
from repro.nn.blocks import Block, Blocks
from repro.nn.layers import sparse_product
from repro.nn.two_sided import BothSides, pair_hinge


@dataclass(frozen=True, kw_only=True)
class JCA:
    """A user autoencoder and an item autoencoder, trained jointly with a pairwise hinge loss.

    The defaults are the code's, which loads Yelp; those for MovieLens 1M are not known.
    """

    hidden_dim: Count = 160
    """Hidden units on each side. [code]"""
    margin: NonNegative = 0.15
    """By which a pair's score should be above its negative's. [code]"""
    l2: NonNegative = 0.001
    """Strength of half the squared norm of all weights and biases, once per update. [code]"""
    learning_rate: NonNegative = 0.003
    """Adam's. [code]"""
    block_size: Count = 1500
    """Users, and items, in an update; their whole rows and columns are read. [code]"""
    n_epochs: Natural = 200
    """MVAE's paper also trains all models so long (its Section V-C). [code]"""

    KNOWN_USERS_ONLY: ClassVar[bool] = True

    def epochs(self, train: Interactions, run: Run) -> Iterator[Scorer]:
        """Train on every block of users and items once per epoch, with one negative per pair."""
        blocks = Blocks(train, self.block_size, run.device)
        net = JCANet(train.n_users, train.n_items, self).to(run.device)
        groups: list[dict[str, Any]] = [
            {"params": [p for p in net.parameters() if p is not net.item_factor]},
            {"params": [net.item_factor], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.Adam(  # its weight decay is the L2 term's gradient
            groups, self.learning_rate, weight_decay=self.l2, fused=True
        )
        for _ in run.epochs(self.n_epochs, net=net, optimizer=optimizer):
            for block in blocks:
                x, y = blocks.users.of(block.users), blocks.items.of(block.items)
                loss = net.loss(block, x, y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.log(hinge=loss)
            yield BothSides(
                name="JCA",
                user_hidden=net.users,
                item_hidden=partial(net.items, blocks.items.all),
                user_output=net.user_output,
                item_output=net.item_output,
            )


class JCANet(nn.Module):
    """Users: I -> H -> I. Items: U -> H -> U, with the hidden layer scaled by a factor per item."""

    def __init__(self, n_users: int, n_items: int, model: JCA) -> None:
        super().__init__()
        self.margin = model.margin
        self.user_weight = nn.Parameter(torch.empty(n_items, model.hidden_dim))
        self.user_bias = nn.Parameter(torch.empty(model.hidden_dim))
        self.user_output = nn.Linear(model.hidden_dim, n_items)
        self.item_weight = nn.Parameter(torch.empty(n_users, model.hidden_dim))
        self.item_bias = nn.Parameter(torch.empty(model.hidden_dim))
        self.item_output = nn.Linear(model.hidden_dim, n_users)
        for parameter in self.parameters():
            nn.init.trunc_normal_(parameter, std=0.03, a=-0.06, b=0.06)
        self.item_factor = nn.Parameter(torch.rand(n_items, 1))

    def users(self, x: Rows, _users: Tensor | None = None) -> Tensor:
        """Return the hidden layer of users' rows, shape (B, H)."""
        return (sparse_product(x, self.user_weight) + self.user_bias).sigmoid()

    def items(self, y: Rows) -> Tensor:
        """Return the hidden layer of items' columns, shape (C, H)."""
        h = sparse_product(y, self.item_weight) + self.item_bias
        return (h * self.item_factor[y.user]).sigmoid()  # y.user numbers the items

    def loss(self, block: Block, x: Rows, y: Rows) -> Tensor:
        """Return the hinge loss of a block's pairs, summed.

        Parameters
        ----------
        block : Block
            B users and C items.
        x, y : Rows
            The users' whole rows over all items, and the items' whole columns over all users.
        """
        user, item = (self.users(x), self.user_output), (self.items(y), self.item_output)
        return pair_hinge(block, user, item, self.margin)


MODEL = JCA
