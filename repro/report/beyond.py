"""What rows recommend, as text: a table for each column group, then users by activity."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from tabulate import tabulate

from repro.report.tables import row_name
from repro.results.beyond import Beyond
from repro.text import one_line

EXPLAINED = """\
- coverage: share of all items that are in somebody's list
- mean popularity: mean share of training users who have a recommended item
- novelty: mean of -log2 of that share, in bits
- long tail: share of recommended items outside the fewest that hold 80 % of training interactions
- overlap: mean over users of shared items over all items of both lists
- users by activity: groups by the length of the history, the shortest first"""


def text(found: Sequence[Beyond]) -> str:
    """Return what rows recommend, for people."""
    parts = []
    for _, rows_of in groupby(found, lambda one: (one.paper, one.table, one.group)):
        rows = list(rows_of)
        first = rows[0]
        title = f"{first.paper}, Table {first.table}, {first.group}: the first {first.k} ranks"
        parts += [one_line(title), ""]
        named = [(one_line(row_name(one.row)), one) for one in rows]
        head = ["", *first.measures]
        lines = [[name, *(f"{v:.4f}" for v in one.measures.values())] for name, one in named]
        parts += [_grid(lines, head), ""]
        if any(one.overlap for one in rows):
            others = [one.row.row for one in rows]
            lines = [
                [name, *(f"{one.overlap[o]:.3f}" if o in one.overlap else "" for o in others)]
                for name, one in named
            ]
            parts += [_grid(lines, ["overlap with", *map(one_line, others)]), ""]
        served = [one for one in rows if one.by_activity]
        if served:
            lengths = [f"{g.least} to {g.most}" for g in served[0].by_activity]
            lines = [
                [one_line(row_name(one.row)), *(f"{g.value:.4f}" for g in one.by_activity)]
                for one in served
            ]
            parts += [
                _grid(lines, [one_line(f"{first.metric} by items in the history"), *lengths]),
                "",
            ]
    return "\n".join([*parts, EXPLAINED])


def _grid(rows: list[list[str]], head: list[str]) -> str:
    return tabulate(rows, head, tablefmt="simple", disable_numparse=True)
