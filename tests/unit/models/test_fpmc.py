from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus
from torch.testing import assert_close

from repro.errors import UnsupportedError
from repro.interactions import Interactions
from repro.models.fpmc import FPMC, FPMCNet, Transitions
from repro.nn.batches import Positives
from repro.split import Queries
from repro.training.progress import Progress

Build = Callable[..., Interactions]

CPU = torch.device("cpu")
LISTS = [[0, 1, 2], [3, 4], [5], [], [6, 2, 0, 1]]
STEPS = [(0, 0, 1), (0, 1, 2), (1, 3, 4), (4, 6, 2), (4, 2, 0), (4, 0, 1)]
"""User, item, next item."""
TINY = FPMC(embedding_dim=3, batch_size=100, l2=0.1, n_epochs=1)
NEVER = 11
"""An item that no user of the lists touched."""


def set_tables(net: FPMCNet, **rows: list[list[float]]) -> None:
    with torch.no_grad():
        for name, numbers in rows.items():
            net.get_submodule(name).get_parameter("weight").copy_(torch.tensor(numbers))


def rows_of(batches: Any) -> list[tuple[Any, ...]]:
    return [tuple(part.tolist() for part in row) for b in batches for row in zip(*b, strict=True)]


def definition(model: FPMC, net: FPMCNet) -> Tensor:
    """Return the objective of the lists with the one negative, example by example."""
    losses: list[Tensor] = []
    size = torch.zeros(())

    def x(u: int, last: int, i: int) -> Tensor:
        return net.UI.weight[u] @ net.IU.weight[i] + net.IL.weight[i] @ net.LI.weight[last]

    def half_square(*rows: Tensor) -> Tensor:
        return torch.stack([row @ row for row in rows]).sum() / 2

    for u, last, i in STEPS:
        context = net.UI.weight[u], net.LI.weight[last]
        good = net.IU.weight[i], net.IL.weight[i]
        bad = net.IU.weight[NEVER], net.IL.weight[NEVER]
        for _ in range(model.n_negatives):
            if model.loss == "bpr":
                losses.append(softplus(x(u, last, NEVER) - x(u, last, i)))
                size = size + half_square(*context, *good, *bad)
            else:
                losses.append(softplus(x(u, last, NEVER)))
                size = size + half_square(*context, *bad)
        if model.loss == "pointwise":
            losses.append(softplus(-x(u, last, i)))
            size = size + half_square(*context, *good)
    total = torch.stack(losses)
    return (total.sum() if model.reduction == "sum" else total.mean()) + model.l2 * size


@pytest.fixture
def one_negative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Positives, "negatives", lambda self, u: torch.full_like(u, NEVER))


def test_a_score_is_the_users_part_and_the_last_items_part(build: Build) -> None:
    net = FPMCNet(build([[0, 1], [2]], n_items=3), FPMC(embedding_dim=2))
    set_tables(
        net,
        UI=[[1.0, 2.0], [3.0, -1.0]],
        IU=[[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]],
        IL=[[1.0, 1.0], [0.0, -1.0], [4.0, 0.0]],
        LI=[[0.0, 0.0], [2.0, 1.0], [-1.0, 5.0]],
    )
    scores = net.score(Queries(np.array([0, 1]), build([[0, 1], [2]], n_items=3)))
    # user 0 after item 1: [1, 2, 6] + [3, -1, 8]; user 1 after item 2: [3, -1, 4] + [4, -5, -4]
    assert_close(scores, torch.tensor([[4.0, 1.0, 14.0], [7.0, -6.0, 0.0]]))
    x, size = net(torch.tensor([0]), torch.tensor([1]), torch.tensor([[2, 0]]))
    assert_close(x, torch.tensor([[14.0, 4.0]]))
    # halves of user 5, last item 5, item 2 with 8 + 16, item 0 with 1 + 2
    assert_close(size, torch.tensor((5 + 5 + 8 + 16 + 1 + 2) / 2))


@pytest.mark.parametrize(
    "model",
    [
        TINY,
        replace(TINY, n_negatives=3),
        replace(TINY, loss="pointwise", n_negatives=2),
        replace(TINY, loss="pointwise", n_negatives=2, reduction="mean"),
    ],
    ids=["bpr", "bpr, three negatives", "pointwise", "pointwise, averaged"],
)
@pytest.mark.usefixtures("one_negative")
def test_an_epoch_follows_the_gradient_of_the_definition(build: Build, model: FPMC) -> None:
    train = build(LISTS)
    torch.manual_seed(5)
    net = FPMCNet(train, model)
    before = [table.detach().clone() for table in net.parameters()]
    gradient = torch.autograd.grad(definition(model, net), list(net.parameters()))
    (trained,) = model.epochs(train, Progress(5, CPU))
    for old, g, new in zip(before, gradient, trained.parameters(), strict=True):
        # Adam's first step is the gradient divided by its own size
        expected = old - model.learning_rate * g / (g.abs() + 1e-8)
        assert_close(new.detach(), expected, rtol=0, atol=2e-6)


