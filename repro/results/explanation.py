"""One row of a table explained: what makes it, what was run, and what other readings give."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from repro.errors import ReproError, unknown
from repro.metrics import parse
from repro.papers.paper import Paper
from repro.papers.rows import Cell, Entry
from repro.papers.settings import Setting, settings
from repro.results.comparison import compare
from repro.results.frozen import Frozen
from repro.results.ledger import Reading, of_row, run_command
from repro.results.origins import Data, Ran, data_of, frozen_rows, of_frozen, of_record
from repro.results.variants import Variant, epochs, judged, variants
from repro.results.verdicts import ComparedCell
from repro.runs.plan import place_names
from repro.runs.records import Record


@dataclass(frozen=True)
class ExplainedCell:
    """A cell, and what other readings of it give."""

    label: str
    """The metric as printed."""
    metric: str
    published: str
    """As printed; empty where the paper prints nothing."""
    ours: Variant | None
    """Our number; null if there is none."""
    spread: float | None
    """Standard deviation over seeds, if there are two or more."""
    z: float | None
    """How far our number is off, in units of what chance explains, as in a comparison."""
    chance: list[str]
    """What these units count."""
    verdict: str
    reason: str
    marks: str
    """Of our number and of the printed one, as in a comparison."""
    epochs: list[Variant]
    """The metric at other epochs."""
    readings: list[Variant]
    """The metric under other formulas, cut-offs and denominators, nearest to the printed number
    first."""
    same: list[str]
    """Readings that give every test user the same here."""
    note: str


@dataclass(frozen=True)
class Explanation:
    """A row in one column group."""

    paper: str
    title: str
    table: str
    caption: str
    row: str
    group: str
    """The column group's label."""
    added: list[str]
    """What the table file adds, and the paper does not have: "row", "view"."""
    quoted_from: str
    command: str
    obstacle: str
    """Why nothing can be run for it; empty if it can."""
    data: Data | None
    """Null if there is no manifest."""
    n_users: int | None
    """Test users, as far as a record says."""
    settings: list[Setting]
    shortened: str
    """The epochs of a shorter run, where there is no other."""
    runs: list[Ran]
    evidence: bool
    """Whether the hits of the epochs that count are kept."""
    tie_size: float | None
    """Mean number of other items that share the deciding score."""
    constant: float | None
    """Share of test users to whom all items score the same."""
    cells: list[ExplainedCell]
    ledger: list[Reading]
    """The open readings of the row, the largest measured effect first."""
    notes: list[str]
    missing: list[str]
    """What would need a run."""


def explain_row(
    paper: Paper,
    table: str,
    row: str,
    records: Iterable[Record],
    *,
    view: str = "",
    metric: str = "",
) -> list[Explanation]:
    """Return a row explained, once for each of its column groups.

    Without a view these are all of the paper's, and of the added ones those with a number.

    Parameters
    ----------
    paper : Paper
        The paper.
    table : str
        The table's printed number.
    row : str
        The row's label, in any case.
    records : iterable of Record
        All there are.
    view : str
        A dataset or column group, as `repro run` takes it.
    metric : str
        One cell, by the metric's printed label or our name of it; else all.

    Raises
    ------
    ReproError
        If there is no such table, row, view or metric, or the table counts the data.
    """
    every = list(records)
    found = _entries(paper, table, row, view)
    known = paper.table(table).metrics
    label = next((k for k, v in known.items() if metric.lower() in (k.lower(), v)), "")
    if metric and not label:
        raise unknown("metric of this table", metric, known)
    cells = [c for c in compare(paper, table, every).cells if c.row == found[0].row]
    made = []
    for entry in found:
        here = [c for c in cells if c.group == entry.group_label and c.origin != "other"]
        if view or "view" not in entry.added or any(c.value is not None for c in here):
            made.append(_explained(paper, entry, every, here, label))
    return made


def _entries(paper: Paper, table: str, row: str, view: str) -> list[Entry]:
    """Return a row in the column groups that were asked for."""
    if paper.table(table).kind == "statistics":
        how = f"repro compare {paper.id} --table {table}"
        raise ReproError(f"table {table} of {paper.id} counts the data; it has no runs", how)
    labels = {entry.row.lower(): entry.row for entry in paper.entries[table]}
    typed = row.strip().lower().removesuffix(" (added)")
    if typed not in labels:
        raise unknown(f"row of table {table} of {paper.id}", row, labels.values())
    every = [e for e in paper.entries[table] if e.row == labels[typed]]
    if not view:
        return every
    called = [(entry, place_names(paper, entry, False)) for entry in every]
    found = [e for e, names in called if view.lower() in {name.lower() for name in names}]
    if not found:
        raise unknown("view", view, {name for _, names in called for name in names})
    return found


