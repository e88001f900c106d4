"""Published tables as data: papers, views, tables, rows, cells; read from ``tables/*.toml``.

A row states its recipe even when its model does not exist yet.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

from repro import paths, strict_toml
from repro.data import manifest
from repro.errors import ReproError, unknown
from repro.experiment import MODELS, Experiment, Spec, checked_select, model_spec, protocol_spec
from repro.table_faults import faults_of
from repro.table_schema import (
    About,
    Figure,
    Group,
    PaperFile,
    Place,
    Row,
    Table,
    Tolerance,
    View,
    figure_key,
)


@dataclass(frozen=True)
class Entry:
    """One row in one column group, with everything that applies there."""

    paper: str
    table: str
    group: str
    group_label: str
    view: str
    dataset: str
    blocked: str
    row: str
    name: str
    """The row, and its column group if there are several."""
    added: tuple[str, ...]
    """What of it is ours, and not the paper's: "row", "view"."""
    model: str | None
    quoted_from: str
    seeds: tuple[int, ...]
    cells: tuple["Cell", ...]
    needs: tuple[str, ...]
    """What a record must hold besides, as `repro.runs.records.Record.holds` has it."""
    notes: tuple[tuple[str, str], ...]
    """What each is about, the row anywhere or here, and the note."""
    apart: tuple[str, ...]
    """What sets it apart from the other rows of its table: another view, another selection."""
    _recipe: "Recipe | None"

    def experiment(self, seed: int = 0) -> Experiment | None:
        """Return what to run for this row, or None if it is a quotation or its model is missing."""
        return self._recipe.experiment(seed) if self._recipe else None

    def under(self, model: Spec) -> Experiment | None:
        """Return the same with another model, or None if this is a quotation."""
        return self._recipe.under(model, 0) if self._recipe else None

    def obstacle(self) -> tuple[str, str] | None:
        """Return why this row cannot be run, as verdict and reason; None if it can."""
        if self.blocked:
            return "blocked", self.blocked
        if self.model is None and self.quoted_from:
            return "quoted", f"quoted from {self.quoted_from}, without a recipe"
        archive = manifest.split_id(self.dataset)[0]
        if archive not in manifest.names():
            return "unrun", f"there is no manifest of {archive} yet"
        if self.model is not None and self.model not in MODELS:
            return "unrun", f"there is no model {self.model} yet"
        return None


@dataclass(frozen=True)
class Recipe:
    """An experiment but for its seed, and where it was written."""

    where: str
    dataset: str
    protocol: dict[str, Any]
    model: str
    params: dict[str, Any]
    select: str
    every: int
    patience: int | None
    patience_from: int

    def experiment(self, seed: int) -> Experiment | None:
        """Return the experiment, or None while its model does not exist."""
        if self.model not in MODELS:
            self.under(Spec("", {}), seed)  # the rest of the recipe is checked all the same
            return None
        return self.under(self._model, seed)

    @cached_property
    def _model(self) -> Spec:
        return model_spec(self.model, self.params, self.where)

    @cached_property
    def _protocol(self) -> Spec:
        return protocol_spec(self.protocol, self.where)

    def under(self, model: Spec, seed: int) -> Experiment:
        """Return the experiment with any model."""
        return Experiment(
            dataset=self.dataset,
            protocol=self._protocol,
            model=model,
            select=checked_select(self.select, self.where),
            every=self.every,
            patience=self.patience,
            patience_from=self.patience_from,
            seed=seed,
        )


@dataclass(frozen=True)
class Cell:
    """One published number."""

    label: str
    """The metric as the table prints it."""
    metric: str
    published: str
    """As printed."""
    tolerance: Tolerance | None
    note: str
    doubts: str = ""
    """Marks of what was printed, see `repro.cells.MARKS`."""


