"""What papers say and print, judged and explained: claims, printed numbers, rows, open readings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from repro.api.runs import records
from repro.auditing.audit import audit_all
from repro.errors import ReproError
from repro.papers import library
from repro.report.notebook import Audits, BeyondAccuracy, Claims, Explanations, Ledger
from repro.results.beyond import beyond as rows_beyond
from repro.results.chosen import Chosen, claim_is_asked
from repro.results.claims.judge import judge
from repro.results.evidence import beside
from repro.results.explanation import explain_row
from repro.results.ledger import readings
from repro.runs.asked import several


def claims(
    *papers: str,
    table: str | None = None,
    rows: str | Iterable[str] = (),
    views: str | Iterable[str] = (),
    mine: bool = False,
    runs: str | Path | None = None,
) -> Claims:
    """Return the claims of some papers, judged on the printed numbers and on ours.

    Parameters
    ----------
    *papers : str
        Papers; all if none is named.
    table : str, optional
        Only claims that rest on this table, or on "figure 3".
    rows, views : str or iterable of str
        Only claims that rest on one of these rows, datasets or column groups.
    mine : bool
        Only claims that rest on a row with a record.
    runs : path, optional
        The folder of records; ``REPRO_RUNS``, or ``./runs``.

    Raises
    ------
    ReproError
        If there is no such paper or table, or no claim rests on what was asked for.
    """
    chosen = [library.load(name) for name in papers] if papers else library.readable()
    asked, known = Chosen(several(rows), several(views), mine=mine), records(runs)
    found = judge(
        chosen, known, table, lambda paper, claim: claim_is_asked(paper, claim, asked, known)
    )
    if not found and (asked.rows or asked.views):
        what = "', '".join([*asked.rows, *asked.views])
        raise ReproError(f"no claim rests on '{what}'", "repro claims shows all")
    return Claims(found)


def audit(*papers: str, table: str | None = None) -> Audits:
    """Return what the printed numbers of some papers show alone, without runs or data.

    Parameters
    ----------
    *papers : str
        Papers by id, or table files by path; all papers if none is named.
    table : str, optional
        One table, by its printed number.

    Raises
    ------
    ReproError
        If there is no such paper, file or table, or a file has faults.
    """
    return Audits(audit_all(papers, table))


def explain(
    paper: str,
    table: str,
    row: str,
    *,
    view: str = "",
    metric: str = "",
    runs: str | Path | None = None,
) -> Explanations:
    """Explain a row: settings and who states them, runs, other readings of its numbers.

    Parameters
    ----------
    paper, table, row : str
        The paper's id, the table's printed number, the row's label.
    view, metric : str
        One dataset or column group, one metric by its label; else all.
    runs : path, optional
        The folder of records; ``REPRO_RUNS``, or ``./runs``.

    Raises
    ------
    ReproError
        If one of them does not exist.
    """
    chosen = library.load(paper)
    known, number = beside(records(runs), [paper]), chosen.number(table)
    return Explanations(explain_row(chosen, number, row, known, view=view, metric=metric))


def ledger(*papers: str, runs: str | Path | None = None) -> Ledger:
    """Return what the papers leave open, with the effect that our runs measured.

    Parameters
    ----------
    *papers : str
        Papers; all if none is named.
    runs : path, optional
        The folder of records; ``REPRO_RUNS``, or ``./runs``.

    Raises
    ------
    ReproError
        If there is no such paper.
    """
    chosen = [library.load(name) for name in papers] if papers else library.readable()
    return Ledger(readings(chosen, beside(records(runs), [one.id for one in chosen])))


def beyond(
    paper: str, table: str, *, k: int = 10, runs: str | Path | None = None
) -> BeyondAccuracy:
    """Return what the rows of a table recommend and whom they serve, of runs that kept lists.

    Parameters
    ----------
    paper, table : str
        The paper's id, the table's printed number.
    k : int
        The first ranks that count.
    runs : path, optional
        The folder of records; ``REPRO_RUNS``, or ``./runs``.

    Raises
    ------
    ReproError
        If there is no such paper or table, or no run of it kept its lists.
    """
    chosen = library.load(paper)
    return BeyondAccuracy(rows_beyond(chosen, chosen.number(table), records(runs), k))
