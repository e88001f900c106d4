"""The frozen results of each column group: how many, how they compare, and who is ahead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from repro.papers.paper import Paper
from repro.results.comparison import compare
from repro.results.frozen import RowName
from repro.results.judgement import VERDICTS
from repro.results.leaders import leaders
from repro.results.verdicts import MARKS, ComparedCell


@dataclass(frozen=True)
class Lead:
    """A row, and how many columns it leads."""

    name: RowName
    """The row."""
    columns: int
    """How many columns it leads."""


@dataclass(frozen=True)
class Summary:
    """The frozen results of one column group."""

    paper: str
    """Its id."""
    table: str
    """Its printed number."""
    data: str
    """The column group's label."""
    added_view: bool
    """Whether the table file adds the view, and the paper does not have it."""
    marks: list[str]
    """See the legend of `repro compare`."""
    rows: int
    """The paper's rows that have a frozen number."""
    rows_printed: int
    """The rows that have a printed number."""
    added_rows: int
    """Further rows that have a frozen number."""
    seeds: int
    """Frozen seeds, of the row that lacks the most."""
    seeds_planned: int
    """Seeds that the table asks for, of the same row."""
    verdicts: dict[str, int]
    """Cells by verdict."""
    ahead_printed: list[Lead]
    """By the printed numbers."""
    ahead_here: list[Lead]
    """By our numbers, among the paper's rows."""
    ahead_found: int
    """Our rows that can lead: run for the full length, on the column group's own view."""
    ahead_rows: int
    """The paper's rows that could."""
    ahead_with_added: list[Lead]
    """By our numbers, among all rows."""


def summaries(papers: Iterable[Paper]) -> list[Summary]:
    """Return the frozen results of every column group of some papers."""
    return [one for paper in papers for number in paper.tables for one in _of(paper, number)]


def _of(paper: Paper, number: str) -> Iterator[Summary]:
    cells = [cell for cell in compare(paper, number, []).cells if not cell.shortened]
    added = {e.group_label for e in paper.entries[number] if "view" in e.added}
    for group in dict.fromkeys(cell.group for cell in cells if cell.reference is not None):
        yield _summary(group, [cell for cell in cells if cell.group == group], group in added)


def _summary(group: str, every: list[ComparedCell], added_view: bool) -> Summary:
    own = [cell for cell in every if cell.origin == "paper"]
    kept = [cell for cell in every if cell.reference is not None]
    run = [cell for cell in own if cell.reference is not None]
    done = {cell.name for cell in run}
    marks = {mark for cell in kept for mark in cell.reference_marks}
    fewest = min(run or kept, key=lambda cell: cell.reference_seeds - cell.planned)
    seen = Counter(cell.reference_verdict for cell in own)
    ahead = leaders(every)
    return Summary(
        paper=every[0].paper,
        table=every[0].table,
        data=group,
        added_view=added_view,
        marks=[mark for mark in MARKS if mark in marks],
        rows=len(done),
        rows_printed=len({cell.name for cell in own if cell.published}),
        added_rows=len({cell.name for cell in kept} - done),
        seeds=fewest.reference_seeds,
        seeds_planned=fewest.planned,
        verdicts={verdict: seen[verdict] for verdict in VERDICTS if seen[verdict]},
        ahead_printed=_leads(ahead.published) if ahead else [],
        ahead_here=_leads(ahead.here) if ahead else [],
        ahead_found=ahead.found if ahead else 0,
        ahead_rows=ahead.rows if ahead else 0,
        ahead_with_added=_leads(ahead.with_added) if ahead else [],
    )


def _leads(rows: dict[RowName, int]) -> list[Lead]:
    return [Lead(name, n) for name, n in rows.items()]
