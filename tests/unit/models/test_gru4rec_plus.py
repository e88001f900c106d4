from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from repro.interactions import Interactions
from repro.models import gru4rec_plus
from repro.models.gru4rec_plus import (
    GRU4RecNet,
    GRU4RecPlus,
    Negatives,
    bpr_max,
    parallel,
    top1_max,
)
from repro.split import Queries
from repro.training.progress import Progress

Build = Callable[..., Interactions]

CPU = torch.device("cpu")
LISTS = [[0, 1, 2, 3], [4, 5], [6, 7, 8], [9], [1, 3, 5, 7, 9]]
TINY = GRU4RecPlus(hidden_dim=6, n_negatives=4, batch_size=2, n_epochs=1, unfinished="train")


def net(n_items: int = 12, **given: Any) -> GRU4RecNet:
    torch.manual_seed(0)
    made = GRU4RecNet(n_items, replace(TINY, **given))
    for parameter in made.parameters():  # as large as after training
        parameter.data.normal_(std=0.5)
    return made


def sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


def by_hand(target: float, negatives: list[float], l2: float) -> float:
    s = [math.exp(r) / sum(math.exp(q) for q in negatives) for r in negatives]
    gain = sum(w * sigmoid(target - r) for w, r in zip(s, negatives, strict=True))
    return -math.log(gain) + l2 * sum(w * r**2 for w, r in zip(s, negatives, strict=True))


def test_bpr_max_is_the_formula_worked_by_hand() -> None:
    scores = torch.tensor([[1.0, 0.0, 2.0, -1.0], [0.5, -0.5, 0.0, 3.0]], dtype=torch.float64)
    expected = [by_hand(1.0, [0.0, 2.0, -1.0], 0.7), by_hand(-0.5, [0.5, 0.0, 3.0], 0.7)]
    assert bpr_max(scores, 0.7).tolist() == pytest.approx(expected)
    # s = (0.1142, 0.8438, 0.0420), sigma(1 - r_j) = (0.7311, 0.2689, 0.8808)
    assert expected[0] == pytest.approx(-math.log(0.3474) + 0.7 * 3.4172, abs=5e-4)


@pytest.mark.parametrize("n_users", [1, 2, 5])
def test_the_gradient_of_bpr_max_is_that_of_its_definition(n_users: int) -> None:
    torch.manual_seed(0)
    scores = torch.randn(n_users, 7, dtype=torch.float64, requires_grad=True)
    total = torch.zeros((), dtype=torch.float64)
    for i, row in enumerate(scores):
        r = torch.cat([row[:i], row[i + 1 :]])
        s = r.exp() / r.exp().sum()
        total = total - (s * (row[i] - r).sigmoid()).sum().log() + 0.3 * (s * r**2).sum()
    (expected,) = torch.autograd.grad(total, scores)
    (found,) = torch.autograd.grad(bpr_max(scores, 0.3).sum(), scores)
    assert_close(found, expected)


def test_with_one_negative_bpr_max_is_bpr_and_the_square_of_its_score() -> None:
    scores = torch.tensor([[0.4, -1.5]], dtype=torch.float64)
    expected = -math.log(sigmoid(0.4 + 1.5)) + 2.0 * 1.5**2
    assert bpr_max(scores, 2.0).item() == pytest.approx(expected)


@pytest.mark.parametrize("loss", [bpr_max, top1_max])
@pytest.mark.parametrize("size", [1.0, 100.0, 1e4])
def test_large_scores_give_finite_losses_and_gradients(
    loss: Callable[[Tensor, float], Tensor], size: float
) -> None:
    torch.manual_seed(0)
    scores = (size * torch.randn(5, 9)).requires_grad_()
    value = loss(scores, 1.0).sum()
    value.backward()
    assert value.isfinite()
    assert scores.grad is not None
    assert bool(scores.grad.isfinite().all())


def test_a_target_far_below_its_negatives_is_still_pulled_up() -> None:
    scores = torch.tensor([[0.0, 200.0, 199.0]], requires_grad=True)
    loss = bpr_max(scores, 0.0).sum()
    loss.backward()
    assert loss.item() == pytest.approx(200.0, abs=1.0)
    assert scores.grad is not None
    assert scores.grad[0, 0].item() == pytest.approx(-1.0, abs=1e-5)


def test_top1_max_is_the_formula_worked_by_hand() -> None:
    scores = torch.tensor([[1.0, 0.0, 2.0]], dtype=torch.float64)
    s = 1.0 / (1.0 + math.exp(2.0))
    expected = s * (sigmoid(-1.0) + 0.5) + (1 - s) * (sigmoid(1.0) + sigmoid(4.0))
    assert top1_max(scores, 1.0).item() == pytest.approx(expected)


