"""Published tables as data: papers, views, tables, rows, cells; read from ``tables/*.toml``.

A published number stays the string that was printed: a float would lose the digit that says how
well we must agree. A row states its recipe even when its model does not exist yet.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from repro import documents, metrics, paths
from repro.documents import Strict
from repro.errors import ReproError, unknown
from repro.experiment import MODELS, Experiment, checked_select, model_spec, protocol_spec

STATISTICS = ("users", "items", "interactions", "sparsity", "mean_length")
"""What a statistics table can print of a view; sparsity in per cent."""


class Tolerance(Strict):
    """How far ours may lie from the published number and still be `close`, and who says so."""

    source: str
    within: str | None = None
    """A difference, as a decimal number."""
    standard_errors: float | None = None
    """A multiple of our standard error over users."""
    groups: list[str] | None = None
    """The column groups it holds for; None: all."""


class Place(Strict):
    """A row in one column group: its numbers, and what differs there."""

    published: list[str]
    """One per metric of the table, as printed; "" where the paper prints none."""
    view: str | None = None
    model: str | None = None
    params: dict[str, Any] = {}
    select: str | None = None
    every: int | None = None
    patience: int | None = None
    note: str = ""
    notes: dict[str, str] = {}
    """Notes on single cells, by metric label."""
    tolerance: Tolerance | None = None


class Row(Strict):
    """A row of a table: a model with its settings, or a quotation."""

    label: str
    model: str | None = None
    params: dict[str, Any] = {}
    select: str | None = None
    every: int | None = None
    patience: int | None = None
    quoted_from: str = ""
    """Where the paper took the numbers from, if not from a run of its own."""
    note: str = ""
    at: dict[str, Place]
    """By column group."""


class Group(Strict):
    """A group of columns that share a view; by default there is one per view."""

    label: str
    view: str


class View(Strict):
    """A dataset under a protocol, as the paper's column heads name it."""

    label: str
    dataset: str
    """Archive and view of ``data_manifests/``."""
    protocol: dict[str, Any] | None = None
    """None where a table only counts the data."""
    blocked: str = ""
    """Why the data cannot be had by anybody, if so."""
    note: str = ""


class Table(Strict):
    """One table of a paper."""

    caption: str
    kind: Literal["results", "statistics"] = "results"
    groups: list[str]
    """Column groups in printed order: views, or keys of ``group``."""
    group: dict[str, Group] = {}
    metrics: dict[str, str]
    """Our metric (or statistic) by printed label, in printed order."""
    select: str = "last"
    every: int = 1
    patience: int | None = None
    seeds: list[int] = [0]
    tolerance: list[Tolerance] = []
    note: str = ""
    transposed: bool = False
    """The paper prints our rows as columns."""
    rows: list[Row]


class About(Strict):
    """The paper itself."""

    title: str
    authors: str
    venue: str
    url: str
    notes: list[str] = []