@dataclass(frozen=True)
class Paper:
    """A paper: what it is, its views, and its tables."""

    id: str
    path: Path
    about: About
    views: dict[str, View]
    tables: dict[str, Table]
    figures: dict[str, Figure]

    def figure(self, number: str) -> Figure:
        """Return one figure by its printed number."""
        if number not in self.figures:
            raise unknown(f"figure of {self.id}", number, self.figures)
        return self.figures[number]

    def table(self, number: str) -> Table:
        """Return one table by its printed number; of a figure, what has to run for it."""
        if number in self._drawn:
            return self._drawn[number]
        if number not in self.tables:
            raise unknown(f"table of {self.id}", number, self.tables)
        return self.tables[number]

    @cached_property
    def _drawn(self) -> dict[str, Table]:
        return {figure_key(number): figure.as_table() for number, figure in self.figures.items()}

    @cached_property
    def experiments(self) -> tuple[Experiment, ...]:
        """What all tables have to run, with one seed, as far as the models exist."""
        return self._experiments(self.tables)

    @cached_property
    def recipes(self) -> set[str]:
        """What tables and figures have to run, as `Experiment.seedless` says it."""
        return {made.seedless for made in self._experiments([*self.tables, *self._drawn])}

    @cached_property
    def rows_of(self) -> dict[str, str]:
        """Row and table, for people, of what tables have to run, by `Experiment.seedless`.

        A row that is several on one view, as with K = 200 and 600, is named with its column group.
        """
        found: dict[str, str] = {}
        for number in self.tables:
            entries = [(e, made) for e in self.entries(number) if (made := e.experiment())]
            places = Counter((entry.row, entry.view) for entry, _ in entries)
            for entry, made in entries:
                name = entry.name if places[entry.row, entry.view] > 1 else entry.row
                found.setdefault(made.seedless, f"{name} of {self.id}, Table {number}")
        return found

    def _experiments(self, numbers: Iterable[str]) -> tuple[Experiment, ...]:
        found = (entry.experiment() for number in numbers for entry in self.entries(number))
        return tuple(experiment for experiment in found if experiment)

    def entries(self, number: str) -> tuple[Entry, ...]:
        """Return the rows of a table, each in each of its column groups, in printed order."""
        if number not in self._entries:
            self._entries[number] = tuple(self._read(number))
        return self._entries[number]

    @cached_property
    def _entries(self) -> dict[str, tuple[Entry, ...]]:
        return {}

    def _read(self, number: str) -> Iterator[Entry]:
        table = self.table(number)
        for row in table.rows:
            for key in table.groups:
                if key in row.at:
                    entry = self._entry(number, table, row, key)
                    yield entry
                    if table.kind == "results":
                        for name in self._added_for(entry.view):
                            yield self._entry(number, table, row, key, name)

    @cached_property
    def archives(self) -> dict[str, list[str]]:
        """The archives that its views come from, each with the tables that it serves."""
        served: dict[str, list[str]] = {}
        for number in self.tables:
            for entry in self._own(number):
                numbers = served.setdefault(manifest.split_id(entry.dataset)[0], [])
                if number not in numbers:
                    numbers.append(number)
        return served

    @cached_property
    def datasets(self) -> list[str]:
        """The views, by archive and name, that its tables need."""
        return list(dict.fromkeys(e.dataset for n in self.tables for e in self._own(n)))

    def _own(self, number: str) -> Iterator[Entry]:
        """Yield the rows of a table on the paper's own views."""
        return (entry for entry in self.entries(number) if "view" not in entry.added)

    def added(self, number: str, model: str, settings: Mapping[str, Any]) -> Iterator[Entry]:
        """Yield a row of ours: any model under a table's views, protocol and selection.

        Its hyper-parameters are those of the settings that it has.
        """
        table = self.table(number)
        if table.kind != "results":
            return
        known = {field.name for field in MODELS.entry(model).fields}
        params = {name: value for name, value in settings.items() if name in known}
        seen: set[str] = set()
        for key in table.groups:
            view = _group(self.views, table, key).view
            if view in seen:
                continue
            seen.add(view)
            row = Row(label=model, added=True, model=model, params=params, at={key: Place()})
            for own in ["", *self._added_for(view)]:
                entry = self._entry(number, table, row, key, own)
                recipe = entry._recipe and replace(entry._recipe, where="--set")
                yield replace(entry, row=f"{model} (ours)", _recipe=recipe)

    def _added_for(self, view: str) -> list[str]:
        """Return the views of ours on which that view's rows also run."""
        return [name for name, own in self.views.items() if own.added_for == view]

    def _entry(self, number: str, table: Table, row: Row, key: str, own: str = "") -> Entry:
        """Return a row in a column group, or on a view of ours in its stead."""
        place = row.at[key]
        group = _group(self.views, table, key)
        if own:
            printed = {"published": [], "notes": {}, "note": "", "misprints": []}
            place = place.model_copy(update={"view": own, **printed})
            group = _on(group, key, own, self.views[own].label)
            key = f"{key} on {own}" if key in table.group else own
        view_key = place.view or group.view
        view = self.views[view_key]
        model = place.model or row.model
        select = view.select or place.select or row.select or table.select
        recipe = None
        if model and table.kind == "results" and view.protocol is not None:
            recipe = Recipe(
                where=f'{self.path}, table {number}, row "{row.label}", {key}',
                dataset=view.dataset,
                protocol=view.protocol,
                model=model,
                params={
                    **row.params,
                    **place.params,
                    **view.params.get(model, {}),
                    **view.params.get(row.label, {}),
                },
                select=select,
                every=place.every or row.every or table.every,
                patience=place.patience or row.patience or table.patience,
                patience_from=place.patience_from or row.patience_from or table.patience_from or 0,
            )
        general = next((t for t in table.tolerance if key in (t.groups or [key])), None)
        added = tuple(what for what, ours in (("row", row.added), ("view", own)) if ours)
        published = place.published or ["" for _ in table.metrics]
        name = f"{row.label}, {group.label}" if len(table.groups) > 1 else row.label
        return Entry(
            paper=self.id,
            table=number,
            group=key,
            group_label=group.label,
            view=view_key,
            dataset=view.dataset,
            blocked=view.blocked,
            row=row.label,
            name=name,
            added=added,
            model=model,
            quoted_from=row.quoted_from,
            seeds=tuple(table.seeds),
            cells=tuple(
                Cell(
                    label,
                    metric,
                    text,
                    place.tolerance or general,
                    place.notes.get(label, ""),
                    "m" * (label in place.misprints) + "p" * (row.at_popularity and bool(text)),
                )
                for (label, metric), text in zip(table.metrics.items(), published, strict=True)
                if text or added or number in self._drawn
            ),
            needs=tuple(table.needs),
            notes=tuple(
                (about, note) for about, note in ((row.label, row.note), (name, place.note)) if note
            ),
            apart=tuple(
                what
                for what, own in ((view_key, group.view), (select, table.select))
                if what != own
            ),
            _recipe=recipe,
        )


