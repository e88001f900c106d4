"""Tests of a difference that has a standard error, and Holm's correction for several of them.

scipy is loaded only where the degrees of freedom are finite.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from statistics import NormalDist

ALPHA = 0.025
"""One-sided; a confidence interval of 95 % leaves out as much on each side."""

EQUIVALENCE = 0.05
"""Of each of the two one-sided tests; together they ask whether an interval of 90 % lies inside."""


def at_most(value: float, error: float, df: float, bound: float = 0.0) -> float:
    """Return the p value of "the truth is at most the bound": small if the value is far above it.

    Parameters
    ----------
    value, error, df : float
        An estimate, its standard error, and the degrees of freedom of that.
    bound : float
        What the truth is compared with.
    """
    t = (bound - value) / error
    if df == float("inf"):
        return NormalDist().cdf(t)
    from scipy.special import stdtr

    return float(stdtr(df, t))


def level(value: float, error: float, df: float, margin: float) -> float:
    """Return the p value of "the truth lies outside the margin", by two one-sided tests.

    Notes
    -----
    Schuirmann 1987. It is at most 0.05 where the interval of 90 % lies inside the margin.
    """
    return max(at_most(value, error, df, -margin), at_most(-value, error, df, -margin))


def interval(value: float, error: float, df: float, share: float = 0.95) -> tuple[float, float]:
    """Return the confidence interval of an estimate."""
    width = error * _quantile(df, (1 + share) / 2)
    return value - width, value + width


@cache
def _quantile(df: float, p: float) -> float:
    if df == float("inf"):
        return NormalDist().inv_cdf(p)
    from scipy.special import stdtrit

    return float(stdtrit(df, p))


def holm(p: Sequence[float]) -> list[float]:
    """Return p values corrected for their number.

    Notes
    -----
    Holm 1979: the smallest times n, the next times n - 1, and so on, each at least the one before.
    """
    corrected = [0.0] * len(p)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=lambda place: p[place])):
        highest = max(highest, min(1.0, (len(p) - rank) * p[place]))
        corrected[place] = highest
    return corrected


def freedom(parts: Sequence[tuple[float, float]]) -> float:
    """Return the degrees of freedom of a sum of variances, each given with its own.

    Notes
    -----
    Welch 1947 and Satterthwaite 1946.
    """
    below = sum(variance**2 / df for variance, df in parts)
    whole = sum(variance for variance, _ in parts)
    return whole**2 / below if below else float("inf")
