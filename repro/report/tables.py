"""Tables as text: a paper's as printed, and a comparison as Markdown, text, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from itertools import groupby
from textwrap import fill
from types import MappingProxyType

from tabulate import tabulate

from repro.papers.paper import Paper
from repro.papers.printed import unit_in
from repro.report.claims import decided
from repro.report.pairs import paired_text
from repro.results.comparison import ComparedTable
from repro.results.frozen import RowName
from repro.results.judgement import VERDICTS
from repro.results.leaders import Leaders, leaders
from repro.results.naming import OF_ORIGIN
from repro.results.naming import row_name as row_name
from repro.results.verdicts import MARKS, ComparedCell
from repro.text import in_cell, in_markdown, one_line

WIDTH = 100
WIDEST = 8  # columns that stand side by side; more are stacked by group
LONGEST_NAME = 48  # of a row, beyond which it is broken into lines


NOTHING_AGAINST = (
    "nothing to compare with {}: both rows need a record or evidence of the same seed, with the "
    "hits of the epochs that count"
)
"""Printed where `--against` compares nothing."""


def counts(rows: dict[RowName, int], short: Mapping[RowName, str]) -> str:
    """Return rows, each with its number of columns."""
    return ", ".join(f"{row_name(name, short.get(name, ''))} {n}" for name, n in rows.items())


def ahead(found: Leaders, short: Mapping[RowName, str] = MappingProxyType({})) -> str:
    """Return who is ahead in a column group, as sentences."""
    columns = f"{found.columns} columns" if found.columns > 1 else "the column"
    some = f" ({found.found} of {found.rows} rows run)" if found.found < found.rows else ""
    said = [
        ("Published", found.published),
        (f"Here{some}", found.here),
        (f"Here, with further rows{some}", found.with_added),
        ("Above every published number", found.above),
    ]
    parts = [f"{what}: {counts(rows, short)}." for what, rows in said if rows]
    return f"Best of {columns}. {' '.join(parts)}"


def markdown(compared: list[ComparedTable]) -> str:
    """Return comparisons as Markdown that pastes into an issue."""
    return "\n".join(_prose(table, "pipe", "### ", "**{}**") for table in compared)


def text(compared: list[ComparedTable]) -> str:
    """Return comparisons as plain text."""
    return "\n".join(_prose(table, "simple", "", "{}") for table in compared)


def as_json(compared: list[ComparedTable]) -> str:
    """Return comparisons as JSON, a list of cells."""
    return json.dumps([asdict(cell) for table in compared for cell in table.cells], indent=1)


def as_csv(compared: list[ComparedTable]) -> str:
    """Return comparisons as CSV, a line per cell."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(ComparedCell.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    for table in compared:
        for cell in table.cells:
            fields = asdict(cell) | {"runs": " ".join(cell.runs)}
            writer.writerow(
                {k: one_line(v) if isinstance(v, str) else v for k, v in fields.items()}
            )
    return out.getvalue()


FORMATS: dict[str, Callable[[list[ComparedTable]], str]] = {
    "markdown": markdown,
    "text": text,
    "csv": as_csv,
    "json": as_json,
}
"""Every form of a comparison, by name."""


ROWS = {
    "added": "a row that the paper lacks, and the table file adds",
    "own": "a run of your own that is in no row: another model, or other settings",
}
"""What stands behind the name of a row."""


def legend(cells: Iterable[ComparedCell]) -> str:
    """Return what the verdicts, marks and names of rows in some cells mean, a line each."""
    seen = list(cells)
    verdicts = {verdict for cell in seen for verdict in (cell.verdict, cell.reference_verdict)}
    marks = {mark for cell in seen for mark in cell.marks + cell.reference_marks + cell.doubts}
    rows = {OF_ORIGIN.get(cell.origin) for cell in seen}
    lines = [f"{name}: {meaning}" for name, meaning in _SHOWN.items() if name in verdicts]
    lines += [f"[{mark}] {meaning}" for mark, meaning in MARKS.items() if mark in marks]
    lines += [f"({name}) {meaning}" for name, meaning in ROWS.items() if name in rows]
    return "\n".join(f"- {line}" for line in lines)


_SHOWN = {name: meaning for name, meaning in VERDICTS.items() if name != "ours"}
"""The verdicts that are printed; where nothing is to be compared, there is no word."""


def full_names(table: ComparedTable) -> list[tuple[str, str]]:
    """Return the short and the full name of each row that is shown by a short one."""
    named = {name: table.short[name] for name in table.names if name in table.short}
    return [(row_name(name, short), row_name(name)) for name, short in named.items()]


