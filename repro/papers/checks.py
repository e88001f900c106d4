"""Faults of a table file that its schema cannot see: references between its parts."""

from __future__ import annotations

from collections.abc import Iterator

from repro import metrics, paths
from repro.errors import ReproError, unknown
from repro.papers.printed import number_in, share_in
from repro.papers.schema import STATISTICS, PaperFile, Row, Table, Tolerance
from repro.papers.settings import source_faults
from repro.plugins import MODELS


def faults_of(content: PaperFile) -> Iterator[str]:
    """Yield the faults that pydantic cannot see: references between the parts of a file."""
    yield from source_faults(content)
    for key, view in content.views.items():
        at, whose = f"views.{key}", view.added_for
        if not view.dataset:
            yield f"{at}.dataset: missing"
        elif not paths.is_inside(view.dataset) or view.dataset.count("/") != 1:
            yield f"{at}.dataset: '{view.dataset[:100]}' is no view; write ARCHIVE/VIEW"
        if whose and whose not in content.views:
            yield str(unknown("view", whose, content.views, f"{at}.added_for"))
        elif whose and content.views[whose].added_for:
            yield f"{at}.added_for: {whose} is itself a view of ours"
        names = {name for t in content.with_figures().values() for name in _names(t)}
        for name in view.params:
            if not {name, MODELS.today(name)} & names:
                yield str(unknown("model or row of this paper", name, names, f"{at}.params"))
    for number, figure in content.figures.items():
        if (figure.kind == "sweep") != (figure.x is not None):
            yield f"figures.{number}: a sweep needs an x axis, and nothing else may have one"
        pictures = [name.startswith("embedding:") for name in figure.metrics.values()]
        if any(pictures) != (figure.kind == "picture") or any(pictures) != all(pictures):
            yield f"figures.{number}: a picture shows only embedding:users or embedding:items"
        if figure.kind != "bars" and any(line.part for line in figure.lines):
            yield f"figures.{number}: only bars can show parts"
        if figure.x and bool(figure.x.param) == bool(figure.x.cases):
            yield f"figures.{number}.x: needs either param or cases"
    yield from faults_in_print(content)
    for number, table in content.with_figures().items():
        at = f"tables.{number}"
        for tolerance in table.tolerance:
            yield from _tolerance_faults(tolerance, f"{at}.tolerance", table)
        for row in table.rows:
            yield from _row_faults(content, table, row, f'{at}, row "{row.label}"')


def faults_in_print(content: PaperFile) -> Iterator[str]:
    """Yield the faults in what is printed: column groups, metrics, rows and their numbers."""
    for number, table in content.with_figures().items():
        at = f"tables.{number}"
        if table.per_cent and table.kind != "results":
            yield f"{at}.per_cent: only results are compared as shares; write 97.3% in the cell"
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
        labels = [row.label for row in table.rows]
        for label in {label for label in labels if labels.count(label) > 1}:
            yield f'{at}: two rows are called "{label}"'
        for row in table.rows:
            yield from _print_faults(content, table, row, f'{at}, row "{row.label}"')
        yield from _marks_faults(table, labels, at)
    for place, fault in enumerate(content.by_hand):
        at, noted = f"by_hand.{place}", content.tables.get(fault.table)
        if noted and fault.group and fault.group not in noted.groups:
            yield str(unknown("column group", fault.group, noted.groups, at))
        if noted and fault.metric and fault.metric not in noted.metrics:
            yield str(unknown("metric of this table", fault.metric, noted.metrics, at))
        labels = [row.label for row in noted.rows] if noted else []
        if noted and fault.row and fault.row not in labels:
            yield str(unknown("row of this table", fault.row, labels, at))


def _print_faults(content: PaperFile, table: Table, row: Row, at: str) -> Iterator[str]:
    """Yield the faults in a row's numbers and marks."""
    for key, place in row.at.items():
        here = f"{at}, at.{key}"
        if key not in table.groups:
            yield str(unknown("column group", key, table.groups, here))
        if place.view is not None and place.view not in content.views:
            yield str(unknown("view", place.view, content.views, here))
        if row.added and any(place.published):
            yield f"{here}: an added row has no published values"
        elif not row.added and len(place.published) != len(table.metrics):
            yield (
                f"{here}: {len(place.published)} published values for {len(table.metrics)} metrics"
            )
        for name, numbers in (("source", place.source), ("errors", place.errors)):
            if numbers and len(numbers) != len(table.metrics):
                yield f"{here}.{name}: {len(numbers)} numbers for {len(table.metrics)} metrics"
        for texts in (place.published, place.source, place.errors):
            for label, text in zip(table.metrics, texts, strict=False):
                if text:
                    yield from _cell_faults(text, f"{here}: {label}", table)
        for label in (*place.notes, *place.misprints, *place.bold):
            if label not in table.metrics:
                yield str(unknown("metric of this table", label, table.metrics, here))
        for label in place.misprints:
            if label in table.metrics and not (row.note or place.note or place.notes.get(label)):
                yield f"{here}.misprints: no note says why {label} cannot be this row's"


