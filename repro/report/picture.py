"""A picture of verdicts for README: a column group of a table with its frozen numbers, as SVG."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from repro.errors import unknown
from repro.papers import library
from repro.results.comparison import compare
from repro.results.verdicts import MARKS, ComparedCell
from repro.text import one_line

WIDTH = 106
"""Characters in a line."""

LOOKS = {
    "exact": ("=", "#7ee787", "our run rounds to the printed digits"),
    "close": ("≈", "#a5d6ff", "chance explains the difference"),
    "higher": ("↑", "#d2a8ff", "outside, above"),
    "lower": ("↓", "#ffa657", "outside, below"),
    "undecided": ("~", "#8b949e", "off, and how much chance explains is unknown"),
    "misprint": ("?", "#ff7b72", "the printed number cannot be this row's result"),
}
"""Sign, colour and meaning of the verdicts on a printed number. The word is shown with them: a
reader need not tell colours apart."""

SVG = """\
<svg viewBox="0 16 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
font-size: {char_height}px;
}}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
<rect x="0" y="16" width="{width}" height="{height}" rx="10" fill="#0d1117"/>
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""The template that rich fills in. Unlike rich's own, it loads no font from the network."""


def verdicts(paper: str, number: str, group: str, labels: Sequence[str]) -> str:
    """Return a picture of the paper's rows in one column group: printed, our run, verdict.

    Parameters
    ----------
    paper, number : str
        The paper's id, and the table's printed number.
    group : str
        The label of the column group.
    labels : sequence of str
        Some of the metrics, as printed.

    Raises
    ------
    ReproError
        If there is no such paper, table, column group or metric.
    """
    table = compare(library.load(paper), number, [])
    own = [cell for cell in table.cells if cell.origin == "paper" and not cell.shortened]
    cells = {(cell.row, cell.label): cell for cell in own if cell.group == group}
    if not cells:
        groups = {cell.group for cell in own}
        raise unknown(f"column group of {paper}, Table {number}", group, groups)
    for label in labels:
        if label not in (known := {label for _, label in cells}):
            raise unknown(f"metric of {paper}, Table {number}", label, known)
    shown = {place: cell for place, cell in cells.items() if place[1] in labels}
    console = Console(record=True, width=WIDTH, file=io.StringIO(), no_color=False)
    seen = {cell.reference_verdict for cell in shown.values()}
    marks = [mark for mark in MARKS if all(mark in c.reference_marks for c in shown.values())]
    lines: list[Text | Table] = [
        Text(one_line(library.load(paper).about.title), "bold"),
        Text(one_line(f"Table {number}, {group}")),
        Text(),
        _grid(shown, labels),
        Text(),
        *(_meaning(name) for name in LOOKS if name in seen),
        *(Text(f"[{mark}]      {MARKS[mark]}", "dim") for mark in marks),
    ]
    for line in lines:
        console.print(Padding(line, (0, 2)))
    return console.export_svg(code_format=SVG, unique_id="verdicts")


def _grid(cells: dict[tuple[str, str], ComparedCell], labels: Sequence[str]) -> Table:
    columns = [Column("", no_wrap=True, min_width=10)]
    for label in labels:
        head = Text.assemble((f"{one_line(label)}\n", "bold"), ("paper", "dim"))
        columns.append(Column(head, no_wrap=True, min_width=len(label)))
        columns.append(Column(Text("\nour run", "dim"), no_wrap=True, min_width=8))
        columns.append(Column(Text("\nverdict", "dim"), no_wrap=True, min_width=10))
    grid = Table(*columns, box=None, pad_edge=False, collapse_padding=True, header_style="")
    for row in dict.fromkeys(row for row, _ in cells):
        grid.add_row(
            Text(one_line(row)), *(text for label in labels for text in _texts(cells[row, label]))
        )
    return grid


def _texts(cell: ComparedCell) -> tuple[Text, Text, Text]:
    """Return a cell's texts: our number has one digit more than the printed one."""
    digits = len(cell.published.partition(".")[2]) + 1
    ours = "" if cell.reference is None else f"{cell.reference:.{digits}f}"
    return Text(one_line(cell.published)), Text(ours), _word(cell.reference_verdict or cell.verdict)


def _word(verdict: str) -> Text:
    sign, colour, _ = LOOKS.get(verdict, ("", "default", ""))
    return Text(f"{sign} {verdict}".strip(), colour)


def _meaning(verdict: str) -> Text:
    sign, colour, meaning = LOOKS[verdict]
    return Text.assemble((f"{sign} {verdict:<7}", colour), (meaning, "dim"))
