from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.testing import assert_close

from repro.interactions import Interactions
from repro.nn.adversarial import (
    VectorDiscriminator,
    logistic_loss,
    non_saturating_loss,
    perceptron,
)
from repro.nn.batches import rows_of
from repro.nn.losses import bernoulli_nll

Build = Callable[..., Interactions]

CPU = torch.device("cpu")
LISTS = [[0, 1, 2], [3, 4], [], [11]]


def test_the_discriminators_loss_is_the_cross_entropy_of_ones_and_zeros() -> None:
    p, n = torch.tensor([0.5, -2.0]), torch.tensor([1.0, 3.0])
    expected = -(p.sigmoid().log().mean() + (1 - n.sigmoid()).log().mean())
    assert_close(logistic_loss(p, n), expected)
    assert_close(non_saturating_loss(n), -n.sigmoid().log().mean())


def test_losses_stay_finite_where_the_discriminator_is_certain() -> None:
    far = torch.tensor([1e4])
    assert_close(logistic_loss(far, -far), torch.tensor(0.0))
    assert_close(logistic_loss(-far, far), torch.tensor(2e4))
    assert_close(non_saturating_loss(-far), torch.tensor(1e4))


def test_sparse_and_dense_vectors_give_the_same_logits(build: Build) -> None:
    torch.manual_seed(0)
    d, x = VectorDiscriminator(12, (5, 3)), rows_of(build(LISTS), CPU)
    assert_close(d(x), d(x.dense()))
    assert d.features(x).shape == (4, 3)
    value = torch.rand(len(x.item))
    dense = torch.zeros(4, 12)
    dense[x.row, x.item] = value
    assert_close(d(x, value), d(dense))


def test_gradients_reach_sparse_entries_as_dense_ones(build: Build) -> None:
    torch.manual_seed(0)
    d, x = VectorDiscriminator(12, (5,)), rows_of(build(LISTS), CPU)
    value = torch.rand(len(x.item), requires_grad=True)
    dense = torch.zeros(4, 12).index_put((x.row, x.item), value.detach()).requires_grad_()
    (sparse_gradient,) = torch.autograd.grad(d(x, value).sum(), value)
    (dense_gradient,) = torch.autograd.grad(d(dense).sum(), dense)
    assert_close(sparse_gradient, dense_gradient[x.row, x.item])


@pytest.mark.parametrize(("widths", "n"), [([3, 4], 1), ([3, 5, 4], 3)])
def test_a_perceptrons_last_layer_is_linear(widths: list[int], n: int) -> None:
    layers = perceptron(widths, torch.nn.Tanh)
    assert len(layers) == n
    assert isinstance(layers[-1], torch.nn.Linear)
    assert layers(torch.zeros(2, 3)).shape == (2, 4)


def test_the_bernoulli_likelihood_is_the_cross_entropy_of_dense_rows(build: Build) -> None:
    torch.manual_seed(0)
    x, logits = rows_of(build(LISTS), CPU), torch.randn(4, 12)
    expected = binary_cross_entropy_with_logits(logits, x.dense(), reduction="none").sum(dim=1)
    assert_close(bernoulli_nll(logits, x), expected)
