"""What a cell of a table opens: the row in its column group, and where its numbers come from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from repro.papers.paper import Paper
from repro.papers.rows import Entry
from repro.papers.settings import settings
from repro.report.explanations import source, value
from repro.report.runs import duration
from repro.report.site.lines import Curve, learning
from repro.report.site.looks import SIGNS, number, step, z_text
from repro.report.tables import row_name
from repro.results import evidence, frozen
from repro.results.claims.judge import JudgedClaim
from repro.results.frozen import CellKey, Frozen
from repro.results.ledger import run_command
from repro.results.origins import Ran, of_frozen, of_record
from repro.results.verdicts import MARKS, ComparedCell, latest_frozen
from repro.runs.records import Record


@dataclass(frozen=True)
class Line:
    """A metric of the row."""

    id: str
    label: str
    published: str
    ours: str
    spread: str
    """Standard deviation over seeds."""
    error: str
    """Standard error over test users."""
    z: str
    step: str
    sign: str
    verdict: str
    reason: str
    note: str


@dataclass(frozen=True)
class RunLine:
    """A run, in words."""

    id: str
    seed: int
    epoch: str
    took: str
    began: str
    made: str
    """By which code, on which machine."""
    data: str


@dataclass(frozen=True)
class SettingLine:
    """A setting, and who states it."""

    part: str
    name: str
    value: str
    said: str
    open: bool


@dataclass(frozen=True)
class ClaimLine:
    """A claim that rests on the row."""

    id: str
    says: str
    printed: str
    ours: str


@dataclass(frozen=True)
class Detail:
    """A row in a column group."""

    id: str
    back: str
    """The id of its row in the table."""
    row: str
    group: str
    table: str
    origin: str
    """"paper", "added" or "other"."""
    quoted_from: str
    lines: list[Line]
    commands: list[str]
    obstacle: str
    runs: list[RunLine]
    file: str
    """Where frozen numbers lie."""
    dataset: str
    curve: Curve | None
    no_curve: str
    settings: list[SettingLine]
    marks: list[str]
    notes: list[str]
    claims: list[ClaimLine]


@dataclass(frozen=True)
class Sources:
    """What is known of a paper's numbers: its frozen lines, their evidence, and records."""

    paper: Paper
    records: Sequence[Record]
    claims: Sequence[JudgedClaim]

    @cached_property
    def lines(self) -> dict[CellKey, list[Frozen]]:
        """The frozen lines of each cell, of the data that was frozen last."""
        found: dict[CellKey, list[Frozen]] = {}
        for line in frozen.load(self.paper.id):
            found.setdefault(line.place, []).append(line)
        return {place: latest_frozen(lines) for place, lines in found.items()}

    @cached_property
    def by_id(self) -> dict[str, Record]:
        """Records, and evidence, by the id of the run."""
        kept = evidence.of_lines(self.paper.id, frozen.load(self.paper.id))
        return {one.id: one for one in [*kept, *self.records]}

    @cached_property
    def claimed(self) -> dict[tuple[str, str], list[JudgedClaim]]:
        """The claims that name a row of a table."""
        found: dict[tuple[str, str], list[JudgedClaim]] = {}
        for claim in self.claims:
            compared = [*claim.printed.compared, *claim.ours.compared]
            places = [(c.table, row) for c in compared for row in (c.row, c.against) if row]
            for place in dict.fromkeys(places):
                found.setdefault(place, []).append(claim)
        return found

    @cached_property
    def entries(self) -> dict[tuple[str, str, str], Entry]:
        """Rows by table, label and column group."""
        return {
            (number, e.row, e.group_label): e
            for number in self.paper.tables
            for e in self.paper.entries[number]
        }

    def claims_on(self, table: str, row: str) -> list[ClaimLine]:
        """Return the claims that rest on a row."""
        return [
            ClaimLine(c.id, c.says, c.printed.verdict, c.ours.verdict)
            for c in self.claimed.get((table, row), [])
        ]

    def detail(
        self, cells: Sequence[ComparedCell], id: str, ids: Iterable[str], back: str
    ) -> Detail:
        """Return what the cells of a row in a column group open.

        Parameters
        ----------
        cells : sequence of ComparedCell
            Of one row and one column group.
        id, ids, back : str
            The id of the whole, that of each cell, and that of its row in the table.
        """
        first = cells[0]
        entry = self.entries.get((first.table, first.row, first.group))
        entry = entry if first.origin != "other" else None
        lines = [self._line(cell, one) for cell, one in zip(cells, ids, strict=True)]
        runs = self._runs(cells)
        records = [self.by_id[run.id] for run in runs if run.id in self.by_id]
        curve = learning(records, [cell.metric for cell in cells])
        marks = dict.fromkeys(m for c in cells for m in c.marks + c.reference_marks + c.doubts)
        obstacle = entry.obstacle() if entry else None
        known = settings(self.paper, entry) if entry and entry.recipe else []
        return Detail(
            id=id,
            back=back,
            row=row_name(first.name),
            group=first.group,
            table=first.table,
            origin=first.origin,
            quoted_from=entry.quoted_from if entry else "",
            lines=lines,
            commands=_commands(self.paper, entry, first) if entry and not obstacle else [],
            obstacle=obstacle[1] if obstacle else "",
            runs=[_ran(run) for run in runs],
            file=f"tables/reference/{self.paper.id}.csv" if self._frozen(cells) else "",
            dataset=entry.dataset if entry else "",
            curve=curve,
            no_curve=_no_curve(runs, records),
            settings=[
                SettingLine(s.part, s.name, value(s.value), source(s.sources), s.open)
                for s in known
                if s.used
            ],
            marks=[f"[{mark}] {MARKS[mark]}" for mark in MARKS if mark in marks],
            notes=[note for _, note in entry.notes] if entry else [],
            claims=self.claims_on(first.table, first.row) if first.origin != "other" else [],
        )

    def _frozen(self, cells: Sequence[ComparedCell]) -> bool:
        return any(cell.ours is None and cell.reference is not None for cell in cells)

    def _of_cell(self, cell: ComparedCell) -> list[Frozen]:
        key = CellKey(cell.table, cell.name, cell.group, cell.label)
        return self.lines.get(key, []) if cell.ours is None else []

    def _line(self, cell: ComparedCell, id: str) -> Line:
        kept = self._of_cell(cell)
        errors = [one.standard_error for one in kept if one.standard_error is not None]
        values = [one.value for one in kept]
        error = cell.standard_error
        if error is None and errors:
            error = sum(errors) / len(errors)
        spread = cell.spread
        if spread is None and len(values) > 1:
            mean = sum(values) / len(values)
            spread = (sum((v - mean) ** 2 for v in values) / (len(values) - 1)) ** 0.5
        verdict = cell.judged or cell.verdict
        return Line(
            id=id,
            label=cell.label,
            published=cell.published,
            ours=number(cell.value, cell),
            spread=number(spread, cell),
            error=number(error, cell),
            z=z_text(cell.z),
            step=step(cell.z) if cell.value is not None else "",
            sign=SIGNS[verdict],
            verdict=verdict,
            reason=cell.reason if cell.ours is not None or cell.value is None else "",
            note=cell.note,
        )

    def _runs(self, cells: Sequence[ComparedCell]) -> list[Ran]:
        """Return the runs of a row: records, or else the frozen lines."""
        ids = dict.fromkeys(id for cell in cells for id in cell.runs)
        if ids:
            return [of_record(self.by_id[id]) for id in ids if id in self.by_id]
        lines = {one.experiment: one for cell in cells for one in self._of_cell(cell)}
        return sorted((of_frozen(one) for one in lines.values()), key=lambda run: run.seed)


