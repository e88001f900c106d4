"""Freeze: keep the results of runs, and a figure's points, next to the tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from repro.errors import ReproError
from repro.files import write_atomically
from repro.papers import library
from repro.papers.paper import Paper
from repro.results import evidence, figures, frozen_counts
from repro.results.comparison import compare
from repro.results.frozen import CellKey, Frozen, checked, file, frozen, save
from repro.runs.records import FILE, Record
from repro.runs.records import load as load_record
from repro.runs.sealed import REMEDY
from repro.runs.verify import verify


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
    """Write the results of a paper's cells, and counts of the data here, next to its tables.

    Parameters
    ----------
    paper : Paper
        The paper.
    records : iterable of Record
        All there are. Smoke runs never count, nor do runs for a figure or another paper, nor
        scores from a file.
    table : str, optional
        One table, by its printed number.

    Raises
    ------
    ReproError
        If there is no record, a record's results do not fit its hits, or the files belong to an
        installed package.
    """
    known = {record.id: record for record in records}
    every = (one.experiments for one in library.readable())
    elsewhere = {made.seedless for experiments in every for made in experiments} | paper.recipes
    elsewhere -= {made.seedless for made in paper.experiments}
    checked(file(paper.id))
    rows: list[Frozen] = []
    kept = cache(lambda id: evidence.save(paper.id, whole(id)))
    whole = cache(lambda id: verified(known[id].path))  # read once, whatever its cells
    numbers = [table] if table else list(paper.tables)
    counts = [
        one
        for number in numbers
        if paper.table(number).kind == "statistics"
        for one in frozen_counts.counted(paper, number)
    ]
    for number in numbers:
        for cell in compare(paper, number, known.values()).cells:
            place = CellKey(cell.table, cell.name, cell.group, cell.label)
            for id in cell.runs:
                own = known[id].experiment
                if own.seedless not in elsewhere and not own.external:
                    record = whole(id)
                    result = record.result(cell.metric)
                    rows.append(frozen(place, cell.metric, result, record, kept(id)))
    if counts:
        path = frozen_counts.save(paper.id, counts)
    if not rows and not counts:
        raise ReproError(f"there is no record for {paper.id}", f"repro run {paper.id}")
    if rows:
        path = save(paper.id, rows)
        evidence.tidy(paper.id)
    runs = frozenset(row.experiment for row in rows)
    dirty = frozenset(row.experiment for row in rows if row.dirty)
    return Written("numbers", len(rows) + len(counts), runs, dirty, path)


def verified(folder: Path) -> Record:
    """Return the record in a folder, read from its file.

    Raises
    ------
    ReproError
        If its results do not fit its hits and its curve.
    """
    record = load_record(folder)
    if faults := verify(record).faults:
        raise ReproError(f"{folder / FILE} cannot be frozen: {faults[0]}", REMEDY)
    return record


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
    every = list(records)
    points = figures.found(paper, number, every).points
    if not points:
        how = f"repro run {paper.id} --figure {number}"
        raise ReproError(f"there is no record for figure {number} of {paper.id}", how)
    known = {record.id: record for record in every}
    for id in {point.experiment for point in points} & known.keys():
        verified(known[id].path)
    path = checked(figures.file(paper, number))
    write_atomically(path, figures.as_csv(points).encode())
    runs = frozenset(point.experiment for point in points)
    dirty = frozenset(point.experiment for point in points if point.dirty)
    return Written("points", len(points), runs, dirty, path)
