from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from repro.errors import ReproError
from repro.interactions import Interactions, from_rows
from repro.models.ease import EASE, ItemWeights
from repro.nn import item_weights
from repro.split import Queries
from repro.training.progress import Progress

Build = Callable[..., Interactions]

N_USERS, N_ITEMS = 60, 25


@pytest.fixture
def rows(build: Build) -> Interactions:
    """Return users of popular and other items; 22 comes with 23, twice, and 24 has no user."""
    rng = np.random.default_rng(0)
    popular = 1.0 / np.arange(2, 25)
    lists = []
    for _ in range(N_USERS):
        size = int(rng.integers(3, 9))
        items = rng.choice(23, size, replace=False, p=popular / popular.sum()).tolist()
        lists.append(items + [23, 23] * (22 in items))
    return build(lists, n_items=N_ITEMS)


def dense(rows: Interactions) -> np.ndarray:
    x = np.zeros((rows.n_users, rows.n_items))
    x[rows.user, rows.item] = 1.0
    return x


def solved(rows: Interactions, l2: float) -> ItemWeights:
    (scorer,) = EASE(l2=l2).epochs(rows, Progress(0, torch.device("cpu")))
    return scorer


def regressions(x: np.ndarray, l2: float) -> np.ndarray:
    """Return B by least squares, a column at a time: the item's users from all other items."""
    n = x.shape[1]
    b = np.zeros((n, n))
    for item in range(n):
        others = np.delete(np.arange(n), item)
        penalised = np.vstack([x[:, others], np.sqrt(l2) * np.eye(n - 1)])
        target = np.concatenate([x[:, item], np.zeros(n - 1)])
        b[others, item] = np.linalg.lstsq(penalised, target, rcond=None)[0]
    return b


@pytest.mark.parametrize("item_rows", [7, 1024])
@pytest.mark.parametrize("l2", [1e-4, 2.0, 500.0])
def test_every_column_is_the_ridge_regression_on_the_other_items(
    rows: Interactions, monkeypatch: pytest.MonkeyPatch, l2: float, item_rows: int
) -> None:
    monkeypatch.setattr(item_weights, "ITEM_ROWS", item_rows)
    b = solved(rows, l2).b
    assert b.dtype == torch.float32
    assert b.diagonal().tolist() == [0.0] * N_ITEMS
    np.testing.assert_allclose(b, regressions(dense(rows), l2), rtol=2e-5, atol=2e-6)


def test_two_items_of_the_same_users_have_the_weight_worked_out_by_hand(build: Build) -> None:
    b = solved(build([[0, 1], [1, 0], [0, 1], [2]], n_items=3), l2=1.0).b
    assert_close(b, torch.tensor([[0.0, 0.75, 0.0], [0.75, 0.0, 0.0], [0.0, 0.0, 0.0]]))


def test_a_large_l2_leaves_the_counts_of_common_users_over_it(rows: Interactions) -> None:
    x = dense(rows)
    common = x.T @ x
    np.fill_diagonal(common, 0.0)
    np.testing.assert_allclose(1e8 * solved(rows, l2=1e8).b, common, rtol=1e-4, atol=1e-4)


def test_known_users_and_strangers_are_scored_by_the_history_times_the_weights(
    rows: Interactions,
) -> None:
    scorer, x = solved(rows, l2=2.0), dense(rows)
    expected = x @ regressions(x, l2=2.0)
    for user in (np.arange(N_USERS), np.full(N_USERS, -1)):
        np.testing.assert_allclose(scorer.score(Queries(user, rows)), expected, atol=1e-5)


def test_histories_may_repeat_an_item_or_be_empty_and_candidates_are_picked(
    rows: Interactions, build: Build
) -> None:
    scorer, user = solved(rows, l2=2.0), np.array([-1, -1, 0])
    histories = build([[0, 5], [], [7, 7]], n_items=N_ITEMS)
    expected = torch.stack([scorer.b[0] + scorer.b[5], torch.zeros(N_ITEMS), scorer.b[7]])
    assert_close(scorer.score(Queries(user, histories)), expected)
    candidates = np.array([[3, 24], [1, 2], [7, 0]], dtype=np.int32)
    asked = scorer.score(Queries(user, histories, candidates))
    assert_close(asked, torch.stack([row[c] for row, c in zip(expected, candidates, strict=True)]))


@given(st.integers(2, 6), st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_items_with_the_same_users_need_an_l2(twins: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    liked = rng.random((30, 12)) < 0.4
    liked[:, :twins] = liked[:, :1]
    user, item = np.nonzero(liked)
    train = from_rows(user, item, 30, 12, True)
    with pytest.raises(ReproError, match=r"(?s)l2 = 0 .* singular.*larger l2, well above 0"):
        next(EASE(l2=0.0).epochs(train, Progress(0, torch.device("cpu"))))
    scorer = next(EASE(l2=1e-3).epochs(train, Progress(0, torch.device("cpu"))))
    assert bool(scorer.b.isfinite().all())
    assert float(scorer.b.abs().max()) < 10


def test_without_l2_a_regular_matrix_is_accepted(build: Build) -> None:
    train = build([[0, 1], [0], [1, 2], [2]], n_items=3)
    next(EASE(l2=0.0).epochs(train, Progress(0, torch.device("cpu"))))