def _explained(
    paper: Paper, entry: Entry, records: list[Record], cells: list[ComparedCell], label: str
) -> Explanation:
    chosen = _chosen(cells)
    ids = {id for cell in chosen for id in cell.runs}
    own = sorted((r for r in records if r.id in ids), key=lambda r: r.experiment.seed)
    shortened = next((cell.shortened for cell in chosen), "")
    kept = [] if own else frozen_rows(paper, entry, shortened)
    by_seed = {one.seed: of_frozen(one) for one in kept}
    runs = [of_record(r) for r in own] or [by_seed[seed] for seed in sorted(by_seed)]
    table, obstacle = paper.table(entry.table), entry.obstacle()
    cutoffs = sorted({parse(name)[1] for name in table.metrics.values()})
    asked = [cell for cell in entry.cells if label in ("", cell.label)]
    readings = of_row(paper, entry, records) if "view" not in entry.added else []
    return Explanation(
        paper=paper.id,
        title=paper.about.title,
        table=entry.table,
        caption=table.caption,
        row=entry.row,
        group=entry.group_label,
        added=list(entry.added),
        quoted_from=entry.quoted_from,
        command="" if obstacle else run_command(paper, entry),
        obstacle=obstacle[1] if obstacle else "",
        data=data_of(entry.dataset),
        n_users=own[0].n_users if own else None,
        settings=settings(paper, entry),
        shortened=shortened,
        runs=runs,
        evidence=any(r.keeps(cell.metric) for r in own for cell in entry.cells),
        tie_size=statistics.fmean(r.tie_size for r in own) if own else None,
        constant=statistics.fmean(r.constant for r in own) if own else None,
        cells=[_cell(cell, chosen, own, kept, cutoffs) for cell in asked],
        ledger=readings,
        notes=[text for _, text in entry.notes],
        missing=_missing(entry, runs, own, shortened, run_command(paper, entry)),
    )


def _chosen(cells: list[ComparedCell]) -> list[ComparedCell]:
    """Return the cells of the full run, or of the longest shorter one where only that has any."""
    kinds = list(dict.fromkeys(cell.shortened for cell in cells))
    kinds.sort(key=lambda text: (bool(text), -int(text.split()[2]) if text else 0))
    for kind in kinds:
        found = [cell for cell in cells if cell.shortened == kind]
        if any(cell.value is not None for cell in found):
            return found
    return [cell for cell in cells if not cell.shortened]


def _cell(
    cell: Cell,
    compared: list[ComparedCell],
    own: Sequence[Record],
    kept: list[Frozen],
    cutoffs: list[int],
) -> ExplainedCell:
    of_cell = next((c for c in compared if c.label == cell.label), None)
    metric, ours, spread = cell.metric, None, None
    found, same = variants(metric, cell.published, own, cutoffs)
    numbers = [
        (r.value, r.standard_error) for one in own if one.has(metric) for r in [one.result(metric)]
    ]
    numbers = numbers or [
        (one.value, one.standard_error) for one in kept if one.label == cell.label
    ]
    if numbers:
        values = [value for value, _ in numbers]
        spread = statistics.stdev(values) if len(values) > 1 else None
        error = found[0].standard_error if found else _error(numbers, spread)
        ours = judged("own", metric, statistics.fmean(values), error, cell.published)
    marks = (of_cell.marks or of_cell.reference_marks) if of_cell else ""
    return ExplainedCell(
        label=cell.label,
        metric=metric,
        published=cell.published,
        ours=ours,
        spread=spread,
        z=of_cell.z if of_cell else None,
        chance=list(of_cell.chance) if of_cell else [],
        verdict=of_cell.judged or of_cell.verdict if of_cell else "unrun",
        reason=of_cell.reason if of_cell else "",
        marks="".join(dict.fromkeys(marks + cell.doubts)),
        epochs=epochs(metric, cell.published, own),
        readings=found[1:],
        same=same,
        note=cell.note,
    )


def _error(numbers: list[tuple[float, float | None]], spread: float | None) -> float | None:
    """Return the standard error of a mean over seeds from the errors over users and the spread."""
    known = [error for _, error in numbers if error]
    if not known:
        return None
    return math.hypot(statistics.fmean(known), (spread or 0.0) / math.sqrt(len(numbers)))


def _missing(
    entry: Entry, runs: list[Ran], own: list[Record], shortened: str, command: str
) -> list[str]:
    """Return what would need a run, each with the command."""
    if obstacle := entry.obstacle():
        return [f"cannot be run: {obstacle[1]}"]
    said = []
    if not runs:
        said.append(f"not run yet: {command}")
    elif not own:
        said.append(
            "no evidence: only numbers are frozen, so other formulas, cut-offs and epochs "
            f"cannot be told. A run keeps hits and curve: {command}"
        )
    if shortened:
        said.append(f"the full length; our run is shortened to {shortened}: {command}")
    lacking = sorted(set(entry.seeds) - {run.seed for run in runs}) if runs else []
    if lacking:
        seeds = ",".join(map(str, lacking))
        said.append(f"seeds {seeds} of {len(entry.seeds)}: {command} --seeds {seeds}")
    if any(not r.keeps(cell.metric) for r in own for cell in entry.cells):
        said.append(
            "hits at each metric's own best epoch: this record is of version 0.2, which kept those "
            f"of the last evaluation: {command} --force"
        )
    return said
