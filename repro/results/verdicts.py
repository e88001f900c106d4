"""A cell of a table: the published number, our number, the frozen one, and the verdict."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from repro.data import manifest, views
from repro.metrics import Result
from repro.papers import library
from repro.papers.rows import Cell, Entry
from repro.results import frozen_counts
from repro.results.distance import spread
from repro.results.found import Found, results_of
from repro.results.frozen import CellKey, Frozen, RowName
from repro.results.frozen_counts import CountKey, FrozenCount
from repro.results.judgement import Judged, count, judge

MARKS = {
    "u": "data not verified against its manifest",
    "o": "your own data: its manifest states no hash",
    "t": "epoch chosen on test, as the paper did",
    "e": "scores of another program, from a file, whose sha256 is printed",
    "a": "run on another view of the data than its column group, as the row's note says",
    "c": "scores are constant for some users",
    "f": "ranked among fewer candidates than the protocol asks for",
    "n": "some test users have no training row, and vectors that were not trained score them",
    "d": "the code differed from its commit, changed after an interruption, or your own plug-in "
    "has changed since",
    "s": "smoke: toy data, two epochs",
    "m": "printed number that cannot be this row's result; its note says why",
    "p": "printed numbers at the level of the most popular items",
    "x": "a record of this row is damaged and left out; see repro check",
    "v": "the data has changed since, or there are several runs, and the newest is shown",
}


@dataclass(frozen=True, kw_only=True)
class ComparedCell:
    """One cell: the published number, our number, and the verdict."""

    paper: str
    table: str
    row: str
    origin: Literal["paper", "added", "other", "external"] = "paper"
    shortened: str = ""
    apart: str = ""
    """`row` to `apart` are as in `RowName`."""
    group: str
    """The column group's label: a dataset, or a variant."""
    label: str
    """The metric as printed."""
    metric: str
    """As in `repro list metrics`, such as "capped_recall@20"."""
    published: str
    """As printed; empty where the paper prints nothing."""
    note: str
    """The table file's note on the cell."""
    ours: float | None = None
    """Our number, mean over seeds."""
    spread: float | None = None
    """Standard deviation over seeds, if there are two or more."""
    standard_error: float | None = None
    """Over test users, mean over seeds."""
    seeds: int = 0
    """How many `ours` is the mean of."""
    planned: int = 0
    """How many seeds the table asks for."""
    doubts: str = ""
    """Marks of the published number."""
    verdict: str = "unrun"
    """A key of `VERDICTS`."""
    marks: str = ""
    """Marks of `ours`."""
    reason: str = ""
    """Why there is no number, how far `ours` is off, or why that is `close`."""
    z: float | None = None
    """How far the judged number is off, in units of what chance explains; see `Distance`."""
    chance: tuple[str, ...] = ()
    """What these units count: "seeds", "users", "digit"."""
    runs: tuple[str, ...] = ()
    """The ids of the records."""
    source: str = ""
    """Of scores of another program: file and sha256."""
    reference: float | None = None
    """The frozen result, mean over its seeds: what an earlier version gave."""
    reference_verdict: str = ""
    """The verdict on `reference`."""
    reference_marks: str = ""
    """Marks of `reference`."""
    reference_seeds: int = 0
    """How many seeds `reference` is the mean of."""
    reference_runs: tuple[str, ...] = ()
    """The ids of its runs."""

    @property
    def name(self) -> RowName:
        """The row."""
        return RowName(self.row, self.origin, self.shortened, self.apart)

    @property
    def value(self) -> float | None:
        """Our number: from a record, or else the frozen one."""
        return self.reference if self.ours is None else self.ours

    @property
    def judged(self) -> str:
        """The verdict on `value`."""
        return self.reference_verdict if self.ours is None else self.verdict


def compared(
    entry: Entry,
    cell: Cell,
    found: Found,
    frozen: dict[CellKey, list[Frozen]],
    digest_here: Callable[[str], str],
    name: RowName,
) -> ComparedCell:
    """Return a cell of a results table.

    Parameters
    ----------
    entry : Entry
        Its row in its column group.
    cell : Cell
        What was printed.
    found : Found
        The runs of its experiment.
    frozen : dict of CellKey to list of Frozen
        The table's frozen results; those of this cell are taken out.
    digest_here : callable
        `digest_here`, or a cached form of it.
    name : RowName
        What the row is called here.
    """
    latest, several, marks = found.latest(cell.metric, digest_here)
    faults = [one.reason for one in found.damaged]
    latest, results = results_of(latest, cell.metric, faults)
    values = [r.value for r in results]
    errors = [r.standard_error for r in results if r.standard_error]  # 0: all users are alike
    if latest:
        marks += "a" if entry.view in entry.apart else ""
        marks += "x" if faults else ""
        marks += "v" if several else ""
        marks = "".join(mark for mark in MARKS if mark in marks)
    n_users = latest[0].n_users if latest else None
    judged = judge(entry, cell, results, n_users=n_users, marks=marks)
    if faults and not latest:
        judged, marks = Judged("damaged", "; ".join(faults)), ""
    is_planned = name.origin in ("paper", "added") and not name.shortened
    made: dict[str, Any] = {
        "ours": statistics.fmean(values) if values else None,
        "spread": spread(values) if len(values) > 1 else None,
        "standard_error": statistics.fmean(errors) if errors else None,
        "seeds": len(results),
        "planned": len(entry.seeds) if is_planned else len(results),
        "verdict": judged.verdict,
        "marks": marks,
        "reason": judged.reason,
        "runs": tuple(record.id for record in latest),
    }
    frozen_fields, of_frozen = _reference(entry, cell, frozen, name)
    shown = judged if latest else of_frozen
    return _printed(entry, cell, name, **made, **frozen_fields, z=shown.z, chance=shown.chance)


