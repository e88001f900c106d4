"""Frozen counts: ``tables/reference/counts/<paper>.csv``, a line per cell that counts the data.

A table of statistics needs no run, but it needs the data: a fresh clone shows what they gave.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import repro
from repro.data import views
from repro.files import write_atomically
from repro.papers import library
from repro.papers.paper import Paper
from repro.results import frozen


class CountKey(NamedTuple):
    """A count: its table, row and column as printed."""

    table: str
    row: str
    label: str


@dataclass(frozen=True, kw_only=True)
class FrozenCount:
    """One count, and the data that it was taken of."""

    table: str
    row: str
    label: str
    statistic: str
    """As in `repro.data.prepared.Prepared.statistic`."""
    value: float
    dataset: str
    digest: str
    """Of the view's content."""
    verified: bool
    version: str
    """Of this package."""

    @property
    def place(self) -> CountKey:
        """The cell."""
        return CountKey(self.table, self.row, self.label)


def counted(paper: Paper, number: str) -> list[FrozenCount]:
    """Return the counts of a table whose data are in the cache."""
    found = []
    for entry in paper.entries[number]:
        known = None if entry.obstacle() else views.prepared(entry.dataset)
        for cell in entry.cells if known else ():
            assert known is not None
            found.append(
                FrozenCount(
                    table=number,
                    row=entry.row,
                    label=cell.label,
                    statistic=cell.metric,
                    value=known.statistic(cell.metric),
                    dataset=entry.dataset,
                    digest=known.digest,
                    verified=known.verified,
                    version=repro.__version__,
                )
            )
    return found


def file(paper: str) -> Path:
    """Return where a paper's frozen counts are: next to its tables."""
    return library.load(paper).path.parent / "reference" / "counts" / f"{paper}.csv"


def load(paper: str) -> dict[CountKey, FrozenCount]:
    """Return a paper's frozen counts.

    Raises
    ------
    ReproError
        If a line does not fit; the message names file and line.
    """
    return {row.place: row for row in frozen.read(file(paper), FrozenCount)}


def save(paper: str, counts: Iterable[FrozenCount]) -> Path:
    """Add counts to the file; those of the same cell are replaced.

    Raises
    ------
    ReproError
        If the file belongs to an installed package.
    """
    kept = load(paper) | {row.place: row for row in counts}
    path = frozen.checked(file(paper))
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [kept[key] for key in sorted(kept)]
    write_atomically(path, frozen.written(rows, FrozenCount).encode())
    return path


def of_dataset(dataset: str, statistic: str) -> FrozenCount | None:
    """Return a frozen count of a view that any paper's table has; None if there is none."""
    for paper in library.readable():
        for row in load(paper.id).values():
            if (row.dataset, row.statistic) == (dataset, statistic):
                return row
    return None
