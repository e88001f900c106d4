from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.linear_model import ElasticNet
from torch import Tensor
from torch.testing import assert_close

from repro.interactions import Interactions
from repro.models import slim
from repro.models.slim import SLIM, Solved
from repro.nn import item_weights
from repro.nn.item_weights import cooccurrence
from repro.split import Queries
from repro.training.progress import Progress

Build = Callable[..., Interactions]

CPU = torch.device("cpu")
N_ITEMS = 30
EXACT = SLIM(l1=0.3, l2=2.0, n_sweeps=1000, tolerance=1e-7)


@pytest.fixture
def rows(build: Build) -> Interactions:
    """Return 80 users of two tastes; item 29 has no user."""
    rng = np.random.default_rng(0)
    lists = []
    for user in range(80):
        chance = np.where(np.arange(N_ITEMS) % 2 == user % 2, 5.0, 1.0) / np.arange(1, N_ITEMS + 1)
        chance[29] = 0.0
        size = int(rng.integers(3, 9))
        lists.append(rng.choice(N_ITEMS, size, replace=False, p=chance / chance.sum()).tolist())
    return build(lists, n_items=N_ITEMS)


def weights(model: SLIM, rows: Interactions) -> np.ndarray:
    (scorer,) = model.epochs(rows, Progress(0, CPU))
    return scorer.w.toarray().astype(np.float64)


def objective(model: SLIM, x: np.ndarray, w: np.ndarray) -> float:
    missed = 0.5 * np.square(x - x @ w).sum()
    return float(missed + 0.5 * model.l2 * np.square(w).sum() + model.l1 * np.abs(w).sum())


@pytest.mark.parametrize(("l1", "l2"), [(0.3, 2.0), (2.0, 0.1), (0.1, 40.0)])
def test_every_column_is_the_elastic_net_of_scikit_learn(
    rows: Interactions, l1: float, l2: float
) -> None:
    x = rows.matrix().toarray().astype(np.float64)
    ours = weights(replace(EXACT, l1=l1, l2=l2), rows)
    for item in range(N_ITEMS):
        others = x.copy()
        others[:, item] = 0.0
        net = ElasticNet(
            alpha=(l1 + l2) / len(x),
            l1_ratio=l1 / (l1 + l2),
            positive=True,
            fit_intercept=False,
            tol=1e-10,
            max_iter=100_000,
        )
        net.fit(others, x[:, item])
        np.testing.assert_allclose(ours[:, item], net.coef_, atol=2e-5)


@pytest.mark.parametrize("block_size", [1, 7, 1024])
@pytest.mark.parametrize("items_at_a_time", [1, 4, 64])
def test_the_solution_meets_the_conditions_of_karush_kuhn_and_tucker(
    rows: Interactions, monkeypatch: pytest.MonkeyPatch, block_size: int, items_at_a_time: int
) -> None:
    monkeypatch.setattr(slim, "ITEMS_AT_A_TIME", items_at_a_time)
    model = replace(EXACT, block_size=block_size)
    (*_, scorer) = model.epochs(rows, Progress(0, CPU))
    w, x = scorer.w.toarray().astype(np.float64), rows.matrix().toarray().astype(np.float64)
    slope = x.T @ (x @ w - x) + model.l2 * w + model.l1
    assert (np.diag(w) == 0.0).all()
    assert (w >= 0.0).all()
    off = ~np.eye(N_ITEMS, dtype=bool)
    assert np.abs(slope[(w > 0) & off]).max() < 1e-4  # nothing to win by moving
    assert slope[(w == 0) & off].min() > -1e-4  # nor by growing from zero
    assert 0 < (w > 0).sum() < 0.5 * w.size


