"""Lists of papers, datasets, models, protocols, metrics and frozen results.

Each kind is a dataclass, whose fields are those of the JSON; `table` makes text of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from tabulate import tabulate

from repro.data import cache, manifest
from repro.data.manifest import Manifest
from repro.errors import ReproError, readable, unknown
from repro.metrics import METRICS
from repro.papers import library
from repro.plugins import MODELS, PROTOCOLS, Catalogue
from repro.report.tables import row_name
from repro.results.summary import Lead, Summary, summaries
from repro.text import one_line

Cells = dict[str, str]
"""A row of a table as text, by column."""


@dataclass(frozen=True)
class PaperLine:
    """A paper."""

    paper: str
    """Its id."""
    title: str
    venue: str
    """Where it was published."""
    tables: list[str]
    """Their printed numbers."""
    figures: list[str]
    """Their printed numbers."""
    cells: int
    """Published numbers."""

    def cells_of(self) -> Cells:
        """Return the line as text."""
        return _texts(self, tables=", ".join(self.tables), figures=", ".join(self.figures))


@dataclass(frozen=True)
class DatasetLine:
    """An archive of data."""

    dataset: str
    """Its id."""
    bytes: int | None
    """To download; null if unknown, and for generated data."""
    at_least: bool
    """Whether the size of a part of it is unknown."""
    licence: str
    """The owner's terms, in a sentence."""
    obtained: str
    """"download", "by hand" or "generated"."""
    serves: dict[str, list[str]]
    """Numbers of tables, by paper."""
    here: str
    """"no", "verified", "own", "unverified" or "damaged", as the receipts in the cache say."""
    complete: bool
    """Whether all of its files are in the cache."""
    views: list[str]
    """Their names."""

    def cells_of(self) -> Cells:
        """Return the line as text."""
        serves = [f"{paper} {', '.join(numbers)}" for paper, numbers in self.serves.items()]
        in_part = ", in part" if self.here != "no" and not self.complete else ""
        here = {"unverified": "UNVERIFIED", "damaged": "receipt damaged"}.get(self.here, self.here)
        return {
            "dataset": self.dataset,
            "size": manifest.size_text(manifest.load(self.dataset)),
            "licence": self.licence,
            "obtained": self.obtained,
            "serves": "; ".join(serves) or "no table",
            "here": here + in_part,
            "views": ", ".join(self.views),
        }


@dataclass(frozen=True)
class PluginLine:
    """A model or a protocol."""

    name: str
    """As in ``--model`` or a table file."""
    what: str
    """The first line of its class's docstring."""
    required: list[str]
    """Parameters without a default."""
    parameters: dict[str, Any]
    """The others, with their defaults."""

    def cells_of(self) -> Cells:
        """Return the line as text."""
        given = [*self.required, *(f"{k}={v}" for k, v in self.parameters.items())]
        return {"name": self.name, "what": self.what, "parameters": ", ".join(given)}


@dataclass(frozen=True)
class MetricLine:
    """A metric."""

    metric: str
    """Its name; K is the cut-off."""
    what: str
    """The first line of its docstring."""

    def cells_of(self) -> Cells:
        """Return the line as text."""
        return _texts(self)


ListLine = PaperLine | DatasetLine | PluginLine | MetricLine | Summary


def papers() -> list[PaperLine]:
    """Return the papers, those of this package and the user's."""
    found = []
    for paper in library.readable():
        entries = [entry for number in paper.tables for entry in paper.entries[number]]
        cells = sum(len(entry.cells) for entry in entries if not entry.added)
        about = paper.about
        numbers = list(paper.tables), list(paper.figures)
        found.append(PaperLine(paper.id, about.title, about.venue, *numbers, cells))
    return found


def datasets() -> list[DatasetLine]:
    """Return the archives, with the tables that they serve and what the cache has of them."""
    served: dict[str, dict[str, list[str]]] = {}
    for paper in library.readable():
        for name, numbers in paper.archives.items():
            served.setdefault(name, {})[paper.id] = numbers
    return [
        _dataset(one, served.get(one.id, {})) for one in readable(manifest.names(), manifest.load)
    ]


def _dataset(found: Manifest, serves: dict[str, list[str]]) -> DatasetLine:
    size, at_least = manifest.size(found)
    by_hand = "by hand" if found.archive.manual else "download"
    here, complete = _here(found)
    return DatasetLine(
        dataset=found.id,
        bytes=size,
        at_least=at_least,
        licence=found.archive.license,
        obtained="generated" if found.generate else by_hand,
        serves=serves,
        here=here,
        complete=complete,
        views=list(found.views),
    )


