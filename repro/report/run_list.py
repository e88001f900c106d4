"""A list of runs as text: a line for each experiment, or for each record."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

from tabulate import tabulate

from repro.report.runs import duration
from repro.results.run_list import Run
from repro.text import one_line

LONGEST = 44
"""Of what a run is of, in characters; beyond that it is broken into lines."""

MOST_RESULTS = 1
"""Metrics that are shown."""


def run_table(runs: Iterable[Run], each: bool = False) -> str:
    """Return runs as a table, with their number and time below.

    Parameters
    ----------
    runs : iterable of Run
        The newest first.
    each : bool
        A line for each record instead of one for all seeds of an experiment.
    """
    every = list(runs)
    if not every:
        return "no records"
    groups: dict[object, list[Run]] = {}
    for run in every:
        groups.setdefault(run.id if each else _alike(run), []).append(run)
    lines = [_line(own) for own in groups.values()]
    head = ["what", "on", "seeds", "began", "took", "result", "id"]
    widths = [LONGEST, 24, 14, None, None, None, None]
    grid = tabulate(lines, head, "simple", disable_numparse=True, maxcolwidths=widths)
    total = duration(sum(run.seconds for run in every))
    counts = f"{len(every)} records" if len(every) > 1 else "1 record"
    return f"{grid}\n\n{counts}, {total} in all"


def _alike(run: Run) -> tuple[object, ...]:
    return run.paper, run.table, run.row, run.group, run.select, run.smoke


def _line(runs: list[Run]) -> list[str]:
    first = runs[0]
    where = ", ".join(filter(None, [first.paper, _table(first.table)]))
    what = f"{first.row} ({where})" if where else first.row
    seeds = ", ".join(map(str, sorted({run.seed for run in runs})))
    seconds = statistics.fmean(run.seconds for run in runs)
    took = duration(seconds) + (" each" if len(runs) > 1 else "")
    shared = [k for k in first.results if all(k in run.results for run in runs)]
    results = [_result(k, [run.results[k] for run in runs]) for k in shared[:MOST_RESULTS]]
    id = first.id if len(runs) == 1 else f"{first.id} and {len(runs) - 1} more"
    shown = [what, first.group, seeds, first.began[:16].replace("T", " "), took, ", ".join(results)]
    return [
        one_line(part + (" (smoke)" if first.smoke and n == 0 else ""))
        for n, part in enumerate([*shown, id])
    ]


def _table(number: str) -> str:
    return "" if not number else number if number.startswith("figure") else f"Table {number}"


def _result(metric: str, values: list[float]) -> str:
    spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{metric} {statistics.fmean(values):.4f}{spread}"