def test_a_sweep_is_that_of_the_definition_weight_by_weight(
    rows: Interactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slim, "ITEMS_AT_A_TIME", 7)
    model = SLIM(l1=0.3, l2=2.0)
    gram = torch.from_numpy(cooccurrence(rows)).double()
    w = torch.rand(N_ITEMS, 5, dtype=torch.float64)
    gain = gram[:, 10:15] - model.l1
    gain[torch.arange(10, 15), torch.arange(5)] = -torch.inf
    w[torch.arange(10, 15), torch.arange(5)] = 0.0
    expected = w.clone()
    for i in range(N_ITEMS):
        for j in range(5):
            others = sum(float(gram[i, k] * expected[k, j]) for k in range(N_ITEMS) if k != i)
            best = (float(gain[i, j]) - others) / float(gram[i, i] + model.l2)
            expected[i, j] = max(best, 0.0)
    model.sweep(gram, gain, w)
    assert_close(w, expected)


def test_no_sweep_raises_the_objective(rows: Interactions) -> None:
    x = rows.matrix().toarray().astype(np.float64)
    made = [weights(SLIM(l1=0.3, l2=2.0, n_sweeps=n, tolerance=0.0), rows) for n in range(1, 7)]
    costs = [objective(EXACT, x, w) for w in [np.zeros_like(made[0]), *made]]
    assert costs == sorted(costs, reverse=True)


def test_a_column_that_is_solved_takes_no_part_in_further_sweeps(
    rows: Interactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths = []
    plain = SLIM.sweep

    def counted(self: SLIM, gram: Tensor, gain: Tensor, w: Tensor) -> None:
        widths.append(w.shape[1])
        plain(self, gram, gain, w)

    monkeypatch.setattr(SLIM, "sweep", counted)
    weights(replace(EXACT, tolerance=1e-3), rows)
    assert widths[0] == N_ITEMS
    assert widths == sorted(widths, reverse=True)
    assert 0 < widths[-1] < N_ITEMS
    assert len(widths) < 1000


def test_the_run_notes_columns_that_never_came_to_rest(rows: Interactions) -> None:
    progress = Progress(0, CPU)
    list(SLIM(l1=0.3, l2=2.0, n_sweeps=1, block_size=15).epochs(rows, progress))
    losses = progress.outcome.curve[0]["losses"]
    assert losses["unsolved"] == 15.0
    assert losses["nonzeros"] > 0.0


def test_a_penalty_above_every_count_leaves_no_weight(rows: Interactions) -> None:
    assert weights(SLIM(l1=81.0), rows).max() == 0.0


def test_without_penalties_an_item_without_users_harms_nothing(rows: Interactions) -> None:
    w = weights(SLIM(l1=0.0, l2=0.0, n_sweeps=3), rows)
    assert np.isfinite(w).all()
    assert w[29].max() == w[:, 29].max() == 0.0


def test_cooccurrence_counts_users_of_both_items(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_weights, "ITEM_ROWS", 2)
    counts = cooccurrence(build([[0, 1, 1], [1, 2], [1]], n_items=3))
    assert counts.tolist() == [[1, 1, 0], [1, 3, 1], [0, 1, 1]]


def test_scores_are_the_history_times_the_weights(rows: Interactions, build: Build) -> None:
    (scorer,) = EXACT.epochs(rows, Progress(0, CPU))
    histories = build([[0, 5], [], [7, 7]], n_items=N_ITEMS)
    w = torch.from_numpy(scorer.w.toarray())
    expected = torch.stack([w[0] + w[5], torch.zeros(N_ITEMS), w[7]])
    assert_close(scorer.score(Queries(np.array([-1, 0, 1]), histories)), expected)


def test_solved_columns_come_back_as_they_were_saved() -> None:
    before, after = Solved(), Solved()
    before.rows = [csr_matrix([[0.0, 0.5], [0.25, 0.0]]), csr_matrix((1, 2))]
    after.load_state_dict(before.state_dict())
    assert [m.toarray().tolist() for m in after.rows] == [m.toarray().tolist() for m in before.rows]
