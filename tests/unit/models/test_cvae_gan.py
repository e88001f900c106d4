from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits
from torch.testing import assert_close

from repro.interactions import Interactions
from repro.models.cvae_gan import (
    CVAEGAN,
    CVAEGANNet,
    discriminator_loss,
    matching,
    squared_error,
)
from repro.nn.adversarial import VectorDiscriminator
from repro.nn.batches import Rows, rows_of
from repro.split import Queries
from repro.training.progress import Progress

Build = Callable[..., Interactions]

CPU = torch.device("cpu")
LISTS = [[0, 1, 2], [3, 4], [5, 6, 7, 8], [9]]
TINY = CVAEGAN(
    hidden_dims=(6,),
    latent_dim=3,
    discriminator_dims=(5,),
    learning_rate=0.01,
    discriminator_learning_rate=0.02,
    batch_size=4,
    n_epochs=1,
)
TWO_TASTES = [[i for i in range(12) if i % 2 == u % 2 and i // 2 != u // 2 % 6] for u in range(24)]


@pytest.fixture
def x(build: Build) -> Rows:
    torch.manual_seed(0)
    return rows_of(build(LISTS), CPU)


def test_the_weights_are_the_papers() -> None:
    assert (TINY.kl_weight, TINY.reconstruction_weight, TINY.mean_matching_weight) == (3, 1, 1e-3)
    assert not {"conditional", "n_classes"} & {field.name for field in fields(CVAEGAN)}


def test_the_squared_error_is_half_the_squared_distance(x: Rows) -> None:
    made = torch.rand(4, 12)
    assert_close(squared_error(made, x), 0.5 * (x.dense() - made).square().sum(dim=1))


@pytest.mark.parametrize("likelihood", ["squared", "bernoulli"])
def test_a_reconstruction_is_judged_by_its_likelihood(
    x: Rows, likelihood: Literal["squared", "bernoulli"]
) -> None:
    logits = torch.randn(4, 12)
    if likelihood == "squared":
        expected = 0.5 * (x.dense() - logits.sigmoid()).square()
    else:
        expected = binary_cross_entropy_with_logits(logits, x.dense(), reduction="none")
    model = replace(TINY, likelihood=likelihood)
    assert_close(model.reconstruction(logits, x), expected.sum(dim=1))


def test_d_tells_real_vectors_from_reconstructed_and_from_drawn_ones(x: Rows) -> None:
    d, x_f, x_p = VectorDiscriminator(12, (5,)), torch.rand(4, 12), torch.rand(4, 12)

    def loss(vectors: Tensor, label: float) -> Tensor:
        return binary_cross_entropy(d(vectors).sigmoid(), torch.full((4,), label))

    expected = loss(x.dense(), 1.0) + loss(x_f, 0.0) + loss(x_p, 0.0)
    assert_close(discriminator_loss(d, x, x_f, x_p), expected)


def test_features_are_matched_in_pairs_and_in_the_mean(x: Rows) -> None:
    d, x_f, x_p = VectorDiscriminator(12, (5, 3)), torch.rand(4, 12), torch.rand(4, 12)
    pairwise, l_gd = matching(d, x, x_f, x_p)
    real, made, drawn = d.features(x.dense()), d.features(x_f), d.features(x_p)
    in_pairs = [0.5 * sum((real[u, k] - made[u, k]) ** 2 for k in range(3)) for u in range(4)]
    assert_close(pairwise, torch.stack([torch.as_tensor(v) for v in in_pairs]).mean())
    means = [0.5 * (real[:, k].mean() - drawn[:, k].mean()) ** 2 for k in range(3)]
    assert_close(l_gd, torch.stack(means).sum())
    same, none = matching(d, x, x.dense(), x.dense())
    assert_close(same, torch.tensor(0.0))
    assert_close(none, torch.tensor(0.0))


def test_the_mean_is_matched_by_a_batch_that_no_pair_of_which_matches(x: Rows) -> None:
    d = VectorDiscriminator(12, (5,))
    turned = x.dense().roll(1, dims=0)
    pairwise, l_gd = matching(d, x, turned, turned)
    assert_close(l_gd, torch.tensor(0.0))
    assert pairwise > 0.01


class Watching(Progress):
    """Keeps the parts that a run names, and its losses."""

    def epochs(self, n: int, **state: Any) -> Iterator[int]:
        self.parts = {k: v for k, v in state.items() if isinstance(v, nn.Module)}
        self.losses: dict[str, float] = {}
        yield from super().epochs(n, **state)

    def log(self, **losses: Any) -> None:
        self.losses |= {k: float(v.detach()) for k, v in losses.items()}


def test_an_update_is_that_of_algorithm_1_network_by_network(build: Build) -> None:
    train, watching = build(LISTS), Watching(7, CPU)
    model = replace(TINY, mean_matching_weight=0.5, kl_weight=2.0, reconstruction_weight=0.7)
    (net,) = list(model.epochs(train, watching))
    assert isinstance(net, CVAEGANNet)

    torch.manual_seed(7)
    before, d = CVAEGANNet(12, TINY), VectorDiscriminator(12, (5,))
    x = rows_of(train.rows(torch.randperm(4).numpy()), CPU)
    logits, mean, logvar = before(x)
    x_f, x_p = logits.sigmoid(), before.decoder(torch.randn_like(mean)).sigmoid()
    of_d = list(d.parameters())
    loss = discriminator_loss(d, x, x_f.detach(), x_p.detach())
    step(of_d, torch.autograd.grad(loss, of_d), 0.02)

    q = torch.distributions.Normal(mean, (0.5 * logvar).exp())
    p = torch.distributions.Normal(0.0, 1.0)
    l_kl = torch.distributions.kl_divergence(q, p).sum(dim=1).mean()
    pairwise, l_gd = matching(d, x, x_f, x_p)
    l_g = 0.7 * (squared_error(x_f, x).mean() + pairwise)
    of_g = list(before.decoder.parameters())
    of_e = [*before.input.parameters(), *before.encoder.parameters()]
    for_g = torch.autograd.grad(l_g + 0.5 * l_gd, of_g, retain_graph=True)
    for_e = torch.autograd.grad(2.0 * l_kl + l_g, of_e)
    step(of_g, for_g, 0.01)
    step(of_e, for_e, 0.01)
    for name, part in {"net": before, "D": d}.items():
        for key, parameter in part.named_parameters():
            found = watching.parts[name].get_parameter(key)
            assert_close(found, parameter, rtol=0, atol=1e-4, msg=f"{name} {key}")
            assert_close(found.grad, parameter.grad, rtol=1e-3, atol=1e-5, msg=f"{name} {key}")
    noted = watching.losses
    total = 2.0 * noted["l_kl"] + 0.7 * noted["l_g"] + 0.5 * noted["l_gd"]
    assert noted["loss"] == pytest.approx(total, rel=1e-5)
    assert noted["pairwise"] < noted["l_g"]


def step(parts: list[nn.Parameter], gradients: tuple[Tensor, ...], rate: float) -> None:
    adam = torch.optim.Adam(parts, rate, (0.5, 0.999))
    for parameter, gradient in zip(parts, gradients, strict=True):
        parameter.grad = gradient
    adam.step()


def test_scores_are_the_logits_at_the_posterior_mean(build: Build, x: Rows) -> None:
    net = CVAEGANNet(12, replace(TINY, decoder_dims=(5,)))
    strangers = Queries(np.full(4, -1), build(LISTS))
    assert_close(net.score(strangers), net.decoder(net.encode(x)[0]).detach())
    assert not torch.equal(net(x)[0], net(x)[0])  # in training z is drawn


def test_the_core_has_the_size_of_a_user_side_vae_on_movielens_100k() -> None:
    with torch.device("meta"):
        net = CVAEGANNet(1682, CVAEGAN())
    assert sum(parameter.numel() for parameter in net.parameters()) == 471_658


@pytest.mark.parametrize("likelihood", ["squared", "bernoulli"])
def test_it_learns_two_tastes(build: Build, likelihood: Literal["squared", "bernoulli"]) -> None:
    train = build(TWO_TASTES)
    learning = replace(
        TINY, hidden_dims=(16,), batch_size=8, n_epochs=60, kl_weight=0.1, likelihood=likelihood
    )
    *_, net = learning.epochs(train, Progress(0, CPU))
    scores = net.score(Queries(np.arange(24), train))
    scores[train.user, train.item] = -torch.inf
    best = scores.argmax(dim=1)  # among an own item, withheld, and six of the other taste
    assert (best % 2 == torch.arange(24) % 2).float().mean() > 0.9
