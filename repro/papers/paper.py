"""A paper: its views, its tables and figures, and their rows."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from repro.data import manifest
from repro.errors import unknown
from repro.experiment import Experiment, Need
from repro.papers.rows import Cell, Entry, Recipe
from repro.papers.schema import (
    About,
    Figure,
    Group,
    Place,
    Row,
    Table,
    View,
    figure_key,
)
from repro.plugins import MODELS


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
            needs=tuple(map(Need.of, table.needs)),
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


def _on(group: Group, key: str, view: str, label: str) -> Group:
    """Return a column group on a view of ours: of that name, or "K = 200, ML-1M"."""
    same = group.view == key
    return Group(label=label if same else f"{group.label}, {label}", view=view)


def _group(views: dict[str, View], table: Table, key: str) -> Group:
    return table.group[key] if key in table.group else Group(label=views[key].label, view=key)