def papers() -> list[str]:
    """Return the ids of all papers."""
    return list(paths.files("tables"))


def load(paper: str) -> Paper:
    """Return a paper by id.

    Raises
    ------
    ReproError
        If there is no such file, or listing all of its faults.
    """
    files = paths.files("tables")
    if paper not in files:
        raise unknown("paper", paper, files)
    return _load(paper, files[paper], files[paper].stat().st_mtime_ns)


def numbered(
    papers: Sequence[Paper], number: str | None, kind: Literal["table", "figure"] = "table"
) -> list[tuple[Paper, str]]:
    """Return the tables (or figures) of that number, or all, of the papers that have them.

    Raises
    ------
    ReproError
        If none has.
    """
    every = [
        (paper, n) for paper in papers for n in (paper.tables if kind == "table" else paper.figures)
    ]
    found = [(paper, n) for paper, n in every if number in (None, n)]
    if not found:
        whose = {paper.id for paper in papers}
        of = f"{kind} of {whose.pop()}" if len(whose) == 1 else kind
        raise unknown(of, str(number), {n for _, n in every})
    return found


@cache
def _load(paper: str, path: Path, _changed: int) -> Paper:
    content = strict_toml.read(path, PaperFile)
    faults = list(faults_of(content))
    if faults:
        raise strict_toml.faulty(path, faults)
    for key, view in content.views.items():
        archive, name = manifest.split_id(view.dataset)
        try:
            if archive in manifest.names():
                manifest.load(archive).view(name)
        except ReproError as error:
            faults.append(f"views.{key}.dataset: {error}")
    loaded = Paper(paper, path, content.paper, content.views, content.tables, content.figures)
    for number in content.with_figures():
        for entry in loaded.entries(number):
            try:
                entry.experiment()
            except ReproError as error:
                faults.append(str(error).removeprefix(f"{path}, "))
    if faults:
        raise strict_toml.faulty(path, list(dict.fromkeys(faults)))
    return loaded


def _on(group: Group, key: str, view: str, label: str) -> Group:
    """Return a column group on a view of ours: of that name, or "K = 200, ML-1M"."""
    same = group.view == key
    return Group(label=label if same else f"{group.label}, {label}", view=view)


def _group(views: dict[str, View], table: Table, key: str) -> Group:
    return table.group[key] if key in table.group else Group(label=views[key].label, view=key)
