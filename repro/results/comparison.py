"""A table compared with the records: its cells, further rows, and rows compared in pairs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property

from repro.errors import ReproError, unknown
from repro.experiment import Experiment, Spec, loops
from repro.papers import library
from repro.papers.claims import label_of
from repro.papers.paper import Paper
from repro.papers.rows import Entry
from repro.plugins import MODELS
from repro.results.claims.judge import JudgedClaim, judge
from repro.results.differences import Pair, paired
from repro.results.frozen import CellKey, Frozen, RowName, load
from repro.results.verdicts import ComparedCell, compared, digest_here, only_frozen, statistic
from repro.runs.records import Record


@dataclass(frozen=True)
class ComparedTable:
    """A table, cell by cell."""

    paper: str
    number: str
    caption: str
    note: str
    cells: tuple[ComparedCell, ...]
    notes: tuple[tuple[str, str], ...]
    """Row and note, of rows for which our runs have a number, frozen or not."""
    pairs: tuple[Pair, ...] = ()
    """Rows compared user by user."""
    claims: tuple[JudgedClaim, ...] = ()
    """The claims that rest on the table; only where all tables are compared."""


def compare_all(
    papers: Iterable[Paper],
    records: Iterable[Record],
    *,
    table: str | None = None,
    smoke: bool = False,
    against: str = "",
) -> list[ComparedTable]:
    """Return the tables of several papers, or one by its number, with our numbers.

    Parameters
    ----------
    papers : iterable of Paper
        Whose tables.
    records, smoke, against
        As in `compare`.
    table : str, optional
        One table, by its printed number.

    Raises
    ------
    ReproError
        If no paper has the table, or no table the row.
    """
    every = list(records)
    asked = library.numbered(list(papers), table)
    claims = judge({paper.id: paper for paper, _ in asked}.values(), every, table)
    found = [
        replace(
            compare(paper, number, every, smoke=smoke, against=against),
            claims=tuple(c for c in claims if c.paper == paper.id and number in c.tables),
        )
        for paper, number in asked
    ]
    rows = {cell.row for one in found for cell in one.cells}
    if against and against not in rows:
        raise unknown("row", against, rows)
    return found


def compare(
    paper: Paper,
    number: str,
    records: Iterable[Record],
    *,
    smoke: bool = False,
    against: str = "",
) -> ComparedTable:
    """Return a table's published cells with our numbers.

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
        A row that all others are compared with, user by user, instead of the pairs of claims.
    """
    table = paper.table(number)
    known = _Known(paper, number, [r for r in records if r.experiment.smoke == smoke], smoke)
    cells, notes = _own(known)
    if table.kind == "results":
        cells += _others(known)
    cells += [only_frozen(paper.id, place, rows) for place, rows in known.frozen.items()]
    cells = [cell for cell in cells if cell.verdict != "ours" or cell.value is not None]
    rows = {row: n for n, row in enumerate(dict.fromkeys(cell.row for cell in cells))}
    cells.sort(key=lambda cell: rows[cell.row])
    whole = {cell.row: cell.name for cell in reversed(cells) if not cell.shortened}
    asked = [pair for pair in _claimed(paper) if set(pair) <= whole.keys()]
    contests = [(whole[row], whole[other]) for row, other in asked]
    if against:
        names = dict.fromkeys(cell.name for cell in cells if against in whole)
        contests = [(name, whole[against]) for name in names if name != whole[against]]
    return ComparedTable(
        paper.id,
        number,
        table.caption,
        table.note,
        tuple(cells),
        tuple(dict.fromkeys(notes)),
        tuple(_pairs(cells, known.by_id, contests)),
    )


def _claimed(paper: Paper) -> list[tuple[str, str]]:
    """Return the pairs of rows that claims of the paper compare, each once."""
    pairs = [
        (label_of(row), label_of(other))
        for claim in paper.claims
        if claim.kind != "equal"
        for row, other in claim.pairs
    ]
    once = {frozenset(pair): pair for pair in reversed(pairs) if len(set(pair)) == 2}
    return list(reversed(once.values()))


@dataclass(frozen=True)
class _Known:
    """What there is to compare a table with."""

    paper: Paper
    number: str
    records: list[Record]
    smoke: bool

    @cached_property
    def by_id(self) -> dict[str, Record]:
        return {record.id: record for record in self.records}

    @cached_property
    def by_experiment(self) -> dict[str, list[Record]]:
        """The runs of all seeds of an experiment, by `Experiment.seedless`."""
        found: dict[str, list[Record]] = {}
        for record in self.by_id.values():
            found.setdefault(record.experiment.seedless, []).append(record)
        return found

    @cached_property
    def frozen(self) -> dict[CellKey, list[Frozen]]:
        """The table's frozen results; a cell that shows one takes it out."""
        found: dict[CellKey, list[Frozen]] = {}
        for row in [] if self.smoke else load(self.paper.id):
            if row.table == self.number:
                found.setdefault(row.place, []).append(row)
        return found

    def run(self, experiment: Experiment) -> Experiment:
        """Return what was run for an experiment: the same, or its smoke run."""
        return experiment.smoked() if self.smoke else experiment