def _reference(
    entry: Entry, cell: Cell, frozen: dict[CellKey, list[Frozen]], name: RowName
) -> tuple[dict[str, Any], Judged]:
    """Return the fields of a cell's frozen results, which are taken out of `frozen`."""
    rows = latest_frozen(frozen.pop(CellKey(entry.table, name, entry.group_label, cell.label), []))
    if not rows:
        return {}, Judged("unrun")
    results = [Result(row.value, row.standard_error, row.epoch or 0) for row in rows]
    judged = judge(entry, cell, results)
    return {
        "reference": statistics.fmean(one.value for one in rows),
        "reference_verdict": judged.verdict,
        "reference_marks": _frozen_marks(rows) + ("a" if entry.view in entry.apart else ""),
        "reference_seeds": len(rows),
        "reference_runs": tuple(row.experiment for row in rows),
    }, judged


def _printed(entry: Entry, cell: Cell, name: RowName, **ours: Any) -> ComparedCell:
    """Return a cell with what was printed, and the given fields of our run."""
    return ComparedCell(
        paper=entry.paper,
        table=entry.table,
        **vars(name),
        label=cell.label,
        metric=cell.metric,
        published=cell.published,
        note=cell.note,
        doubts=cell.doubts,
        **{"group": entry.group_label, **ours},
    )


def statistic(entry: Entry, cell: Cell, frozen: Mapping[CountKey, FrozenCount]) -> ComparedCell:
    """Return a cell of a table that counts the data; the frozen count where they are not here."""
    known = None if entry.obstacle() else views.prepared(entry.dataset)
    kept = frozen.get(CountKey(entry.table, entry.row, cell.label))
    made: dict[str, Any] = {}
    if kept and kept.statistic == cell.metric and kept.dataset == entry.dataset:
        made["reference"] = kept.value
        made["reference_verdict"] = count(cell, kept.value).verdict
        made["reference_marks"] = "" if kept.verified else "u"
    if known is None:
        archive = manifest.split_id(entry.dataset)[0]
        verdict, reason = entry.obstacle() or ("unrun", f"not prepared: repro fetch {archive}")
        made |= {"verdict": verdict, "reason": reason}
        return _printed(entry, cell, RowName(entry.row), group="", **made)
    ours = known.statistic(cell.metric)
    judged = count(cell, ours)
    marks = "" if known.verified else "o" if views.is_own(entry.dataset) else "u"
    made |= {"ours": ours, "verdict": judged.verdict, "reason": judged.reason, "marks": marks}
    return _printed(entry, cell, RowName(entry.row), group="", **made)


def only_frozen(paper: str, place: CellKey, rows: list[Frozen]) -> ComparedCell:
    """Return the cell of a further row that only the frozen results have."""
    rows = latest_frozen(rows)
    return ComparedCell(
        paper=paper,
        table=place.table,
        **vars(place.name),
        group=place.group,
        label=place.label,
        metric=rows[0].metric,
        published="",
        note="",
        verdict="ours",
        reference=statistics.fmean(row.value for row in rows),
        reference_verdict="ours",
        reference_marks=_frozen_marks(rows),
        reference_seeds=len(rows),
        reference_runs=tuple(row.experiment for row in rows),
        planned=len(rows),
    )


def latest_frozen(frozen: list[Frozen]) -> list[Frozen]:
    """Return those of the data that was frozen last."""
    digest = max(frozen, key=lambda row: row.began).digest if frozen else ""
    return [row for row in frozen if row.digest == digest]


def _frozen_marks(rows: list[Frozen]) -> str:
    """Return the marks that frozen numbers have wherever they are shown."""
    marks = "" if all(row.verified for row in rows) else "u"
    marks += "t" if any(row.select.startswith("test") for row in rows) else ""
    return marks + ("d" if any(row.dirty for row in rows) else "")


def statistics_of(dataset: str) -> list[ComparedCell]:
    """Return the cells that count a view, of every paper that prints them."""
    found = []
    for paper in library.readable():
        counting = [n for n in paper.tables if paper.table(n).kind == "statistics"]
        entries = [e for n in counting for e in paper.entries[n] if e.dataset == dataset]
        kept = frozen_counts.load(paper.id) if entries else {}
        found += [statistic(entry, cell, kept) for entry in entries for cell in entry.cells]
    return found
