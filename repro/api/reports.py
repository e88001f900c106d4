"""A report of papers, as pages for a browser."""

from __future__ import annotations

from pathlib import Path

from repro import paths
from repro.report.site import build
from repro.report.site.build import Site
from repro.runs import records


def write_report(*papers: str, to: str | Path, runs: str | Path | None = None) -> Site:
    """Write a report: overview, a page for each paper and figure, audit, ledger, gaps.

    Its pages need no server and no network: open ``index.html``.

    Parameters
    ----------
    *papers : str
        Papers; all if none is named.
    to : path
        The folder to write. A report that is there is replaced as a whole.
    runs : path, optional
        The folder of records; ``REPRO_RUNS``, or ``./runs``. Where a row has no record, its frozen
        numbers are shown.

    Raises
    ------
    ReproError
        If there is no such paper, or the folder holds anything but a report.
    """
    known = records.load_all(Path(runs) if runs else paths.runs())
    return build.report(Path(to), papers, known, known.damaged)