def _prose(table: ComparedTable, form: str, heading: str, strong: str) -> str:
    plain, in_grid = (in_markdown, in_cell) if form == "pipe" else (one_line, one_line)
    title = plain(f"{table.paper}, Table {table.number}")
    parts = [heading + title, "", plain(table.caption), ""]
    labels = list(dict.fromkeys(cell.group for cell in table.cells))
    for label in labels:
        cells = [cell for cell in table.cells if cell.group == label]
        columns = list(dict.fromkeys(cell.label for cell in cells))
        lines = []
        for row, group in groupby(cells, key=lambda cell: cell.name):
            of_row = {cell.label: cell for cell in group}
            shown = in_grid(row_name(row, table.short.get(row, "")))
            lines += _lines(shown, of_row, columns, strong, in_grid)
        if label:
            parts += [strong.format(plain(label)), ""]
        head = ["", "", *map(in_grid, columns)]
        widths = None if form == "pipe" else [LONGEST_NAME]  # Markdown has no cells of two lines
        grid = tabulate(lines, head, tablefmt=form, disable_numparse=True, maxcolwidths=widths)
        parts += [grid, ""]
        best = leaders(cells) if table.whole else None
        parts += [plain(ahead(best, table.short)), ""] if best else []
        of_group = [pair for pair in table.pairs if pair.group == label]
        pairs = [f"- {plain(paired_text(pair, table.short))}" for pair in of_group]
        parts += [*pairs, ""] if pairs else []
    parts += [legend(table.cells), ""]
    names = [f"- {plain(short)}: {plain(full)}" for short, full in full_names(table)]
    parts += ["Names in full:", "", *names, ""] if names else []
    parts += [decided(table.claims), ""] if table.claims else []
    reasons = reasons_of(table)
    if reasons:
        parts += [f"- {plain(reason)}" for reason in reasons] + [""]
    if table.notes or table.note:
        parts += ["Notes:", ""] + ([f"- {plain(table.note)}"] if table.note else [])
        parts += [f"- {plain(f'{row}: {note}')}" for row, note in table.notes] + [""]
    return "\n".join(parts)


def _lines(
    row: str,
    cells: dict[str, ComparedCell],
    columns: list[str],
    strong: str,
    plain: Callable[[str], str],
) -> list[list[str]]:
    """Return a row's lines: published; then our run and its verdict, or the frozen one and its."""

    def line(of: Callable[[ComparedCell], str]) -> list[str]:
        return [of(cells[column]) if column in cells else "" for column in columns]

    doubts = "".join(m for m in MARKS if all(m in cell.doubts for cell in cells.values()))
    published = line(lambda cell: _marked(plain(cell.published), cell.doubts, besides=doubts))
    lines = [[row, _marked("published", doubts), *published]] if any(published) else []
    kept = [cell for cell in cells.values() if cell.reference is not None]
    if kept:
        same = "".join(m for m in MARKS if all(m in cell.reference_marks for cell in kept))
        found = line(lambda cell: _reference(cell, besides=same))
        seeds = _seeds(kept[0].reference_seeds, kept[0].planned)
        lines.append(["" if lines else row, _marked("reference", same) + seeds, *found])
    with_number = [cell for cell in cells.values() if cell.ours is not None]
    if not with_number:
        verdict = next(iter(cells.values())).verdict
        lines[0][1] += "" if kept or verdict == "ours" else f" ({verdict})"
        judged = line(lambda cell: cell.reference_verdict)
        return [*lines, ["", "its verdict", *judged]] if any(published) and any(judged) else lines
    shared = "".join(m for m in MARKS if all(m in cell.marks for cell in with_number))
    whose = "external" if "e" in shared else "yours"
    ours = line(lambda cell: ours_text(cell, besides=shared))
    marked = _marked("", shared) + _seeds(with_number[0].seeds, with_number[0].planned)
    errors = line(_error)
    error = [["", "s.e. over users", *errors]] if any(errors) else []
    if not any(published):
        return [*lines, ["" if lines else row, whose + marked, *ours], *error]
    verdicts = ["", "verdict", *line(lambda cell: cell.verdict)]
    return [*lines, ["", strong.format(whose) + marked, *ours], *error, verdicts]


def _error(cell: ComparedCell) -> str:
    return "" if cell.standard_error is None else f"{cell.standard_error:.{digits(cell)}f}"


def _reference(cell: ComparedCell, besides: str) -> str:
    if cell.reference is None:
        return ""
    return _marked(f"{cell.reference:.{digits(cell)}f}", cell.reference_marks, besides)


def _seeds(n: int, planned: int) -> str:
    """Return how many seeds a mean is over, if that needs saying."""
    if n < planned:
        return f" ({n} of {planned} seeds)"
    return f" ({n} seeds)" if n > 1 else ""


