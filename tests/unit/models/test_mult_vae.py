from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import log_softmax, normalize
from torch.testing import assert_close

from repro.interactions import Interactions
from repro.models import mult_vae
from repro.models.mult_vae import MultVAE, MultVAENet
from repro.nn.batches import rows_of
from repro.split import Queries
from repro.training.progress import Progress

Build = Callable[..., Interactions]

CPU = torch.device("cpu")
LISTS = [[0, 1, 2], [3, 4], [5, 6, 7, 8], [9]]
TINY = MultVAE(hidden_dims=(6,), latent_dim=3, anneal_steps=10, gamma=0.5, batch_size=2, n_epochs=3)


def weights(model: MultVAE, train: Interactions, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the KL weight of every update: what the loss adds for a KL of 1 per user."""
    monkeypatch.setattr(mult_vae, "gaussian_kl", lambda mean, logvar: torch.ones(len(mean)))
    noted: list[float] = []

    class Noting(Progress):
        def log(self, **losses: Tensor) -> None:
            noted.append(float(losses["loss"].detach() - losses["nll"].detach()))

    for _ in model.epochs(train, Noting(0, CPU)):
        pass
    return noted


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, [0.0, 0.1, 0.2, 0.2, 0.2, 0.2]),
        ({"anneal_steps": 30}, [0.0, 1 / 30, 2 / 30, 3 / 30, 4 / 30, 5 / 30]),
        ({"schedule": "constant"}, [0.2] * 6),
        ({"schedule": "cyclical", "n_cycles": 1, "beta": 1.0}, [0.0, 0.0, 2 / 3, 2 / 3, 1.0, 1.0]),
        (
            {"schedule": "cyclical", "n_cycles": 1, "beta": 1.0, "cycle_unit": "update"},
            [0.0, 1 / 3, 2 / 3, 1.0, 1.0, 1.0],
        ),
        ({"schedule": "activity", "batch_size": 4}, [0.5 * (3 + 2 + 4 + 1) / 4] * 3),
        (
            {"schedule": "activity", "batch_size": 4, "gamma_cap": 1.2},
            [(1.2 + 0.5 * 2 + 1.2 + 0.5 * 1) / 4] * 3,
        ),
    ],
    ids=[
        "linear",
        "linear that stays below",
        "constant",
        "cyclical",
        "cyclical by the update",
        "activity",
        "activity, capped",
    ],
)
def test_the_weight_of_the_kl_term_follows_its_schedule(
    build: Build, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], expected: list[float]
) -> None:
    # four users in batches of two, three epochs: six updates
    assert weights(replace(TINY, **change), build(LISTS), monkeypatch) == pytest.approx(
        expected, abs=1e-5
    )


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        (MultVAE(), 24_511_308),
        (MultVAE(latent_dim=300), 24_691_508),
        (MultVAE(hidden_dims=(600, 400)), 24_872_108),
    ],
    ids=["original", "latent 300", "extra layer"],
)
def test_networks_have_the_size_of_the_ablations_on_movielens_20m(
    model: MultVAE, parameters: int
) -> None:
    with torch.device("meta"):
        net = MultVAENet(20_108, model)
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters


@pytest.mark.parametrize(("name", "kind"), [("tanh", nn.Tanh), ("relu", nn.ReLU)])
def test_every_hidden_layer_has_the_activation_and_no_other(
    name: Literal["tanh", "relu"], kind: type[nn.Module]
) -> None:
    net = MultVAENet(5, replace(TINY, hidden_dims=(6, 4), activation=name))
    found = [[type(m) for m in part] for part in (net.encoder, net.decoder)]
    linear = nn.Linear
    assert found == [[kind, linear, kind, linear], [linear, kind, linear, kind, linear]]


def test_scores_are_the_logits_at_the_posterior_mean_without_dropout(build: Build) -> None:
    torch.manual_seed(0)
    net = MultVAENet(12, TINY)
    history = build(LISTS)
    x = rows_of(history, CPU)
    z, _ = net.eval().encode(x)
    scores = net.train().score(Queries(np.arange(4), history))
    assert_close(scores, net.decoder(z).detach())
    assert net(x)[0] != net(x)[0]  # in training z is drawn and the input dropped


@pytest.mark.parametrize("hidden_dims", [(6,), (6, 4)])
def test_the_terms_of_the_bound_are_those_of_a_dense_network(
    build: Build, hidden_dims: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    net = MultVAENet(12, replace(TINY, hidden_dims=hidden_dims, dropout=0.0))
    x = rows_of(build(LISTS), CPU)
    torch.manual_seed(1)
    nll, kl = net(x)
    h = normalize(x.dense()) @ net.input.weight + net.input.bias
    for layer in net.encoder:
        h = layer(h)
    mean, logvar = h.chunk(2, dim=1)
    q = Normal(mean, (0.5 * logvar).exp())
    torch.manual_seed(1)
    logits = net.decoder(mean + q.scale * torch.randn_like(mean))
    assert_close(nll, -(x.dense() * log_softmax(logits, dim=1)).sum(dim=1).mean())
    assert_close(kl, kl_divergence(q, Normal(0.0, 1.0)).sum(dim=1))


def test_the_input_is_dropped_in_training(build: Build) -> None:
    x = rows_of(build([range(12)]), CPU)
    net = MultVAENet(12, TINY)
    assert not torch.equal(net.encode(x)[0], net.encode(x)[0])


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_gradient_descent_is_plain_or_has_the_momentum_asked_for(
    build: Build, watching: Any, momentum: float
) -> None:
    model = replace(TINY, optimizer="sgd", learning_rate=0.1, momentum=momentum, n_epochs=1)
    next(model.epochs(build(LISTS), watching))  # two updates
    for before, once, twice, first, second in zip(
        *watching.weights, *watching.gradients, strict=True
    ):
        assert_close(once, before - 0.1 * first)
        assert_close(twice, once - 0.1 * (momentum * first + second))


def test_adam_takes_a_step_of_the_rate_whatever_the_gradient(build: Build, watching: Any) -> None:
    next(replace(TINY, n_epochs=1, learning_rate=0.1).epochs(build(LISTS), watching))
    for before, once, gradient in zip(*watching.weights[:2], watching.gradients[0], strict=True):
        large = gradient.abs() > 1e-5  # beside Adam's epsilon of 1e-8
        assert_close((before - once)[large], 0.1 * gradient[large].sign(), rtol=1e-2, atol=0)


def test_the_initial_weights_are_those_of_the_reference() -> None:
    torch.manual_seed(0)
    net = MultVAENet(100, MultVAE(hidden_dims=(60,), latent_dim=20))
    for name, parameter in net.named_parameters():
        if name.endswith("bias"):
            assert parameter.abs().max() <= 0.002, name
            assert 0 < parameter.std() < 0.001, name
        else:
            bound = (6 / sum(parameter.shape)) ** 0.5  # Glorot's
            assert 0.9 * bound < parameter.abs().max() <= bound, name
