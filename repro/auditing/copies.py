"""Rules on numbers that stand twice, in the paper or where they come from (P1 to P3)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import combinations

from repro.auditing.findings import Finding, at
from repro.auditing.intervals import TOLERANCE, interval
from repro.auditing.rows import PrintedRow
from repro.auditing.rules import documented
from repro.papers.printed import number_in, unit_in

FEWEST_CELLS, FEWEST_DIGITS = 3, 8
"""Equal rows of fewer cells, or digits in all, are likely chance."""


def same_number(a: str, b: str) -> bool:
    """Return whether two printed numbers can be one number, each rounded to its own digits."""
    return not interval(a).outside(interval(b))


def as_cut(short: str, long: str) -> str:
    """Return how the shorter of two numbers was cut: "truncated", "rounded up" or ""."""
    if float(unit_in(short)) < float(unit_in(long)):
        short, long = long, short
    off = float(number_in(long)) - float(number_in(short))
    if abs(off) >= float(unit_in(short)) - TOLERANCE:
        return ""
    return "truncated" if off > 0 else "rounded up"


def quoted(row: PrintedRow) -> Iterator[Finding | None]:
    """Yield that a quoted number is the one of its source.

    Notes
    -----
    Demands: a quoted number is its source's number, rounded to the printed digits.
    Source: the digits of the source stand in the table file (`source`).
    Assumes: the source's digits were read correctly.
    """
    for cell, original in zip(row.cells, row.source, strict=False):
        if not original:
            continue
        if same_number(cell.printed, original):
            yield None
            continue
        how = as_cut(cell.printed, original)
        yield Finding(
            "", row.table, "P1", "differs", at(row, cell.label),
            f"{row.group_label}, {row.label}, {cell.label}: printed as {cell.printed}, but its "
            f"source ({row.quoted_from}) has {original}"
            f"{f', so it was {how}' if how else ''}",
            rounding="rounded to the nearest digit",
        )  # fmt: skip


documented("P1", quoted)


def plain(label: str) -> str:
    """Return a row's label without citation and case: "H+Vamp (Gated) [9]" is "h+vamp (gated)"."""
    return " ".join(re.sub(r"\[\d+\]", "", label).split()).casefold()


def printed_twice(a: PrintedRow, b: PrintedRow) -> Iterator[Finding | None]:
    """Yield that a model has the same numbers in two tables.

    Notes
    -----
    Demands: one model's number in one metric on one view is the same in every table, as far as the
    digits go.
    Source: it is the same experiment.
    Assumes: equal names mean equal models; columns that vary the model are left out. Where the rows
    are quoted from different sources the difference is notable and no fault.
    """
    theirs = {cell.metric: cell for cell in b.cells}
    shared = [(cell, theirs[cell.metric]) for cell in a.cells if cell.metric in theirs]
    apart = [(one, two) for one, two in shared if not same_number(one.printed, two.printed)]
    if not shared:
        return
    if not apart:
        yield None
        return
    sources = [row.quoted_from for row in (a, b)]
    told = [f" (from {source})" if source else "" for source in sources]
    cells = [f"{one.label} {one.printed} and {two.printed}" for one, two in apart]
    cut = {as_cut(one.printed, two.printed) for one, two in apart}
    how = f"; the shorter is {cut.pop()}" if len(cut) == 1 and "" not in cut else ""
    yield Finding(
        "", b.table, "P2", "notable" if sources[0] and sources[1] and sources[0] != sources[1]
        else "differs",
        tuple(c for one, two in apart for c in (*at(b, two.label), *at(a, one.label))),
        f"{b.group_label}, {b.label}: Table {a.table}{told[0]} and Table {b.table}{told[1]} print "
        f"different numbers: {', '.join(cells)}{how}",
        rounding="rounded to the nearest digit",
    )  # fmt: skip


documented("P2", printed_twice)


def equal_rows(rows: Sequence[PrintedRow]) -> Iterator[Finding]:
    """Yield that no row carries the numbers of another.

    Notes
    -----
    Demands: rows of different names, or on different views, do not agree in every cell, nor in
    every cell after a change of order.
    Source: at least three cells and eight digits are no coincidence.
    Assumes: nothing more. If the name has other numbers in another table the row is mistaken
    ("differs"); else the two may be one model, which is notable.
    """
    for a, b in combinations(rows, 2):
        if plain(a.label) == plain(b.label) and a.view == b.view:
            continue
        numbers = [[cell.printed for cell in row.cells] for row in (a, b)]
        digits = sum(len(text.lstrip("0.").replace(".", "")) for text in numbers[0])
        if len(numbers[0]) < FEWEST_CELLS or digits < FEWEST_DIGITS:
            continue
        if sorted(numbers[0]) != sorted(numbers[1]):
            continue
        ours, theirs = ({cell.metric: cell.printed for cell in row.cells} for row in (a, b))
        if ours.keys() != theirs.keys():
            continue
        order = "" if ours == theirs else ", in another order of columns"
        mistaken = [row for row in (b, a) if _elsewhere(row, rows)]
        one = mistaken[0] if len(mistaken) == 1 else b
        other = a if one is b else b
        apart = f"; Table {_elsewhere(one, rows)} has other numbers for it" if mistaken else ""
        yield Finding(
            "", one.table, "P3", "differs" if mistaken else "notable",
            (*at(one), *at(other)),
            f"{one.group_label}, {one.label}: carries the numbers of {other.label} "
            f"(Table {other.table}, {other.group_label}){order}: "
            f"{' '.join(cell.printed for cell in one.cells)}{apart}",
        )  # fmt: skip


documented("P3", equal_rows)


def _elsewhere(row: PrintedRow, rows: Sequence[PrintedRow]) -> str:
    """Return another table that prints other numbers under this row's name, or ""."""
    own = {cell.metric: cell.printed for cell in row.cells}
    for other in rows:
        same = plain(other.label) == plain(row.label) and other.view == row.view
        theirs = {cell.metric: cell.printed for cell in other.cells}
        if same and other.table != row.table and own.keys() == theirs.keys() and own != theirs:
            return other.table
    return ""
