from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import cosine_similarity
from torch.testing import assert_close

from repro.interactions import Interactions
from repro.models import item_knn
from repro.models.item_knn import ItemKNN, nearest
from repro.split import Queries
from repro.training.progress import Progress

Build = Callable[..., Interactions]

CPU = torch.device("cpu")
LISTS = [[0, 1, 2], [0, 1], [0, 3], [0], [2, 3], [1, 2, 1]]
"""Users per item: 0 has four, 1 and 2 three, 3 two; 4 none."""


def weights(model: ItemKNN, rows: Interactions) -> np.ndarray:
    (scorer,) = model.epochs(rows, Progress(0, CPU))
    return scorer.w.toarray()


def test_similarities_are_cosines_between_columns(build: Build) -> None:
    rows = build(LISTS, n_items=5)
    w = weights(ItemKNN(), rows)
    expected = cosine_similarity(rows.matrix().toarray().T)
    np.fill_diagonal(expected, 0.0)
    np.testing.assert_allclose(w, expected, rtol=1e-6)
    assert w[0, 1] == pytest.approx(2 / np.sqrt(4 * 3))


def test_shrink_is_added_to_the_product_of_the_norms(build: Build) -> None:
    w = weights(ItemKNN(shrink=10.0), build(LISTS, n_items=5))
    assert w[0, 1] == pytest.approx(2 / (np.sqrt(4 * 3) + 10))
    assert w[2, 3] == pytest.approx(1 / (np.sqrt(3 * 2) + 10))


def test_neighbours_are_those_of_the_item_that_is_scored(build: Build) -> None:
    w = weights(ItemKNN(n_neighbors=1), build(LISTS, n_items=5))
    # cosines: 0-1 .58, 0-2 .29, 0-3 .35, 1-2 .67, 1-3 0, 2-3 .41
    nearest_of = {0: 1, 1: 2, 2: 1, 3: 2}
    found = {(int(j), int(i)) for j, i in zip(*np.nonzero(w), strict=True)}
    assert found == {(neighbour, item) for item, neighbour in nearest_of.items()}


def test_normalized_weights_of_an_item_sum_to_one(build: Build) -> None:
    w = weights(ItemKNN(n_neighbors=2, normalize=True), build(LISTS, n_items=5))
    assert w.sum(axis=0).tolist() == pytest.approx([1.0, 1.0, 1.0, 1.0, 0.0])


def test_the_size_of_a_block_changes_nothing(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows = build([rng.choice(50, 8, replace=False).tolist() for _ in range(90)], n_items=50)
    model = ItemKNN(n_neighbors=7, shrink=3.0)
    whole = weights(model, rows)
    monkeypatch.setattr(item_knn, "ITEM_ROWS", 17)
    assert weights(model, rows).tolist() == whole.tolist()
    assert (np.count_nonzero(whole, axis=0) <= 7).all()


def test_of_equal_similarities_the_lower_numbers_stay() -> None:
    similar = torch.tensor([[0.5, 0.2, 0.5, 0.5, 0.9], [0.0, 0.0, 0.3, 0.0, 0.0]])
    expected = torch.tensor([[0.5, 0.0, 0.5, 0.0, 0.9], [0.0, 0.0, 0.3, 0.0, 0.0]])
    assert_close(nearest(similar, 3), expected)
    assert_close(nearest(similar, 5), similar)
    assert_close(nearest(similar, 100), similar)


def test_a_score_sums_the_history_of_known_users_and_strangers(build: Build) -> None:
    rows = build(LISTS, n_items=5)
    (scorer,) = ItemKNN().epochs(rows, Progress(0, CPU))
    w = torch.from_numpy(scorer.w.toarray())
    histories = build([[0, 2], [], [3, 3]], n_items=5)
    scores = scorer.score(Queries(np.array([0, -1, -1]), histories))
    assert_close(scores, torch.stack([w[0] + w[2], torch.zeros(5), w[3]]))
    assert scores.dtype == torch.float32
