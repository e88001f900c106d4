"""Resolve a table file: every row in every column group, with all that applies there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from repro.experiment import Need
from repro.papers.printed import share_in
from repro.papers.rows import Cell, Entry, Recipe
from repro.papers.schema import Group, Place, Row, Table, View, figure_key
from repro.plugins import MODELS


@dataclass(frozen=True)
class Resolver:
    """A table, or the runs that a figure needs, and the paper that it belongs to."""

    paper: str
    path: Path
    views: Mapping[str, View]
    number: str
    table: Table

    def entries(self) -> Iterator[Entry]:
        """Yield the rows, one entry for each column group, in printed order.

        A row on one of the paper's views also runs on the views that the table file adds for it.
        """
        for row in self.table.rows:
            for key in self.table.groups:
                if key in row.at:
                    entry = self._entry(row, key)
                    yield entry
                    if self.table.kind == "results":
                        for name in self._added_for(entry.view):
                            yield self._entry(row, key, name)

    def added(self, model: str, settings: Mapping[str, Any]) -> Iterator[Entry]:
        """Yield a row of any model under the table's views, protocol and selection.

        Of the settings it takes those that are its hyper-parameters.
        """
        if self.table.kind != "results":
            return
        known = {field.name for field in MODELS.entry(model).fields}
        params = {name: value for name, value in settings.items() if name in known}
        seen: set[str] = set()
        for key in self.table.groups:
            view = self._group(key).view
            if view in seen:
                continue
            seen.add(view)
            row = Row(label=model, added=True, model=model, params=params, at={key: Place()})
            for own in ["", *self._added_for(view)]:
                entry = self._entry(row, key, own)
                recipe = entry.recipe and replace(entry.recipe, where="--set")
                yield replace(entry, recipe=recipe)

    def _added_for(self, view: str) -> list[str]:
        """Return the added views on which the rows of a view also run."""
        return [name for name, own in self.views.items() if own.added_for == view]

    def _group(self, key: str) -> Group:
        if key in self.table.group:
            return self.table.group[key]
        return Group(label=self.views[key].label, view=key)

    def _entry(self, row: Row, key: str, own: str = "") -> Entry:
        """Return a row in a column group; with `own`, on that added view instead."""
        place, group, at = row.at[key], self._group(key), key
        if own:
            printed = {"published": [], "notes": {}, "note": "", "misprints": []}
            place = place.model_copy(update={"view": own, **printed})
            group = _on(group, key, own, self.views[own].label)
            key = f"{key} on {own}" if key in self.table.group else own
        view_key = place.view or group.view
        view = self.views[view_key]
        model = place.model or row.model
        select = view.select or place.select or row.select or self.table.select
        added = tuple(what for what, ours in (("row", row.added), ("view", own)) if ours)
        name = f"{row.label}, {group.label}" if len(self.table.groups) > 1 else row.label
        apart = ((view_key, group.view), (select, self.table.select))
        return Entry(
            paper=self.paper,
            table=self.number,
            group=key,
            group_label=group.label,
            at=at,
            view=view_key,
            dataset=view.dataset,
            redraw=view.redraw,
            blocked=view.blocked,
            row=row.label,
            name=name,
            added=added,
            model=model,
            quoted_from=row.quoted_from,
            seeds=tuple(self.table.seeds),
            cells=tuple(self._cells(row, place, key, bool(added))),
            needs=tuple(map(Need.of, self.table.needs)),
            notes=tuple(
                (of, text) for of, text in ((row.label, row.note), (name, place.note)) if text
            ),
            apart=tuple(what for what, own in apart if what != own),
            recipe=self._recipe(row, place, key, view, model, select),
        )

    def _cells(self, row: Row, place: Place, key: str, added: bool) -> Iterator[Cell]:
        """Yield the printed cells of a row in a column group; of an added row, all cells."""
        table = self.table
        general = next((t for t in table.tolerance if key in (t.groups or [key])), None)
        published = place.published or ["" for _ in table.metrics]
        tolerance = place.tolerance or general
        if table.per_cent:  # from here on all are shares, as our results are
            published = [share_in(text, True) if text else "" for text in published]
            if tolerance and tolerance.within:
                within = {"within": share_in(tolerance.within, True)}
                tolerance = tolerance.model_copy(update=within)
        drawn = self.number.startswith(figure_key(""))
        for (label, metric), text in zip(table.metrics.items(), published, strict=True):
            if text or added or drawn:
                doubts = "m" * (label in place.misprints) + "p" * (row.at_popularity and bool(text))
                note = place.notes.get(label, "")
                yield Cell(label, metric, text, tolerance, note, doubts)

    def _recipe(
        self, row: Row, place: Place, key: str, view: View, model: str | None, select: str
    ) -> Recipe | None:
        """Return what has to run for a row in a column group; None if nothing can."""
        table = self.table
        if not model or table.kind != "results" or view.protocol is None:
            return None
        of_models = {MODELS.today(name): params for name, params in view.params.items()}
        of_view = of_models.get(MODELS.today(model)), view.params.get(row.label)
        params = [row.params, place.params, *of_view]
        return Recipe(
            where=f'{self.path}, table {self.number}, row "{row.label}", {key}',
            dataset=view.dataset,
            protocol=view.protocol,
            model=model,
            params={name: value for some in params if some for name, value in some.items()},
            select=select,
            every=place.every or row.every or table.every,
            patience=place.patience or row.patience or table.patience,
            patience_from=place.patience_from or row.patience_from or table.patience_from or 0,
        )


def _on(group: Group, key: str, view: str, label: str) -> Group:
    """Return a column group on an added view, with its label or as "K = 200, ML-1M"."""
    same = group.view == key
    return Group(label=label if same else f"{group.label}, {label}", view=view)
