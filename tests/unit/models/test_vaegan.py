from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.autograd.functional import jacobian
from torch.nn.functional import linear, log_softmax, normalize, softplus
from torch.testing import assert_close

from repro.interactions import Interactions
from repro.models.vaegan import VAEGAN, VAEGANNet, contraction
from repro.nn.adversarial import VectorDiscriminator, logistic_loss, non_saturating_loss
from repro.nn.batches import rows_of
from repro.nn.implicit import Adversary, NoiseBasisEncoder, NoisyEncoder
from repro.split import Queries
from repro.training.progress import Progress

Build = Callable[..., Interactions]

CPU = torch.device("cpu")
LISTS = [[0, 1, 2], [3, 4], [5, 6, 7, 8], [9]]
TINY = VAEGAN(
    hidden_dims=(6,),
    latent_dim=3,
    noise_dim=4,
    n_noises=2,
    discriminator_dims=(5,),
    profile_discriminator_dims=(5,),
    learning_rate=0.01,
    discriminator_learning_rate=0.02,
    batch_size=4,
    n_epochs=1,
)
SEVAE = replace(
    TINY,
    adaptive_contrast=False,
    decoder_dims=(6,),
    likelihood="multinomial",
    generated="softmax",
    dropout=0.5,
)
TWO_TASTES = [[i for i in range(12) if i % 2 == u % 2 and i // 2 != u // 2 % 6] for u in range(24)]
BOTH = pytest.mark.parametrize("model", [TINY, SEVAE], ids=["DAVE", "SE-VAE"])


@BOTH
def test_the_penalty_is_the_squared_frobenius_norm_of_the_first_layers_jacobian(
    build: Build, model: VAEGAN
) -> None:
    torch.manual_seed(0)
    layer = VAEGANNet(12, model).eval().encoder.input
    x = rows_of(build(LISTS), CPU)

    def first_layer(row: Tensor) -> Tensor:
        return softplus(row @ layer.weight + layer.bias)

    rows = normalize(x.dense(), dim=1)
    expected = torch.stack([jacobian(first_layer, row).square().sum() for row in rows])
    assert_close(contraction(layer(x), layer.weight), expected)


def test_the_penaltys_gradient_is_the_jacobians(build: Build) -> None:
    torch.manual_seed(0)
    layer = VAEGANNet(12, TINY).encoder.input
    x = rows_of(build(LISTS), CPU)
    rows = normalize(x.dense(), dim=1)
    parts = [layer.weight, layer.bias]

    def norm(row: Tensor) -> Tensor:
        made = jacobian(lambda r: softplus(r @ parts[0] + parts[1]), row, create_graph=True)
        assert isinstance(made, Tensor)
        return made.square().sum()

    expected = torch.autograd.grad(torch.stack([norm(row) for row in rows]).mean(), parts)
    found = torch.autograd.grad(contraction(layer(x), layer.weight).mean(), parts)
    for gradient, other in zip(found, expected, strict=True):
        assert_close(gradient, other)


def test_d_compares_ones_with_masked_probabilities_or_a_row_with_a_softmax(build: Build) -> None:
    torch.manual_seed(0)
    d, x, logits = VectorDiscriminator(12, (5,)), rows_of(build(LISTS), CPU), torch.randn(4, 12)
    dense = x.dense()
    assert_close(TINY.real(d, x), d(dense))
    assert_close(TINY.fake(d, logits, x), d(dense * logits.sigmoid()))
    assert_close(SEVAE.real(d, x), d(dense / dense.sum(dim=1, keepdim=True)))
    assert_close(SEVAE.fake(d, logits, x), d(logits.softmax(dim=1)))


@pytest.mark.parametrize(("generated", "reached"), [("masked", 10), ("softmax", 48)])
def test_what_d_says_reaches_the_logits_that_it_sees(
    build: Build, generated: Literal["masked", "softmax"], reached: int
) -> None:
    torch.manual_seed(0)
    d, x = VectorDiscriminator(12, (5,)), rows_of(build(LISTS), CPU)
    logits = torch.randn(4, 12, requires_grad=True)
    model = replace(TINY, generated=generated)
    (gradient,) = torch.autograd.grad(non_saturating_loss(model.fake(d, logits, x)), logits)
    assert int(gradient.count_nonzero()) == reached


class Watching(Progress):
    """Keeps the parts that a run names, and its losses."""

    def epochs(self, n: int, **state: Any) -> Iterator[int]:
        self.parts = {k: v for k, v in state.items() if isinstance(v, nn.Module)}
        self.losses: dict[str, float] = {}
        yield from super().epochs(n, **state)

    def log(self, **losses: Any) -> None:
        self.losses |= {k: float(v.detach()) for k, v in losses.items()}


@BOTH
def test_an_update_moves_both_adversaries_then_the_net_against_them(
    build: Build, model: VAEGAN
) -> None:
    train, watching = build(LISTS), Watching(7, CPU)
    model = replace(model, dropout=0.0, beta=0.5, adversarial_weight=2.0, contractive_weight=0.1)
    (net,) = list(model.epochs(train, watching))

    torch.manual_seed(7)
    before = VAEGANNet(12, model)
    t, d = Adversary(6, 3, (5,)), VectorDiscriminator(12, (5,))
    x = rows_of(train.rows(torch.randperm(4).numpy()), CPU)
    draw = before.encoder(x)
    logits = before.decoder(draw.z)
    adversaries = [*t.parameters(), *d.parameters()]
    loss = t.loss(draw) + logistic_loss(model.real(d, x), model.fake(d, logits, x))
    step(adversaries, torch.autograd.grad(loss, adversaries, retain_graph=True), 0.02)

    dense = x.dense()
    if model.likelihood == "multinomial":
        nll = -(dense * log_softmax(logits, dim=1)).sum(dim=1)
    else:
        nll = -(dense * logits.sigmoid().log() + (1 - dense) * (-logits).sigmoid().log()).sum(dim=1)
    fooling = -model.fake(d, logits, x).sigmoid().log().mean()
    penalty = contraction(draw.first, before.encoder.input.weight).mean()
    loss = (nll + 0.5 * t.kl(draw)).mean() + 2.0 * fooling + 0.1 * penalty
    assert watching.losses["loss"] == pytest.approx(float(loss.detach()), rel=1e-4)
    own = list(before.parameters())
    step(own, torch.autograd.grad(loss, own), 0.01)
    for name, part in {"net": before, "T": t, "D": d}.items():
        for key, parameter in part.named_parameters():
            found = watching.parts[name].get_parameter(key)
            assert_close(found, parameter, rtol=0, atol=1e-4, msg=f"{name} {key}")
            assert_close(found.grad, parameter.grad, rtol=1e-3, atol=1e-5, msg=f"{name} {key}")
    assert watching.parts["net"] is net


def step(parts: list[nn.Parameter], gradients: tuple[Tensor, ...], rate: float) -> None:
    adam = torch.optim.Adam(parts, rate, (0.5, 0.999))
    for parameter, gradient in zip(parts, gradients, strict=True):
        parameter.grad = gradient
    adam.step()


def test_no_weight_leaves_avb_alone(build: Build) -> None:
    watching = Watching(0, CPU)
    model = replace(TINY, adversarial_weight=0.0, contractive_weight=0.0)
    for _ in model.epochs(build(LISTS), watching):
        pass
    noted = watching.losses
    assert noted["loss"] == pytest.approx(noted["nll"] + noted["kl"], rel=1e-5)


def test_an_update_weighs_the_kl_term_by_its_number(build: Build) -> None:
    watching = Watching(0, CPU)
    alone: dict[str, Any] = {"adversarial_weight": 0.0, "contractive_weight": 0.0}
    model = replace(TINY, beta=0.5, anneal_steps=10, batch_size=2, n_epochs=2, **alone)
    for _ in model.epochs(build(LISTS), watching):  # four users: the last update is number 3
        pass
    noted = watching.losses
    assert noted["loss"] == pytest.approx(noted["nll"] + 0.3 * noted["kl"], rel=1e-5)


def test_the_input_is_dropped_in_training_alone(build: Build) -> None:
    x = rows_of(build([range(12)]), CPU)
    encoder = VAEGANNet(12, SEVAE).encoder
    assert not torch.equal(encoder(x).first, encoder(x).first)
    encoder.eval()
    assert torch.equal(encoder(x).first, encoder(x).first)


@BOTH
def test_strangers_are_scored_from_their_history_without_dropout(
    build: Build, model: VAEGAN
) -> None:
    *_, net = model.epochs(build(LISTS), Progress(0, CPU))
    strangers = Queries(np.array([-1, -1, -1]), build([[0, 2], [], [2, 0]]))
    scores = net.score(strangers)
    assert scores.shape == (3, 12)
    assert_close(scores[0], scores[2])
    assert_close(net.score(strangers), scores, rtol=0, atol=0)
    z = net.eval().encoder.test_draws(rows_of(strangers.history, CPU))
    assert_close(scores, net.decoder(z).mean(dim=0).detach())


def test_networks_have_the_sizes_of_the_settings() -> None:
    with torch.device("meta"):
        dave, d = VAEGANNet(1682, VAEGAN()), VectorDiscriminator(1682, (200,))
        sevae = VAEGANNet(20_108, replace(SEVAE, hidden_dims=(600,), latent_dim=200, noise_dim=600))
    core = (1682 * 200 + 200) + (200 * 64 + 64) + (64 * 1682 + 1682)
    a = 32 * (200 * 64 + 64)
    v = 32 * ((64 * 128 + 128) + 2 * (128 * 128 + 128) + (128 * 64 + 64))
    assert isinstance(dave.encoder, NoiseBasisEncoder)
    assert sum(parameter.numel() for parameter in dave.parameters()) == core + a + v
    assert sum(parameter.numel() for parameter in d.parameters()) == 1682 * 200 + 200 + 201
    assert isinstance(sevae.encoder, NoisyEncoder)
    assert sevae.encoder.input.weight.shape == (20_108, 600)
    assert sevae.encoder.layers[-1].weight.shape == (200, 600)


def test_a_layer_without_input_gives_its_bias(build: Build) -> None:
    layer = VAEGANNet(12, TINY).encoder.input
    nobody = rows_of(build([[]]), CPU)
    assert_close(layer(nobody)[0], linear(torch.zeros(12), layer.weight.T, layer.bias))


@BOTH
def test_it_learns_two_tastes(build: Build, model: VAEGAN) -> None:
    train = build(TWO_TASTES)
    learning = replace(
        model, hidden_dims=(16,), batch_size=8, n_epochs=60, beta=0.2, anneal_steps=200, dropout=0.0
    )
    *_, net = learning.epochs(train, Progress(0, CPU))
    scores = net.score(Queries(np.arange(24), train))
    scores[train.user, train.item] = -torch.inf
    best = scores.argmax(dim=1)  # among an own item, withheld, and six of the other taste
    assert (best % 2 == torch.arange(24) % 2).float().mean() > 0.9
