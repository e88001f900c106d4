from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from repro.interactions import Interactions
from repro.models import cdae
from repro.models.cdae import CDAE, CDAENet
from repro.nn.batches import Rows, UserRows, rows_of
from repro.split import Queries
from repro.training.progress import Progress

Build = Callable[..., Interactions]
Arrays = dict[str, np.ndarray]
Curve = Callable[[Any], Any]

CPU = torch.device("cpu")
LISTS = [[0, 1, 2], [3, 4], [5, 6, 7, 8], [9], [1, 1, 10]]
TINY = CDAE(hidden_dim=3, n_negatives=2, init_scale=1.0, n_epochs=2)
CURVES: dict[str, tuple[Curve, Curve]] = {
    "sigmoid": (lambda a: 1 / (1 + np.exp(-a)), lambda y: y * (1 - y)),
    "tanh": (np.tanh, lambda y: 1 - y * y),
    "linear": (lambda a: a, lambda y: np.ones_like(y)),
}
"""Activations, and their derivatives given what they return."""


def net(model: CDAE, train: Interactions) -> CDAENet:
    torch.manual_seed(0)
    made = CDAENet(train, model)
    for bias in (made.hidden_bias, made.item_bias.weight):
        torch.nn.init.normal_(bias, std=0.3)
    return made


def weights_of(made: CDAENet) -> Arrays:
    state = {k: v.numpy().astype(np.float64) for k, v in made.state_dict().items()}
    state["item_bias.weight"] = state["item_bias.weight"][:, 0]
    if made.model.tied:
        del state["decoder.weight"]
    return {name.removesuffix(".weight"): array.copy() for name, array in state.items()}


def naive_gradients(
    model: CDAE,
    w: Arrays,
    user: int,
    inputs: dict[int, float],
    cells: list[tuple[int, float, float]],
) -> tuple[float, dict[tuple[str, int], np.ndarray]]:
    """Return a user's loss and the gradient of every row that is used, by hand.

    The input is given as value by item, the output as (item, truth, weight).
    """
    decoder = "encoder" if model.tied else "decoder"
    used: dict[tuple[str, int], np.ndarray] = {}
    decay = model.l2 if model.l2_on == "touched" else 0.0
    loss = 0.0

    def add(name: str, row: int, gradient: np.ndarray) -> None:
        nonlocal loss
        value = w[name][row] if row >= 0 else w[name]
        loss += 0.5 * decay * float((value**2).sum())
        key = (name, row)
        used[key] = used.get(key, np.zeros_like(value)) + gradient + decay * value

    curve, slope = CURVES[model.activation]
    out, out_slope = CURVES[model.output_activation]
    total = w["hidden_bias"] + sum(value * w["encoder"][j] for j, value in inputs.items())
    hidden = curve(total + w["vector"][user] if model.user_vector else total)
    back = np.zeros_like(hidden)
    for i, truth, weight in cells:
        y = out(hidden @ w[decoder][i] + w["item_bias"][i])
        if model.loss == "square":
            loss += weight * (truth - y) ** 2
            g = -2 * weight * (truth - y)
        else:
            probability = 1 / (1 + np.exp(-y))
            loss -= weight * np.log(probability if truth else 1 - probability)
            g = weight * (probability - truth)
        g = g * out_slope(y)
        back += g * w[decoder][i]
        add(decoder, i, g * hidden)
        add("item_bias", i, g)
    back *= slope(hidden)
    add("hidden_bias", -1, back)
    if model.user_vector:
        add("vector", user, back)
    for j, value in inputs.items():
        add("encoder", j, value * back)
    return loss, used


def sampled_cells(
    model: CDAE, items: list[int], drawn: list[int]
) -> list[tuple[int, float, float]]:
    ones = [(i, 1.0, model.positive_weight) for i in items]
    return ones + [(i, 0.0, 1.0) for i in drawn]


VARIANTS: list[dict[str, Any]] = [
    {},
    {"tied": True},
    {"user_vector": False},
    {"scaled": False, "activation": "tanh"},
    {"activation": "linear", "loss": "square"},
    {"loss": "square", "output_activation": "sigmoid", "positive_weight": 3.0},
    {"output_activation": "tanh", "beta": 0.0},
    {"batch_size": 2},
]
ids = ["default" if not v else " ".join(f"{k}={x}" for k, x in v.items()) for v in VARIANTS]