def ours_text(cell: ComparedCell, besides: str = "") -> str:
    """Return our number with one digit more than printed, its spread over seeds, and its marks.

    Parameters
    ----------
    cell : ComparedCell
        The cell.
    besides : str
        Marks that are shown elsewhere.
    """
    if cell.ours is None:
        return "" if cell.verdict == "ours" else cell.verdict
    if cell.metric in ("users", "items", "interactions"):
        shown = f"{cell.ours:,.0f}"
    else:
        places = digits(cell)
        shown = f"{cell.ours:.{places}f}"
        if cell.spread is not None:
            shown += f" ± {cell.spread:.{places}f}"
    return _marked(shown, cell.marks, besides)


def digits(cell: ComparedCell) -> int:
    """Return how many digits to print: one more than the paper."""
    printed = -int(unit_in(cell.published).logb()) if cell.published else 3
    return max(printed, 0) + 1


def _marked(text: str, marks: str, besides: str = "") -> str:
    return text + "".join(f" [{mark}]" for mark in marks if mark not in besides)


def reasons_of(table: ComparedTable) -> list[str]:
    """Return why numbers are missing, and which tolerances were used; each once.

    Column groups are named if there are several.
    """
    seen = table.cells
    sources = [
        f"{row_name(name, table.short.get(name, ''))}: scored from {source}"
        for name, source in dict.fromkeys((one.name, one.source) for one in seen if one.source)
    ]
    rows: dict[tuple[str, str], dict[str, None]] = {}
    for cell in seen:
        if cell.reason and cell.verdict not in ("higher", "lower", "undecided"):
            reason = f"{cell.verdict}, {cell.reason}"
            name = row_name(cell.name, table.short.get(cell.name, ""))
            rows.setdefault((reason, cell.group), {})[name] = None
    groups: dict[tuple[str, str], list[str]] = {}
    for (reason, group), names in rows.items():
        groups.setdefault((reason, ", ".join(names)), []).append(group)
    several = len({cell.group for cell in seen}) > 1
    return sources + [
        f"{', '.join(of)}: {names}: {reason}" if several else f"{names}: {reason}"
        for (reason, names), of in groups.items()
    ]


def published(paper: Paper, number: str) -> str:
    """Return a table as the paper prints it, with its notes below."""
    table = paper.table(number)
    entries = [entry for entry in paper.entries[number] if not entry.added]
    metrics = list(table.metrics)
    by_place = {
        (entry.row, entry.group): {cell.label: cell.published for cell in entry.cells}
        for entry in entries
    }
    labels = {entry.group: entry.group_label for entry in entries}
    unit = " (printed in per cent, shown as shares)" if table.per_cent else ""
    parts = [one_line(f"Table {number}: {table.caption}{unit}"), ""]
    rows = [row.label for row in table.rows if not row.added]

    def cells(row: str, group: str) -> list[str]:
        have = by_place.get((row, group), {})
        return [have.get(metric, "") for metric in metrics]

    def grid(head: list[str], lines: list[list[str]]) -> str:
        lines = [list(map(one_line, line)) for line in lines]
        if table.transposed:
            head, *lines = [list(line) for line in zip(head, *lines, strict=True)]
        return tabulate(lines, head, tablefmt="simple", disable_numparse=True)

    shown = {g: one_line(labels.get(g, g)) for g in table.groups}
    heads = list(map(one_line, metrics))
    if table.kind == "statistics":
        lines = [[entry.row, *cells(entry.row, entry.group)] for entry in entries]
        parts += [grid(["", *heads], lines), ""]
    elif len(table.groups) * len(metrics) <= WIDEST:
        names = [
            shown[g] if len(heads) == 1 else f"{shown[g]}\n{head}"
            for g in table.groups
            for head in heads
        ]
        lines = [[row, *(text for g in table.groups for text in cells(row, g))] for row in rows]
        parts += [grid(["", *names], lines), ""]
    else:
        for group in table.groups:
            lines = [[row, *cells(row, group)] for row in rows]
            parts += [grid([shown[group], *heads], lines), ""]
    notes = [table.note] if table.note else []
    notes += [f"{about}: {note}" for entry in entries for about, note in entry.notes]
    notes += [f"{e.name}, {c.label}: {c.note}" for e in entries for c in e.cells if c.note]
    return "\n".join([*parts, *bullets(dict.fromkeys(notes))])


def bullets(notes: Iterable[str]) -> list[str]:
    """Return notes as points, wrapped for a terminal."""
    return [
        fill(f"- {one_line(note)}", WIDTH, subsequent_indent="  ", break_long_words=False)
        for note in notes
    ]
