"""What has not been run, and about how long it would take, going by runs of the same model."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from repro.experiment import Experiment, loops
from repro.papers.paper import Paper
from repro.papers.rows import Entry
from repro.results import frozen
from repro.results.comparison import ComparedTable
from repro.results.ledger import run_command
from repro.results.verdicts import ComparedCell
from repro.runs.records import Record

Pace = dict[tuple[str, str], list[float]]
"""Seconds per epoch of finished runs, by dataset and model."""


@dataclass(frozen=True)
class Missing:
    """A row that lacks runs in a column group."""

    paper: str
    table: str
    row: str
    group: str
    """The column group's label."""
    model: str
    verdict: str
    """"unrun", or why it cannot be run: "blocked", "quoted"."""
    reason: str
    seeds: tuple[int, ...]
    """Those without a run; empty where nothing can be run."""
    planned: int
    seconds: float | None
    """Of all these seeds, as runs of the same model on the same data took; None: there is none."""
    command: str


def missing(
    paper: Paper, tables: Sequence[ComparedTable], records: Iterable[Record]
) -> list[Missing]:
    """Return the rows of a paper's result tables that lack runs, in printed order.

    Parameters
    ----------
    paper : Paper
        The paper.
    tables : sequence of ComparedTable
        Its tables, compared.
    records : iterable of Record
        All there are, evidence among them.
    """
    known = list(records)
    pace, seeds_of = _pace(paper, known), _seeds(paper, known)
    found = []
    for table in tables:
        if paper.table(table.number).kind != "results":
            continue
        cells: dict[tuple[str, str], list[ComparedCell]] = {}
        for cell in table.cells:
            if cell.origin == "paper" and not cell.shortened:
                cells.setdefault((cell.row, cell.group), []).append(cell)
        for entry in paper.entries[table.number]:
            if not entry.added:
                made = _of(paper, entry, cells.get((entry.row, entry.group_label), []), seeds_of)
                found += [_timed(one, entry, pace) for one in made]
    return found


def _of(
    paper: Paper, entry: Entry, cells: Sequence[ComparedCell], seeds_of: dict[str, int]
) -> list[Missing]:
    obstacle = entry.obstacle()
    ids = {run for cell in cells for run in (*cell.runs, *cell.reference_runs)}
    done = {seeds_of[run] for run in ids if run in seeds_of}
    lacking = tuple(seed for seed in entry.seeds if seed not in done)
    if not lacking or (obstacle and done):
        return []
    command = run_command(paper, entry)
    some = f" --seeds {','.join(map(str, lacking))}" if done else ""
    return [
        Missing(
            paper=paper.id,
            table=entry.table,
            row=entry.row,
            group=entry.group_label,
            model=entry.model or "",
            verdict=obstacle[0] if obstacle else "unrun",
            reason=obstacle[1] if obstacle else "",
            seeds=() if obstacle else lacking,
            planned=len(entry.seeds),
            seconds=None,
            command="" if obstacle else command + some,
        )
    ]


def _timed(one: Missing, entry: Entry, pace: Pace) -> Missing:
    made = entry.experiment()
    known = pace.get((made.dataset, made.model.name)) if made and one.seeds else None
    if made is None or known is None:
        return one
    seconds = statistics.median(known) * _epochs(made) * len(one.seeds)
    return Missing(**vars(one) | {"seconds": seconds})


def _epochs(made: Experiment) -> int:
    return sum(loops(made.model.params).values()) or 1


def _seeds(paper: Paper, records: Iterable[Record]) -> dict[str, int]:
    """Return the seed of each run by its id."""
    of_lines = {line.experiment: line.seed for line in frozen.load(paper.id)}
    return of_lines | {record.id: record.experiment.seed for record in records}


def _pace(paper: Paper, records: Iterable[Record]) -> Pace:
    found: Pace = {}
    seen = set()
    for record in records:
        made = record.experiment
        if not made.smoke:
            key = made.dataset, made.model.name
            found.setdefault(key, []).append(record.seconds / _epochs(made))
            seen.add(record.id)
    entries = {(e.table, e.row, e.group_label): e for n in paper.tables for e in paper.entries[n]}
    for line in frozen.load(paper.id):
        entry = entries.get((line.table, line.row, line.group))
        made_ = entry.experiment() if entry else None
        if made_ is None or line.origin == "other" or line.experiment in seen:
            continue
        seen.add(line.experiment)
        epochs = loops(made_.model.params)
        for name, fewer in re.findall(r"(\w+) = (\d+) of \d+", line.shortened):
            epochs[name] = int(fewer)
        key = line.dataset, made_.model.name
        found.setdefault(key, []).append(line.seconds / (sum(epochs.values()) or 1))
    return found
