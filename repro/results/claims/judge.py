"""Judge a paper's claims twice: on the printed numbers, and on ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from repro.errors import unknown
from repro.papers.claims import Claim, Kind
from repro.papers.numbers import meant
from repro.papers.paper import Paper
from repro.results.claims.contrasts import contrasts
from repro.results.claims.estimates import Ours
from repro.results.claims.facts import facts_on_ours, facts_on_print
from repro.results.claims.judgement import Judgement
from repro.results.claims.on_ours import on_ours
from repro.results.claims.on_print import Print, on_print
from repro.runs.records import Record


@dataclass(frozen=True)
class JudgedClaim:
    """A claim of a paper, with two verdicts."""

    paper: str
    id: str
    section: str
    """Where the paper says it."""
    says: str
    """What, in our words."""
    kind: Kind
    """As in the table file."""
    tables: list[str]
    """Where it holds: printed numbers of tables, or "figure 3"."""
    printed: Judgement
    """On the numbers that the paper prints."""
    ours: Judgement
    """On our runs, or else the frozen results."""
    note: str = ""
    """What else a reader should know."""


def judge(
    papers: Iterable[Paper],
    records: Iterable[Record],
    table: str | None = None,
    wanted: Callable[[Paper, Claim], bool] = lambda paper, claim: True,
) -> list[JudgedClaim]:
    """Return the claims of papers with their verdicts, in the order of the files.

    Parameters
    ----------
    papers : iterable of Paper
        Whose claims.
    records : iterable of Record
        All there are; where a row has none, its frozen results count. Smoke runs never do.
    table : str, optional
        Only claims that rest on this table, by its printed number, or on "figure 3".
    wanted : callable
        Which claims of a paper to judge.

    Raises
    ------
    ReproError
        If no paper has the table.
    """
    every, known = list(papers), list(records)
    numbers = {paper.id: table and meant(table, paper.resolvers) for paper in every}
    if table is not None and not any(numbers.values()):
        tables = [number for paper in every for number in paper.resolvers]
        raise unknown("table", table, tables)
    found = []
    for paper in every:
        number = numbers[paper.id]
        having = [c for c in paper.claims if table is None or number in c.rests_on()]
        found += _of(paper, [claim for claim in having if wanted(paper, claim)], known)
    return found


def _of(paper: Paper, claims: list[Claim], records: list[Record]) -> list[JudgedClaim]:
    if not claims:
        return []
    printed, ours = Print(paper), Ours(paper, records)
    made = []
    for claim in claims:
        both = _judged(paper, claim, printed, ours)
        about = paper.id, claim.id, claim.section, claim.says, claim.kind, claim.rests_on()
        made.append(JudgedClaim(*about, *both, claim.note))
    return made


def _judged(paper: Paper, claim: Claim, printed: Print, ours: Ours) -> tuple[Judgement, Judgement]:
    if claim.kind == "untestable":
        return Judgement("untestable", claim.reason), Judgement("untestable", claim.reason)
    if claim.kind == "unmeasured":
        return Judgement("unsupported", claim.reason), Judgement("not run", claim.reason)
    counts = any(paper.table(n).kind == "statistics" for n in claim.tables)
    if claim.kind == "equal" and (claim.facts or counts):
        return facts_on_print(paper, claim), facts_on_ours(paper, claim)
    compared = contrasts(paper, claim)
    return on_print(claim, compared, printed), on_ours(claim, compared, ours, printed)