class PaperFile(Strict):
    """One file of ``tables/``."""

    paper: About
    views: dict[str, View]
    tables: dict[str, Table] = Field(min_length=1)


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
    model: str | None
    quoted_from: str
    seeds: tuple[int, ...]
    cells: tuple["Cell", ...]
    notes: tuple[str, ...]
    _recipe: "Recipe | None"

    def experiment(self, seed: int = 0) -> Experiment | None:
        """Return what to run for this row, or None if it is a quotation or its model is missing."""
        return self._recipe.experiment(seed) if self._recipe else None


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

    def experiment(self, seed: int) -> Experiment | None:
        """Return the experiment, or None while its model does not exist."""
        if self.model not in MODELS.names():
            return None
        return Experiment(
            dataset=self.dataset,
            protocol=protocol_spec(self.protocol, self.where),
            model=model_spec(self.model, self.params, self.where),
            select=checked_select(self.select, self.where),
            every=self.every,
            patience=self.patience,
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


@dataclass(frozen=True)
class Paper:
    """A paper: what it is, its views, and its tables."""

    id: str
    path: Path
    about: About
    views: dict[str, View]
    tables: dict[str, Table]

    def table(self, number: str) -> Table:
        """Return one table by its printed number."""
        if number not in self.tables:
            raise unknown(f"table of {self.id}", number, self.tables)
        return self.tables[number]

    def entries(self, number: str) -> Iterator[Entry]:
        """Yield the rows of a table, each in each of its column groups, in printed order."""
        table = self.table(number)
        for row in table.rows:
            for key in table.groups:
                if key in row.at:
                    yield self._entry(number, table, row, key)

    def added(self, number: str, model: str, params: dict[str, Any]) -> Iterator[Entry]:
        """Yield a row of ours: any model under this table's views, protocol and selection.

        Parameters
        ----------
        number : str
            The table.
        model : str
            The model's name.
        params : mapping
            Hyper-parameters that differ from its defaults.
        """
        table = self.table(number)
        if table.kind != "results":
            return
        seen: set[str] = set()
        for key in table.groups:
            view = _group(self.views, table, key).view
            if view in seen:
                continue
            seen.add(view)
            place = Place(published=["" for _ in table.metrics])
            row = Row(label=f"{model} (ours)", model=model, params=params, at={key: place})
            entry = self._entry(number, table, row, key)
            cells = tuple(
                Cell(label, metric, "", None, "") for label, metric in table.metrics.items()
            )
            yield replace(entry, cells=cells)

    def _entry(self, number: str, table: Table, row: Row, key: str) -> Entry:
        place = row.at[key]
        group = _group(self.views, table, key)
        view_key = place.view or group.view
        view = self.views[view_key]
        model = place.model or row.model
        recipe = None
        if model and table.kind == "results" and view.protocol is not None:
            recipe = Recipe(
                where=f'{self.path}, table {number}, row "{row.label}", {key}',
                dataset=view.dataset,
                protocol=view.protocol,
                model=model,
                params={**row.params, **place.params},
                select=place.select or row.select or table.select,
                every=place.every or row.every or table.every,
                patience=place.patience or row.patience or table.patience,
            )
        general = next((t for t in table.tolerance if key in (t.groups or [key])), None)
        return Entry(
            paper=self.id,
            table=number,
            group=key,
            group_label=group.label,
            view=view_key,
            dataset=view.dataset,
            blocked=view.blocked,
            row=row.label,
            model=model,
            quoted_from=row.quoted_from,
            seeds=tuple(table.seeds),
            cells=tuple(
                Cell(label, metric, text, place.tolerance or general, place.notes.get(label, ""))
                for (label, metric), text in zip(
                    table.metrics.items(), place.published, strict=True
                )
                if text
            ),
            notes=tuple(note for note in (row.note, place.note) if note),
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


@cache
def _load(paper: str, path: Path, _changed: int) -> Paper:
    content = documents.read(path, PaperFile)
    faults = list(_faults(content))
    if faults:
        raise documents.faulty(path, faults)
    loaded = Paper(paper, path, content.paper, content.views, content.tables)
    for number in loaded.tables:
        for entry in loaded.entries(number):
            try:
                entry.experiment()
            except ReproError as error:
                faults.append(str(error).removeprefix(f"{path}, "))
    if faults:
        raise documents.faulty(path, list(dict.fromkeys(faults)))
    return loaded


def number_in(printed: str) -> Decimal:
    """Return the number that a printed cell stands for: "46K" is 46000, "1,682" is 1682.

    Raises
    ------
    ReproError
        If there is none.
    """
    text = printed.replace(",", "").rstrip("%").strip()
    scale = {"K": 1000, "M": 1_000_000}.get(text[-1:], 1)
    try:
        return Decimal(text.rstrip("KM")) * scale
    except InvalidOperation:
        raise ReproError(f"'{printed}' is not a number") from None


def unit_in(printed: str) -> Decimal:
    """Return one unit of the last printed digit: "0.420" gives 0.001, "46K" gives 1000."""
    text = printed.replace(",", "").rstrip("%").strip()
    scale = {"K": 1000, "M": 1_000_000}.get(text[-1:], 1)
    digits = text.rstrip("KM").partition(".")[2]
    return Decimal(1).scaleb(-len(digits)) * scale


def _group(views: dict[str, View], table: Table, key: str) -> Group:
    return table.group[key] if key in table.group else Group(label=views[key].label, view=key)


def _faults(content: PaperFile) -> Iterator[str]:
    """Yield what pydantic cannot see: references between the parts of a file."""
    for number, table in content.tables.items():
        at = f"tables.{number}"
        for key, group in table.group.items():
            if group.view not in content.views:
                yield str(unknown("view", group.view, content.views, f"{at}.group.{key}"))
        for key in table.groups:
            if key not in table.group and key not in content.views:
                yield str(unknown("view", key, content.views, f"{at}.groups"))
        for label, metric in table.metrics.items():
            try:
                if table.kind == "results":
                    metrics.parse(metric, f"{at}.metrics.{label}")
                elif metric not in STATISTICS:
                    raise unknown("statistic", metric, STATISTICS, f"{at}.metrics.{label}")
            except ReproError as error:
                yield str(error)
        for tolerance in table.tolerance:
            yield from _tolerance_faults(tolerance, f"{at}.tolerance", table)
        labels = [row.label for row in table.rows]
        for label in {label for label in labels if labels.count(label) > 1}:
            yield f'{at}: two rows are called "{label}"'
        for row in table.rows:
            yield from _row_faults(content, table, row, f'{at}, row "{row.label}"')


def _row_faults(content: PaperFile, table: Table, row: Row, at: str) -> Iterator[str]:
    for key, place in row.at.items():
        here = f"{at}, at.{key}"
        if key not in table.groups:
            yield str(unknown("column group", key, table.groups, here))
        if place.view is not None and place.view not in content.views:
            yield str(unknown("view", place.view, content.views, here))
        if len(place.published) != len(table.metrics):
            yield (
                f"{here}: {len(place.published)} published values for {len(table.metrics)} metrics"
            )
        for text in place.published:
            try:
                if text:
                    number_in(text)
            except ReproError as error:
                yield f"{here}: {error}"
        for label in place.notes:
            if label not in table.metrics:
                yield str(unknown("metric of this table", label, table.metrics, here))
        if place.tolerance:
            yield from _tolerance_faults(place.tolerance, here, table)
    if not row.at:
        yield f"{at}: no numbers"
    needs_model = table.kind == "results" and not row.quoted_from
    if needs_model and not row.model and not all(place.model for place in row.at.values()):
        yield f"{at}: needs a model, or quoted_from"


def _tolerance_faults(tolerance: Tolerance, at: str, table: Table) -> Iterator[str]:
    if (tolerance.within is None) == (tolerance.standard_errors is None):
        yield f"{at}: needs either within or standard_errors"
    if tolerance.within is not None:
        try:
            number_in(tolerance.within)
        except ReproError as error:
            yield f"{at}.within: {error}"
    for key in tolerance.groups or []:
        if key not in table.groups:
            yield str(unknown("column group", key, table.groups, f"{at}.groups"))
