from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from repro.errors import UnsupportedError
from repro.interactions import Interactions
from repro.models.fawmf import FAWMF, FAWMFNet, sum_over_all
from repro.split import Queries
from repro.training.progress import Progress

Build = Callable[..., Interactions]

CPU = torch.device("cpu")
LISTS = [[0, 1, 2], [3, 4], [5, 6, 7, 8, 0], [9], [2, 2, 10]]  # nobody has item 11; one pair twice
TINY = FAWMF(latent_dim=3, n_communities=2, epsilon=0.1, eta=0.7, n_epochs=3)


def net(train: Interactions, model: FAWMF = TINY) -> FAWMFNet:
    torch.manual_seed(0)
    made = FAWMFNet(train, model).double()
    with torch.no_grad():
        made.slope[4] = -0.5  # clamped
    return made


def naive_loss(net: FAWMFNet, x: list[list[float]]) -> Tensor:
    """Return the loss of a dense matrix, cell by cell, and the L2 terms, as they are defined."""
    model = net.model
    slope = [net.slope[i] if net.slope[i] >= 1e-5 else net.slope[i] * 0 + 1e-5 for i in range(12)]
    p = [row.exp() / row.exp().sum() for row in net.communities]
    total = torch.zeros((), dtype=torch.float64)
    for i in range(12):
        touched = sum(p[u] * x[u][i] for u in range(5))
        q = 1 / (1 + (-(slope[i] * touched + net.offset[i])).exp())
        for u in range(5):
            weight, product = (p[u] * q).sum(), (net.user[u] * net.item[i]).sum()
            away = (x[u][i] - model.epsilon) ** 2
            total = total + weight * ((x[u][i] - product) ** 2 - model.eta * away)
        total = total + 0.5 * model.weight_l2 * (slope[i] ** 2 + net.offset[i] ** 2)
    for factors in (net.user, net.item):
        total = total + 0.5 * model.l2 * sum(row @ row for row in factors)
    return total + 0.5 * model.community_l2 * sum(row @ row for row in net.communities)


@pytest.mark.parametrize("eta", [0.7, 1.0])
def test_the_cached_loss_and_its_gradient_are_those_of_the_sum_over_all_cells(
    build: Build, eta: float
) -> None:
    train = build(LISTS)
    fast, slow = (net(train, replace(TINY, eta=eta)) for _ in range(2))
    loss = fast.loss() + fast.penalty()
    expected = naive_loss(slow, train.matrix().toarray().tolist())
    assert_close(loss, expected)
    loss.backward()
    expected.backward()
    for (name, one), other in zip(fast.named_parameters(), slow.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        found = one.grad.clone()
        if name == "slope":  # the reference steps on as if it had not clamped
            assert found[4] != 0
            assert other.grad[4] == 0
            found[4] = 0
        assert_close(found, other.grad)


def test_a_clamped_slope_has_the_gradient_that_the_bound_has(build: Build) -> None:
    clamped, at_the_bound = (net(build(LISTS)) for _ in range(2))
    with torch.no_grad():
        at_the_bound.slope[4] = 1e-5
    for each in (clamped, at_the_bound):
        (each.loss() + each.penalty()).backward()
    assert_close(clamped.slope.grad, at_the_bound.slope.grad)


def test_the_sum_over_all_cells_comes_apart() -> None:
    torch.manual_seed(0)
    p, u, q, v = (torch.rand(shape).double() for shape in [(4, 2), (4, 3), (6, 2), (6, 3)])
    assert_close(sum_over_all(p, u, q, v), ((p @ q.T) * (u @ v.T) ** 2).sum())


class Largest(TorchDispatchMode):
    """Notes the size of the largest tensor that any operation returns."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.size = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else [out]:
            if isinstance(tensor, Tensor):
                self.size = max(self.size, tensor.numel())
        return out


def test_no_step_makes_anything_as_large_as_the_matrix(build: Build) -> None:
    train = build([[u % 500] for u in range(400)], n_items=500)
    made = net(train)
    with Largest() as largest:
        (made.loss() + made.penalty()).backward()
    assert 0 < largest.size <= 500 * 3 * 3


def test_two_groups_of_parameters_learn_at_two_rates(build: Build) -> None:
    train = build(LISTS)
    model = replace(TINY, learning_rate=0.5, weight_learning_rate=0.02, n_epochs=1)
    before = {}
    torch.manual_seed(3)
    for name, parameter in FAWMFNet(train, model).named_parameters():
        before[name] = parameter.detach().clone()
    (after,) = model.epochs(train, Progress(3, CPU))
    for name, parameter in after.named_parameters():
        rate = 0.5 if name in ("user", "item") else 0.02
        moved = (parameter.detach() - before[name]).abs()
        assert_close(moved, torch.full_like(moved, rate), rtol=1e-3, atol=1e-3)  # Adam's first step


def test_the_start_is_that_of_the_reference(build: Build) -> None:
    torch.manual_seed(0)
    made = FAWMFNet(build([[0]] * 200, n_items=300), FAWMF())
    ranges = {
        "user": (0.0, 0.1),
        "item": (0.0, 0.1),
        "communities": (-0.5, 0.5),
        "slope": (0.01, 0.02),
        "offset": (-0.5, 0.5),
    }
    for name, parameter in made.named_parameters():
        low, high = ranges.pop(name)
        slack = 0.05 * (high - low)
        assert low <= parameter.min() < low + slack
        assert high - slack < parameter.max() <= high
    assert not ranges


def test_scores_are_products_or_products_times_weights(build: Build) -> None:
    train = build(LISTS)
    asked = Queries(np.array([2, 0]), build([[5], [0]]))
    made = net(train)
    product = made.user @ made.item.T
    assert_close(made.score(asked), product[[2, 0]].detach())
    p, q = made.memberships()
    weighted = net(train, replace(TINY, prediction="weighted"))
    assert_close(weighted.score(asked), (product * (p @ q.T))[[2, 0]].detach())
    assert_close(p.sum(dim=1), torch.ones(5).double())
    with pytest.raises(UnsupportedError, match="FAWMF knows only users"):
        made.score(Queries(np.array([-1, 0]), asked.history))


def test_an_item_is_known_the_more_in_a_community_the_more_of_it_have_touched_it(
    build: Build,
) -> None:
    made = net(build([[0], [0], [1], []]))
    with torch.no_grad():
        made.communities[:] = torch.tensor([[9.0, -9.0], [9.0, -9.0], [-9.0, 9.0], [0.0, 0.0]])
        made.offset[:] = 0.0
        made.slope[:] = 1.0
    _, q = made.memberships()
    expected = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]]).double().sigmoid()
    assert_close(q[:3], expected, rtol=0, atol=1e-6)