def _commands(paper: Paper, entry: Entry, cell: ComparedCell) -> list[str]:
    """Return what runs a row, with fewer epochs where it was shortened, and what explains it."""
    if entry.recipe is None:
        return [f"repro compare {paper.id} --table {entry.table}"]
    run = run_command(paper, entry)
    fewer = [part.partition(" of ")[0].replace(" ", "") for part in cell.shortened.split(", ")]
    sets = "".join(f" --set {one}" for one in fewer if one)
    return [run + sets, run.replace("repro run", "repro explain", 1)]


def _no_curve(runs: Sequence[Ran], records: Sequence[Record]) -> str:
    if not runs:
        return ""
    if not records:
        return "Only the number is frozen, without its learning curve."
    return "The model has no epochs, or its curve has one point."


def _ran(run: Ran) -> RunLine:
    version = f"repro {run.version}" if run.version else "an unknown version"
    commit = f", commit {run.commit[:7]}" if run.commit else ""
    threads = f", {run.threads} threads" if run.threads and run.threads > 1 else ""
    machine = ", ".join(part for part in (run.device, run.cpu) if part) + threads
    return RunLine(
        id=run.id,
        seed=run.seed,
        epoch="each its own" if run.epoch is None else str(run.epoch),
        took=duration(run.seconds),
        began=run.began[:10],
        made=f"{version}{commit}{' (changed)' if run.dirty else ''}; {machine}",
        data=f"{run.digest[:12]}{'' if run.verified else ' (not verified)'}",
    )