def _marks_faults(table: Table, labels: list[str], at: str) -> Iterator[str]:
    """Yield the faults in what a table says of improvements, tests and bold print."""
    named = [
        (f"{at}.bold_among", one)
        for rows in table.bold_among
        if isinstance(rows, list)
        for one in rows
    ]
    for gain in table.improvements:
        here = f"{at}.improvements"
        named += [(here, name) for name in (gain.of, gain.over) if name]
        for key, numbers in gain.at.items():
            if key not in table.groups:
                yield str(unknown("column group", key, table.groups, here))
            if len(numbers) != len(table.metrics):
                yield f"{here}: {len(numbers)} numbers for {len(table.metrics)} metrics"
            for label, text in zip(table.metrics, numbers, strict=False):
                if text:
                    yield from _number_faults(text, f"{here}: {label}")
    for test in table.significance:
        here = f"{at}.significance"
        named += [(here, test.row), (here, test.against)]
        if test.group not in table.groups:
            yield str(unknown("column group", test.group, table.groups, here))
        if test.metric not in table.metrics:
            yield str(unknown("metric of this table", test.metric, table.metrics, here))
        yield from _number_faults(test.z, f"{here}: z")
    named += [(f"{at}.average_of", name) for row in table.rows for name in row.average_of]
    for here, name in named:
        if name not in labels:
            yield str(unknown("row of this table", name, labels, here))


def _names(table: Table) -> Iterator[str]:
    for row in table.rows:
        models = [row.model, *(place.model for place in row.at.values())]
        yield from (name for name in [row.label, *models] if name)
        yield from (MODELS.today(name) for name in models if name)


def _row_faults(content: PaperFile, table: Table, row: Row, at: str) -> Iterator[str]:
    for key, place in row.at.items():
        here = f"{at}, at.{key}"
        for label, text in zip(table.metrics, place.published, strict=False):
            yield from _per_cent_faults(text, f"{here}: {label}", table)
        rule = place.select or row.select or table.select
        own = place.patience or row.patience
        if own and rule in ("last", "test:each"):
            yield f"{here}: patience has no effect with select = '{rule}'"
        if (place.patience_from or row.patience_from) and not (own or table.patience):
            yield f"{here}: patience_from has no effect without patience"
        if place.tolerance:
            yield from _tolerance_faults(place.tolerance, here, table)
        view = content.views.get(place.view or _view_of(table, key))
        if table.kind == "results" and view is not None and view.protocol is None:
            yield f"{here}: its view has no protocol, which a results table needs"
    if not row.at:
        yield f"{at}: no numbers"
    needs_model = table.kind == "results" and not row.quoted_from
    if needs_model and not row.model and not all(place.model for place in row.at.values()):
        yield f"{at}: needs a model, or quoted_from"


def _number_faults(text: str, at: str) -> Iterator[str]:
    """Yield why a text is no number."""
    try:
        number_in(text)
    except ReproError as error:
        yield f"{at}: {error}"


def _cell_faults(text: str, at: str, table: Table) -> Iterator[str]:
    """Yield why a text is no number that the table can print: results are shares."""
    try:
        if table.kind == "results":
            share_in(text, table.per_cent)
        else:
            number_in(text)
    except ReproError as error:
        yield f"{at}: {error}"


def _per_cent_faults(text: str, at: str, table: Table) -> Iterator[str]:
    """Yield that a result is in per cent, where its table does not say that it prints so."""
    if table.kind == "results" and not table.per_cent and "%" in text:
        yield (
            f"{at}: '{text}' is in per cent, but results are compared as shares, such as 0.5; "
            "where a table prints in per cent, set per_cent = true"
        )


def _view_of(table: Table, key: str) -> str:
    return table.group[key].view if key in table.group else key


def _tolerance_faults(tolerance: Tolerance, at: str, table: Table) -> Iterator[str]:
    if tolerance.within:
        yield from _cell_faults(tolerance.within, f"{at}.within", table)
    elif tolerance.standard_errors is None:
        yield f"{at}.within: missing"
    yield from _per_cent_faults(tolerance.within, f"{at}.within", table)
    for key in tolerance.groups or []:
        if key not in table.groups:
            yield str(unknown("column group", key, table.groups, f"{at}.groups"))