def _here(found: Manifest) -> tuple[str, bool]:
    """Return what is in the cache, as the receipts say; `repro fetch --check` reads the bytes."""
    try:
        have, missing = cache.receipts(found), cache.missing(found)
    except ReproError:
        return "damaged", False
    if not have:
        return "no", False
    states = {cache.state(found, name, receipt) for name, receipt in have.items()}
    worst = next(one for one in ("unverified", "own", "verified") if one in states)
    return worst, not missing


def models() -> list[PluginLine]:
    """Return the models, those of this package and the user's."""
    return _plugins(MODELS)


def protocols() -> list[PluginLine]:
    """Return the evaluation protocols, those of this package and the user's."""
    return _plugins(PROTOCOLS)


def _plugins(catalogue: Catalogue) -> list[PluginLine]:
    found = []
    for entry in catalogue.readable():
        needed = [one.name for one in entry.fields if one.required]
        what = entry.class_doc.partition("\n")[0]
        found.append(PluginLine(entry.name, what, needed, entry.defaults()))
    return found


def metrics() -> list[MetricLine]:
    """Return the metrics."""
    return [
        MetricLine(f"{name}@K", _what(function.__doc__ or "")) for name, function in METRICS.items()
    ]


def _what(docstring: str) -> str:
    """Return what a function returns, as its docstring says it first."""
    said = docstring.partition("\n")[0].removeprefix("Return ")
    return said[:1].upper() + said[1:]


def results() -> list[Summary]:
    """Return the frozen results of every column group."""
    return summaries(library.readable())


LISTS: dict[str, Callable[[], Sequence[ListLine]]] = {
    "papers": papers,
    "datasets": datasets,
    "models": models,
    "protocols": protocols,
    "metrics": metrics,
    "results": results,
}
"""The function that returns the lines of each kind."""


def lines(kind: str) -> Sequence[ListLine]:
    """Return the lines of one kind.

    Raises
    ------
    ReproError
        If there is no such kind.
    """
    if kind not in LISTS:
        raise unknown("list", kind, LISTS)
    return LISTS[kind]()


WIDTHS = {
    "licence": 44,
    "serves": 24,
    "views": 24,
    "title": 44,
    "venue": 32,
    "tables": 24,
    "what": 44,
    "parameters": 60,
    "verdicts": 24,
    "ahead as printed": 24,
    "ahead here": 24,
    "with further rows": 24,
}
"""Columns that are wrapped, and after how many characters."""


def table(lines: Iterable[ListLine]) -> str:
    """Return lines of one kind as a table for a terminal."""
    rows = [cells(line) for line in lines]
    widths = [WIDTHS.get(column) for column in (rows[0] if rows else {})]
    return tabulate(
        rows, headers="keys", tablefmt="simple", disable_numparse=True, maxcolwidths=widths
    )


def cells(line: ListLine) -> Cells:
    """Return a line as text, by column."""
    shown = _summary(line) if isinstance(line, Summary) else line.cells_of()
    return {column: one_line(text) for column, text in shown.items()}


def _texts(line: Any, **texts: str) -> Cells:
    return {one.name: texts.get(one.name, str(getattr(line, one.name))) for one in fields(line)}


def _summary(found: Summary) -> Cells:
    rows = f"{found.rows}" if found.rows else f"{found.added_rows} further"
    if found.rows_printed:
        rows = f"{found.rows} of {found.rows_printed}"
    in_part = found.ahead_here and found.ahead_found < found.ahead_rows
    some = f" ({found.ahead_found} of {found.ahead_rows} rows)" if in_part else ""
    return {
        "paper": found.paper,
        "table": found.table,
        "data": found.data,
        "marks": " ".join(f"[{mark}]" for mark in found.marks),
        "rows": rows,
        "seeds": f"{found.seeds} of {found.seeds_planned}",
        "verdicts": ", ".join(f"{verdict} {n}" for verdict, n in found.verdicts.items()),
        "ahead as printed": _leads(found.ahead_printed),
        "ahead here": _leads(found.ahead_here) + some,
        "with further rows": _leads(found.ahead_with_added),
    }


def _leads(leads: list[Lead]) -> str:
    return ", ".join(f"{row_name(lead.name)} {lead.columns}" for lead in leads)
