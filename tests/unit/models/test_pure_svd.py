from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from repro.errors import UnsupportedError
from repro.interactions import Interactions
from repro.models.pure_svd import Projection, PureSVD
from repro.split import Queries
from repro.training.progress import Progress

Build = Callable[..., Interactions]

CPU = torch.device("cpu")


@pytest.fixture
def rows(build: Build) -> Interactions:
    rng = np.random.default_rng(0)
    return build([rng.choice(20, 5, replace=False).tolist() for _ in range(40)], n_items=20)


def decomposed(rows: Interactions, dim: int, seed: int = 0) -> Projection:
    (scorer,) = PureSVD(latent_dim=dim).epochs(rows, Progress(seed, CPU))
    return scorer


@pytest.mark.parametrize("dim", [1, 4, 19])
def test_scores_are_those_of_the_dense_decomposition(rows: Interactions, dim: int) -> None:
    x = rows.matrix().toarray().astype(np.float64)
    u, s, vt = np.linalg.svd(x)
    best = u[:, :dim] * s[:dim] @ vt[:dim]  # the nearest matrix of that rank
    scores = decomposed(rows, dim).score(Queries(np.arange(40), rows))
    np.testing.assert_allclose(scores, best, atol=1e-5)


def test_singular_vectors_are_orthonormal(rows: Interactions) -> None:
    q = decomposed(rows, 6).q
    assert_close(q.T @ q, torch.eye(6), atol=1e-5, rtol=0)


def test_seeds_differ_in_the_last_digits_only(rows: Interactions) -> None:
    asked = Queries(np.arange(40), rows)
    one, other = (decomposed(rows, 6, seed).score(asked) for seed in (1, 2))
    assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_a_stranger_is_projected_from_the_history_and_repeats_count_once(
    rows: Interactions, build: Build
) -> None:
    scorer = decomposed(rows, 6)
    histories = build([[3, 8], [], [8, 3, 3]], n_items=20)
    scores = scorer.score(Queries(np.array([-1, -1, 0]), histories))
    assert_close(scores[0], scorer.q @ (scorer.q[3] + scorer.q[8]))
    assert_close(scores[0], scores[2])
    assert scores[1].tolist() == [0.0] * 20


def test_more_dimensions_than_the_matrix_has_are_refused(rows: Interactions) -> None:
    with pytest.raises(UnsupportedError, match="20 singular vectors of 40 users and 20 items"):
        decomposed(rows, 20)
