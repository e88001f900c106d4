"""What hits at given ranks can add up to in NDCG."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from math import floor, log2


def gain(rank: int) -> float:
    """Return g(r) = 1 / log2(r + 1), what a hit at a rank adds to the DCG."""
    return 1 / log2(rank + 1)


def first(hits: float) -> float:
    """Return I(m): the gains of the first m ranks, linear between whole numbers (concave)."""
    whole = floor(hits + 1e-12)
    return _first(whole) + (hits - whole) * gain(whole + 1)


@cache
def _first(hits: int) -> float:
    return sum(gain(rank) for rank in range(1, hits + 1))


def last(hits: float, k: int) -> float:
    """Return L_k(h): the gains of the last h of k ranks, linear in between (convex)."""
    whole = min(floor(hits + 1e-12), k)
    sure = sum(gain(rank) for rank in range(k - whole + 1, k + 1))
    return sure + (hits - whole) * gain(k - whole) if whole < k else sure


@cache
def _hull(k: int) -> tuple[tuple[float, float], ...]:
    """Return the corners of the upper hull of the points (h/m, I(h)/I(m)), h <= m <= k."""
    points: dict[float, float] = {}
    for m in range(1, k + 1):
        for h in range(m + 1):
            points[h / m] = max(points.get(h / m, 0.0), _first(h) / _first(m))
    corners: list[tuple[float, float]] = []
    for x, y in sorted(points.items()):
        while len(corners) > 1:
            (x0, y0), (x1, y1) = corners[-2:]
            if (y1 - y0) * (x - x0) > (y - y0) * (x1 - x0):
                break
            corners.pop()
        corners.append((x, y))
    return tuple(corners)


def highest_ndcg(capped_recall: float, k: int) -> float:
    """Return U_k(C), the most that NDCG can be at a capped recall.

    Notes
    -----
    A user with m = min(k, targets) and h hits has at most I(h)/I(m) at a capped recall of h/m. A
    mean over users lies in the convex hull of these points. I(kC)/I(k) is no bound from k = 7 on.
    """
    return _on(_hull(k), capped_recall)


def highest_ndcg_of_one(mean_reciprocal: float, k: int) -> float:
    """Return the most that NDCG can be for a mean of 1/rank over hits, one target a user."""
    return _on(tuple((1 / r, gain(r)) for r in range(k, 0, -1)), mean_reciprocal)


def _on(corners: tuple[tuple[float, float], ...], x: float) -> float:
    """Return the height of a line through corners, flat beyond its ends."""
    if x <= corners[0][0]:
        return corners[0][1]
    for (x0, y0), (x1, y1) in pairwise(corners):
        if x <= x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return corners[-1][1]