@pytest.mark.parametrize("power", [0.0, 0.5, 0.75, 1.0])
def test_negatives_are_drawn_in_proportion_to_a_power_of_popularity(power: float) -> None:
    torch.manual_seed(0)
    popularity = np.array([0, 1, 10, 0, 100, 1000, 30, 0])
    found = torch.bincount(Negatives(popularity, power, CPU).draw(50_000), minlength=8).numpy()
    present = popularity > 0
    weight = popularity[present] ** power
    expected = 50_000 * weight / weight.sum()
    assert found[~present].sum() == 0
    chi_square = ((found[present] - expected) ** 2 / expected).sum()
    assert chi_square < 20.5  # 4 degrees of freedom: passed by all but 0.04 % of seeds


def test_a_free_place_goes_to_the_next_user_until_none_is_left() -> None:
    length = np.array([4, 2, 3, 1, 5])
    steps = [
        (user.tolist(), step.tolist())
        for user, step in parallel(np.array([0, 1, 2, 4]), length, 2, "train")
    ]
    assert steps == [
        ([0, 1], [0, 0]),
        ([0, 2], [1, 0]),
        ([0, 2], [2, 1]),
        ([4], [0]),
        ([4], [1]),
        ([4], [2]),
        ([4], [3]),
    ]


def test_an_epoch_of_neurec_ends_as_soon_as_a_place_stays_free() -> None:
    length = np.array([4, 2, 3, 1, 5])
    steps = [
        (user.tolist(), step.tolist())
        for user, step in parallel(np.array([0, 1, 2, 4]), length, 2, "drop")
    ]
    assert steps == [([0, 1], [0, 0]), ([0, 2], [1, 0]), ([0, 2], [2, 1])]


@pytest.mark.parametrize("n_places", [1, 3, 50])
def test_every_step_of_every_user_is_trained_on_once_in_its_order(n_places: int) -> None:
    rng = np.random.default_rng(0)
    length = rng.integers(2, 9, size=20)
    seen: list[list[int]] = [[] for _ in length]
    for user, step in parallel(rng.permutation(20), length, n_places, "train"):
        assert len(user) <= n_places
        assert len(set(user.tolist())) == len(user)
        for u, t in zip(user.tolist(), step.tolist(), strict=True):
            seen[u].append(t)
    assert seen == [list(range(n - 1)) for n in length]


@pytest.mark.parametrize(("numbers", "expected"), [("items", {3, 7, 9}), ("ranks", {0, 1, 2})])
def test_negatives_are_items_or_as_neurec_has_it_their_ranks(
    build: Build,
    monkeypatch: pytest.MonkeyPatch,
    numbers: Literal["items", "ranks"],
    expected: set[int],
) -> None:
    drawn: set[int] = set()
    draw = Negatives.draw

    def noting(self: Negatives, n: int) -> Tensor:
        items = draw(self, n)
        drawn.update(items.tolist())
        return items

    monkeypatch.setattr(Negatives, "draw", noting)
    model = replace(TINY, n_negatives=200, negative_numbers=numbers)
    for _ in model.epochs(build([[3, 7, 9], [9, 3, 7]]), Progress(0, CPU)):
        pass
    assert drawn == expected


def test_the_loss_sees_each_users_next_item_on_the_diagonal_and_then_the_negatives(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Tensor] = []
    scored: list[Tensor] = []
    shapes: list[tuple[int, ...]] = []
    forward, scores = GRU4RecNet.forward, GRU4RecNet.scores

    def noting_forward(self: GRU4RecNet, s: Tensor, before: Tensor) -> Tensor:
        read.append(s[:, 0])
        return forward(self, s, before)

    def noting_scores(self: GRU4RecNet, h: Tensor, item: Tensor) -> Tensor:
        scored.append(item)
        return scores(self, h, item)

    def noting_loss(scores: Tensor, l2: float) -> Tensor:
        shapes.append(tuple(scores.shape))
        return bpr_max(scores, l2)

    monkeypatch.setattr(GRU4RecNet, "forward", noting_forward)
    monkeypatch.setattr(GRU4RecNet, "scores", noting_scores)
    monkeypatch.setattr(gru4rec_plus, "bpr_max", noting_loss)
    for _ in TINY.epochs(build(LISTS), Progress(0, CPU)):
        pass
    pairs = [
        pair
        for s, item in zip(read, scored, strict=True)
        for pair in zip(s.tolist(), item[: len(s)].tolist(), strict=True)
    ]
    assert sorted(pairs) == sorted(pair for s in LISTS for pair in pairwise(s))
    assert {len(item) - len(s) for s, item in zip(read, scored, strict=True)} == {4}
    assert shapes == [(len(s), len(s) + 4) for s in read]


