"""The grid of a comparison for a terminal: as many columns side by side as the window holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from rich.cells import cell_len, set_cell_size
from rich.table import Column, Table
from rich.text import Text

from repro.report.picture import LOOKS
from repro.report.tables import digits, row_name
from repro.results.comparison import ComparedTable
from repro.results.frozen import RowName
from repro.results.verdicts import MARKS, ComparedCell
from repro.text import one_line

STYLES = {
    "exact": "green",
    "close": "cyan",
    "higher": "magenta",
    "lower": "yellow",
    "undecided": "default",
    "misprint": "red",
    "collapsed": "red",
    "easier": "red",
    "damaged": "red",
}
"""The colour of a number by its verdict; one that is far off is bold, too."""

ASCII = {"≈": "~", "↑": "^", "↓": "v", "~": "o"}
"""The signs of verdicts where the terminal cannot show them."""

FAR = 3.0
"""Numbers that are off by more standard errors are bold."""

LONGEST_NAME, SHORTEST_NAME = 32, 12
"""Of a row, in characters; beyond that it is cut, and told in full below."""


@dataclass(frozen=True)
class View:
    """What is shown of a comparison, and how wide."""

    width: int
    notes: bool = False
    """Also why numbers are missing or off, the notes of the table file, and claims."""
    added: bool = False
    """Also rows that the paper lacks and nobody ran here."""
    commands: bool = False
    """Also the command behind each row."""
    pairs: bool = False
    """Also rows compared user by user."""
    unicode: bool = True
    """Whether the terminal shows more than ASCII."""

    def sign(self, verdict: str) -> str:
        """Return the sign of a verdict, which stands beside its colour."""
        sign = LOOKS[verdict][0] if verdict in LOOKS else ""
        return sign if self.unicode else ASCII.get(sign, sign)

    @property
    def ellipsis(self) -> str:
        """What stands for the rest of a name."""
        return "…" if self.unicode else "..."


@dataclass(frozen=True)
class _Layout:
    """How a cell is written: our number beside the printed one or below it, with z or a sign."""

    beside: bool
    with_z: bool

    @property
    def gap(self) -> int:
        """Spaces between columns."""
        return 2 if self.beside else 1

    @property
    def says(self) -> str:
        """What a cell holds."""
        ours = "ours with z" if self.with_z else "ours"
        return f"printed, then {ours}" if self.beside else f"printed, and below it {ours}"


LAYOUTS = [_Layout(True, True), _Layout(True, False), _Layout(False, True), _Layout(False, False)]
"""The widest first."""


@dataclass(frozen=True)
class _Row:
    """A row of a grid."""

    name: RowName
    cells: dict[str, ComparedCell]
    """By label."""

    @property
    def doubts(self) -> str:
        """Marks that every printed number has."""
        return _shared([cell.doubts for cell in self.cells.values() if cell.published])

    @property
    def marks(self) -> str:
        """Marks that every number of ours has."""
        return _shared([own_marks(cell) for cell in self.cells.values() if cell.value is not None])

    def run(self) -> str:
        """Return whose numbers it has, of how many seeds, and their marks; or why it has none."""
        every = list(self.cells.values())
        ours = [cell for cell in every if cell.ours is not None]
        kept = [cell for cell in every if cell.reference is not None]
        if not ours and not kept:
            return every[0].verdict
        cell = (ours or kept)[0]
        n = cell.seeds if ours else cell.reference_seeds
        of = f"/{cell.planned}" if n < cell.planned else ""
        return f"{'yours' if ours else 'frozen'}{f' {n}{of}' if n else ''}{_marks(self.marks)}"

    def parts(self, label: str, layout: _Layout, view: View) -> tuple[str, str, str]:
        """Return a cell's printed number, ours, and what stands behind that: sign, z, marks."""
        cell = self.cells.get(label)
        if cell is None:
            return "", "", ""
        doubts = _marks(mark for mark in cell.doubts if mark not in self.doubts)
        printed = one_line(cell.published) + doubts
        if cell.value is None:
            return printed, "", ""
        counted_data = cell.metric in ("users", "items", "interactions")
        number = f"{cell.value:,.0f}" if counted_data else f"{cell.value:.{digits(cell)}f}"
        sign = view.sign(cell.judged)
        z = f"{cell.z:+.1f}" if layout.with_z and cell.z is not None and sign else ""
        z = z.replace("-", "−") if view.unicode else z
        marks = _marks(mark for mark in own_marks(cell) if mark not in self.marks)
        return printed, number, " " * layout.beside + sign + z + marks if sign else marks


def _shared(marks: list[str]) -> str:
    return "".join(mark for mark in MARKS if marks and all(mark in own for own in marks))


def own_marks(cell: ComparedCell) -> str:
    """Return the marks of our number."""
    return cell.reference_marks if cell.ours is None else cell.marks


def _marks(marks: Iterable[str]) -> str:
    return "".join(f"[{mark}]" for mark in marks)


@dataclass(frozen=True)
class Grids:
    """A column group, drawn."""

    says: str
    """What a cell holds."""
    grids: list[Table]
    """One; or several below one another, where the window is too narrow for all columns."""
    names: dict[str, str]
    """Full names of rows by shorter ones that are shown."""


