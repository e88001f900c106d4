"""Freeze: keep the results of runs, and a figure's points, next to the tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from repro.errors import ReproError
from repro.files import write_atomically
from repro.papers import library
from repro.papers.paper import Paper
from repro.results import figures
from repro.results.comparison import compare
from repro.results.frozen import CellKey, Frozen, checked, frozen, save
from repro.runs.records import Record


@dataclass(frozen=True)
class Written:
    """What has been frozen."""

    what: str
    """Numbers or points."""
    count: int
    runs: frozenset[str]
    """The ids of the runs that it came from."""
    dirty: frozenset[str]
    """Those whose code is in no commit."""
    path: Path


def freeze(paper: Paper, records: Iterable[Record], table: str | None = None) -> Written:
    """Write the results of a paper's cells next to its tables.

    Parameters
    ----------
    paper : Paper
        The paper.
    records : iterable of Record
        All there are. Smoke runs never count, nor do runs for a figure or another paper.
    table : str, optional
        One table, by its printed number.

    Raises
    ------
    ReproError
        If there is no record, or the files belong to an installed package.
    """
    known = {record.id: record for record in records}
    every = (library.load(name).experiments for name in library.papers())
    elsewhere = {made.seedless for experiments in every for made in experiments} | paper.recipes
    elsewhere -= {made.seedless for made in paper.experiments}
    rows: list[Frozen] = []
    for number in [table] if table else paper.tables:
        for cell in compare(paper, number, known.values()).cells:
            place = CellKey(cell.table, cell.name, cell.group, cell.label)
            for record in (known[id] for id in cell.runs):
                if record.experiment.seedless not in elsewhere:
                    rows.append(frozen(place, cell.metric, record.result(cell.metric), record))
    if not rows:
        raise ReproError(f"there is no record for {paper.id}", f"repro run {paper.id}")
    path = save(paper.id, rows)
    runs = frozenset(row.experiment for row in rows)
    dirty = frozenset(row.experiment for row in rows if row.dirty)
    return Written("numbers", len(rows), runs, dirty, path)


def freeze_figure(paper: Paper, records: Iterable[Record], number: str) -> Written:
    """Write a figure's points next to the paper's tables.

    Parameters
    ----------
    paper, records
        As in `freeze`.
    number : str
        The figure's printed number.

    Raises
    ------
    ReproError
        If it is a picture, has no record, or the files belong to an installed package.
    """
    if paper.figure(number).kind == "picture":
        raise ReproError(
            f"figure {number} of {paper.id} is a picture of vectors, which are not frozen",
            "repro figure draws it from records",
        )
    points = figures.found(paper, number, records).points
    if not points:
        how = f"repro run {paper.id} --figure {number}"
        raise ReproError(f"there is no record for figure {number} of {paper.id}", how)
    path = checked(figures.file(paper, number))
    write_atomically(path, figures.as_csv(points).encode())
    runs = frozenset(point.experiment for point in points)
    dirty = frozenset(point.experiment for point in points if point.dirty)
    return Written("points", len(points), runs, dirty, path)
