"""A paper's tables as pages show them: printed numbers with ours beside, a detail for each row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from repro.errors import ReproError
from repro.papers.printed import number_in
from repro.report.site.details import Detail, Sources
from repro.report.site.looks import SIGNS, Ids, number, step, z_text
from repro.report.tables import WIDEST, row_name
from repro.results.comparison import ComparedTable
from repro.results.verdicts import MARKS, ComparedCell


@dataclass(frozen=True)
class Shown:
    """A cell of a table."""

    id: str
    published: str
    doubts: str
    """Marks of the printed number."""
    ours: str
    marks: str
    sign: str
    verdict: str
    z: str
    step: str
    printed_key: str
    """What the cell is sorted by: the printed number, ours, z; empty where there is none."""
    ours_key: str
    z_key: str


@dataclass(frozen=True)
class Row:
    """A row of a table."""

    id: str
    name: str
    kind: str
    """"paper", or "ours" for what the paper does not have."""
    run: bool
    claimed: bool
    cells: list[Shown | None]
    about: str
    """Seeds and marks, where all cells share them."""


@dataclass(frozen=True)
class Grid:
    """Some column groups of a table, side by side."""

    id: str
    title: str
    groups: list[tuple[str, int]]
    """Label and number of columns; one without a label: no line of labels."""
    labels: list[str]
    rows: list[Row]


@dataclass(frozen=True)
class TableOnPage:
    """A table with everything below it."""

    id: str
    number: str
    caption: str
    note: str
    grids: list[Grid]
    details: list[Detail]
    claims: list[str]
    file: str
    """Its numbers as CSV, beside the page."""
    printed: int
    run: int


def table_of(compared: ComparedTable, sources: Sources, ids: Ids, file: str) -> TableOnPage:
    """Return a table as a page shows it.

    Parameters
    ----------
    compared : ComparedTable
        Its cells.
    sources : Sources
        Where their numbers come from.
    ids : Ids
        Of the page.
    file : str
        The address of its CSV.
    """
    made = _Table(compared, sources, ids)
    printed = [cell for cell in compared.cells if cell.published]
    return TableOnPage(
        id=made.id,
        number=compared.number,
        caption=compared.caption,
        note=compared.note,
        grids=list(made.grids()),
        details=list(made.details()),
        claims=[c.id for c in sources.claims if compared.number in c.tables],
        file=file,
        printed=len(printed),
        run=sum(cell.value is not None for cell in printed),
    )


class _Table:
    """Puts a table together."""

    def __init__(self, compared: ComparedTable, sources: Sources, ids: Ids) -> None:
        self.compared, self.sources, self.ids = compared, sources, ids
        self.table = f"table-{compared.number}"
        self.id = ids.of(self.table)
        entries = sources.paper.entries[compared.number]
        self.counts = sources.paper.table(compared.number).kind == "statistics"
        self.keys = {e.group_label: e.group for e in entries}
        self.added = {e.group_label for e in entries if "view" in e.added}
        self.rows = dict.fromkeys(cell.name for cell in compared.cells)
        self.by_place: dict[tuple[object, str], list[ComparedCell]] = {}
        for cell in compared.cells:
            self.by_place.setdefault((cell.name, cell.group), []).append(cell)

    def grids(self) -> Iterator[Grid]:
        """Yield the column groups: side by side where they fit, else one below the other."""
        labels = {
            group: list(dict.fromkeys(c.label for c in self.compared.cells if c.group == group))
            for group in self._groups()
        }
        own = [group for group in labels if group not in self.added]
        if sum(len(labels[group]) for group in own) <= WIDEST:
            together = [own]
        else:
            together = [[group] for group in own]
        together += [[group] for group in labels if group in self.added]
        for groups in together:
            if groups:
                yield self._grid(groups, labels)

    def _groups(self) -> list[str]:
        seen = dict.fromkeys(cell.group for cell in self.compared.cells)
        return [*(g for g in self.keys if g in seen), *(g for g in seen if g not in self.keys)]

    def _grid(self, groups: list[str], labels: dict[str, list[str]]) -> Grid:
        rows = []
        for name in self.rows:
            if any((name, group) in self.by_place for group in groups):
                rows.append(self._row(name, groups, labels))
        key = "+".join(self._key(group) for group in groups)
        return Grid(
            id=self.ids.of(self.table, key, "grid"),
            title=", ".join(group for group in groups if group) if len(groups) == 1 else "",
            groups=[(group, len(labels[group])) for group in groups] if len(groups) > 1 else [],
            labels=[label for group in groups for label in labels[group]],
            rows=rows,
        )

    def _key(self, group: str) -> str:
        return self.keys.get(group, group) or "all"

    def _row(self, name: object, groups: list[str], labels: dict[str, list[str]]) -> Row:
        of_row = [c for g in groups for c in self.by_place.get((name, g), [])]
        first = of_row[0]
        shared = [m for m in MARKS if all(m in _marks(c) + c.doubts for c in of_row)]
        cells: list[Shown | None] = []
        for group in groups:
            here = {c.label: c for c in self.by_place.get((name, group), [])}
            cells += [
                self._shown(here[label], shared) if label in here else None
                for label in labels[group]
            ]
        seeds = max((c.seeds or c.reference_seeds for c in of_row), default=0)
        planned = max(c.planned for c in of_row)
        parts = [f"{seeds} of {planned} seeds"] if 0 < seeds < planned else []
        parts += [f"{seeds} seeds"] if seeds > 1 and seeds >= planned else []
        if {c.judged or c.verdict for c in of_row} == {"unrun"}:
            parts.append("not counted" if self.counts else "not run")
        return Row(
            id=self._row_id(first, groups[0]),
            name=row_name(first.name),
            kind="paper" if first.origin == "paper" and not first.shortened else "ours",
            run=any(c.value is not None for c in of_row),
            claimed=bool(self.sources.claimed.get((first.table, first.row)))
            and first.origin != "other",
            cells=cells,
            about=" ".join([*parts, *(f"[{m}]" for m in shared)]),
        )

    def _row_id(self, cell: ComparedCell, group: str) -> str:
        return self.ids.of(self.table, self._key(group), *_path(cell), "row")

    def _shown(self, cell: ComparedCell, shared: Sequence[str]) -> Shown:
        verdict = cell.judged or cell.verdict
        marks = [m for m in _marks(cell) if m not in shared]
        return Shown(
            id=self._cell_id(cell),
            published=cell.published,
            doubts="".join(f"[{m}]" for m in cell.doubts if m not in shared),
            ours=number(cell.value, cell),
            marks="".join(f"[{m}]" for m in marks),
            sign=SIGNS[verdict],
            verdict=verdict,
            z=z_text(cell.z) if cell.value is not None else "",
            step=step(cell.z) if cell.value is not None else "",
            printed_key=_key(cell.published),
            ours_key="" if cell.value is None else repr(cell.value),
            z_key="" if cell.z is None else repr(abs(cell.z)),
        )

    def _cell_id(self, cell: ComparedCell) -> str:
        return self.ids.of(self.table, self._key(cell.group), *_path(cell), cell.label)

    def details(self) -> Iterator[Detail]:
        """Yield the details of all rows, by column group."""
        for (_, group), cells in self.by_place.items():
            id = self.ids.of(self.table, self._key(group), *_path(cells[0]))
            back = self._row_id(cells[0], self._first_beside(group))
            yield self.sources.detail(cells, id, [self._cell_id(c) for c in cells], back)

    def _first_beside(self, group: str) -> str:
        """Return the first of the column groups that a column group is shown beside."""
        own = [g for g in self._groups() if g not in self.added]
        n = sum(len({c.label for c in self.compared.cells if c.group == g}) for g in own)
        return own[0] if group in own and n <= WIDEST else group


def _path(cell: ComparedCell) -> list[str]:
    """Return what names a row in an address."""
    more = [part for part in (cell.shortened, cell.apart) if part]
    return [cell.row, *more] if cell.origin == "paper" else [cell.row, *more, cell.origin]


def _marks(cell: ComparedCell) -> str:
    return cell.marks if cell.ours is not None else cell.reference_marks


def _key(published: str) -> str:
    """Return what a printed number is sorted by."""
    try:
        return str(number_in(published)) if published else ""
    except ReproError:
        return ""
