"""A finding: which rule, how bad, which cells, and a bound that a reader can recompute by hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from repro.auditing.rows import PrintedRow

Severity = Literal["impossible", "impossible unless truncated or rounded up", "differs", "notable"]

SEVERITIES: dict[str, str] = {
    "impossible": "no results of any model give these numbers, however their digits were cut",
    "impossible unless truncated or rounded up": "rounded to the nearest digit they cannot be; "
    "off by less than one whole unit of the last digit they can",
    "differs": "the number is another one where it stands a second time or comes from",
    "notable": "no fault, but worth knowing",
}
"""What each severity means, the worst first."""

HARD: tuple[Severity, Severity] = ("impossible", "impossible unless truncated or rounded up")
"""With --strict these count as failures."""


@dataclass(frozen=True)
class At:
    """Where a printed number stands."""

    table: str
    """The table's number, or the section."""
    group: str
    """The column group."""
    row: str
    label: str
    """The metric or statistic, as printed."""
    printed: str


@dataclass(frozen=True)
class Forced:
    """The range that the other cells of a row force on one."""

    label: str
    low: float
    high: float


@dataclass(frozen=True)
class Finding:
    """What a rule found in the print."""

    paper: str
    table: str
    """The table's number, or the section."""
    rule: str
    severity: Severity
    cells: tuple[At, ...]
    """The numbers that the finding rests on, the likeliest fault first."""
    says: str
    """The finding in a sentence."""
    inequality: str = ""
    """What the rule demands of the cells; empty where it compares numbers that should be equal."""
    left: float | None = None
    """The least that the inequality's left side can be."""
    right: float | None = None
    """The most that its right side can be."""
    forced: tuple[Forced, ...] = ()
    """Where one of these cells alone can be at fault: the range that the others force on it."""
    rounding: str = ""
    """How far the printed numbers may be from the true ones, as the finding takes it."""

    def of(self, paper: str) -> Finding:
        """Return it as a finding on a paper."""
        return replace(self, paper=paper)


def at(row: PrintedRow, *labels: str) -> tuple[At, ...]:
    """Return where some cells of a row stand; all of them if none is named."""
    by_label = {cell.label: cell.printed for cell in row.cells}
    return tuple(
        At(row.table, row.group_label, row.label, label, by_label[label])
        for label in labels or by_label
    )


def half_units(severity: Severity) -> str:
    """Return the rounding assumption of a finding on inequalities."""
    nearest = "rounded to the nearest digit, off by half a unit at most"
    also = "; it fails for truncated or rounded up numbers, too, off by less than a unit"
    return nearest + also * (severity == "impossible")
