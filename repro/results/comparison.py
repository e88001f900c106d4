"""A table compared with the records: its cells, further rows, and rows compared in pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, cached_property

from repro.errors import ReproError, unknown
from repro.experiment import Experiment, Spec, departures
from repro.papers import library
from repro.papers.paper import Paper
from repro.papers.rows import Entry
from repro.plugins import MODELS
from repro.results import evidence, frozen_counts
from repro.results.brought import external_cells, source_of
from repro.results.claims.judge import JudgedClaim, judge
from repro.results.differences import Pair, paired
from repro.results.found import Found, digest_here
from repro.results.frozen import CellKey, Frozen, RowName, load
from repro.results.frozen_counts import CountKey, FrozenCount
from repro.results.naming import named, named_by, row_name, short_labels
from repro.results.verdicts import ComparedCell, compared, only_frozen, statistic
from repro.runs.records import Damaged, Record


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
    faults: tuple[str, ...] = ()
    """Damaged hits, for which rows were not compared user by user."""
    claims: tuple[JudgedClaim, ...] = ()
    """The claims that rest on the table; only where one paper is compared."""
    short: Mapping[RowName, str] = field(default_factory=dict)
    """Shorter labels of rows, as in `repro.results.naming.short_labels`."""
    whole: bool = True
    """Whether all rows are here; false where some were asked for."""

    @property
    def names(self) -> list[RowName]:
        """Its rows, each once."""
        return list(dict.fromkeys(cell.name for cell in self.cells))


def compare_all(
    papers: Iterable[Paper],
    records: Iterable[Record],
    *,
    damaged: Iterable[Damaged] = (),
    table: str | None = None,
    smoke: bool = False,
    against: str = "",
) -> list[ComparedTable]:
    """Return the tables of several papers, or one by its number, with our numbers.

    Parameters
    ----------
    papers : iterable of Paper
        Whose tables.
    records, damaged, smoke, against
        As in `compare`.
    table : str, optional
        One table, by its printed number.

    Raises
    ------
    ReproError
        If no paper has the table, or no table the row.
    """
    every = list(records)
    runs = _Runs.of(every, damaged, smoke)
    asked = library.numbered(list(papers), table)
    chosen = {paper.id: paper for paper, _ in asked}
    claims = judge(chosen.values(), every, table) if len(chosen) == 1 else []  # of all, too slow
    found = [
        replace(
            _compare(paper, number, runs, against),
            claims=tuple(c for c in claims if c.paper == paper.id and number in c.tables),
        )
        for paper, number in asked
    ]
    if against and not any(named_by(against, one.names, one.short) for one in found):
        labels = {row_name(n, one.short.get(n, "")) for one in found for n in one.names}
        raise unknown("row", against, labels)
    return found


def compare(
    paper: Paper,
    number: str,
    records: Iterable[Record],
    *,
    damaged: Iterable[Damaged] = (),
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
    damaged : iterable of Damaged
        Records that cannot be used.
    smoke : bool
        Look for smoke runs, which otherwise never count.
    against : str
        A row that all others are compared with, user by user, instead of the pairs of claims.
    """
    return _compare(paper, number, _Runs.of(records, damaged, smoke), against)


def _compare(paper: Paper, number: str, runs: _Runs, against: str) -> ComparedTable:
    table = paper.table(number)
    known = _Known(paper, number, runs)
    cells, notes = _own(known)
    if table.kind == "results":
        cells += _others(known)
        cells += external_cells(paper, number, runs.by_experiment, cache(digest_here))
    cells += [only_frozen(paper.id, place, rows) for place, rows in known.frozen.items()]
    cells = [cell for cell in cells if cell.verdict != "ours" or cell.value is not None]
    rows = {row: n for n, row in enumerate(dict.fromkeys(cell.row for cell in cells))}
    cells.sort(key=lambda cell: rows[cell.row])
    whole = {cell.row: cell.name for cell in reversed(cells) if not cell.shortened}
    asked = [pair for pair in paper.contests if set(pair) <= whole.keys()]
    contests = [(whole[row], whole[other]) for row, other in asked]
    names = list(dict.fromkeys(cell.name for cell in cells))
    short = short_labels(names, paper.entries[number])
    if against:
        meant = sorted(named_by(against, names, short), key=lambda name: bool(name.shortened))
        contests = [(name, meant[0]) for name in names if meant and name != meant[0]]
    faults: list[str] = []
    pairs = tuple(_pairs(cells, known, contests, faults))
    return ComparedTable(
        paper.id,
        number,
        table.caption,
        table.note,
        tuple(cells),
        tuple(dict.fromkeys(notes)),
        pairs,
        tuple(dict.fromkeys(faults)),
        short=short,
    )


