"""A table beyond accuracy: what its rows recommend, and to whom; of runs that kept their lists."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from repro.errors import ReproError, unknown
from repro.papers.paper import Paper
from repro.results.comparison import compare
from repro.results.exposure import MEASURES, Group, by_activity, overlap
from repro.results.frozen import RowName
from repro.runs.record import Record


@dataclass(frozen=True)
class Beyond:
    """What a row recommends in one column group."""

    paper: str
    table: str
    group: str
    """The column group's label."""
    row: RowName
    k: int
    """The first ranks that count."""
    seeds: int
    """How many runs kept their lists; the measures are means over them."""
    measures: dict[str, float]
    """"coverage", "mean popularity", "novelty" in bits, and "long tail"."""
    overlap: dict[str, float]
    """Mean over users of the Jaccard index with the lists of each other row, same seed."""
    metric: str
    """The table's first metric, as printed."""
    by_activity: list[Group]
    """Its mean for groups of users, those with the shortest histories first."""


def beyond(paper: Paper, number: str, records: Iterable[Record], k: int = 10) -> list[Beyond]:
    """Return what each row of a table recommends, as far as runs kept their lists.

    Parameters
    ----------
    paper : Paper
        The paper.
    number : str
        The table's printed number.
    records : iterable of Record
        All there are.
    k : int
        The first ranks that count.

    Raises
    ------
    ReproError
        If no run of the table kept lists, or k is not positive.
    """
    if k < 1:
        raise ReproError(f"--k is {k}", "count the first 1, 2, … ranks")
    if paper.table(number).kind == "statistics":
        raise unknown(f"table with results of {paper.id}", number, paper.tables)
    known = {record.id: record for record in records if record.keeps_lists}
    found = []
    cells = compare(paper, number, known.values()).cells
    for group in dict.fromkeys(cell.group for cell in cells):
        rows: dict[RowName, list[Record]] = {}
        for cell in cells:
            if cell.group == group and cell.runs:
                rows.setdefault(cell.name, [known[run] for run in cell.runs])
        label, metric = next(iter(paper.table(number).metrics.items()))
        for name, own in rows.items():
            lists = [record.lists() for record in own]
            values = [record.per_user(metric) for record in own if record.keeps(metric)]
            mean = np.mean(values, axis=0) if values else None
            found.append(
                Beyond(
                    paper=paper.id,
                    table=number,
                    group=group,
                    row=name,
                    k=k,
                    seeds=len(own),
                    measures={
                        measure: statistics.fmean(compute(one, k) for one in lists)
                        for measure, compute in MEASURES.items()
                    },
                    overlap=_overlaps(own, {n: r for n, r in rows.items() if n != name}, k),
                    metric=label,
                    by_activity=[] if mean is None else by_activity(mean, lists[0].activity),
                )
            )
    if not found:
        raise ReproError(
            f"no run of table {number} of {paper.id} kept its lists",
            f"repro run {paper.id} --table {number} --keep lists",
        )
    return found


def _overlaps(own: list[Record], others: dict[RowName, list[Record]], k: int) -> dict[str, float]:
    """Return how much a row recommends the same as others, for the same users and seeds."""
    mine = {record.experiment.seed: record for record in own}
    found = {}
    for name, records in others.items():
        shared = [
            overlap(mine[one.experiment.seed].lists(), one.lists(), k).mean()
            for one in records
            if one.experiment.seed in mine and one.cases == mine[one.experiment.seed].cases
        ]
        if shared:
            found[name.row] = statistics.fmean(map(float, shared))
    return found
