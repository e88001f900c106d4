"""Metrics: hits in, one value per user out.

A metric sees the hits of all users at once: ``hits`` is a bool array of shape (U, K), whether the
item at each rank is a target (best first), and ``n_targets`` an int array of shape (U,), how many
targets each user has. A user with fewer than K rankable items has False in the remaining ranks.

If two papers give one name to two formulas, there are two functions here: a label belongs to a
table, a function to a formula.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from inspect import isfunction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.errors import ReproError, unknown

DEPTH = 100
"""Ranks that are kept of a full ranking, unless a metric has a deeper cut-off."""

DEEPEST = 10**7
"""The largest cut-off: no catalogue has more items."""

Hits = NDArray[np.bool_]
Counts = NDArray[np.integer[Any]]
Values = NDArray[np.float64]
Metric = Callable[[Hits, Counts, int], Values]


@dataclass(frozen=True)
class Result:
    """A metric's mean over users, at the epoch it was taken."""

    value: float
    standard_error: float | None
    """Over users; None for a single user."""
    epoch: int


def _gains(k: int) -> Values:
    """Return 1/log2(rank + 1) for ranks 1 to k; the sum of the first m is the best of m hits."""
    return 1.0 / np.log2(np.arange(2, k + 2, dtype=np.float64))


def _n_hits(hits: Hits, k: int) -> Values:
    return hits[:, :k].sum(axis=1).astype(np.float64)


def ndcg(hits: Hits, n_targets: Counts, k: int) -> Values:
    """Return the discounted cumulative gain over its best possible value, per user.

    Notes
    -----
    Binary gains, discount 1/log2(rank + 1), ideal over min(k, targets) hits: Liang et al. 2018,
    Section 4.2, and the code of all five papers. ACVAE's printed formula lets the ideal run over
    all targets, which its own Table 2 contradicts (NDCG@10 below NDCG@5).
    """
    reached = hits[:, :k]
    gains = _gains(min(k, max(reached.shape[1], int(n_targets.max(initial=1)))))
    ideal = np.cumsum(gains)[np.minimum(n_targets, k) - 1]
    return (reached * gains[: reached.shape[1]]).sum(axis=1) / ideal


def recall(hits: Hits, n_targets: Counts, k: int) -> Values:
    """Return the share of a user's targets among the first k.

    Notes
    -----
    ACVAE, Section 4.4.
    """
    return _n_hits(hits, k) / n_targets


def capped_recall(hits: Hits, n_targets: Counts, k: int) -> Values:
    """Return recall whose denominator is at most k, per user.

    Notes
    -----
    Liang et al. 2018, Section 4.2: hits / min(k, targets). Differs from `recall` for users with
    more than k targets.
    """
    return _n_hits(hits, k) / np.minimum(n_targets, k)


def precision(hits: Hits, n_targets: Counts, k: int) -> Values:
    """Return the share of targets among the first k ranks, even if fewer items can be ranked."""
    return _n_hits(hits, k) / k


def f1(hits: Hits, n_targets: Counts, k: int) -> Values:
    """Return the harmonic mean of each user's own precision and recall; 0 without a hit."""
    p, r = precision(hits, n_targets, k), recall(hits, n_targets, k)
    return np.divide(2 * p * r, p + r, out=np.zeros_like(p), where=p + r > 0)


def f1_of_means(hits: Hits, n_targets: Counts, k: int) -> Values:
    """Return per-user terms whose mean is the F1 of the *mean* precision and the *mean* recall.

    Notes
    -----
    JCA's and JoVA's evaluation code, which MVAE's Table II follows: 2 P R / (P + R) of the
    averages, 15 to 25 % below `f1` averaged at k = 10. It is not a mean over users; the terms here
    are its first-order expansion around the averages (the delta method), so that their mean is the
    value itself and their spread gives its standard error.
    """
    p, r = precision(hits, n_targets, k), recall(hits, n_targets, k)
    mean_p, mean_r = float(p.mean()), float(r.mean())
    if mean_p + mean_r == 0:
        return np.zeros_like(p)
    value = 2 * mean_p * mean_r / (mean_p + mean_r)
    slope_p, slope_r = (2 * (mean / (mean_p + mean_r)) ** 2 for mean in (mean_r, mean_p))
    return value + slope_p * (p - mean_p) + slope_r * (r - mean_r)


def hit_rate(hits: Hits, n_targets: Counts, k: int) -> Values:
    """Return whether any target is among the first k.

    Notes
    -----
    He et al. 2017 (NCF), Section 4.1, with one target per user.
    """
    return (_n_hits(hits, k) > 0).astype(np.float64)


def mrr(hits: Hits, n_targets: Counts, k: int) -> Values:
    """Return 1 / rank of the first target within the first k, else 0.

    Notes
    -----
    ACVAE, Section 4.4.
    """
    reached = hits[:, :k]
    return np.where(reached.any(axis=1), 1.0 / (reached.argmax(axis=1) + 1.0), 0.0)


METRICS: dict[str, Metric] = {
    name: value
    for name, value in list(globals().items())
    if isfunction(value) and value.__module__ == __name__ and not name.startswith("_")
}
"""Every public function above, by name: a metric is added by writing it."""


def parse(name: str, where: str = "") -> tuple[Metric, int]:
    """Return the function and the cut-off of a metric such as "ndcg@100".

    Raises
    ------
    ReproError
        If the function is unknown, or the cut-off is no number from 1 to `DEEPEST`.
    """
    label, _, cutoff = name.partition("@")
    if label not in METRICS:
        raise unknown("metric", label, METRICS, where)
    prefix = f"{where}: " if where else ""
    if not cutoff.isdecimal() or (len(cutoff) <= len(str(DEEPEST)) and int(cutoff) < 1):
        raise ReproError(f"{prefix}metric '{name}' has no cut-off", f"write it as {label}@10")
    if len(cutoff) > len(str(DEEPEST)) or int(cutoff) > DEEPEST:
        raise ReproError(f"{prefix}the cut-off of metric '{name[:40]}' is above {DEEPEST:,}")
    return METRICS[label], int(cutoff)


def depth(names: Iterable[str]) -> int:
    """Return how many ranks must be kept for some metrics, `DEPTH` at least."""
    return max([DEPTH, *(parse(name)[1] for name in names)])


def per_user(name: str, hits: Hits, n_targets: Counts) -> Values:
    """Return one value per user of a metric by name; their mean is the metric.

    Parameters
    ----------
    name : str
        Such as "ndcg@100".
    hits : bool array, shape (U, K)
        Whether the item at each rank is a target.
    n_targets : int array, shape (U,)
        Targets per user, at least 1.
    """
    metric, k = parse(name)
    return metric(hits, n_targets, k)


def standard_error(values: Values) -> float | None:
    """Return the standard error of a mean over users (n - 1 in the denominator), None for one."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