@dataclass(frozen=True)
class _Runs:
    """The runs that tables are compared with."""

    by_id: dict[str, Record]
    damaged: list[Damaged]
    smoke: bool

    @classmethod
    def of(cls, records: Iterable[Record], damaged: Iterable[Damaged], smoke: bool) -> _Runs:
        """Return the runs, smoke runs or real ones."""
        known = {record.id: record for record in records if record.experiment.smoke == smoke}
        return cls(known, list(damaged), smoke)

    @cached_property
    def by_experiment(self) -> dict[str, list[Record]]:
        """The runs of all seeds of an experiment, by `Experiment.seedless`."""
        found: dict[str, list[Record]] = {}
        for record in self.by_id.values():
            found.setdefault(record.experiment.seedless, []).append(record)
        return found

    @cached_property
    def by_place(self) -> dict[str, list[tuple[int, str]]]:
        """The experiments under each protocol, numbered, by `Experiment.place`."""
        found: dict[str, list[tuple[int, str]]] = {}
        for number, (key, own) in enumerate(self.by_experiment.items()):
            found.setdefault(own[0].experiment.place, []).append((number, key))
        return found

    @cached_property
    def rows_elsewhere(self) -> dict[str, str]:
        """The rows of all papers, by `Experiment.seedless`; the first paper's, if there are two."""
        found: dict[str, str] = {}
        for name in library.papers():
            with suppress(ReproError):  # its faults are reported when that paper is asked for
                found = library.load(name).rows_of | found
        return found

    @cached_property
    def digests(self) -> dict[str, set[str]]:
        """The digests that a dataset has in records."""
        found: dict[str, set[str]] = {}
        for record in self.by_id.values():
            found.setdefault(record.experiment.dataset, set()).add(record.digest)
        return found

    def run(self, experiment: Experiment) -> Experiment:
        """Return what was run for an experiment: the same, or its smoke run."""
        return experiment.smoked() if self.smoke else experiment

    def damaged_of(self, entry: Entry, here: Callable[[str], str]) -> list[Damaged]:
        """Return the damaged records of a row: by what they tell, or else by their ids."""
        if not self.damaged:
            return []
        planned = [self.run(made) for seed in entry.seeds if (made := entry.experiment(seed))]
        if not planned:
            return []
        dataset = planned[0].dataset
        digests = {here(dataset), *self.digests.get(dataset, ())}
        ids = {experiment.id(digest) for experiment in planned for digest in digests}
        return [
            one
            for one in self.damaged
            if one.id in ids or (one.told and one.told.seedless == planned[0].seedless)
        ]


@dataclass(frozen=True)
class _Known:
    """What there is to compare a table with."""

    paper: Paper
    number: str
    runs: _Runs

    @cached_property
    def frozen(self) -> dict[CellKey, list[Frozen]]:
        """The table's frozen results; a cell that shows one takes it out."""
        found: dict[CellKey, list[Frozen]] = {}
        for row in [] if self.runs.smoke else load(self.paper.id):
            if row.table == self.number:
                found.setdefault(row.place, []).append(row)
        return found

    @cached_property
    def counts(self) -> dict[CountKey, FrozenCount]:
        """The paper's frozen counts of data."""
        return {} if self.runs.smoke else frozen_counts.load(self.paper.id)

    @cached_property
    def evidence(self) -> dict[str, Record]:
        """The evidence of the table's frozen results, by the id of the run."""
        lines = [] if self.runs.smoke else load(self.paper.id)
        of_table = [line for line in lines if line.table == self.number]
        return {record.id: record for record in evidence.of_lines(self.paper.id, of_table)}

    def users_of(self, cell: ComparedCell) -> list[Record]:
        """Return the runs of a cell, each with the hits of its users: ours, else the frozen."""
        if cell.runs:
            return [self.runs.by_id[run] for run in cell.runs]
        return [self.evidence[run] for run in cell.reference_runs if run in self.evidence]