@pytest.mark.parametrize("change", VARIANTS, ids=ids)
def test_training_takes_the_steps_of_a_loop_over_users_worked_by_hand(
    build: Build, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    model, train = replace(TINY, **change), build(LISTS)
    start: list[Arrays] = []
    noted: list[tuple[Rows, Tensor, Tensor]] = []
    logged: list[Tensor] = []

    class Noting(CDAENet):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            start.append(weights_of(self))

        def corrupted(self, x: Rows) -> Tensor:
            self.left = super().corrupted(x)
            return self.left

        def loss(self, x: Rows, negatives: Tensor | None) -> Tensor:
            assert negatives is not None
            loss = super().loss(x, negatives)
            noted.append((x, self.left, negatives))
            logged.append(loss.detach())
            return loss

    monkeypatch.setattr(cdae, "CDAENet", Noting)
    *_, after = model.epochs(train, Progress(1, CPU))

    w = start[0]
    squares = {name: np.full_like(array, 1e-4) for name, array in w.items()}
    for (x, left, negatives), found in zip(noted, logged, strict=True):
        total = 0.0
        batch: dict[tuple[str, int], Any] = {}
        for b, user in enumerate(x.user.tolist()):
            at = range(int(x.start[b]), int(x.start[b] + x.count[b]))
            inputs = {int(x.item[k]): float(left[k]) for k in at if left[k]}
            drawn = [int(i) for k in at for i in negatives[k]]
            cells = sampled_cells(model, [int(x.item[k]) for k in at], drawn)
            loss, used = naive_gradients(model, w, user, inputs, cells)
            total += loss
            for key, gradient in used.items():
                batch[key] = batch.get(key, 0.0) + gradient
        assert float(found) == pytest.approx(total, rel=1e-4)
        for (name, row), gradient in batch.items():
            at_row = row if row >= 0 else slice(None)
            squares[name][at_row] += gradient**2
            root = model.beta + np.sqrt(squares[name][at_row])
            w[name][at_row] -= model.learning_rate * gradient / root
    assert len(noted) == 2 * -(-5 // model.batch_size)
    for name, array in weights_of(after).items():
        np.testing.assert_allclose(array, w[name], atol=2e-5, err_msg=name)


@pytest.mark.parametrize("loss", ["square", "cross_entropy"])
@pytest.mark.parametrize("l2_on", ["touched", "all"])
def test_the_loss_on_all_items_is_the_sum_over_every_cell_of_the_batch(
    build: Build, loss: Literal["square", "cross_entropy"], l2_on: Literal["touched", "all"]
) -> None:
    train = build(LISTS)
    model = replace(
        TINY,
        all_items=True,
        positive_weight=5.0,
        loss=loss,
        activation="tanh",
        output_activation="tanh",
        dropout=0.0,
        l2_on=l2_on,
    )
    made = net(model, train)
    x = UserRows(train, 5, CPU).of(torch.tensor([4, 0, 2]))
    found = made.loss(x, None)
    found.backward()
    w = weights_of(made)
    total, gradients = 0.0, {name: np.zeros_like(array) for name, array in w.items()}
    for user in (4, 0, 2):
        own = set(LISTS[user])
        cells = [(i, float(i in own), 5.0 if i in own else 1.0) for i in range(12)]
        value, used = naive_gradients(model, w, user, dict.fromkeys(own, 1.0), cells)
        total += value
        for (name, row), gradient in used.items():
            gradients[name][row if row >= 0 else slice(None)] += gradient
    assert float(found.detach()) == pytest.approx(total, rel=1e-5)
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None
        expected = gradients[name.removesuffix(".weight")].reshape(parameter.shape)
        np.testing.assert_allclose(parameter.grad, expected, atol=1e-5, err_msg=name)


def test_weight_decay_moves_rows_that_no_user_of_the_batch_has(build: Build) -> None:
    touched = replace(TINY, l2=0.5, n_epochs=1)
    for model, moves in ((touched, False), (replace(touched, l2_on="all"), True)):
        torch.manual_seed(1)
        before = CDAENet(build(LISTS), model).encoder.weight.detach().clone()
        (after,) = model.epochs(build(LISTS), Progress(1, CPU))
        assert torch.equal(after.encoder.weight[11], before[11]) != moves  # nobody's item


def test_negatives_are_drawn_anew_and_are_no_users_own_and_never_an_input(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[list[list[int]]] = []

    class Noting(CDAENet):
        def loss(self, x: Rows, negatives: Tensor | None) -> Tensor:
            assert negatives is not None
            assert negatives.shape == (len(x.item), 3)
            for user, items in zip(x.user[x.row].tolist(), negatives.tolist(), strict=True):
                assert not set(items) & set(LISTS[user])
            drawn.append(negatives.tolist())
            loss = super().loss(x, negatives)
            rows = torch.autograd.grad(loss, self.encoder.weight, retain_graph=True)[0]
            assert set(rows.coalesce().indices()[0].tolist()) <= set(x.item.tolist())
            return loss

    monkeypatch.setattr(cdae, "CDAENet", Noting)
    for _ in replace(TINY, n_negatives=3, batch_size=5).epochs(build(LISTS), Progress(0, CPU)):
        pass
    assert len(drawn) == 2
    assert drawn[0] != drawn[1]


@pytest.mark.parametrize(("scaled", "left"), [(True, 4.0), (False, 1.0)])
def test_a_share_of_the_input_is_dropped_in_training_alone(
    build: Build, scaled: bool, left: float
) -> None:
    train = build([list(range(1000))] * 20, n_items=1001)
    made = net(replace(TINY, dropout=0.75, scaled=scaled), train)
    x = rows_of(train, CPU)
    value = made.corrupted(x)
    assert set(value.tolist()) == {0.0, left}
    assert (value > 0).float().mean() == pytest.approx(0.25, abs=0.02)
    assert not torch.equal(value, made.corrupted(x))
    assert set(made.eval().corrupted(x).tolist()) == {1.0}


def test_with_all_of_it_dropped_a_score_depends_on_the_user_alone(build: Build) -> None:
    train, user = build(LISTS), np.arange(5)
    made = net(replace(TINY, dropout=1.0), train)
    scores = made.score(Queries(user, train))
    assert_close(made.score(Queries(user, build([[]] * 5))), scores, rtol=0, atol=0)
    assert not torch.equal(scores[0], scores[1])
    *_, after = replace(TINY, dropout=1.0).epochs(train, Progress(0, CPU))
    assert bool(after.score(Queries(user, train)).isfinite().all())


def test_scores_are_the_outputs_for_the_history_and_the_users_own_vector(build: Build) -> None:
    train, asked = build(LISTS), build([[7, 8], [], [0]])
    made = net(replace(TINY, output_activation="tanh"), train)
    w = weights_of(made)
    scores = made.score(Queries(np.array([3, 1, -1]), asked))
    for row, (user, items) in enumerate([(3, [7, 8]), (1, []), (-1, [0])]):
        vector = w["vector"][user] if user >= 0 else 0.0
        hidden = 1 / (1 + np.exp(-(w["hidden_bias"] + w["encoder"][items].sum(axis=0) + vector)))
        expected = w["decoder"] @ hidden + w["item_bias"]
        np.testing.assert_allclose(scores[row], expected, atol=1e-5)


@pytest.mark.parametrize("all_items", [True, False])
def test_steps_on_a_strangers_vector_lower_the_loss_of_the_history(
    build: Build, all_items: bool
) -> None:
    train, history = build(LISTS), build([[0, 1], [3, 5, 7]])
    strangers = Queries(np.array([-1, -1]), history)
    model = replace(TINY, all_items=all_items, activation="tanh")
    made = net(model, train)
    before = made.score(strangers)
    made.model = replace(model, stranger_steps=20)
    parameters = weights_of(made)
    after = made.score(strangers)
    x = history.matrix().toarray()
    share = 1.0 if all_items else 2 * x.sum(axis=1, keepdims=True) / (12 - x.sum(1, keepdims=True))

    def loss(scores: Tensor) -> np.ndarray:
        a = scores.numpy()
        return (x * np.log1p(np.exp(-a)) + share * (1 - x) * np.log1p(np.exp(a))).sum(axis=1)

    assert (loss(after) < loss(before) - 0.1).all()
    assert_close(made.score(strangers.rows(np.array([1]))), after[1:])
    for name, array in weights_of(made).items():
        np.testing.assert_array_equal(array, parameters[name])
    known = Queries(np.array([-1, 2]), history)
    assert_close(made.score(known)[0], after[0])
    assert_close(made.score(known)[1], net(model, train).score(known)[1])


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
            if isinstance(tensor, Tensor) and not tensor.is_sparse:
                self.size = max(self.size, tensor.numel())
        return out


def test_on_negatives_no_dense_row_is_made(build: Build) -> None:
    train = build([[u, u + 1] for u in range(50)], n_items=1000)
    made = net(TINY, train)
    x = rows_of(train, CPU)
    with Largest() as largest:
        made.loss(x, torch.randint(100, 1000, (100, 2))).backward()
    assert 0 < largest.size <= 1000 * 3  # the weights; a dense batch has 50,000


def test_the_start_is_that_of_the_reference(build: Build) -> None:
    train = build(LISTS * 40, n_items=146)
    made = CDAENet(train, CDAE(hidden_dim=4))
    bound = 4 * (6 / 150) ** 0.5
    for name, parameter in made.named_parameters():
        if "bias" in name:
            assert not parameter.any(), name
        else:
            assert 0.95 * bound < parameter.abs().max() <= bound, name
    assert len(list(made.parameters())) == 5
    assert len(list(CDAENet(train, replace(TINY, tied=True)).parameters())) == 4
    assert len(list(CDAENet(train, replace(TINY, user_vector=False)).parameters())) == 4


def test_what_liang_et_al_made_of_it_learns_two_tastes_of_strangers(build: Build) -> None:
    lists = [[i for i in range(12) if i % 2 == u % 2 and i // 2 != u // 2 % 6] for u in range(24)]
    model = CDAE(
        hidden_dim=4,
        activation="tanh",
        output_activation="tanh",
        loss="square",
        all_items=True,
        positive_weight=5.0,
        optimizer="adam",
        l2_on="all",
        learning_rate=0.05,
        batch_size=8,
        n_epochs=30,
        init_scale=1.0,
    )
    *_, scorer = model.epochs(build(lists), Progress(0, CPU))
    best = scorer.score(Queries(np.array([-1, -1]), build([[0, 4], [1, 5]]))).topk(6).indices
    assert [set((row % 2).tolist()) for row in best] == [{0}, {1}]
