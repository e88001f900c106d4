"""Pictures of vectors, against clusters that are known."""

from __future__ import annotations

import numpy as np
import pytest

from repro.errors import ReproError
from repro.results.tsne import between, picture


def test_three_clouds_are_three_clusters() -> None:
    rng = np.random.default_rng(0)
    cloud = np.repeat(np.arange(3), 40)
    mean = np.zeros((120, 6))
    mean[np.arange(120), cloud] = 10.0  # three of six dimensions tell the clouds apart
    mean += rng.normal(0.0, 0.05, mean.shape)
    sigma = rng.normal(0.5, 0.05, mean.shape)
    found = picture(np.concatenate([mean, sigma], axis=1).astype(np.float32))
    assert found.xy.shape == (120, 2)
    assert {len(set(found.cluster[cloud == k].tolist())) for k in range(3)} == {1}
    assert found.numbers["clusters"] == 3
    assert found.numbers["active dimensions"] == 3
    assert found.numbers["mean sigma"] == pytest.approx(sigma.mean(), rel=1e-5)
    assert found.numbers["variance between clusters"] > 0.99
    # In the full space rows of a cloud are 0.05 sqrt(2 * 12) apart, and clouds 10 sqrt(2).
    by_hand = 1 - 0.05 * 24**0.5 / 200**0.5
    assert found.numbers["silhouette of the vectors"] == pytest.approx(by_hand, abs=1e-3)
    assert found.numbers["silhouette in the picture"] != pytest.approx(by_hand, abs=1e-3)


def test_the_share_between_clusters_by_hand() -> None:
    vectors = np.array([[0.0], [2.0], [10.0], [12.0]], dtype=np.float32)
    assert between(vectors, np.array([0, 0, 1, 1])) == pytest.approx(100 / 104)
    assert between(vectors, np.array([0, 0, 0, 0])) == 0.0


def test_vectors_that_hardly_differ_are_refused() -> None:
    with pytest.raises(ReproError, match="of 50 vectors differ"):
        picture(np.ones((50, 4), dtype=np.float32))
