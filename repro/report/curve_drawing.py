"""Draw learning curves of records."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from repro.report.drawing import Drawn, Sheet, sheet_drawn, write
from repro.results.curves import Curves
from repro.results.figures import doubts
from repro.results.run_list import Run

MOST_NAMED = 3
"""Rows in the name of a file."""


def draw_curves(found: Curves, runs: Sequence[Run], to: Path) -> Drawn:
    """Draw learning curves, and write them as PNG, SVG and PDF, with their numbers as CSV.

    Parameters
    ----------
    found : Curves
        What the records hold.
    runs : sequence of Run
        The runs, which name the files.
    to : Path
        The folder to write to.

    Raises
    ------
    ReproError
        If matplotlib is not installed.
    """
    sheet = Sheet("Learning curves", "curve", found.metrics, found.lines)
    stem = to / _name(runs)
    write(stem, sheet_drawn(sheet, found.points), found.points)
    remarks = [f"not drawn: {one}" for one in found.missing[:1]]
    if len(found.missing) > 1:
        remarks = [f"{remarks[0]}; and {len(found.missing) - 1} more"]
    remarks += [f"note: {doubt}" for doubt in doubts(found.points)]
    return Drawn(stem, len(found.points), remarks)


def _name(runs: Sequence[Run]) -> str:
    if len(runs) == 1:
        return f"curve-{runs[0].id}"
    places = {(run.paper, run.table) for run in runs}
    rows = list(dict.fromkeys(run.row for run in runs))
    named = rows[:MOST_NAMED] + (
        [f"{len(rows) - MOST_NAMED}-more"] if len(rows) > MOST_NAMED else []
    )
    parts = ["curve", *(places.pop() if len(places) == 1 else ()), *named]
    return re.sub(r"[^A-Za-z0-9@]+", "-", "-".join(filter(None, parts))).strip("-")
