"""Inequalities for any number of targets a user.

P is precision at k, R recall, C capped recall, H hit rate, N NDCG, M MRR, F the mean of the users'
own F1, F* the F1 of mean precision and mean recall; n is the number of a user's targets, g(r) =
1 / log2(r + 1), and I(m) the sum of g(r) for r <= m.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import log2, sqrt

from repro.auditing.gains import first, gain, highest_ndcg, last
from repro.auditing.intervals import share
from repro.auditing.rows import Bound, PrintedRow, Value, at_most, pairs
from repro.auditing.rules import rule

F1 = ("f1", "f1_of_means")


def _below(small: Value, large: Value, factor: float = 1.0) -> Bound:
    right = large.term if factor == 1 else f"{factor:.5g} × {large.term}"
    return at_most((small.term, small.of.low), (right, factor * large.of.high), small, large)


@rule("M0", one_target=False)
def same_at_one(row: PrintedRow) -> Iterator[Bound]:
    """Yield that at cut-off 1 most metrics are the same number.

    Notes
    -----
    Demands: at 1 P = H = N = C = M, and R <= F, F* <= P.
    Source: the formulas of `repro.metrics` at k = 1; F1 lies between precision and recall.
    Assumes: nothing more.
    """
    at_one = {name: values[1] for name, values in row.values.items() if 1 in values}
    same = [
        at_one[n] for n in ("precision", "hit_rate", "ndcg", "capped_recall", "mrr") if n in at_one
    ]
    for one in same:
        yield from (_below(one, other) for other in same if other is not one)
        yield from (_below(at_one[name], one) for name in (*F1, "recall") if name in at_one)
    if "recall" in at_one:
        yield from (_below(at_one["recall"], at_one[name]) for name in F1 if name in at_one)


@rule("M1", one_target=False)
def over_cutoffs(row: PrintedRow) -> Iterator[Bound]:
    """Yield that a longer list has no fewer hits, and not many more.

    Notes
    -----
    Demands: R, H, M never fall; j P_j <= k P_k <= j P_j + k - j; C_k >= (j/k) C_j; N_k >= N_j I(j)
    / I(k), for j < k. N, P, C and F may fall.
    Source: hits and DCG never fall, one rank adds at most one hit, and the ideal grows at most from
    j to k targets.
    Assumes: nothing more.
    """
    for name in ("recall", "hit_rate", "mrr"):
        for _, short, _, long in pairs(row.of(name)):
            yield _below(short, long)
    for j, short, k, long in pairs(row.of("precision")):
        yield _below(short, long, k / j)
        left = f"{k} × {long.term}"
        right = f"{j} × {short.term} + {k - j}"
        yield at_most((left, k * long.of.low), (right, j * short.of.high + k - j), long, short)
    for j, short, k, long in pairs(row.of("capped_recall")):
        yield _below(short, long, k / j)
    for j, short, k, long in pairs(row.of("ndcg")):
        yield _below(short, long, first(k) / first(j))


@rule("M2", one_target=False)
def counts_of_hits(row: PrintedRow) -> Iterator[Bound]:
    """Yield that metrics that count hits in different ways fit together.

    Notes
    -----
    Demands: P <= H <= k P; R <= k P; P, R <= C <= H; C <= P + R; H / k <= M <= H; k P <= the mean
    number of targets.
    Source: a user has at most min(k, n) hits; C = hits / min(k, n) = max(P, R) of that user.
    Assumes: nothing more; the last one, that the mean number of targets is known.
    """
    p, r, c, h, m = (
        row.of(name) for name in ("precision", "recall", "capped_recall", "hit_rate", "mrr")
    )
    orders = [
        (p, h, False),
        (h, p, True),
        (r, p, True),
        (p, c, False),
        (r, c, False),
        (c, h, False),
    ]
    orders += [(m, h, False), (h, m, True), (r, h, False)]
    for small, large, by_k in orders:
        for k in sorted(small.keys() & large.keys()):
            yield _below(small[k], large[k], k if by_k else 1.0)
    for k in sorted(p.keys() & r.keys() & c.keys()):
        both = f"{p[k].term} + {r[k].term}"
        most = p[k].of.high + r[k].of.high
        yield at_most((c[k].term, c[k].of.low), (both, most), c[k], p[k], r[k])
    if row.known.mean:
        for k, one in p.items():
            mean = row.known.mean.high
            yield at_most((f"{k} × {one.term}", k * one.of.low), (f"{mean:g} targets", mean), one)


@rule("M3", one_target=False)
def f1_of_users(row: PrintedRow) -> Iterator[Bound]:
    """Yield that the mean of the users' F1 fits recall and precision.

    Notes
    -----
    Demands: 2 a R / (k + a) <= F <= 2 k P / (k + a), where no user has fewer than a targets.
    Source: a user's F1 is 2 hits / (k + n), with hits = n R = k P.
    Assumes: a = 1 where nobody says how many targets users have.
    """
    fewest = row.known.fewest
    for k, f in row.of("f1").items():
        if r := row.of("recall").get(k):
            factor = 2 * fewest / (k + fewest)
            left = f"{factor:.4f} × {r.term}"
            yield at_most((left, factor * r.of.low), (f.term, f.of.high), r, f)
        if p := row.of("precision").get(k):
            yield _below(f, p, 2 * k / (k + fewest))


@rule("M3+", one_target=False, one_epoch=True)
def f1_of_the_same_hits(row: PrintedRow) -> Iterator[Bound]:
    """Yield that the mean of the users' F1 is above the smaller of precision and recall.

    Notes
    -----
    Demands: P + R - C <= F.
    Source: for a user P + R - C = hits / max(k, n) <= 2 hits / (k + n).
    Assumes: one epoch of one model a row.
    """
    p, r, c, f = (row.of(name) for name in ("precision", "recall", "capped_recall", "f1"))
    for k in sorted(p.keys() & r.keys() & c.keys() & f.keys()):
        left = f"{p[k].term} + {r[k].term} − {c[k].term}"
        least = p[k].of.low + r[k].of.low - c[k].of.high
        yield at_most((left, least), (f[k].term, f[k].of.high), p[k], r[k], c[k], f[k])


@rule("M3b", one_target=False)
def f1_of_means(row: PrintedRow) -> Iterator[Bound]:
    """Yield that the F1 of means is at least the mean of F1, and at most what the means give.

    Notes
    -----
    Demands: F <= F* <= 2 P R / (P + R); F* <= 2 k P / (k + 1).
    Source: the harmonic mean is concave, so averaging first never lowers it, over users or over
    seeds; R <= k P.
    Assumes: nothing more.
    """
    p, r, f, star = (row.of(name) for name in ("precision", "recall", "f1", "f1_of_means"))
    for k, one in star.items():
        if k in f:
            yield _below(f[k], one)
        if k in p:
            yield _below(one, p[k], 2 * k / (k + 1))
            if k in r:
                a, b = p[k].of.high, r[k].of.high
                most = 2 * a * b / (a + b) if a + b else 0.0
                right = f"2 × {p[k].term} × {r[k].term} / ({p[k].term} + {r[k].term})"
                yield at_most((one.term, one.of.low), (right, most), one, p[k], r[k])


@rule("M4", one_target=False)
def ndcg_given_hits(row: PrintedRow) -> Iterator[Bound]:
    """Yield that NDCG fits the number of hits.

    Notes
    -----
    Demands: g(k) C, g(k) H / I(k), M / I(k), L_k(k P) / I(k) <= N <= H, U_k(C); F, F* <= N log2(k +
    1); N <= I(k P) / I(k) where every user has at least k targets. L_k(h): the gains of the last h
    of k ranks. U_k: the upper hull of the points (h/m, I(h)/I(m)), 0 <= h <= m <= k.
    Source: DCG is least with all hits at the end and most with all at the top; the ideal is
    I(min(k, n)); means over users lie in hulls. I(k C) / I(k) is no upper bound from k = 7 on.
    Assumes: the ideal counts min(k, n) targets. N above U_k(C) but below H is what an ideal over
    the hits found leaves behind.
    """
    p, c, h, m = (row.of(name) for name in ("precision", "capped_recall", "hit_rate", "mrr"))
    for k, n in row.of("ndcg").items():
        ideal, end = first(k), (n.term, n.of.high)
        for values, factor in ((c, gain(k)), (h, gain(k) / ideal), (m, 1 / ideal)):
            if one := values.get(k):
                yield at_most((f"{factor:.4f} × {one.term}", factor * one.of.low), end, one, n)
        if k in h:
            yield _below(n, h[k])
        if k in c:
            most = (f"U_{k}({c[k].term})", highest_ndcg(c[k].of.high, k))
            yield at_most((n.term, n.of.low), most, n, c[k])
        if k in p:
            least = last(k * p[k].of.low, k) / ideal
            yield at_most((f"L_{k}({k} × {p[k].term}) / {ideal:.4f}", least), end, p[k], n)
            if row.known.fewest >= k:
                most = (f"I({k} × {p[k].term}) / {ideal:.4f}", first(k * p[k].of.high) / ideal)
                yield at_most((n.term, n.of.low), most, n, p[k])
        for name in F1:
            if f := row.of(name).get(k):
                yield _below(f, n, log2(k + 1))


@rule("M5", one_target=False)
def error_given_mean(row: PrintedRow) -> Iterator[Bound]:
    """Yield that a standard error over users is at most what numbers between 0 and 1 allow.

    Notes
    -----
    Demands: error <= sqrt(x (1 - x) / (n - 1)) for a mean of x over n users; for the hit
    rate of one run also error >= sqrt(x (1 - x) / n).
    Source: the variance of numbers in [0, 1] with mean x is at most x (1 - x), and equal to it if
    all are 0 or 1.
    Assumes: the error is one over users, of one run or averaged over runs; F* is left out, which is
    no mean over users.
    """
    n = row.known.users
    if n is None or n < 2:
        return
    for cell, error in zip(row.cells, row.errors, strict=False):
        if not error or cell.function == "f1_of_means":
            continue
        x, spread = share(cell.printed, row.rounding), share(error, row.rounding)
        value = Value(cell.label, cell.label, x)
        ends = [x.low * (1 - x.low), x.high * (1 - x.high)]
        most = sqrt((0.25 if x.low <= 0.5 <= x.high else max(ends)) / (n - 1))
        term = f"the standard error of {cell.label}"
        yield at_most((term, spread.low), (f"sqrt(x (1 − x) / {n - 1})", most), value)
        if cell.function == "hit_rate" and row.runs == 1:
            least = sqrt(max(min(ends), 0.0) / n)
            yield at_most((f"sqrt(x (1 − x) / {n})", least), (term, spread.high), value)
