"""What the results say: claims of papers, judged on the printed numbers and on ours."""

from __future__ import annotations

from pathlib import Path

from repro.api.runs import records
from repro.papers import library
from repro.report.notebook import Claims
from repro.results.claims.judge import judge


def claims(*papers: str, table: str | None = None, runs: str | Path | None = None) -> Claims:
    """Return the claims of some papers, judged on the printed numbers and on ours.

    Parameters
    ----------
    *papers : str
        Papers; all if none is named.
    table : str, optional
        Only claims that rest on this table, or on "figure 3".
    runs : path, optional
        The folder of records; ``REPRO_RUNS``, or ``./runs``.

    Raises
    ------
    ReproError
        If there is no such paper or table.
    """
    chosen = [library.load(name) for name in papers or library.papers()]
    return Claims(judge(chosen, records(runs), table))
