"""What a report is made of: a paper's tables, claims, figures, findings, readings and gaps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from repro.auditing.audit import Audited, audit_all
from repro.data import manifest
from repro.papers import library
from repro.papers.paper import Paper
from repro.report.site.details import Sources
from repro.results import figures, frozen
from repro.results.claims.judge import JudgedClaim, judge
from repro.results.comparison import ComparedTable, compare_all
from repro.results.costs import Missing, missing
from repro.results.evidence import beside
from repro.results.figures import FigureData
from repro.results.judgement import VERDICTS
from repro.results.ledger import Reading, readings
from repro.results.verdicts import ComparedCell
from repro.runs.records import Damaged, Record

JUDGED = ("exact", "close", "higher", "lower", "undecided", "misprint", "collapsed", "easier")
"""Verdicts on a printed number for which our runs have one."""


@dataclass(frozen=True)
class Material:
    """A paper, and all that is known of its numbers."""

    paper: Paper
    tables: list[ComparedTable]
    claims: list[JudgedClaim]
    figures: dict[str, FigureData]
    audited: Audited
    readings: list[Reading]
    missing: list[Missing]
    sources: Sources

    @cached_property
    def printed(self) -> list[ComparedCell]:
        """The cells that have a printed number."""
        return [c for table in self.tables for c in table.cells if c.published]

    @cached_property
    def run(self) -> list[ComparedCell]:
        """Those for which our runs have a number."""
        return [cell for cell in self.printed if cell.value is not None]

    @cached_property
    def further(self) -> int:
        """How many numbers of ours the paper has none for."""
        every = (c for table in self.tables for c in table.cells)
        return sum(not c.published and c.value is not None for c in every)

    @cached_property
    def verdicts(self) -> dict[str, int]:
        """Cells by verdict, of those that were run."""
        seen = Counter(cell.judged for cell in self.run)
        return {name: seen[name] for name in VERDICTS if seen[name]}


def gather(
    papers: Sequence[str], records: Iterable[Record], damaged: Iterable[Damaged]
) -> list[Material]:
    """Return what is known of some papers' numbers.

    Parameters
    ----------
    papers : sequence of str
        By id; without any: all, those on generated data only where something was run.
    records, damaged : iterable
        All there are.
    """
    known, broken = list(records), list(damaged)
    found = [_of(library.load(name), known, broken) for name in papers or library.papers()]
    return [one for one in found if papers or one.run or not _is_generated(one.paper)]


def _of(paper: Paper, records: list[Record], damaged: list[Damaged]) -> Material:
    tables = compare_all([paper], records, damaged=damaged)
    every = beside(records, [paper.id])
    claims = judge([paper], records)
    return Material(
        paper=paper,
        tables=tables,
        claims=claims,
        figures={n: figures.found(paper, n, every) for n in paper.figures},
        audited=audit_all([paper.id], None)[0],
        readings=readings([paper], every),
        missing=missing(paper, tables, every),
        sources=Sources(paper, records, claims),
    )


def _is_generated(paper: Paper) -> bool:
    archives = [name for name in paper.archives if name in manifest.names()]
    return bool(archives) and all(manifest.load(name).generate for name in archives)


def n_frozen(found: Iterable[Material]) -> int:
    """Return how many frozen numbers there are of some papers."""
    return sum(len(frozen.load(one.paper.id)) for one in found)
