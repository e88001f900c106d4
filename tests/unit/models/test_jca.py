from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from repro.interactions import Interactions
from repro.model import Scorer
from repro.models.jca import JCA, JCANet
from repro.nn.blocks import Block, Blocks
from repro.split import Queries
from repro.training.progress import Progress

Build = Callable[..., Interactions]

CPU = torch.device("cpu")
LISTS = [[0, 1, 2], [3, 4], [], [5, 6, 7, 8], list(range(12)), [9]]
TINY = JCA(hidden_dim=3, block_size=4, n_epochs=2)
TWO_TASTES = [[i for i in range(12) if i % 2 == u % 2 and i // 2 != u // 2 % 6] for u in range(24)]


def last(model: JCA, train: Interactions, progress: Progress | None = None) -> Scorer:
    *_, scorer = model.epochs(train, progress or Progress(0, CPU))
    return scorer


def dense_outputs(net: JCANet, r: Tensor) -> Tensor:
    """Return the mean of both sides' whole outputs, shape (U, I), from the whole matrix."""
    h = (r @ net.user_weight + net.user_bias).sigmoid()
    g = ((r.T @ net.item_weight + net.item_bias) * net.item_factor).sigmoid()
    return (net.user_output(h).sigmoid() + net.item_output(g).sigmoid().T) / 2


def test_the_loss_of_a_block_is_that_of_a_naive_loop(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    train = build(LISTS)
    net = JCANet(6, 12, TINY)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(30)  # so that some pairs are beyond the margin
    blocks = Blocks(train, 4, CPU)
    r = torch.from_numpy(train.matrix().toarray())
    n_pairs = n_zero = 0
    for block in blocks:
        negative, there = block.negatives()
        monkeypatch.setattr(Block, "negatives", lambda self, n=negative, t=there: (n, t))
        ours = net.loss(block, blocks.users.of(block.users), blocks.items.of(block.items))
        monkeypatch.undo()
        s, naive = dense_outputs(net, r), torch.zeros(())
        for k in range(len(block.row)):
            u, i = block.users[block.row[k]], block.items[block.column[k]]
            if there[k]:
                j = block.items[negative[k]]
                assert r[u, i] - r[u, j] == 1
                term = torch.clamp(s[u, j] - s[u, i] + 0.15, min=0)
                n_pairs, n_zero = n_pairs + 1, n_zero + int(term == 0)
                naive = naive + term
        assert_close(ours, naive)
        if not there.any():
            continue
        parts = list(net.parameters())
        grads = [torch.autograd.grad(loss, parts, allow_unused=True) for loss in (ours, naive)]
        for mine, theirs in zip(*grads, strict=True):
            if mine is not None or theirs is not None:
                assert_close(mine, torch.zeros_like(mine) if theirs is None else theirs)
    assert n_pairs == 10  # user 4 has every item, and so no negative in any block
    assert 0 < n_zero < n_pairs


class Watching(Progress):
    """Keeps the network and the optimizer, and notes how often a loss was logged."""

    def epochs(self, n: int, **state: Any) -> Iterator[int]:
        self.net: JCANet = state["net"]
        self.optimizer: torch.optim.Adam = state["optimizer"]
        self.n_updates = 0
        yield from super().epochs(n, **state)

    def log(self, **losses: Any) -> None:
        self.n_updates += 1
        super().log(**losses)


def test_scores_are_the_mean_of_both_outputs_on_the_training_matrix(build: Build) -> None:
    train, watching = build(LISTS), Watching(0, CPU)
    scorer = last(TINY, train, watching)
    r = torch.from_numpy(train.matrix().toarray())
    expected = dense_outputs(watching.net, r).detach()
    assert_close(scorer.score(Queries(np.arange(6), train)), expected)
    assert watching.n_updates == 2 * (2 * 3)


def test_l2_is_half_the_squared_norm_of_all_but_the_items_factors(build: Build) -> None:
    nothing = build([[], [], []])  # no pair: the regularisation is the whole gradient
    watching = Watching(0, CPU)
    epochs = replace(TINY, learning_rate=0.0, block_size=100, l2=0.5).epochs(nothing, watching)
    next(epochs)
    for name, parameter in watching.net.named_parameters():
        moment = watching.optimizer.state[parameter]["exp_avg"]
        expected = torch.zeros_like(parameter) if name == "item_factor" else 0.1 * 0.5 * parameter
        assert_close(moment, expected.detach(), msg=name)  # beta_1 is 0.9


def test_initial_weights_and_biases_are_the_references() -> None:
    torch.manual_seed(0)
    net = JCANet(400, 300, JCA())
    for name, parameter in net.named_parameters():
        if name == "item_factor":
            assert 0 <= parameter.min() < 0.05 < 0.95 < parameter.max() <= 1
        else:
            assert parameter.abs().max() <= 0.06, name
            assert 0.02 < parameter.std() < 0.03, name  # of a normal cut at two deviations: 0.026


@pytest.mark.parametrize(
    ("n_users", "n_items", "millions"), [(6_027, 3_062, 2.92), (12_704, 9_244, 7.05)]
)
def test_networks_have_the_size_of_the_fact_sheets(
    n_users: int, n_items: int, millions: float
) -> None:
    with torch.device("meta"):
        net = JCANet(n_users, n_items, JCA())
    assert round(sum(p.numel() for p in net.parameters()) / 1e6, 2) == millions


def test_it_learns_two_tastes(build: Build) -> None:
    train = build(TWO_TASTES)
    model = JCA(hidden_dim=8, block_size=6, learning_rate=0.02, l2=0.0001, n_epochs=20)
    scores = last(model, train).score(Queries(np.arange(24), train))
    scores[train.user, train.item] = -torch.inf
    best = scores.argmax(dim=1)  # among an own item, withheld, and six of the other taste
    assert (best % 2 == torch.arange(24) % 2).float().mean() > 0.9