def _own(known: _Known) -> tuple[list[ComparedCell], list[tuple[str, str]]]:
    """Return the cells of the table's rows, added rows included, and their notes."""
    here = cache(digest_here)
    cells: list[ComparedCell] = []
    notes: list[tuple[str, str]] = []
    for entry in known.paper.entries[known.number]:
        if known.paper.table(known.number).kind == "statistics":
            made = [statistic(entry, cell) for cell in entry.cells]
        else:
            experiment = entry.experiment()
            key = known.run(experiment).seedless if experiment else ""
            found = known.by_experiment.get(key, [])
            name = RowName(entry.row, "added" if "row" in entry.added else "paper")
            made = [compared(entry, cell, found, known.frozen, here, name) for cell in entry.cells]
        cells += made
        if any(cell.value is not None for cell in made):
            notes += entry.notes
            notes += [(f"{entry.name}, {c.label}", c.note) for c in made if c.note]
    return cells, notes


def _others(known: _Known) -> list[ComparedCell]:
    """Return the cells of rows that no table of the paper has: other models, other settings."""
    here = cache(digest_here)
    printed = {known.run(experiment).seedless for experiment in known.paper.experiments}
    places: dict[str, list[Entry]] = {}
    for entry in known.paper.entries[known.number]:
        if place := entry.under(Spec("", {})):
            places.setdefault(known.run(place).modelless, []).append(entry)
    cells = []
    for key, found in known.by_experiment.items():
        run = found[0].experiment
        rows = places.get(run.modelless, [])
        whole = rows and all(found[0].has(cell.metric) for cell in rows[0].cells)  # not a figure's
        if key not in printed and whole and run.model.name in MODELS:
            name = replace(_named(found[0], rows), apart=", ".join(rows[0].apart))
            for cell in rows[0].cells:
                ours = replace(cell, published="", tolerance=None, note="", doubts="")
                cells.append(compared(rows[0], ours, found, known.frozen, here, name))
    return sorted(cells, key=lambda cell: cell.name)


def _named(record: Record, rows: list[Entry]) -> RowName:
    """Return the name of the row of a run that is in no row of the table, on the rows' view."""
    model = record.experiment.model
    for row in rows:
        if fewer := _fewer_epochs(row, model):
            return RowName(row.row, "added" if "row" in row.added else "paper", fewer)
    return RowName(_elsewhere(record) or _label(model), "other")


def _fewer_epochs(entry: Entry, model: Spec) -> str:
    """Return "n_epochs = 20 of 200" if a model differs from the row's only in fewer epochs."""
    made = entry.experiment()
    if made is None or made.model.name != model.name:
        return ""
    full, own = loops(made.model.params), loops(model.params)
    if made.model.params != {**model.params, **full} or any(own[k] > n for k, n in full.items()):
        return ""
    return ", ".join(f"{key} = {own[key]} of {n}" for key, n in full.items() if own[key] < n)


def _elsewhere(record: Record) -> str:
    """Return the row of another paper that a record belongs to; "" if there is none."""
    for name in library.papers():
        with suppress(ReproError):  # its faults are reported when that paper is asked for
            if place := library.load(name).rows_of.get(record.experiment.seedless):
                return place
    return ""


def _label(model: Spec) -> str:
    defaults = MODELS.entry(model.name).defaults()
    changed = [f"{k}={v}" for k, v in model.params.items() if defaults.get(k) != v]
    return f"{model.name} [{', '.join(changed)}]" if changed else model.name


def _pairs(
    cells: list[ComparedCell], known: Mapping[str, Record], contests: list[tuple[RowName, RowName]]
) -> Iterator[Pair]:
    """Yield the rows that are compared, in each column group where both have records."""
    for group in dict.fromkeys(cell.group for cell in cells):
        own = [cell for cell in cells if cell.group == group]
        found = {cell.name: [known[run] for run in cell.runs] for cell in own if cell.runs}
        columns = {cell.label: cell.metric for cell in own}
        for row, against in contests:
            if row in found and against in found:
                made = paired(group, (row, found[row]), (against, found[against]), columns)
                if made:
                    yield made
