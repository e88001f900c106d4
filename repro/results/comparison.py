"""A table compared with the records: its cells, rows of ours, and rows set against each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from repro.errors import ReproError
from repro.experiment import Experiment, Spec, loops
from repro.papers import library
from repro.papers.paper import Paper
from repro.papers.rows import Entry
from repro.plugins import MODELS
from repro.results import frozen
from repro.results.differences import Pair, paired
from repro.results.frozen import Frozen, Place
from repro.results.verdicts import OURS, ComparedCell, compared, digest_here, only_frozen, statistic
from repro.runs.records import Record

SHORTENED = ", shortened to "
"""Behind the name of a row that was trained for fewer epochs; behind that, for how many."""


@dataclass(frozen=True)
class ComparedTable:
    """A table, cell by cell."""

    paper: str
    number: str
    caption: str
    note: str
    cells: tuple[ComparedCell, ...]
    notes: tuple[tuple[str, str], ...]
    """Row and note, of rows that have a number of ours, frozen or not."""
    pairs: tuple[Pair, ...] = ()
    """Rows compared user by user."""


def compare(
    paper: Paper,
    number: str,
    records: Iterable[Record],
    *,
    smoke: bool = False,
    against: str = "",
) -> ComparedTable:
    """Return a table's published cells beside ours.

    Parameters
    ----------
    paper : Paper
        The paper.
    number : str
        The table's printed number.
    records : iterable of Record
        All there are.
    smoke : bool
        Look for smoke runs, which otherwise never count.
    against : str
        A row that all others are compared with, user by user, in place of the table's contests.
    """
    table = paper.table(number)
    known: dict[str, list[Record]] = {}
    by_id: dict[str, Record] = {}
    for record in (one for one in records if one.experiment.smoke == smoke):
        by_id[record.id] = record
        known.setdefault(record.experiment.seedless, []).append(record)
    here = cache(digest_here)
    frozen = {} if smoke else _frozen(paper.id, number)
    cells: list[ComparedCell] = []
    notes: list[tuple[str, str]] = []
    for entry in paper.entries(number):
        if table.kind == "statistics":
            made = [statistic(entry, cell) for cell in entry.cells]
        else:
            experiment = _experiment(entry, smoke)
            found = known.get(experiment.seedless, []) if experiment else []
            label = entry.row + OURS if "row" in entry.added else ""
            made = [compared(entry, cell, found, frozen, here, label) for cell in entry.cells]
        cells += made
        if any(cell.ours is not None or cell.reference is not None for cell in made):
            notes += entry.notes
            notes += [(f"{entry.name}, {c.label}", c.note) for c in made if c.note]
    if table.kind == "results":
        cells += _added(paper, number, known, frozen, here, smoke)
    cells += [only_frozen(paper.id, place, rows) for place, rows in frozen.items()]
    cells = [
        cell
        for cell in cells
        if cell.verdict != "ours" or cell.ours is not None or cell.reference is not None
    ]
    rows = {row: n for n, row in enumerate(dict.fromkeys(cell.row for cell in cells))}
    cells.sort(key=lambda cell: rows.get(cell.row.partition(SHORTENED)[0], len(rows)))
    contests = [(contest.row, contest.against) for contest in table.contests]
    if against:
        named = [row.removesuffix(OURS) for row in rows]
        contests = [(row, against) for row in named if row != against]
    return ComparedTable(
        paper.id,
        number,
        table.caption,
        table.note,
        tuple(cells),
        tuple(dict.fromkeys(notes)),
        tuple(_pairs(cells, by_id, contests)),
    )


def _pairs(
    cells: list[ComparedCell], known: dict[str, Record], contests: list[tuple[str, str]]
) -> Iterator[Pair]:
    """Yield the rows that are compared, in each column group where both have records."""
    for group in dict.fromkeys(cell.group for cell in cells):
        found: dict[str, list[Record]] = {}
        for cell in cells:
            if cell.group == group and cell.runs:
                found[cell.row.removesuffix(OURS)] = [known[run] for run in cell.runs]
        columns = {cell.label: cell.metric for cell in cells if cell.group == group}
        for row, against in contests:
            if row in found and against in found:
                made = paired(group, (row, found[row]), (against, found[against]), columns)
                if made:
                    yield made


def _frozen(paper: str, number: str) -> dict[Place, list[Frozen]]:
    """Return a table's frozen results by place."""
    found: dict[Place, list[Frozen]] = {}
    for row in frozen.load(paper):
        if row.table == number:
            found.setdefault(row.place, []).append(row)
    return found


def _experiment(entry: Entry, smoke: bool) -> Experiment | None:
    experiment = entry.experiment()
    return experiment.smoked() if experiment and smoke else experiment


def _added(
    paper: Paper,
    number: str,
    known: dict[str, list[Record]],
    frozen: dict[Place, list[Frozen]],
    here: Callable[[str], str],
    smoke: bool,
) -> list[ComparedCell]:
    """Return the cells of rows that no table of the paper has: other models, other settings."""
    printed = {
        (experiment.smoked() if smoke else experiment).seedless for experiment in paper.experiments
    }
    others = {key: found for key, found in known.items() if key not in printed}
    places: dict[str, list[Entry]] = {}
    for entry in paper.entries(number):
        place = entry.under(Spec("", {}))
        if place:
            key = (place.smoked() if smoke else place).modelless
            places.setdefault(key, []).append(entry)
    cells = []
    for found in others.values():
        about = found[0].experiment
        rows = places.get(about.modelless, [])
        name, params = about.model.name, about.model.params
        whole = rows and all(found[0].has(cell.metric) for cell in rows[0].cells)  # not a figure's
        if whole and name in MODELS:
            shortened = filter(None, (_shortened(row, name, params) for row in rows))
            label = next(shortened, "") or _elsewhere(found[0]) or _label(name, params)
            at = rows[0]
            label = ", ".join([label, *at.apart])
            for cell in at.cells:
                ours = replace(cell, published="", tolerance=None, note="", doubts="")
                cells.append(compared(at, ours, found, frozen, here, label))
    return sorted(cells, key=lambda cell: cell.row)


def _shortened(entry: Entry, name: str, params: Mapping[str, Any]) -> str:
    """Return the label of a row with fewer epochs, if that is what a model is."""
    made = entry.experiment()
    if made is None or made.model.name != name:
        return ""
    full, own = loops(made.model.params), loops(params)
    if made.model.params != {**params, **full} or any(own[key] > n for key, n in full.items()):
        return ""
    fewer = [f"{key} = {own[key]} of {n}" for key, n in full.items() if own[key] < n]
    return f"{entry.row}{SHORTENED}{', '.join(fewer)}" if fewer else ""


def _elsewhere(record: Record) -> str:
    """Return the name of the row of another paper that a record is of; "" if there is none."""
    for name in library.papers():
        with suppress(ReproError):  # its faults are told where that paper is asked for
            if place := library.load(name).rows_of.get(record.experiment.seedless):
                return place + OURS
    return ""


def _label(name: str, params: Mapping[str, Any]) -> str:
    defaults = MODELS.entry(name).defaults()
    changed = [f"{k}={v}" for k, v in params.items() if defaults.get(k) != v]
    return (f"{name} [{', '.join(changed)}]" if changed else name) + OURS
