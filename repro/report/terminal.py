"""A comparison for a terminal: a summary, then a coloured table that fits the window."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from repro.report.claims import counted
from repro.report.grid import SHORTEST_NAME, STYLES, View, cut, grids, own_marks
from repro.report.tables import ROWS, ahead, reasons_of, row_name
from repro.results.commands import commands_of
from repro.results.comparison import ComparedTable
from repro.results.differences import Pair
from repro.results.frozen import RowName
from repro.results.judgement import VERDICTS
from repro.results.leaders import leaders
from repro.results.naming import OF_ORIGIN
from repro.results.verdicts import MARKS, ComparedCell
from repro.text import one_line


@dataclass
class _Seen:
    """What the legend has to explain."""

    cells: list[ComparedCell] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    """Full names by those that are shown."""
    hidden: set[tuple[str, str, RowName]] = field(default_factory=set)


def terminal(tables: list[ComparedTable], view: View) -> list[RenderableType]:
    """Return comparisons as lines and tables for a terminal.

    Parameters
    ----------
    tables : list of ComparedTable
        What was compared.
    view : View
        What to show of it.
    """
    seen = _Seen()
    body = [line for table in tables for line in _table(table, view, seen)]
    return [summary(tables, view), Text(), *body, *_legend(seen, view)]


def summary(tables: Iterable[ComparedTable], view: View) -> Table:
    """Return three lines: cells with a number, verdicts, claims."""
    every = list(tables)
    printed = [cell for table in every for cell in table.cells if cell.published]
    yours = sum(cell.ours is not None for cell in printed)
    frozen = sum(cell.ours is None and cell.reference is not None for cell in printed)
    claims = list({(one.paper, one.id): one for table in every for one in table.claims}.values())
    verdicts = Counter(cell.judged or cell.verdict for cell in printed)
    judged = Text("   ").join(
        Text(f"{view.sign(name)} {name} {verdicts[name]}".strip(), STYLES.get(name, "default"))
        for name in VERDICTS
        if verdicts[name] and name != "ours"
    )
    told = (
        f"on print: {counted([one.printed.verdict for one in claims])}; "
        f"on runs: {counted([one.ours.verdict for one in claims])}"
    )
    cells = f"{yours + frozen} of {len(printed)} printed numbers have a run: {yours} yours"
    lines = Table(Column(style="bold"), Column(), box=None, show_header=False, pad_edge=False)
    lines.add_row("Cells", f"{cells}, {frozen} frozen")
    lines.add_row("Verdicts", judged)
    one = len({table.paper for table in every}) == 1
    none = "none rests on these tables" if one else "counted where one paper is compared"
    lines.add_row("Claims", told if claims else f"{none}; repro claims shows all")
    return lines


def _table(table: ComparedTable, view: View, seen: _Seen) -> Iterator[RenderableType]:
    """Yield the lines of a table: a grid for each column group, and what stands below."""
    shown = [cell for cell in table.cells if view.added or _is_shown(cell)]
    seen.cells += shown
    seen.hidden |= {(table.paper, c.group, c.name) for c in table.cells} - {
        (table.paper, c.group, c.name) for c in shown
    }
    yield Text(one_line(f"{table.paper}, Table {table.number}: {table.caption}"), "bold")
    for group in dict.fromkeys(cell.group for cell in shown):
        cells = [cell for cell in shown if cell.group == group]
        drawn = grids(table, cells, view)
        seen.names |= drawn.names
        name = f"{one_line(group)}  " if group else ""
        yield Text.assemble((name, "italic"), (drawn.says, "dim"))
        yield from drawn.grids
        whole = [cell for cell in table.cells if cell.group == group]
        best = leaders(whole) if table.whole else None
        if best:
            yield Text(one_line(ahead(best, table.short)))
        pairs = [pair for pair in table.pairs if pair.group == group]
        if pairs and view.pairs:
            yield from _pairs(pairs, table.short, view, seen)
        yield Text()
    if view.commands:
        kept = replace(table, cells=tuple(shown))
        yield from (Text(one_line(command), overflow="fold") for command in commands_of(kept))
        yield Text()
    if view.notes:
        yield from _notes(table)


def _is_shown(cell: ComparedCell) -> bool:
    """Return whether a cell is the paper's or was run here."""
    return (cell.origin == "paper" and bool(cell.published)) or bool(cell.runs)


