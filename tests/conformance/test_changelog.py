"""CHANGELOG.md, Results: every frozen row is told, and nothing that is not frozen or printed."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from statistics import fmean

from repro.papers import library
from repro.results.frozen import load

TEXT = (Path(__file__).parents[2] / "CHANGELOG.md").read_text(encoding="utf-8")
NEWEST = re.split("^## ", TEXT, flags=re.MULTILINE)[1]
"""The release to come; rows of those before may have moved since."""

Row = tuple[float, ...]


def numbers(text: str) -> Row:
    """Return the numbers below 1 with decimals, whether 0.05 or .05."""
    return tuple(float(number) for number in re.findall(r"(?<![\d.])0?\.\d+", text))


def frozen() -> dict[str, set[Row]]:
    """Return the frozen rows by group and row, to four digits; the mean where there are seeds."""
    values = defaultdict(list)
    for paper in library.papers():
        for cell in load(paper):
            values[paper, cell.table, f"{cell.group}, {cell.row}", cell.label].append(cell.value)
    found = defaultdict(set)
    for paper, table, name in {key[:3] for key in values}:
        columns = library.load(paper).table(table).metrics
        means = (fmean(values[paper, table, name, column]) for column in columns)
        found[name].add(tuple(float(f"{mean:.4f}") for mean in means))
    return found


def printed() -> dict[str, set[Row]]:
    found = defaultdict(set)
    for paper in library.papers():
        for table in library.load(paper).tables:
            for entry in library.load(paper).entries(table):
                row = numbers(" ".join(cell.published for cell in entry.cells))
                found[f"{entry.group_label}, {entry.row}"].add(row)
    return found


def test_every_frozen_row_is_told() -> None:
    told = f" {' '.join(map(str, numbers(TEXT)))} "
    for name, rows in frozen().items():
        assert all(f" {' '.join(map(str, row))} " in told for row in rows), name


def test_the_tables_tell_what_is_frozen_and_printed() -> None:
    ours, theirs, row = frozen(), printed(), ""
    for line in re.findall(r"^\|.*(?:published|ours).*$", NEWEST, re.MULTILINE):
        _, name, whose, told, _ = (cell.strip() for cell in line.split("|"))
        row = name.removesuffix(" `[u]`") or row
        known = theirs[row] if whose == "published" else ours[row]
        if name and whose != "published":  # a name of its own, as for a view or a row that is added
            known = set().union(*ours.values())
        assert numbers(told.partition(":")[0]) in known, line
