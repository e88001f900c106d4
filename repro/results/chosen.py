"""Only what was asked for: some rows, some data, one model, or what was run here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from repro.data import manifest
from repro.errors import unknown
from repro.papers import library
from repro.papers.claims import Claim, label_of
from repro.papers.paper import Paper
from repro.papers.rows import Entry
from repro.plugins import MODELS
from repro.results.comparison import ComparedTable
from repro.results.frozen import RowName
from repro.results.naming import labels_of, named_by, row_name
from repro.results.verdicts import ComparedCell
from repro.runs.plan import place_names
from repro.runs.records import Record


@dataclass(frozen=True)
class Chosen:
    """A selection of rows and column groups; each part that is empty takes all."""

    rows: tuple[str, ...] = ()
    """Rows, by any of their labels."""
    views: tuple[str, ...] = ()
    """Datasets or column groups, as `repro run` takes them."""
    model: str = ""
    """A model by its name, in whatever row."""
    dataset: str = ""
    """An archive, or a view of one."""
    mine: bool = False
    """Only what was run here: records, shortened runs and rows of one's own among them."""

    @property
    def is_all(self) -> bool:
        """Whether nothing is left out."""
        return self == Chosen()


def chosen_of(tables: Sequence[ComparedTable], asked: Chosen) -> list[ComparedTable]:
    """Return tables with the cells that were asked for; a table without any is left out.

    Parameters
    ----------
    tables : sequence of ComparedTable
        What there is.
    asked : Chosen
        What is wanted.

    Raises
    ------
    ReproError
        If no table has a row, a view, a model or a dataset of a name.
    """
    if asked.is_all:
        return list(tables)
    _check(tables, asked)
    elsewhere = _rows_of_model(asked.model) if asked.model else set()
    found = []
    for table in tables:
        places = _Places.of(library.load(table.paper), table.number)
        rows = {name for row in asked.rows for name in named_by(row, table.names, table.short)}
        cells = tuple(
            cell
            for cell in table.cells
            if (not asked.rows or cell.name in rows)
            and places.has(cell, asked.views)
            and (not asked.dataset or asked.dataset.lower() in places.data(cell))
            and (not asked.model or places.runs(cell, asked.model, elsewhere))
            and (not asked.mine or _is_mine(cell))
        )
        if cells:
            found.append(_only(table, cells))
    return found


def _only(table: ComparedTable, cells: tuple[ComparedCell, ...]) -> ComparedTable:
    groups = {cell.group for cell in cells}
    rows = {(cell.name, cell.group) for cell in cells}
    every = {(cell.name, cell.group) for cell in table.cells if cell.group in groups}
    names = {name for name, _ in rows}
    notes = tuple(one for one in table.notes if any(_is_about(one[0], n.row) for n in names))
    pairs = tuple(p for p in table.pairs if p.group in groups and p.row in names)
    return replace(table, cells=cells, notes=notes, pairs=pairs, whole=rows == every)


def _is_about(subject: str, row: str) -> bool:
    """Return whether a note is on a row, or on the row in one column group or column."""
    return subject == row or subject.startswith(f"{row}, ")


def _is_mine(cell: ComparedCell) -> bool:
    return bool(cell.runs) or cell.verdict == "damaged"


def _check(tables: Sequence[ComparedTable], asked: Chosen) -> None:
    """Raise if something that is asked for is nowhere."""
    for row in asked.rows:
        if not any(named_by(row, table.names, table.short) for table in tables):
            labels = {row_name(n, t.short.get(n, "")) for t in tables for n in t.names}
            raise unknown("row", row, labels)
    if asked.views or asked.dataset:
        of = [_Places.of(library.load(table.paper), table.number) for table in tables]
        views = {name for one in of for names in one.by_group.values() for name in names}
        data = {name for one in of for names in one.data_by_group.values() for name in names}
        for view in asked.views:
            if view.lower() not in {name.lower() for name in views}:
                raise unknown("view", view, views)
        if asked.dataset and asked.dataset.lower() not in {name.lower() for name in data}:
            raise unknown("dataset", asked.dataset, data)
    if asked.model:
        MODELS.entry(asked.model, "--model")