def _pairs(
    pairs: list[Pair], short: Mapping[RowName, str], view: View, seen: _Seen
) -> Iterator[RenderableType]:
    """Yield how far rows are above another, user by user."""
    for against, own in groupby(pairs, key=lambda pair: pair.against):
        of = list(own)
        name = row_name(against, short.get(against, ""))
        yield Text(f"minus {name}, user by user; * where it is above two standard errors", "italic")
        labels = [d.label for d in of[0].differences]
        heads = [Column("", no_wrap=True), Column("", no_wrap=True)]
        heads += [Column(Text(one_line(one)), justify="right") for one in labels]
        grid = Table(*heads, box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for pair in of:
            full = row_name(pair.row, short.get(pair.row, ""))
            shown = cut(full, max(SHORTEST_NAME, view.width // 4), view)
            if shown != row_name(pair.row):
                seen.names[shown] = row_name(pair.row)
            seeds = f"{pair.n_users:,} users, {len(pair.seeds)} seed{'s' * (len(pair.seeds) > 1)}"
            cells = [_difference(d.value, d.standard_error, view) for d in pair.differences]
            grid.add_row(Text(shown), Text(seeds, "dim"), *cells)
        yield grid


def _difference(value: float, error: float | None, view: View) -> Text:
    far = error is not None and abs(value) > 2 * error
    style = ("magenta" if value > 0 else "yellow") if far else "default"
    text = Text(f"{value:+.4f}", style)
    beside = "±" if view.unicode else "+-"
    text.append("" if error is None else f" {beside}{error:.4f}", "dim")
    return text.append("*" if far else "")


def _notes(table: ComparedTable) -> Iterator[RenderableType]:
    """Yield why numbers are missing or off, the table file's notes, and claims."""
    notes = [*reasons_of(table), *([table.note] if table.note else [])]
    notes += [f"{row}: {note}" for row, note in table.notes]
    notes += [
        f"claim {c.id}: on print {c.printed.verdict}, on runs {c.ours.verdict}"
        for c in table.claims
    ]
    for note in notes:
        yield _point(note)
    yield Text()


def _point(text: str) -> RenderableType:
    point = Table(Column(width=1), Column(), box=None, show_header=False, padding=(0, 1, 0, 0))
    point.add_row("-", Text(one_line(text)))
    return point


def _legend(seen: _Seen, view: View) -> Iterator[RenderableType]:
    """Yield what signs, marks and names mean, as far as they are shown, and what is hidden."""
    judged = {cell.judged or cell.verdict for cell in seen.cells}
    lines = [
        (view.sign(name) or name, f"{name}: {meaning}" if view.sign(name) else meaning)
        for name, meaning in VERDICTS.items()
        if name in judged and name != "ours"
    ]
    marks = {mark for cell in seen.cells for mark in own_marks(cell) + cell.doubts}
    lines += [(f"[{mark}]", meaning) for mark, meaning in MARKS.items() if mark in marks]
    rows = {OF_ORIGIN.get(cell.origin) for cell in seen.cells}
    lines += [(f"({name})", meaning) for name, meaning in ROWS.items() if name in rows]
    lines += seen.names.items()
    legend = Table(
        Column(no_wrap=True), Column(), box=None, show_header=False, padding=(0, 1, 0, 0)
    )
    legend.pad_edge = False
    for first, meaning in lines:
        legend.add_row(Text(first, "dim"), Text(meaning, "dim"))
    if lines:
        yield legend
    hints = []
    if seen.hidden:
        n = len(seen.hidden)
        hints.append(f"--ours shows {n} row{'s' * (n > 1)} more, which the paper lacks")
    hints += [] if view.notes else ["--notes why numbers are off or missing"]
    hints += [] if view.commands else ["--commands how each row was run"]
    if hints:
        yield Padding(Text("; ".join(hints), "dim"), (1, 0, 0, 0))
