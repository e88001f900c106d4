from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from repro.errors import ReproError
from repro.interactions import Interactions
from repro.models.wmf import WMF, WMFNet
from repro.nn import least_squares
from repro.nn.batches import rows_of
from repro.split import Queries
from repro.training.progress import Progress

Build = Callable[..., Interactions]
Weighting = Literal["replace", "add"]

CPU = torch.device("cpu")
LISTS = [[0, 1, 2, 5, 7, 8, 9], [3, 4], [], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], [11], [7, 7, 1]]
HU = WMF(latent_dim=3, positive_weight=7.0, l2=0.9, init_std=0.5, n_epochs=3, precision="float64")
RENDLE = replace(
    HU, positive_weight=1.0, unobserved_weight=0.3, weighting="add", l2=0.07, l2_exponent=0.8
)
both_forms = pytest.mark.parametrize("model", [HU, RENDLE], ids=["Hu et al.", "Rendle et al."])


def weights(model: WMF, r: Tensor) -> tuple[Tensor, Tensor]:
    """Return how hard every pair is pulled to one, and to zero."""
    zeros = torch.full_like(r, model.unobserved_weight)
    return model.positive_weight * r, zeros * (1 - r) if model.weighting == "replace" else zeros


def cost(model: WMF, r: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return the objective by its definition, on dense matrices."""
    one, zero = weights(model, r)
    s = x @ y.T
    n_users, n_items = r.shape
    of_user = model.l2 * (r.sum(1) + model.unobserved_weight * n_items) ** model.l2_exponent
    of_item = model.l2 * (r.sum(0) + model.unobserved_weight * n_users) ** model.l2_exponent
    size = (of_user * x.square().sum(1)).sum() + (of_item * y.square().sum(1)).sum()
    return (one * (1 - s) ** 2 + zero * s**2).sum() + size


def dense(rows: Interactions) -> Tensor:
    return torch.from_numpy(rows.matrix().toarray()).double()


def factors(n: int, dim: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(n, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def trained(model: WMF, train: Interactions) -> tuple[WMFNet, list[float]]:
    progress = Progress(0, CPU)
    *_, net = model.epochs(train, progress)
    progress.close_epoch()
    return net, [entry["losses"]["cost"] for entry in progress.outcome.curve[: model.n_epochs]]


@both_forms
@pytest.mark.parametrize("numbers", [1, 9, 20, 2**23])
def test_factors_solve_the_normal_equations_of_every_user(
    build: Build, monkeypatch: pytest.MonkeyPatch, model: WMF, numbers: int
) -> None:
    monkeypatch.setitem(
        least_squares.BLOCK_NUMBERS, "cpu", numbers
    )  # a user alone, two, all together
    rows, y = build(LISTS), factors(12)
    x, _ = model.solve(rows_of(rows, CPU), y)
    r, plain = dense(rows).numpy(), y.numpy()
    for u in range(len(LISTS)):
        one, zero = (part[u].numpy() for part in weights(model, dense(rows)))
        strength = model.l2 * (r[u].sum() + model.unobserved_weight * 12) ** model.l2_exponent
        a = plain.T @ np.diag(one + zero) @ plain + strength * np.eye(3)
        np.testing.assert_allclose(x[u], np.linalg.solve(a, plain.T @ one), 0, 1e-11)


@both_forms
def test_the_gradient_of_the_cost_is_zero_at_a_solution(build: Build, model: WMF) -> None:
    rows, y = build(LISTS), factors(12)
    x, _ = model.solve(rows_of(rows, CPU), y)
    x.requires_grad_()
    cost(model, dense(rows), x, y).backward()
    assert x.grad is not None
    assert_close(x.grad, torch.zeros_like(x), atol=1e-10, rtol=0)


@both_forms
def test_the_cost_falls_with_every_sweep_to_what_its_definition_says(
    build: Build, model: WMF
) -> None:
    rows = build(LISTS)
    _, costs = trained(replace(model, n_epochs=6), rows)
    assert costs == sorted(costs, reverse=True)
    before, _ = trained(replace(model, n_epochs=5), rows)
    after, _ = trained(replace(model, n_epochs=6), rows)
    x, _ = model.solve(rows_of(rows, CPU), before.y)
    expected = cost(model, dense(rows), x, after.y) / len(rows.pairs())
    assert costs[5] == pytest.approx(float(expected), rel=1e-10)


def test_factors_begin_with_the_standard_deviation_over_the_root_of_their_number() -> None:
    net = WMFNet(4000, WMF(latent_dim=100, init_std=0.3))
    assert float(net.y.std()) == pytest.approx(0.03, rel=0.01)


@pytest.mark.filterwarnings("ignore")  # of BLAS threads, which are one here
def test_training_equals_that_of_implicit(build: Build) -> None:
    als = pytest.importorskip("implicit.cpu.als")
    rng = np.random.default_rng(0)
    lists = [rng.choice(40, size, replace=False).tolist() for size in rng.integers(1, 20, 60)]
    rows, model = build(lists, n_items=40), replace(HU, latent_dim=5)
    theirs = als.AlternatingLeastSquares(
        factors=5,
        regularization=model.l2,
        alpha=model.positive_weight,
        iterations=model.n_epochs,
        use_cg=False,
        dtype=np.float64,
        num_threads=1,
    )
    torch.manual_seed(0)
    theirs.item_factors = WMFNet(40, model).y.numpy().copy()
    theirs.user_factors = np.zeros((60, 5))
    theirs.fit(rows.matrix().astype(np.float64), show_progress=False)
    net, _ = trained(model, rows)
    np.testing.assert_allclose(net.y, theirs.item_factors, atol=1e-9)
    matrix = rows.matrix().astype(np.float64)
    users = theirs.recalculate_user(np.arange(60), matrix)
    scores = net.score(Queries(np.arange(60), rows))
    np.testing.assert_allclose(scores, users @ theirs.item_factors.T, atol=1e-6)


def test_both_weightings_are_one_up_to_a_factor(build: Build) -> None:
    rows, y, w = build(LISTS), factors(12), HU.positive_weight
    add = replace(
        HU, positive_weight=1.0, unobserved_weight=1 / (w - 1), weighting="add", l2=HU.l2 / (w - 1)
    )
    replaced, _ = HU.solve(rows_of(rows, CPU), y)
    added, _ = add.solve(rows_of(rows, CPU), y)
    assert_close(replaced, added * w / (w - 1))


@pytest.mark.parametrize(
    ("exponent", "expected"), [(0.0, 0.5), (1.0, 0.5 * (6 + 0.1 * 40)), (0.5, 0.5 * 10**0.5)]
)
def test_the_strength_counts_the_ones_and_the_weight_of_all(
    exponent: float, expected: float
) -> None:
    model = WMF(l2=0.5, unobserved_weight=0.1, l2_exponent=exponent)
    assert model.strength(torch.tensor([6]), 40).tolist() == pytest.approx([expected])


def test_a_user_is_scored_by_the_history_whether_known_or_not(build: Build) -> None:
    net, _ = trained(HU, build(LISTS))
    histories = build([[3, 4], [0, 2, 6], []])
    known = net.score(Queries(np.array([1, 0, 3]), histories))
    strangers = net.score(Queries(np.array([-1, -1, -1]), histories))
    assert_close(known, strangers, rtol=0, atol=0)
    x, _ = HU.solve(rows_of(histories, CPU), net.y)
    assert_close(known, (x @ net.y.T).float())
    assert known[2].tolist() == [0.0] * 12


def test_known_users_get_the_factor_of_the_half_sweep_to_come(build: Build) -> None:
    rows = build(LISTS)
    net, _ = trained(HU, rows)
    x, _ = HU.solve(rows_of(rows, CPU), net.y)
    assert_close(net.score(Queries(np.arange(6), rows)), (x @ net.y.T).float())


def test_a_repeated_pair_counts_once_and_an_item_without_users_scores_zero(build: Build) -> None:
    once, _ = trained(HU, build([[1, 2], [2, 3]], n_items=5))
    twice, _ = trained(HU, build([[1, 2, 1], [2, 3, 3]], n_items=5))
    assert_close(once.y, twice.y)
    assert once.y[[0, 4]].abs().max() == 0.0


@both_forms
def test_float32_gives_the_same_scores_as_float64(build: Build, model: WMF) -> None:
    asked = Queries(np.arange(6), build(LISTS))
    torch.manual_seed(1)
    start = torch.randn(12, 3, dtype=torch.float64)
    scores: dict[Any, Tensor] = {}
    for precision in ("float32", "float64"):
        net = WMFNet(12, replace(model, precision=precision))
        net.y = start.to(net.y.dtype)
        scores[precision] = net.score(asked)
        assert scores[precision].dtype == torch.float32
    assert_close(scores["float32"], scores["float64"], atol=1e-4, rtol=1e-4)


def test_a_singular_system_is_named_with_a_way_out(build: Build) -> None:
    with pytest.raises(ReproError, match="singular") as raised:
        replace(HU, l2=0.0).solve(rows_of(build(LISTS), CPU), torch.zeros(12, 3))
    assert "precision=float64" in str(raised.value.hint)
