"""Verify a record: what it says is what its hits give."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from repro import metrics
from repro.errors import ReproError
from repro.interactions import IntArray
from repro.metrics import Hits, Result
from repro.runs.record import Record

RELATIVE = 1e-12
"""Numpy's logarithms and sums differ in the last digits between processors and versions; any edit
that can be seen in a table is far larger."""


@dataclass
class Verified:
    """What the hits of a record say of its results."""

    faults: list[str] = field(default_factory=list)
    recomputed: int = 0
    """Results that the hits give, value and standard error."""
    followed: int = 0
    """Results at an epoch whose hits are not kept, which the curve gives; without the error."""
    n_results: int = 0

    @property
    def coverage(self) -> str:
        """How many results were compared, and with what, in words."""
        said = [f"{self.recomputed} of {self.n_results} results recomputed from hits"]
        return ", ".join(said + [f"{self.followed} found in the curve"] * bool(self.followed))


def verify(record: Record) -> Verified:
    """Compare a record's results with its hits and its curve.

    With "test:each" every metric has its own best epoch. A record of version 0.2 kept the hits of
    one epoch: the results of others are compared with the curve, their standard errors with
    nothing.

    Parameters
    ----------
    record : Record
        As `repro.runs.records.load` returns it.
    """
    found = Verified(n_results=len(record.results))
    try:
        hits, n_targets = record.hits()
        record.embeddings()
    except ReproError as error:
        found.faults.append(error.message)
        return found
    found.faults += _impossible(record, hits, n_targets)
    if found.faults:
        return found
    for metric, result in record.results.items():
        seen = seen_at(record, metric, result.epoch)
        if seen and result.value not in seen:
            found.faults.append(_off(metric, result, seen))
        if record.keeps(metric) and (result.epoch == record.epoch or _is_each(record)):
            found.recomputed += 1
            found.faults += _different(metric, result, *record.hits(metric))
        elif not _is_each(record):
            found.faults.append(f"results.{metric} is of epoch {result.epoch}, not {record.epoch}")
        elif seen:
            found.followed += 1
        else:
            found.faults.append(f"results.{metric}: the curve lacks epoch {result.epoch}")
    return found


def seen_at(record: Record, metric: str, epoch: int) -> list[float]:
    """Return what the curve has of a test metric at an epoch, of each phase that reached it."""
    return [
        entry["test"][metric]
        for entry in record.curve
        if entry["epoch"] == epoch and metric in entry.get("test", {})
    ]


def off_curve(record: Record) -> str:
    """Return how a result is not what its own curve has; "" if all are, or it has no curve."""
    for metric, result in record.results.items():
        seen = seen_at(record, metric, result.epoch)
        if seen and result.value not in seen:
            return _off(metric, result, seen)
    return ""


def _off(metric: str, result: Result, seen: list[float]) -> str:
    return (
        f"results.{metric}.value is {result.value}, and the curve has "
        f"{' or '.join(map(str, seen))} at epoch {result.epoch}"
    )


def _is_each(record: Record) -> bool:
    return record.experiment.selection.each


def _impossible(record: Record, hits: Hits, n_targets: IntArray) -> Iterator[str]:
    """Yield how the hits cannot be those of the record."""
    if len(hits) != record.n_users:
        yield f"n_users is {record.n_users}, and there are hits of {len(hits)} users"
    elif not len(hits) or n_targets.min() < 1 or bool(np.any(hits.sum(axis=1) > n_targets)):
        yield "there are users without a target, or with more hits than targets"


def _different(metric: str, said: Result, hits: Hits, n_targets: IntArray) -> Iterator[str]:
    """Yield how a result differs from what the hits give."""
    try:
        values = metrics.per_user(metric, hits, n_targets)
    except ReproError as error:  # no such metric
        yield f"results.{metric}: {error.message}"
        return
    own = {"value": float(values.mean()), "standard_error": metrics.standard_error(values)}
    for name, there in own.items():
        here = getattr(said, name)
        if here is None or there is None:
            same = here is there
        else:
            same = math.isclose(here, there, rel_tol=RELATIVE, abs_tol=RELATIVE)
        if not same:
            yield f"results.{metric}.{name} is {here}, and the hits give {there}"
