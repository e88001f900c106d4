"""The settings of a row's runs, each with its value and with who states it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from repro.errors import ReproError, unknown
from repro.hyperparameters import Condition, Source, Sources, sources_in
from repro.papers.paper import Paper
from repro.papers.rows import Entry
from repro.papers.schema import Grid, PaperFile, Row, Sourced, View
from repro.plugins import MODELS, PROTOCOLS

Part = Literal["data", "split", "selection", "seeds", "model"]

OURS = Sources((Source("ours"),))
"""Of what a table file adds, unless it says otherwise."""

SELECTION = ("select", "every", "patience", "patience_from")

APART = ("dataset", "protocol", "seeds", *SELECTION)
"""Settings that are no hyper-parameters. SE-VAE has one that is called "select", too."""


@dataclass(frozen=True)
class Setting:
    """One setting of a row's runs."""

    part: Part
    name: str
    """As in the table file; a protocol's parameter with "protocol." before it."""
    value: Any
    sources: tuple[Source, ...]
    """Empty: not stated."""
    stated_in: Literal["row", "view", "table", "paper", "model", ""]
    """The part of the table file that names the sources, or "model" where they are those of the
    model's default; empty: not stated."""
    used: bool = True
    """Whether it can change anything, given the other settings."""

    @property
    def open(self) -> bool:
        """Whether it is an open reading: used, and our choice or contradicted."""
        return self.used and Sources(self.sources).open


def settings(paper: Paper, entry: Entry) -> list[Setting]:
    """Return the settings of a row in a column group: data, split, selection, seeds, model.

    Parameters
    ----------
    paper : Paper
        The row's paper.
    entry : Entry
        The row; if nothing can be run for it, it has only data.
    """
    return list(_Row.of(paper, entry).settings())


@dataclass(frozen=True)
class _Row:
    """A row, and the parts of the table file that can state its settings."""

    entry: Entry
    view: View
    row: Row
    scopes: tuple[tuple[str, Sourced], ...]
    """From the nearest part to the farthest, with their names."""

    @classmethod
    def of(cls, paper: Paper, entry: Entry) -> _Row:
        table, view = paper.table(entry.table), paper.views[entry.view]
        row = next(row for row in table.rows if row.label == entry.row)
        parts = ("row", row.at[entry.at]), ("row", row), ("table", table), ("paper", paper.about)
        return cls(entry, view, row, parts)

    def settings(self) -> Iterator[Setting]:
        ours = bool(self.view.added_for)
        of_view = (("view", self.view), *(() if ours else self.scopes[2:]))
        yield self._setting("data", "dataset", self.entry.dataset, of_view, ours)
        made = self.entry.experiment()
        if made is None:
            return
        yield self._setting("split", "protocol", made.protocol.name, of_view, ours)
        for name, value in made.protocol.params.items():
            stated = self._stated(of_view, (f"protocol.{name}", "protocol"))
            part: Part = "seeds" if name == "seed" else "split"  # chance, and no reading
            yield _of(part, f"protocol.{name}", value, *stated, ours)
        for name in SELECTION:
            value = getattr(made, name)
            if name == "select" or value != type(made).__dataclass_fields__[name].default:
                scopes = of_view if name == "select" and self.view.select else self.scopes
                yield self._setting("selection", name, value, scopes, ours and scopes is of_view)
        yield self._setting("seeds", "seeds", list(self.entry.seeds), self.scopes, False)
        yield from self._model(made.model.name, made.model.params)

    def _model(self, model: str, params: Mapping[str, Any]) -> Iterator[Setting]:
        """Yield the hyper-parameters."""
        fields = {field.name: field for field in MODELS.entry(model).fields}
        of_view = [
            own
            for name, own in self.view.params.items()
            if name == self.row.label or MODELS.today(name) == model
        ]
        for name, value in params.items():
            field = fields[name]
            by_view = any(name in own for own in of_view)
            scopes = (("view", self.view), self.scopes[-1]) if by_view else self.scopes
            names = f"{self.row.label}.{name}", f"{model}.{name}", name
            sources, where = self._stated(scopes, names[:2] if name in APART else names)
            default = not field.required and field.plain(field.default) == value
            if not where and default:
                sources, where = field.sources, "model" if field.sources.stated else ""
            condition: Condition | None = sources.used_if or field.sources.used_if
            used = condition is None or condition.holds(params)
            ours = bool(self.view.added_for) if by_view else self.row.added
            yield _of("model", name, value, sources, where, ours and not default, used)

    def _setting(
        self, part: Part, name: str, value: Any, scopes: tuple[tuple[str, Sourced], ...], ours: bool
    ) -> Setting:
        return _of(part, name, value, *self._stated(scopes, (name,)), ours)

    @staticmethod
    def _stated(
        scopes: tuple[tuple[str, Sourced], ...], names: tuple[str, ...]
    ) -> tuple[Sources, str]:
        """Return what the nearest part says of a setting; of two names there, the first."""
        for where, part in scopes:
            for name in names:
                for text, listed in part.sources.items():
                    if name in listed:
                        return sources_in(text), where
        return Sources(), ""


def _of(
    part: Part, name: str, value: Any, found: Sources, where: str, ours: bool, used: bool = True
) -> Setting:
    if not where and ours:
        found, where = OURS, "view" if name == "dataset" or "protocol" in name else "row"
    stated: Any = where
    return Setting(part, name, value, found.stated, stated, used)


def source_faults(content: PaperFile) -> Iterator[str]:
    """Yield the faults of a table file's `sources`: unknown sources, and settings of nothing."""
    parts: list[tuple[str, Sourced]] = [("paper", content.paper)]
    parts += [(f"views.{key}", view) for key, view in content.views.items()]
    grids: list[tuple[str, Grid, Sequence[Row]]] = [
        *((f"tables.{n}", one, one.rows) for n, one in content.tables.items()),
        *((f"figures.{n}", one, one.lines) for n, one in content.figures.items()),
    ]
    for at, grid, rows in grids:
        parts.append((at, grid))
        for row in rows:
            here = f'{at}, row "{row.label}"'
            parts += [(here, row), *((f"{here}, at.{k}", one) for k, one in row.at.items())]
    known: dict[str, set[str]] = {}
    for at, part in parts:
        for text, names in part.sources.items():
            try:
                sources_in(text, f"{at}.sources")
            except ReproError as error:
                yield str(error)
            for name in names:
                owner, _, setting = name.rpartition(".")
                if owner not in known:
                    known[owner] = _known(owner, [row for _, _, rows in grids for row in rows])
                if setting not in known[owner]:
                    kind = f"setting of {owner}" if owner else "setting"
                    yield str(unknown(kind, setting, known[owner], f"{at}.sources"))


def _known(owner: str, rows: Sequence[Row]) -> set[str]:
    """Return the settings that can stand after a model, a row's label, "protocol", or alone."""
    if owner in MODELS:
        return {field.name for field in MODELS.entry(owner).fields}
    if owner == "protocol":
        return {field.name for one in PROTOCOLS.readable() for field in one.fields}
    chosen = [row for row in rows if not owner or row.label == owner]
    models = {m for row in chosen for m in [row.model, *(p.model for p in row.at.values())] if m}
    own = {field.name for m in models if m in MODELS for field in MODELS.entry(m).fields}
    return own if owner else own | set(APART)
