"""A printed row as the rules see it: its numbers by metric and cut-off, and what is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from repro import metrics
from repro.auditing.intervals import Interval, Rounding, share


@dataclass(frozen=True)
class Known:
    """What is known of the test cases of a view."""

    users: int | None = None
    """Test users."""
    users_from: str = ""
    """Who says so."""
    fewest: int = 1
    """Targets of the user who has the fewest; 1 where nobody says."""
    most: int | None = None
    """Targets of the user who has the most."""
    mean: Interval | None = None
    """Targets of a user on average."""
    targets_from: str = ""

    @property
    def one_target(self) -> bool:
        """Whether each user has exactly one target."""
        return self.most == 1


@dataclass(frozen=True)
class Cell:
    """A printed number of a results table."""

    label: str
    metric: str
    """Our metric, such as "ndcg@10"."""
    printed: str

    @cached_property
    def function(self) -> str:
        """The metric without its cut-off."""
        return self.metric.partition("@")[0]

    @cached_property
    def k(self) -> int:
        """The cut-off."""
        return metrics.parse(self.metric)[1]


@dataclass(frozen=True)
class Value:
    """A cell's number as an interval, with a term that names it."""

    term: str
    label: str
    of: Interval


@dataclass(frozen=True)
class PrintedRow:
    """A row of a results table in one column group."""

    table: str
    group: str
    group_label: str
    view: str
    label: str
    cells: tuple[Cell, ...]
    known: Known
    one_epoch: bool
    """Whether all its numbers come from one epoch of one model."""
    quoted_from: str = ""
    source: tuple[str, ...] = ()
    """The digits where it was quoted from, by cell; "" where nobody has looked."""
    errors: tuple[str, ...] = ()
    """Printed standard errors over users, by cell."""
    bold: tuple[str, ...] = ()
    """Labels of the cells in bold."""
    average_of: tuple[str, ...] = ()
    """The rows that it averages, if so."""
    runs: int | None = None
    """How many runs its numbers average, if the paper says so."""
    rounding: Rounding = "rounded"

    def widened(self) -> PrintedRow:
        """Return it as if its numbers had been truncated or rounded up."""
        return replace(self, rounding="cut")

    @cached_property
    def values(self) -> dict[str, dict[int, Value]]:
        """The numbers by metric, without its cut-off, and cut-off."""
        found: dict[str, dict[int, Value]] = {}
        for cell in self.cells:
            value = Value(cell.label, cell.label, share(cell.printed, self.rounding))
            found.setdefault(cell.function, {})[cell.k] = value
        return found

    def of(self, function: str) -> dict[int, Value]:
        """Return the numbers of a metric, by cut-off."""
        return self.values.get(function, {})

    @cached_property
    def hits(self) -> dict[int, list[Value]]:
        """What equals the share of users whose one target is among the first k, by cut-off."""
        found: dict[int, list[Value]] = {}
        for function, factor in OF_ONE_HIT.items():
            for k, value in self.of(function).items():
                by = factor(k)
                term = value.label if by == 1 else f"{by:g} × {value.label}"
                found.setdefault(k, []).append(Value(term, value.label, value.of.times(by)))
        for function in ("ndcg", "mrr"):
            if 1 in self.of(function):
                found.setdefault(1, []).append(self.of(function)[1])
        return dict(sorted(found.items()))

    @cached_property
    def hit(self) -> dict[int, Value]:
        """Of `hits` the narrowest, by cut-off."""
        return {
            k: min(all_, key=lambda one: one.of.high - one.of.low) for k, all_ in self.hits.items()
        }


OF_ONE_HIT: dict[str, Callable[[int], float]] = {
    "hit_rate": lambda k: 1.0,
    "recall": lambda k: 1.0,
    "capped_recall": lambda k: 1.0,
    "precision": float,
    "f1": lambda k: (k + 1) / 2,
    "f1_of_means": lambda k: (k + 1) / 2,
}
"""The factors that turn these metrics at k into the hit rate, with one target a user."""


@dataclass(frozen=True)
class Bound:
    """One inequality between printed numbers: left <= right."""

    says: str
    left: float
    """The least that the left side can be."""
    right: float
    """The most that the right side can be."""
    labels: tuple[str, ...]
    """The cells in it."""


def at_most(left: tuple[str, float], right: tuple[str, float], *values: Value) -> Bound:
    """Return the bound that a left side, named and at its least, is at most a right at its most."""
    labels = tuple(dict.fromkeys(value.label for value in values))
    return Bound(f"{left[0]} ≤ {right[0]}", left[1], right[1], labels)


def pairs(values: dict[int, Value]) -> Iterator[tuple[int, Value, int, Value]]:
    """Yield every two cut-offs j < k with their values."""
    ks = sorted(values)
    for place, j in enumerate(ks):
        for k in ks[place + 1 :]:
            yield j, values[j], k, values[k]