def test_every_item_but_a_users_first_is_the_next_of_the_one_before(build: Build) -> None:
    batches = Transitions(build(LISTS), 2, 4, CPU).pairs()
    found = rows_of(batches)
    assert len(found) == 12
    assert sorted((u, last, i) for u, last, (i, _), _ in found) == sorted(STEPS * 2)


def test_single_items_are_the_next_ones_and_so_many_negatives_each(build: Build) -> None:
    found = rows_of(Transitions(build(LISTS), 3, 4, CPU).singles())
    positive = sorted((u, last, i) for u, last, (i,), label in found if label == 1.0)
    negative = sorted((u, last) for u, last, _, label in found if label == 0.0)
    assert positive == sorted(STEPS)
    assert negative == sorted([(u, last) for u, last, _ in STEPS] * 3)


def test_a_negative_is_never_an_item_of_the_users_training(build: Build) -> None:
    transitions = Transitions(build(LISTS), 50, 64, CPU)
    drawn = [(u, j) for u, _, (_, j), _ in rows_of(transitions.pairs())]
    drawn += [(u, j) for u, _, (j,), label in rows_of(transitions.singles()) if not label]
    assert not [(u, j) for u, j in drawn if j in LISTS[u]]
    assert {j for u, j in drawn if u == 1} == set(range(12)) - {3, 4}


def test_negatives_and_order_are_new_in_every_epoch(build: Build) -> None:
    transitions = Transitions(build(LISTS), 4, 100, CPU)
    first, second = (rows_of(transitions.pairs()) for _ in range(2))
    assert first != second
    assert sorted(first) != sorted(second)


def test_only_the_last_item_of_a_history_counts(build: Build) -> None:
    torch.manual_seed(0)
    net = FPMCNet(build(LISTS), TINY)

    def score(history: list[int]) -> Tensor:
        return net.score(Queries(np.array([1]), build([history])))

    assert_close(score([7, 8, 3]), score([3]), rtol=0, atol=0)
    assert_close(score([8, 7, 3]), score([9, 3]), rtol=0, atol=0)
    assert not torch.equal(score([7, 3, 8]), score([7, 8, 3]))


def test_without_a_history_the_users_part_is_left(build: Build) -> None:
    torch.manual_seed(0)
    net = FPMCNet(build(LISTS), TINY)
    scores = net.score(Queries(np.array([4, 0]), build([[], [2]])))
    alone = net.UI.weight[4] @ net.IU.weight.T
    assert_close(scores[0], alone.detach())


def test_users_unknown_to_training_are_refused(build: Build) -> None:
    net = FPMCNet(build(LISTS), TINY)
    with pytest.raises(UnsupportedError, match="FPMC knows only users of its training data"):
        net.score(Queries(np.array([0, -1]), build([[1], [2]])))


@pytest.mark.parametrize("loss", ["bpr", "pointwise"])
def test_it_learns_what_comes_next(build: Build, loss: Any) -> None:
    # whoever touches an even item touches the odd one above it next; the pairs come in any order
    rng = np.random.default_rng(0)
    lists = [[2 * p + k for p in rng.permutation(10)[:6] for k in (0, 1)] for _ in range(40)]
    model = FPMC(embedding_dim=8, loss=loss, learning_rate=0.02, batch_size=64, n_epochs=20)
    *_, net = model.epochs(build(lists, n_items=20), Progress(0, CPU))
    after = (net.LI.weight @ net.IL.weight.T).detach()  # (last item, item)
    assert after[::2].argmax(dim=1).tolist() == list(range(1, 20, 2))


def test_the_averaged_loss_of_neurec_2_cannot_hold_against_its_regularisation(build: Build) -> None:
    rng = np.random.default_rng(0)
    lists = [list(rng.permutation(20)[:10]) for _ in range(40)]
    settings: dict[str, Any] = {
        "loss": "pointwise",
        "n_negatives": 4,
        "batch_size": 512,
        "l2": 0.01,
    }
    left = {}
    for reduction in ("sum", "mean"):
        model = FPMC(**settings, reduction=reduction, learning_rate=0.01, n_epochs=30)
        *_, net = model.epochs(build(lists, n_items=20), Progress(0, CPU))
        left[reduction] = float(net.UI.weight.detach().norm())
    assert left["mean"] < 0.05 < 1.0 < left["sum"]  # it begins at 0.5