def _own(known: _Known) -> tuple[list[ComparedCell], list[tuple[str, str]]]:
    """Return the cells of the table's rows, added rows included, and their notes."""
    here, runs = cache(digest_here), known.runs
    cells: list[ComparedCell] = []
    notes: list[tuple[str, str]] = []
    for entry in known.paper.entries[known.number]:
        if known.paper.table(known.number).kind == "statistics":
            made = [statistic(entry, cell, known.counts) for cell in entry.cells]
        else:
            experiment = known.paper.stands_for(entry)
            key = runs.run(experiment).seedless if experiment else ""
            found = Found(runs.by_experiment.get(key, []), runs.damaged_of(entry, here))
            name = RowName(entry.row, "added" if "row" in entry.added else "paper")
            made = [compared(entry, cell, found, known.frozen, here, name) for cell in entry.cells]
            if experiment and experiment.external:
                made = [replace(one, source=source_of(found.records, one.runs)) for one in made]
        cells += made
        if any(cell.value is not None for cell in made):
            notes += entry.notes
            notes += [(f"{entry.name}, {c.label}", c.note) for c in made if c.note]
    return cells, notes


def _others(known: _Known) -> list[ComparedCell]:
    """Return the cells of rows that no table of the paper has: other models, other settings."""
    here, runs = cache(digest_here), known.runs
    printed = {runs.run(experiment).seedless for experiment in known.paper.experiments}
    places: dict[str, list[tuple[Entry, Experiment]]] = {}
    for entry in known.paper.entries[known.number]:
        if planned := entry.under(Spec("", {})):
            places.setdefault(runs.run(planned).place, []).append((entry, planned))
    cells = []
    for _, key in sorted(one for place in places for one in runs.by_place.get(place, [])):
        own = Found(runs.by_experiment[key])
        first = own.records[0]
        run = first.experiment
        apart = [(departures(run, planned), entry) for entry, planned in places[run.place]]
        apart.sort(key=lambda pair: len(pair[0]))
        other, rows = apart[0][0], [entry for _, entry in apart]
        if other and key in known.paper.recipes:
            continue  # a figure's
        whole = all(first.has(cell.metric) for cell in rows[0].cells)  # not a figure's
        if key not in printed and whole and run.model.name in MODELS:
            name = named(run, rows, other, runs.rows_elsewhere)
            for cell in rows[0].cells:
                ours = replace(cell, published="", tolerance=None, note="", doubts="")
                cells.append(compared(rows[0], ours, own, known.frozen, here, name))
    return sorted(cells, key=lambda cell: cell.name)


def _pairs(
    cells: list[ComparedCell],
    known: _Known,
    contests: list[tuple[RowName, RowName]],
    faults: list[str],
) -> Iterator[Pair]:
    """Yield the rows that are compared, in each column group where both have records.

    Those whose hits are damaged are left out; `faults` receives why.
    """
    for group in dict.fromkeys(cell.group for cell in cells):
        own = [cell for cell in cells if cell.group == group]
        names = {name for pair in contests for name in pair}
        found = {cell.name: known.users_of(cell) for cell in own if cell.name in names}
        columns = {cell.label: cell.metric for cell in own}
        for row, against in contests:
            if found.get(row) and found.get(against):
                try:
                    made = paired(group, (row, found[row]), (against, found[against]), columns)
                except ReproError as error:
                    faults.append(error.message)
                    continue
                if made:
                    yield made
