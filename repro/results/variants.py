"""A cell under other readings of its metric: other formulas, cut-offs, denominators.

A record keeps the hits of every test user, so that each reading costs no run. Which of them gives
the printed number may tell what a paper computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from repro import metrics
from repro.metrics import METRICS, Counts, Hits, Values
from repro.papers.printed import number_in, unit_in
from repro.results.differences import standard_error
from repro.runs.records import Record


@dataclass(frozen=True)
class Variant:
    """One reading of a cell's metric, and what it gives."""

    kind: Literal["own", "formula", "cut-off", "denominator", "epoch"]
    """What differs from the cell's own metric."""
    name: str
    """A metric, such as "recall@10", or what is computed, in words."""
    value: float
    """Mean over users and seeds."""
    standard_error: float | None
    """Over users and seeds; null if it is not known."""
    z: float | None
    """How far the value is above the printed number, in standard errors."""
    prints: bool
    """Whether it rounds to the printed digits."""


def judged(
    kind: Literal["own", "formula", "cut-off", "denominator", "epoch"],
    name: str,
    value: float,
    error: float | None,
    published: str,
) -> Variant:
    """Return a reading beside the printed number; "" if nothing is printed."""
    if not published:
        return Variant(kind, name, value, error, None, False)
    printed, half = float(number_in(published)), float(unit_in(published)) / 2
    z = (value - printed) / error if error else None
    return Variant(kind, name, value, error, z, abs(value - printed) <= half * (1 + 1e-9))


def variants(
    metric: str, published: str, records: Sequence[Record], cutoffs: Sequence[int] = ()
) -> tuple[list[Variant], list[str]]:
    """Return the readings of a cell, its own first, then by distance from the printed number.

    Those that give every user the same as the cell's own follow apart, by name.

    Parameters
    ----------
    metric : str
        The cell's own, such as "ndcg@10".
    published : str
        The printed number; "" if there is none.
    records : sequence of Record
        One per seed, with the same test users.
    cutoffs : sequence of int
        Further cut-offs, such as those of the table.
    """
    hits = [record.hits(metric) for record in records if record.keeps(metric)]
    if not hits or any(len(n) != len(hits[0][1]) for _, n in hits):
        return [], []
    width = hits[0][0].shape[1]

    def made(compute: _PerUser) -> Values:
        return np.stack([compute(h, n) for h, n in hits])

    own = made(lambda h, n: metrics.per_user(metric, h, n))
    found, same = [_variant("own", metric, own, published)], []
    for kind, name, compute in _readings(metric, width, cutoffs):
        values = made(compute)
        if np.allclose(values, own, rtol=0, atol=1e-12):
            same.append(name)
        else:
            found.append(_variant(kind, name, values, published))
    target = float(number_in(published)) if published else found[0].value
    return [found[0], *sorted(found[1:], key=lambda one: abs(one.value - target))], same


_PerUser = Callable[[Hits, Counts], Values]
_Kind = Literal["formula", "cut-off", "denominator"]


def _variant(
    kind: Literal["own", "formula", "cut-off", "denominator"],
    name: str,
    values: Values,
    published: str,
) -> Variant:
    return judged(kind, name, float(values.mean()), standard_error(values)[0], published)


def _readings(metric: str, width: int, cutoffs: Sequence[int]) -> list[tuple[_Kind, str, _PerUser]]:
    """Return the other readings of a metric: kind, name, and the values of users."""
    family, k = metric.partition("@")[0], metrics.parse(metric)[1]
    found: list[tuple[_Kind, str, _PerUser]] = []
    for name in METRICS:
        if name != family:
            found.append(("formula", f"{name}@{k}", _named(f"{name}@{k}")))
    for other in sorted({k - 1, k + 1, *cutoffs, 1, 5, 10, 20, 50, 100} - {k}):
        if 1 <= other <= width:
            found.append(("cut-off", f"{family}@{other}", _named(f"{family}@{other}")))
    if family == "ndcg":
        found.append(("denominator", "DCG over the ideal of all targets", _ideal_of_all(k)))
        found.append(("denominator", "DCG over the ideal of the hits found", _ideal_of_hits(k)))
        found.append(("denominator", "DCG without an ideal", lambda h, n: _gains(h, k)))
    if family in ("recall", "capped_recall"):
        found.append(("denominator", "hits of all users over targets of all users", _pooled(k)))
    return found