def _rows_of_model(model: str) -> set[str]:
    """Return what rows with a model are called in the tables of other papers."""
    papers = [library.load(name) for name in library.papers()]
    return {
        f"{name} of {paper.id}, Table {number}"
        for paper in papers
        for number in paper.tables
        for entry in paper.entries[number]
        if entry.model == model
        for name in (entry.row, entry.name)
    }


@dataclass(frozen=True)
class _Places:
    """What the column groups of a table may be called, and which model a row has."""

    by_group: dict[str, set[str]]
    data_by_group: dict[str, set[str]]
    models: dict[str, str | None]

    @classmethod
    def of(cls, paper: Paper, number: str) -> _Places:
        """Return those of a table."""
        places = cls({}, {}, {})
        counts = paper.table(number).kind == "statistics"
        for entry in paper.entries[number]:
            group = entry.row if counts else entry.group_label
            names = {entry.row} if counts else set[str]()
            places.by_group.setdefault(group, names).update(place_names(paper, entry, True))
            data = places.data_by_group.setdefault(group, set())
            data |= {entry.dataset, manifest.split_id(entry.dataset)[0]}
            places.models[entry.row] = entry.model
        return places

    def has(self, cell: ComparedCell, views: Iterable[str]) -> bool:
        """Return whether a cell is under one of the views; under all if there is none."""
        wanted = {view.lower() for view in views}
        names = self.by_group.get(cell.group or cell.row, {cell.group})
        return not wanted or bool(wanted & {name.lower() for name in names})

    def data(self, cell: ComparedCell) -> set[str]:
        """Return the dataset of a cell, in lower case: archive, and archive with view."""
        return {name.lower() for name in self.data_by_group.get(cell.group or cell.row, set())}

    def runs(self, cell: ComparedCell, model: str, elsewhere: set[str]) -> bool:
        """Return whether a cell is a number of a model."""
        if cell.origin != "other":
            return self.models.get(cell.row) == model
        return cell.row.partition(" [")[0] == model or cell.row in elsewhere


def claim_is_asked(paper: Paper, claim: Claim, asked: Chosen, records: Sequence[Record]) -> bool:
    """Return whether a claim rests on a row and a column group that were asked for.

    Parameters
    ----------
    paper, claim
        The claim, and whose it is.
    asked : Chosen
        Rows, views, and whether a record of them must be among `records`.
    records : sequence of Record
        Those of a folder.
    """
    if asked.is_all:
        return True
    refs = [*claim.rows, *claim.against, *(row for pair in claim.pairs for row in pair)]
    refs += [fact.row for fact in claim.facts if fact.row]
    rows = {label_of(ref).lower() for ref in refs}
    if claim.kind == "best" and not claim.against and asked.mine:
        rows = set()  # it is above all others
    ran = {record.experiment.seedless for record in records if not record.experiment.smoke}
    entries = [e for number in claim.rests_on() for e in paper.entries[number] if _of(e, rows)]
    return any(
        (not claim.groups or entry.group in claim.groups)
        and _is_asked(paper, entry, asked)
        and (not asked.mine or bool((made := entry.experiment()) and made.seedless in ran))
        for entry in entries
    )


def _of(entry: Entry, rows: set[str]) -> bool:
    """Return whether an entry is of one of some rows; in a figure, of one of its lines."""
    own = entry.row.lower()
    return not rows or own in rows or own.rpartition(" at ")[0] in rows


def _is_asked(paper: Paper, entry: Entry, asked: Chosen) -> bool:
    name = RowName(entry.row, "added" if "row" in entry.added else "paper")
    labels = labels_of(name, "") | {entry.row.lower().rpartition(" at ")[0]}
    rows = {row.lower().strip() for row in asked.rows}
    views = {view.lower() for view in asked.views}
    names = {one.lower() for one in place_names(paper, entry, True)}
    return (not rows or bool(rows & labels)) and (not views or bool(views & names))