def grids(table: ComparedTable, cells: list[ComparedCell], view: View) -> Grids:
    """Return the grid of a column group's cells, in the widest layout that fits the window."""
    labels = list(dict.fromkeys(cell.label for cell in cells))
    rows = [
        _Row(name, {cell.label: cell for cell in of_row})
        for name, of_row in groupby(cells, key=lambda cell: cell.name)
    ]
    layout, drawn = _fitting(table, rows, labels, view)
    shown = {_shown(table, row, view): row_name(row.name) for row in rows}
    names = {short: full for short, full in shown.items() if short != full}
    return Grids(layout.says, drawn, names)


def _shown(table: ComparedTable, row: _Row, view: View) -> str:
    """Return the name of a row, cut short if it is long."""
    longest = max(SHORTEST_NAME, min(LONGEST_NAME, view.width // 4))
    return cut(row_name(row.name, table.short.get(row.name, "")), longest, view)


def _fitting(
    table: ComparedTable, rows: list[_Row], labels: list[str], view: View
) -> tuple[_Layout, list[Table]]:
    """Return the widest layout of which all columns fit, else the narrowest; and its grids."""
    for layout in LAYOUTS:
        names = [_shown(table, row, view) + _marks(row.doubts) for row in rows]
        runs = [row.run() for row in rows]
        first = max(map(cell_len, names))
        if layout.beside:
            first += 2 + max(map(cell_len, runs))
        else:
            first = max([first, *(cell_len(run) + 2 for run in runs)])
        columns = {label: _Column.of(label, rows, layout, view) for label in labels}
        parts = _parts(
            {k: one.width + layout.gap for k, one in columns.items()}, view.width - first
        )
        if len(parts) == 1:
            break
    return layout, [
        _grid(list(zip(names, runs, rows, strict=True)), [columns[k] for k in part], layout)
        for part in parts
    ]


def _parts(widths: Mapping[str, int], room: int) -> list[list[str]]:
    """Return the columns, as many side by side as fit; at least one."""
    parts: list[list[str]] = [[]]
    for label in widths:
        if parts[-1] and sum(widths[one] for one in [*parts[-1], label]) > room:
            parts.append([])
        parts[-1].append(label)
    return parts


@dataclass(frozen=True)
class _Column:
    """A column of a grid, whose numbers stand below one another."""

    label: str
    cells: dict[RowName, tuple[str, str, str]]
    styles: dict[RowName, str]
    layout: _Layout

    @classmethod
    def of(cls, label: str, rows: list[_Row], layout: _Layout, view: View) -> _Column:
        """Return the column of a metric."""
        cells = {row.name: row.parts(label, layout, view) for row in rows}
        styles = {row.name: _style(row.cells.get(label)) for row in rows}
        return cls(one_line(label), cells, styles, layout)

    @property
    def widths(self) -> list[int]:
        """How wide the printed numbers are, ours, and what stands behind them."""
        return [max(map(cell_len, part)) for part in zip(*self.cells.values(), strict=True)]

    @property
    def width(self) -> int:
        """In characters."""
        printed, ours, behind = self.widths
        own = ours + behind
        inside = printed + 1 + own if self.layout.beside else max(printed + behind, own)
        return max(inside, cell_len(self.label))

    def text(self, name: RowName) -> Text:
        """Return a cell, as wide as the column."""
        printed, ours, behind = self.cells[name]
        widths = self.widths
        if self.layout.beside:
            first = _right(printed, widths[0]) + " " * bool(widths[0])
            own = _right(ours, widths[1]), self.styles[name]
            return self._padded(Text.assemble((first, "dim"), own, _left(behind, widths[2])))
        above = self._padded(Text(printed + " " * widths[2] if printed else "", "dim"))
        below = Text.assemble((ours, self.styles[name]), _left(behind, widths[2]))
        return Text.assemble(above, "\n", self._padded(below))

    def _padded(self, text: Text) -> Text:
        text.pad_left(self.width - cell_len(text.plain))
        return text


def _right(text: str, width: int) -> str:
    return " " * (width - cell_len(text)) + text


def _left(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))


def _style(cell: ComparedCell | None) -> str:
    """Return the colour of a number of ours."""
    if cell is None:
        return ""
    far = " bold" if cell.z is not None and abs(cell.z) > FAR else ""
    return STYLES.get(cell.judged, "default") + far


def _grid(rows: list[tuple[str, str, _Row]], columns: list[_Column], layout: _Layout) -> Table:
    heads = [Column(no_wrap=True) for _ in range(2 if layout.beside else 1)]
    heads += [Column(Text(_right(one.label, one.width)), no_wrap=True) for one in columns]
    gap = (0, layout.gap, 0, 0)
    grid = Table(*heads, box=None, pad_edge=False, header_style="bold", padding=gap)
    for name, run, row in rows:
        texts = [column.text(row.name) for column in columns]
        if layout.beside:
            grid.add_row(Text(name), Text(run, "dim"), *texts)
        else:
            grid.add_row(Text.assemble(name, (f"\n  {run}", "dim")), *texts)
    return grid


def cut(text: str, width: int, view: View) -> str:
    """Return a name that fits; of one that is too long, the beginning."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - cell_len(view.ellipsis)).rstrip() + view.ellipsis
