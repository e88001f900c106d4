"""JoVA: Askari et al., "Variational Autoencoders for Top-K Recommendation ...", SIGIR 2021.

**Implements** JoVA and JoVA-Hinge (also arXiv 2008.07577): a variational autoencoder of user rows
and one of item columns, trained together, with JCA's hinge loss on the mean of their outputs.
**Reference**: bahareAskari/JoVA-Hinge (authors), commits a8a6e5a and 66a1c7b, read for facts. We
did not have the paper.
**Deviations** from that code, all fields: it draws z at test time (`test_latent` = "sample") and,
as its update is in the wrong branch, never trains on an epoch's last block of items
(`skip_last_block`). Its KL term has weight 0.02, as it has -0.01 in place of -1/2 (`beta`), and its
learning rate decays by updates though it is set in epochs (`decay`). Both are kept, so that with
the last block the learning rate falls to 0.64 of its initial value on MovieLens 1M, in the code to
0.75. Where U or I is a multiple of 1500, the code has an empty last block, which is left out here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from repro.hyperparameters import Count, Natural, NonNegative
from repro.interactions import Interactions
from repro.model import Run, Scorer
from repro.nn.batches import Rows
from repro.nn.blocks import Block, Blocks
from repro.nn.layers import sparse_product
from repro.nn.losses import linear_bernoulli_nll
from repro.nn.two_sided import BothSides, SideVAE, pair_hinge, staircase


@dataclass(frozen=True, kw_only=True)
class JoVA:
    """A user VAE and an item VAE, trained jointly with a pairwise hinge loss."""

    hidden_dim: Count = 320
    """Of an encoder's two hidden layers, tanh then sigmoid, and of a decoder's one, tanh. [code]"""
    latent_dim: Count = 80
    """Of z on both sides. [code]"""
    beta: NonNegative = 0.02
    """KL weight. [code]"""
    hinge_weight: NonNegative = 0.01
    """0: JoVA. Otherwise JoVA-Hinge: 0.01 on MovieLens 1M and Pinterest, 0.001 on Yelp. [code]"""
    margin: NonNegative = 0.15
    """By which a pair's score should be above its negative's. [code]"""
    learning_rate: NonNegative = 0.003
    """Adam's, initially. [code]"""
    decay: NonNegative = 0.96
    """Factor on the learning rate every 50 * ceil(U / 1500) updates. [code]"""
    block_size: Count = 1500
    """Users, and items, in an update; their whole rows and columns are read. [code]"""
    skip_last_block: bool = False
    """Leave an epoch's last block of items out, as the code does. [ours; not code]"""
    test_latent: Literal["mean", "sample"] = "mean"
    """"sample": z is drawn as in the code, the items' once per epoch. [ours; not code]"""
    n_epochs: Natural = 200
    """In the code; MVAE's paper also trains all models so long (its Section V-C). [code]"""

    KNOWN_USERS_ONLY: ClassVar[bool] = True

    def epochs(self, train: Interactions, run: Run) -> Iterator[Scorer]:
        """Train on every block of users and items once per epoch."""
        blocks = Blocks(train, self.block_size, run.device, self.skip_last_block)
        net = JoVANet(train.n_users, train.n_items, self).to(run.device)
        optimizer = torch.optim.Adam(net.parameters(), self.learning_rate, fused=True)
        sample = self.test_latent == "sample"
        for epoch in run.epochs(self.n_epochs, net=net, optimizer=optimizer):
            for step, block in enumerate(blocks, start=epoch * len(blocks)):
                optimizer.param_groups[0]["lr"] = staircase(
                    self.learning_rate, self.decay, step, train.n_users, self.block_size
                )
                x, y = blocks.users.of(block.users), blocks.items.of(block.items)
                elbo, hinge = net.losses(block, x, y)
                loss = elbo + self.hinge_weight * hinge
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.log(loss=loss, elbo=elbo)
            yield BothSides(
                name="JoVA",
                user_hidden=partial(net.user_hidden, sample=sample),
                item_hidden=partial(net.item_hidden, blocks.items.all, sample=sample),
                user_output=net.user.output,
                item_output=net.item.output,
            )


def hidden(side: SideVAE, x: Rows, sample: bool = True) -> tuple[Tensor, Tensor]:
    """Return the decoder's last hidden layer and the KL term of 0/1 rows: (B, H) and (B,)."""
    return side(sparse_product(x, side.weight), sample)


class JoVANet(nn.Module):
    """A variational autoencoder of user rows, and one of item columns."""

    def __init__(self, n_users: int, n_items: int, model: JoVA) -> None:
        super().__init__()
        self.model = model
        made = partial(SideVAE, second="sigmoid", n_decoder_layers=1)
        self.user = made(n_items, model.hidden_dim, model.latent_dim)
        self.item = made(n_users, model.hidden_dim, model.latent_dim)

    def user_hidden(self, x: Rows, _users: Tensor, *, sample: bool) -> Tensor:
        """Return the user side's last hidden layer, (B, H)."""
        return hidden(self.user, x, sample)[0]

    def item_hidden(self, y: Rows, *, sample: bool) -> Tensor:
        """Return the item side's last hidden layer, (C, H)."""
        return hidden(self.item, y, sample)[0]

    def losses(self, block: Block, x: Rows, y: Rows) -> tuple[Tensor, Tensor]:
        """Return the negative evidence lower bound and the hinge loss.

        The bound is a mean over each side's batch, summed over both sides. The hinge loss is a sum
        over pairs (code), 0 where it has no weight.

        Parameters
        ----------
        block : Block
            B users and C items.
        x, y : Rows
            The users' whole rows over all items, and the items' whole columns over all users.
        """
        (h, kl_u), (g, kl_i) = hidden(self.user, x), hidden(self.item, y)
        nll_u = linear_bernoulli_nll(h, self.user.output.weight, self.user.output.bias, x)
        nll_i = linear_bernoulli_nll(g, self.item.output.weight, self.item.output.bias, y)
        by_user = nll_u / len(h) + self.model.beta * kl_u.mean()
        by_item = nll_i / len(g) + self.model.beta * kl_i.mean()
        pairs = torch.zeros((), device=h.device)
        if self.model.hinge_weight:
            user, item = (h, self.user.output), (g, self.item.output)
            pairs = pair_hinge(block, user, item, self.model.margin)
        return by_user + by_item, pairs


MODEL = JoVA
