from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy
from torch.testing import assert_close

from repro.interactions import Interactions
from repro.model import Scorer
from repro.models.jova import JoVA, JoVANet
from repro.nn.blocks import Blocks
from repro.nn.two_sided import SideVAE
from repro.split import Queries
from repro.training.progress import Progress

Build = Callable[..., Interactions]

CPU = torch.device("cpu")
LISTS = [[0, 1, 2], [3, 4], [], [5, 6, 7, 8], list(range(12)), [9]]
TINY = JoVA(hidden_dim=6, latent_dim=3, block_size=4, n_epochs=2)
TWO_TASTES = [[i for i in range(12) if i % 2 == u % 2 and i // 2 != u // 2 % 6] for u in range(24)]


class Watching(Progress):
    """Keeps the network, and notes the rate of every update."""

    def epochs(self, n: int, **state: Any) -> Iterator[int]:
        self.net: JoVANet = state["net"]
        self.optimizer: torch.optim.Adam = state["optimizer"]
        self.rates: list[float] = []
        yield from super().epochs(n, **state)

    def log(self, **losses: Any) -> None:
        self.rates.append(self.optimizer.param_groups[0]["lr"])
        super().log(**losses)


def trained(model: JoVA, train: Interactions) -> tuple[Scorer, Watching]:
    watching = Watching(0, CPU)
    *_, scorer = model.epochs(train, watching)
    return scorer, watching


def whole(side: SideVAE, x: Tensor, sample: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return outputs, mean and log variance of dense rows, layer by layer."""
    h = torch.sigmoid(side.hidden(torch.tanh(x @ side.weight + side.bias)))
    mean, logvar = side.mean(h), side.logvar(h)
    z = mean + torch.randn_like(mean) * (0.5 * logvar).exp() if sample else mean
    return side.output(torch.tanh(side.decoder[0](z))).sigmoid(), mean, logvar


def test_the_losses_are_those_of_the_dense_networks(build: Build) -> None:
    torch.manual_seed(0)
    train = build(LISTS)
    net, blocks = JoVANet(6, 12, TINY), Blocks(train, 4, CPU)
    r = torch.from_numpy(train.matrix().toarray())
    block = next(iter(blocks))
    torch.manual_seed(1)
    elbo, hinge = net.losses(block, blocks.users.of(block.users), blocks.items.of(block.items))
    torch.manual_seed(1)
    expected = torch.zeros(())
    outputs = []
    for side, x in ((net.user, r[block.users]), (net.item, r.T[block.items])):
        s, mean, logvar = whole(side, x, sample=True)
        bce = binary_cross_entropy(s, x, reduction="none").mean(dim=1) * x.shape[1]
        kl = -0.01 * (1 + logvar - mean**2 - logvar.exp()).sum(dim=1)  # as the code has it
        expected = expected + (bce + kl).mean()
        outputs.append(s)
    assert_close(elbo, expected)
    negative, there = block.negatives()  # the next numbers of the generator, as in the loss
    s = (outputs[0][:, block.items] + outputs[1][:, block.users].T) / 2
    off = (s[block.row, negative] - s[block.row, block.column] + 0.15).clamp(min=0)
    assert_close(hinge, (off * there).sum())


def test_without_hinge_no_negative_is_drawn_and_no_pair_counts(build: Build) -> None:
    train = build(LISTS)
    net, blocks = JoVANet(6, 12, replace(TINY, hinge_weight=0.0)), Blocks(train, 4, CPU)
    block = next(iter(blocks))
    _, hinge = net.losses(block, blocks.users.of(block.users), blocks.items.of(block.items))
    assert hinge.item() == 0
    assert not hinge.requires_grad


def test_the_rate_falls_with_updates_and_every_block_is_one(build: Build) -> None:
    _, watching = trained(replace(TINY, n_epochs=18), build(LISTS))  # 2 x 3 blocks
    expected = [0.003] * 100 + [0.003 * 0.96] * 8  # 50 * ceil(6 / 4) updates
    assert watching.rates == pytest.approx(expected)
    _, watching = trained(replace(TINY, skip_last_block=True), build(LISTS))
    assert len(watching.rates) == 2 * (2 * 2)


def test_scores_are_the_mean_of_both_outputs_at_the_mean_of_z(build: Build) -> None:
    train = build(LISTS)
    scorer, watching = trained(TINY, train)
    r, net = torch.from_numpy(train.matrix().toarray()), watching.net
    by_user, by_item = whole(net.user, r, False)[0], whole(net.item, r.T, False)[0]
    queries = Queries(np.arange(6), train)
    assert_close(scorer.score(queries), (by_user + by_item.T).detach() / 2)


def test_a_sampled_z_moves_the_scores_but_is_drawn_once_for_all_items(build: Build) -> None:
    train = build(LISTS)
    scorer, watching = trained(replace(TINY, test_latent="sample"), train)
    queries = Queries(np.arange(6), train)
    assert not torch.equal(scorer.score(queries), scorer.score(queries))
    watching.net.user.output.weight.data.zero_()  # what is left is the items' side
    assert_close(scorer.score(queries), scorer.score(queries), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("n_users", "n_items", "millions"),
    [(6_027, 3_062, 6.19), (12_704, 9_244, 14.43), (55_187, 9_911, 42.09)],
)
def test_networks_have_the_size_of_the_fact_sheets(
    n_users: int, n_items: int, millions: float
) -> None:
    with torch.device("meta"):
        net = JoVANet(n_users, n_items, JoVA())
    assert round(sum(p.numel() for p in net.parameters()) / 1e6, 2) == millions


@pytest.mark.parametrize("hinge_weight", [0.0, 0.1])
def test_it_learns_two_tastes(build: Build, hinge_weight: float) -> None:
    train = build(TWO_TASTES)
    model = JoVA(
        hidden_dim=16,
        latent_dim=4,
        block_size=6,
        learning_rate=0.01,
        hinge_weight=hinge_weight,
        n_epochs=15,
    )
    scores = trained(model, train)[0].score(Queries(np.arange(24), train))
    scores[train.user, train.item] = -torch.inf
    best = scores.argmax(dim=1)  # among an own item, withheld, and six of the other taste
    assert (best % 2 == torch.arange(24) % 2).float().mean() > 0.9
