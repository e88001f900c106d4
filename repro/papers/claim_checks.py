"""Faults of a file's claims that its schema cannot see: rows, columns and keys that do not fit."""

from __future__ import annotations

from collections.abc import Iterator

from repro.errors import ReproError, unknown
from repro.papers.claims import Claim, Fact, RowAt, RowRef, label_of
from repro.papers.printed import computed, rounded
from repro.papers.schema import STATISTICS, Figure, PaperFile, Table, figure_key

NEEDS = {
    "margin": ("percent",),
    "level": ("within",),
    "trend": ("shape",),
    "unmeasured": ("reason",),
    "untestable": ("reason",),
}
"""Keys that a kind cannot do without."""

OWN = {
    "percent": "margin",
    "between": "margin",
    "within": "level",
    "shape": "trend",
    "peak": "trend",
    "facts": "equal",
}
"""Keys that only one kind has."""


def claim_faults(content: PaperFile) -> Iterator[str]:
    """Yield the faults of a file's claims, each with the claim's id."""
    seen: set[str] = set()
    tables = content.with_figures()
    for claim in content.claims:
        at = f"claims.{claim.id}"
        if claim.id in seen:
            yield f"{at}: two claims have this id"
        seen.add(claim.id)
        yield from _key_faults(claim, at)
        for name in claim.views:
            if name not in content.views or not content.views[name].added_for:
                added = [key for key, view in content.views.items() if view.added_for]
                yield str(unknown("added view", name, added, f"{at}.views"))
        missing = [name for name in claim.tables if name not in tables]
        yield from (str(unknown("table", name, tables, f"{at}.tables")) for name in missing)
        if not missing:
            yield from _place_faults(content, claim, tables, at)
        for fact in claim.facts:
            yield from _fact_faults(content, fact, tables, f"{at}.facts")


def _key_faults(claim: Claim, at: str) -> Iterator[str]:
    for key in NEEDS.get(claim.kind, ()):
        if not getattr(claim, key):
            yield f"{at}: kind {claim.kind} needs {key}"
    for key, kind in OWN.items():
        if getattr(claim, key) and claim.kind != kind:
            yield f"{at}: only kind {kind} has {key}"
    open_ = claim.kind in ("unmeasured", "untestable")
    if claim.reason and not open_:
        yield f"{at}: kind {claim.kind} has no reason, as it is tested"
    if (claim.shape == "peak") != bool(claim.peak):
        yield f"{at}: shape peak needs peak, and nothing else may have it"
    if claim.kind in ("above", "margin", "level", "faster") and not claim.two_by_two():
        yield f"{at}: kind {claim.kind} needs pairs, or rows and against"
    if claim.kind in ("best", "trend") and not claim.rows:
        yield f"{at}: kind {claim.kind} needs rows"
    if claim.kind == "equal" and not (claim.facts or claim.tables):
        yield f"{at}: kind equal needs facts, pairs or a statistics table"
    if not (claim.tables or open_ or claim.facts):
        yield f"{at}: needs tables"
    for text in [*claim.percent.values(), *([claim.within] if claim.within else [])]:
        yield from _number_faults(text, at)


def _number_faults(text: str, at: str) -> Iterator[str]:
    try:
        rounded(text)
    except ReproError as error:
        yield f"{at}: {error}"


def _place_faults(
    content: PaperFile, claim: Claim, tables: dict[str, Table], at: str
) -> Iterator[str]:
    """Yield the faults of groups, columns and rows."""
    of = [tables[name] for name in claim.tables]
    groups = dict.fromkeys(key for table in of for key in table.groups)
    columns = dict.fromkeys(label for name in claim.tables for label in _columns(content, name))
    for key in [*claim.groups, *(one.group for one in claim.apart_from), *claim.peak]:
        if key not in groups:
            yield str(unknown("column group", key, groups, at))
    named = [label for one in claim.apart_from for label in one.metrics]
    for label in [*claim.metrics, *claim.percent, *named]:
        if label not in columns:
            yield str(unknown("metric", label, columns, at))
    for ref in [*claim.rows, *claim.against, *(row for pair in claim.pairs for row in pair)]:
        yield from _row_faults(content, ref, claim.tables, tables, at)
        if isinstance(ref, RowAt) and ref.metric and ref.metric not in columns:
            yield str(unknown("metric", ref.metric, columns, at))
    if claim.kind in ("trend", "faster"):
        for name in claim.tables:
            figure = _figure(content, name)
            if figure is None or figure.kind != {"trend": "sweep", "faster": "curve"}[claim.kind]:
                yield f"{at}: kind {claim.kind} needs a figure with an axis, and {name} is none"
    for name in claim.tables:
        figure = _figure(content, name)
        values = figure.x.values if figure and figure.x else []
        for x in [*claim.peak.values(), *claim.x]:
            if x not in values:
                yield f"{at}: {x:g} is not on an axis of {name}"


def _figure(content: PaperFile, name: str) -> Figure | None:
    drawn = name.startswith(figure_key(""))
    return content.figures[name.removeprefix(figure_key(""))] if drawn else None


def _columns(content: PaperFile, name: str) -> dict[str, str]:
    return (_figure(content, name) or content.tables[name]).metrics


def _row_faults(
    content: PaperFile, ref: RowRef, own: list[str], tables: dict[str, Table], at: str
) -> Iterator[str]:
    elsewhere = isinstance(ref, RowAt) and ref.table
    if isinstance(ref, RowAt) and ref.table and ref.table not in tables:
        yield str(unknown("table", ref.table, tables, at))
        return
    for name in [ref.table] if isinstance(ref, RowAt) and elsewhere else own:
        labels = _rows(content, name)
        if label_of(ref) not in labels:
            yield str(unknown(f"row of {_called(name)}", label_of(ref), labels, at))
        elif isinstance(ref, RowAt) and ref.group and ref.group not in tables[name].groups:
            yield str(unknown("column group", ref.group, tables[name].groups, at))


def _rows(content: PaperFile, name: str) -> list[str]:
    figure = _figure(content, name)
    return [row.label for row in (figure.lines if figure else content.tables[name].rows)]


def _called(name: str) -> str:
    return name if name.startswith(figure_key("")) else f"table {name}"


def _fact_faults(
    content: PaperFile, fact: Fact, tables: dict[str, Table], at: str
) -> Iterator[str]:
    if sum(bool(one) for one in (fact.computed, fact.statistic, fact.param)) != 1:
        yield f"{at}: '{fact.stated}' needs one of computed, statistic and param"
    if fact.computed:
        yield from _number_faults(fact.stated, at)
        try:
            computed(fact.computed)
        except ReproError as error:
            yield f"{at}: {error}"
    if fact.statistic:
        yield from _number_faults(fact.stated, at)
        if fact.statistic not in STATISTICS:
            yield str(unknown("statistic", fact.statistic, STATISTICS, at))
        if fact.view not in content.views:
            yield str(unknown("view", fact.view, content.views, at))
    if fact.param and not (fact.row and fact.row.table and fact.row.group):
        yield f"{at}: {fact.param} needs a row with its table and group"
    elif fact.row:
        yield from _row_faults(content, fact.row, [], tables, at)
