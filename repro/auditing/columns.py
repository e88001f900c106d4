"""Rules on a table as a whole: what its digits and its columns show (P5, M6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from repro.auditing.findings import Finding, at, half_units
from repro.auditing.rows import PrintedRow, pairs
from repro.auditing.rules import documented
from repro.papers.printed import unit_in

MOSTLY = 0.9
"""The share of a table's numbers that must have the usual number of decimals."""


def decimals(rows: Sequence[PrintedRow]) -> Iterator[Finding]:
    """Yield that the numbers of a table have the same number of decimals.

    Notes
    -----
    Demands: the numbers of a table have the same number of decimals.
    Source: a zero at the end that was dropped, or a digit that was lost.
    Assumes: nothing more; it is notable, and no fault.
    """
    units = Counter(unit_in(cell.printed) for row in rows for cell in row.cells)
    usual, how_many = units.most_common(1)[0]
    if len(units) == 1 or how_many < MOSTLY * units.total():
        return
    for row in rows:
        for cell in row.cells:
            if unit_in(cell.printed) != usual:
                yield Finding(
                    "", row.table, "P5", "notable", at(row, cell.label),
                    f"{row.group_label}, {row.label}, {cell.label}: {cell.printed} is in units of "
                    f"{unit_in(cell.printed)}, the table in units of {usual}",
                )  # fmt: skip


documented("P5", decimals)


def falling_ndcg(rows: Sequence[PrintedRow]) -> Iterator[Finding]:
    """Yield that a falling NDCG shows how its ideal was taken.

    Notes
    -----
    Demands: with an ideal over all targets NDCG never falls; with one over min(k, n) it may.
    Source: the DCG never falls with k, and an ideal over all targets does not depend on k.
    Assumes: nothing more; it is notable, and no fault, as `ndcg` here has an ideal over min(k, n).
    """
    fallen = []
    for row in rows:
        for _, short, _, long in pairs(row.of("ndcg")):
            if short.of.low > long.of.high and not row.known.one_target:
                fallen.append((row, long, short))
    if not fallen:
        return
    of = len(rows)
    how_many = len({id(row) for row, _, _ in fallen})
    row, long, short = fallen[0]
    yield Finding(
        "", row.table, "M6", "notable",
        tuple(cell for r, a, b in fallen for cell in at(r, a.label, b.label)),
        f"{long.term} is below {short.term} in {how_many} of {of} rows, first in {row.label} "
        f"({row.group_label}): the ideal was taken over min(k, targets), not over all targets",
        "NDCG@j ≤ NDCG@k for j < k", short.of.low, long.of.high, rounding=half_units("differs"),
    )  # fmt: skip


documented("M6", falling_ndcg)
