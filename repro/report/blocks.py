"""A comparison in blocks that fit a page: column groups side by side, or one below the other."""

from __future__ import annotations

from dataclasses import dataclass

from repro.papers.printed import number_in
from repro.report.site.looks import number
from repro.report.tables import WIDEST
from repro.results.comparison import ComparedTable
from repro.results.frozen import RowName
from repro.results.significance import at_most, holm
from repro.results.verdicts import ComparedCell

LEVELS = (0.05, 0.01, 0.001)
"""Of the stars."""


@dataclass(frozen=True)
class Block:
    """Some column groups side by side."""

    groups: list[tuple[str, int]]
    """Label and number of columns."""
    labels: list[str]
    """Of the columns."""
    rows: list[tuple[RowName, list[ComparedCell | None]]]

    def best(self, column: int, printed: bool) -> str:
        """Return the highest number of a column as it is printed; "" in a table of counts."""
        shown = [
            text(cell, printed)
            for _, cells in self.rows
            if (cell := cells[column]) and "@" in cell.metric
        ]
        return max((one for one in shown if one), key=number_in, default="")


def text(cell: ComparedCell, printed: bool) -> str:
    """Return the printed number or ours, as text; "" if there is none."""
    return cell.published if printed else number(cell.value, cell)


def blocks(table: ComparedTable) -> list[Block]:
    """Return a table's column groups: together if their columns fit side by side."""
    labels: dict[str, dict[str, None]] = {}
    by_place: dict[tuple[RowName, str, str], ComparedCell] = {}
    for cell in table.cells:
        labels.setdefault(cell.group, {})[cell.label] = None
        by_place[cell.name, cell.group, cell.label] = cell
    fits = sum(map(len, labels.values())) <= WIDEST
    names = dict.fromkeys(cell.name for cell in table.cells)
    made = []
    for groups in [list(labels)] if fits else [[group] for group in labels]:
        places = [(group, label) for group in groups for label in labels[group]]
        rows = [(name, [by_place.get((name, *place)) for place in places]) for name in names]
        made.append(
            Block(
                [(group, len(labels[group])) for group in groups],
                [label for _, label in places],
                [(name, cells) for name, cells in rows if any(cells)],
            )
        )
    return made


def stars(table: ComparedTable) -> dict[tuple[RowName, str, str], int]:
    """Return how many stars each number of ours has, by row, column group and metric.

    A row has stars where it is above every row that it is compared with user by user: one at 5 %,
    two at 1 %, three at 0.1 %, two-sided, corrected by Holm for all comparisons of the table.
    """
    tests = [
        (pair, one, 2 * at_most(one.value, one.standard_error, one.df))
        for pair in table.pairs
        for one in pair.differences
        if one.standard_error
    ]
    found: dict[tuple[RowName, str, str], int] = {}
    for (pair, one, _), p in zip(tests, holm([min(1.0, p) for *_, p in tests]), strict=True):
        place = pair.row, pair.group, one.label
        n = sum(p < level for level in LEVELS) if one.value > 0 else 0
        found[place] = min(n, found.get(place, n))
    return {place: n for place, n in found.items() if n}
