"""Inequalities for one target a user, with a full ranking or among sampled candidates.

H is the hit rate at k, N the NDCG, M the MRR; g(r) = 1 / log2(r + 1) is what a hit
at rank r adds to the DCG.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, sqrt

from repro.auditing.gains import gain, highest_ndcg_of_one
from repro.auditing.intervals import Interval
from repro.auditing.rows import Bound, PrintedRow, at_most, pairs
from repro.auditing.rules import rule


@rule("S0", one_target=True)
def same_thing(row: PrintedRow) -> Iterator[Bound]:
    """Yield that with one target, metrics that are the same number agree.

    Notes
    -----
    Demands: Recall = capped recall = H; precision = H / k; F1 = 2 H / (k + 1), of means, too; at 1
    N = M = H.
    Source: the formulas of `repro.metrics` with one target.
    Assumes: each user has one target.
    """
    for values in row.hits.values():
        for one in values:
            for other in values:
                if one.label != other.label:
                    yield at_most((one.term, one.of.low), (other.term, other.of.high), one, other)


@rule("S2", one_target=True)
def grows(row: PrintedRow) -> Iterator[Bound]:
    """Yield that a longer list has no fewer hits.

    Notes
    -----
    Demands: H, N and M never fall as k grows.
    Source: a hit within j is within k > j; the ideal DCG of one target is 1 at every k.
    Assumes: each user has one target.
    """
    for values in (row.hit, row.of("ndcg"), row.of("mrr")):
        for _, short, _, long in pairs(values):
            yield at_most((short.term, short.of.low), (long.term, long.of.high), short, long)


@rule("S3", one_target=True)
def between_first_and_last(row: PrintedRow) -> Iterator[Bound]:
    """Yield that a hit counts most at rank 1 and least at rank k.

    Notes
    -----
    Demands: g(k) H <= N <= H; H / k <= M <= N.
    Source: 1 >= g(r) >= 1 / r for every rank r, and r <= k.
    Assumes: each user has one target.
    """
    ndcg, mrr = row.of("ndcg"), row.of("mrr")
    for k, h in row.hit.items():
        if n := ndcg.get(k):
            g = gain(k)
            yield at_most((f"{g:.4f} × {h.term}", g * h.of.low), (n.term, n.of.high), h, n)
            yield at_most((n.term, n.of.low), (h.term, h.of.high), n, h)
        if m := mrr.get(k):
            yield at_most((f"{h.term} / {k}", h.of.low / k), (m.term, m.of.high), h, m)
            yield at_most((m.term, m.of.low), (h.term, h.of.high), m, h)
    for k in sorted(ndcg.keys() & mrr.keys()):
        m, n = mrr[k], ndcg[k]
        yield at_most((m.term, m.of.low), (n.term, n.of.high), m, n)


def _gains_between(row: PrintedRow, function: str, weight: str) -> Iterator[Bound]:
    """Yield that new hits at ranks j + 1 to k add between the last and the first rank's weight."""
    values = {k: value for k, value in row.of(function).items() if k in row.hit}
    for j, before, k, after in pairs(values):
        h_j, h_k = row.hit[j], row.hit[k]
        hits, added = h_k.of - h_j.of, after.of - before.of
        least, most = (gain(k), gain(j + 1)) if weight == "g" else (1 / k, 1 / (j + 1))
        new = f"({h_k.term} − {h_j.term})"
        gained = f"{after.term} − {before.term}"
        cells = (after, before, h_k, h_j)
        yield at_most((gained, added.low), (f"{most:.4f} × {new}", most * hits.high), *cells)
        low = least * max(hits.low, 0.0)
        yield at_most((f"{least:.4f} × {new}", low), (gained, added.high), *cells)


@rule("S4", one_target=True, one_epoch=True)
def ndcg_between_cutoffs(row: PrintedRow) -> Iterator[Bound]:
    """Yield that what NDCG gains between two cut-offs fits the hits gained there.

    Notes
    -----
    Demands: g(k) (H_k - H_j) <= N_k - N_j <= g(j + 1) (H_k - H_j) for j < k.
    Source: every new hit has a rank from j + 1 to k and adds the gain of that rank.
    Assumes: each user has one target; one epoch of one model a row.
    """
    yield from _gains_between(row, "ndcg", "g")


@rule("S5", one_target=True, one_epoch=True)
def mrr_between_cutoffs(row: PrintedRow) -> Iterator[Bound]:
    """Yield that what MRR gains between two cut-offs fits the hits gained there.

    Notes
    -----
    Demands: (H_k - H_j) / k <= M_k - M_j <= (H_k - H_j) / (j + 1) for j < k.
    Source: every new hit has a rank from j + 1 to k and adds one over that rank.
    Assumes: each user has one target; one epoch of one model a row.
    """
    yield from _gains_between(row, "mrr", "1/r")


@rule("S6", one_target=True, one_epoch=True)
def ndcg_given_mrr(row: PrintedRow) -> Iterator[Bound]:
    """Yield that NDCG lies between what the MRR of the same hits allows.

    Notes
    -----
    Demands: with m = M / H and k > 1, g(k) + (m - 1/k) (1 - g(k)) / (1 - 1/k) <= N / H <= g
    interpolated at m over the points 1/r, r <= k.
    Source: g is concave in 1/r, so the mean of the points (1/r, g(r)) of the hits lies between the
    chord of the ends and the line through neighbours.
    Assumes: each user has one target; one epoch of one model a row.
    """
    for k, n in row.of("ndcg").items():
        h, m = row.hit.get(k), row.of("mrr").get(k)
        if k == 1 or h is None or m is None:
            continue
        slope = (1 - gain(k)) / (1 - 1 / k)
        rest = gain(k) - slope / k  # positive: the left side grows with H and M alike
        left = f"{rest:.4f} × {h.term} + {slope:.4f} × {m.term}"
        yield at_most((left, rest * h.of.low + slope * m.of.low), (n.term, n.of.high), h, m, n)
        if h.of.high > 0:
            most = h.of.high * highest_ndcg_of_one(m.of.high / h.of.high, k)
            right = f"{h.term} × g at {m.term} / {h.term}"
            yield at_most((n.term, n.of.low), (right, most), n, h, m)


def z_allowed(a: Interval, b: Interval, users: int) -> Interval:
    """Return the z that a paired test of two shares of users can have (rule S8, see `marks`)."""
    low, high = a.low - b.high, min(a.high - b.low, 1.0)
    together = Interval(a.low + b.low, a.high + b.high)
    most = max(min(one, 2 - one) for one in (*_inside(together), together.low, together.high))
    least_z = 0.0
    if low > 0:
        least_z = low * sqrt(users - 1) / sqrt(max(most - low**2, 1e-300))
    if high >= 1 or high <= 0:
        return Interval(least_z, inf if high > 0 else 0.0)
    return Interval(least_z, sqrt(users * high / (1 - high)))


def _inside(sums: Interval) -> Iterator[float]:
    """Yield 1, where min(s, 2 - s) is largest, if it is inside."""
    if sums.low <= 1 <= sums.high:
        yield 1.0