def test_a_users_state_is_carried_from_step_to_step_and_is_zero_at_first_in_every_epoch(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[tuple[int, Tensor]] = []
    forward = GRU4RecNet.forward

    def noting(self: GRU4RecNet, s: Tensor, before: Tensor) -> Tensor:
        noted.extend(zip(s[:, 0].tolist(), before, strict=True))
        return forward(self, s, before)

    monkeypatch.setattr(GRU4RecNet, "forward", noting)
    lists = [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9, 10, 11]]  # an item tells user and place
    model = replace(TINY, n_epochs=2, optimizer="adagrad", learning_rate=0.0)
    *_, trained = model.epochs(build(lists), Progress(0, CPU))
    assert len(noted) == 2 * (3 + 2 + 4)
    expected = {
        s[t]: forward(trained, torch.tensor([s[:t]]))[0, -1] if t else torch.zeros(6)
        for s in lists
        for t in range(len(s) - 1)
    }
    for item, before in noted:
        assert_close(before, expected[item])


def test_reading_item_by_item_from_the_carried_state_gives_what_reading_at_once_does() -> None:
    model, s = net(), torch.tensor([[3, 1, 4, 1, 5]])
    h, states = torch.zeros(1, 6), []
    for t in range(5):
        h = model(s[:, t : t + 1], h)[:, 0]
        states.append(h)
    assert_close(torch.stack(states, dim=1), model(s))


def test_a_later_item_changes_nothing_before_it() -> None:
    model, s = net(), torch.tensor([[3, 1, 4, 1, 5, 9]])
    changed = s.clone()
    changed[0, 3] = 7
    before, after = model(s)[0], model(changed)[0]
    assert_close(after[:3], before[:3], rtol=0, atol=0)
    assert not torch.equal(after[3], before[3])


def test_a_longer_history_beside_it_does_not_change_a_users_scores(build: Build) -> None:
    model = net()
    alone = model.score(Queries(np.array([-1]), build([[6, 7, 8]])))
    beside = model.score(Queries(np.array([-1, -1]), build([[0, 1, 2, 3, 4, 5, 9], [6, 7, 8]])))
    assert_close(beside[1:], alone)


def test_scores_are_those_behind_the_newest_item_and_at_first_those_of_no_item(
    build: Build,
) -> None:
    model = net(final_elu=0.5, dropout=0.5)
    found = model.score(Queries(np.array([-1, -1]), build([[6, 7, 8], []])))
    h = model.eval()(torch.tensor([[6, 7, 8]]))[:, -1]
    assert_close(found[0], (h @ model.output.weight.T + model.bias)[0].detach())
    assert_close(found[1], model.bias.detach())
    every = model.scores(h, torch.arange(12))[0]
    assert_close(every, torch.where(found[0] < 0, 0.5 * found[0].expm1(), found[0]))


@pytest.mark.parametrize("bias", [0.0, 1.0])
def test_both_gates_and_not_the_candidate_begin_with_the_bias(bias: float) -> None:
    gru = GRU4RecNet(12, replace(TINY, gate_bias=bias)).gru
    assert (gru.get_parameter("bias_ih_l0") + gru.get_parameter("bias_hh_l0")).tolist() == (
        [bias] * 12 + [0.0] * 6
    )


CHANGES: list[dict[str, Any]] = [
    {},
    {"loss": "top1_max"},
    {"final_elu": 0.5},
    {"n_negatives": 0},
    {"unfinished": "drop"},
    {"optimizer": "adagrad", "learning_rate": 0.1, "gate_bias": 0.0},
    {"dropout": 0.1},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_it_learns_what_follows_what(build: Build, change: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    lists = [[(start + t) % 12 for t in range(6)] for start in rng.integers(12, size=60)]
    model = replace(TINY, hidden_dim=16, n_negatives=16, batch_size=10, n_epochs=12)
    *_, scorer = replace(model, **change).epochs(build(lists), Progress(0, CPU))
    asked = build([[(i - 1) % 12, i] for i in range(12)])
    scores = scorer.score(Queries(np.full(12, -1), asked))
    assert (scores.argmax(dim=1) == (torch.arange(12) + 1) % 12).float().mean() > 0.8


@pytest.mark.parametrize("unfinished", ["drop", "train"])
def test_a_lone_user_has_nobodys_items_for_negatives(
    build: Build, unfinished: Literal["drop", "train"]
) -> None:
    model = replace(TINY, n_negatives=0, unfinished=unfinished)
    *_, scorer = model.epochs(build([[0, 1, 2], [3, 4, 5, 6, 7]]), Progress(0, CPU))
    assert all(bool(p.isfinite().all()) for p in scorer.parameters())