def _named(metric: str) -> _PerUser:
    return lambda hits, n_targets: metrics.per_user(metric, hits, n_targets)


def _gains(hits: Hits, k: int) -> Values:
    """Return the discounted cumulative gain, per user."""
    reached = hits[:, :k]
    return reached @ (1.0 / np.log2(np.arange(2, reached.shape[1] + 2, dtype=np.float64)))


def _ideal(n: Counts) -> Values:
    """Return the discounted cumulative gain of n hits at the top."""
    most = int(n.max(initial=0))
    gains = 1.0 / np.log2(np.arange(2, most + 2, dtype=np.float64))
    return np.concatenate([[0.0], np.cumsum(gains)])[n]


def _ideal_of_all(k: int) -> _PerUser:
    """Return NDCG as ACVAE prints it (Section 4.4): the ideal does not stop at k."""
    return lambda hits, n_targets: _gains(hits, k) / _ideal(n_targets)


def _ideal_of_hits(k: int) -> _PerUser:
    """Return NDCG with a common fault: the ideal orders only the hits that were found."""

    def compute(hits: Hits, n_targets: Counts) -> Values:
        best = _ideal(hits[:, :k].sum(axis=1))
        return np.divide(_gains(hits, k), best, out=np.zeros(len(hits)), where=best > 0)

    return compute


def _pooled(k: int) -> _PerUser:
    """Return recall over pairs instead of users: its terms average to the ratio of the sums."""

    def compute(hits: Hits, n_targets: Counts) -> Values:
        found, targets = hits[:, :k].sum(axis=1), n_targets.astype(np.float64)
        ratio = found.sum() / targets.sum()
        return ratio + (found - ratio * targets) / targets.mean()  # its expansion: mean and spread

    return compute


def epochs(metric: str, published: str, records: Sequence[Record]) -> list[Variant]:
    """Return the metric at other epochs of the same runs, mean over seeds.

    These are the last evaluation, the best on validation, and the best on test, all of the last
    phase of training; as far as the curves have them. The standard error of the cell's own epoch
    stands for theirs.

    Parameters
    ----------
    metric, published, records
        As in `variants`.
    """
    found: dict[str, list[tuple[float, int]]] = {}
    for record in records:
        phase = record.curve[-1].get("phase") if record.curve else None  # before it nothing counts
        own = [one for one in record.curve if one.get("phase") == phase]
        looks = [one for one in own if metric in one.get("test", {})]
        if not looks:
            continue
        chosen = {"the last epoch": looks[-1]}
        if any(metric in one.get("valid", {}) for one in looks):
            chosen["the best on validation by this metric"] = max(
                (one for one in looks if metric in one.get("valid", {})),
                key=lambda one: one["valid"][metric],
            )
        chosen["the best on test"] = max(looks, key=lambda one: one["test"][metric])
        for name, look in chosen.items():
            found.setdefault(name, []).append((look["test"][metric], look["epoch"]))
    errors = [e for r in records if r.has(metric) and (e := r.result(metric).standard_error)]
    error = float(np.mean(errors)) if errors else None
    made = []
    for name, looks_of in found.items():
        if len(looks_of) == len(records):
            at = sorted({epoch for _, epoch in looks_of})
            when = f"epoch {at[0]}" if len(at) == 1 else f"epochs {at[0]} to {at[-1]}"
            value = float(np.mean([value for value, _ in looks_of]))
            made.append(judged("epoch", f"{name}, {when}", value, error, published))
    return made
