"""Vectors in two dimensions, as clusters: t-SNE, k-means, and numbers that a picture lacks.

DAVE's Figures 3 and 4 show [mean, sigma] of every user and item by t-SNE, coloured by clusters. The
paper gives neither t-SNE's settings nor how the clusters were found. Gaps in such a picture alone
are no evidence of several modes (Wattenberg et al., "How to Use t-SNE Effectively", Distill 2016),
so numbers from the full space are given with it. Hartigan's dip of single components, which would
test for several modes, is not among them: silhouettes test the same for the whole space.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from repro.errors import ReproError

PERPLEXITY = 30.0
"""t-SNE's neighbours: scikit-learn's default, the middle of van der Maaten and Hinton's range."""
FEWEST = 32
"""Distinct rows that a picture needs; t-SNE and k-means fail on fewer."""
MOST_CLUSTERS = 15
"""k-means tries 2 to so many clusters; the best silhouette in the picture wins."""
ACTIVE_VARIANCE = 0.01
"""A dimension is active if its mean varies by more over the rows (Burda et al. 2016, Section 4)."""


@dataclass(frozen=True, eq=False)
class Picture:
    """Rows in two dimensions.

    Parameters
    ----------
    xy : float array, shape (n, 2)
        Where t-SNE puts each row.
    cluster : int array, shape (n,)
        Which cluster of the picture it is in.
    numbers : dict of str to float
        What the picture does not show.
    """

    xy: NDArray[np.float64]
    cluster: NDArray[np.int64]
    numbers: dict[str, float]


def picture(vectors: NDArray[np.float32], seed: int = 0) -> Picture:
    """Return rows of [mean, sigma] in two dimensions, clustered there.

    Parameters
    ----------
    vectors : float array, shape (n, 2 D)
        Means, then standard deviations.
    seed : int
        Of t-SNE and k-means.

    Raises
    ------
    ReproError
        If scikit-learn is not installed, or fewer than `FEWEST` vectors differ.
    """
    try:
        from sklearn.cluster import KMeans
        from sklearn.manifold import TSNE
        from sklearn.metrics import silhouette_score
    except ImportError as error:
        raise ReproError(
            "scikit-learn is not installed", 'pip install "repro-tables[figures]"'
        ) from error
    n = len(vectors)
    if len(np.unique(vectors, axis=0)) < FEWEST:
        raise ReproError(
            f"fewer than {FEWEST} of {n} vectors differ: there is nothing to show",
            "a posterior that has collapsed to one point looks like this",
        )
    place = TSNE(init="pca", perplexity=min(PERPLEXITY, (n - 1) / 3), random_state=seed)
    best, cluster = -np.inf, np.zeros(n, dtype=np.int64)
    with threadpool_limits(1):  # on a busy machine several threads wait for each other, for minutes
        xy = place.fit_transform(vectors).astype(np.float64)
        for k in range(2, min(MOST_CLUSTERS, n - 1) + 1):
            labels = KMeans(k, n_init=4, random_state=seed).fit_predict(xy)
            found = float(silhouette_score(xy, labels))
            if found > best:
                best, cluster = found, labels.astype(np.int64)
    mean, sigma = np.split(vectors, 2, axis=1)
    return Picture(
        xy,
        cluster,
        {
            "clusters": float(cluster.max() + 1),
            "silhouette in the picture": best,
            "silhouette of the vectors": float(silhouette_score(vectors, cluster)),
            "variance between clusters": between(vectors, cluster),
            "mean sigma": float(sigma.mean()),
            "active dimensions": float((mean.var(axis=0) > ACTIVE_VARIANCE).sum()),
        },
    )


def between(vectors: NDArray[np.float32], cluster: NDArray[np.int64]) -> float:
    """Return the share of the vectors' variance that the clusters' means account for."""
    centre = vectors.mean(axis=0)
    total = float(np.square(vectors - centre).sum())
    means = np.stack([vectors[cluster == k].mean(axis=0) for k in range(cluster.max() + 1)])
    return float(np.square(means[cluster] - centre).sum()) / total if total else 0.0
