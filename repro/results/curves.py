"""Learning curves of any records: metrics or losses over the epochs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from repro.errors import ReproError, unknown
from repro.results.figures import Point
from repro.results.run_list import Run
from repro.runs.records import Record

LOSS = "loss:"
"""Before the name of a loss, which stands among metrics."""


@dataclass(frozen=True)
class Curves:
    """What records hold of their epochs."""

    points: list[Point]
    metrics: tuple[str, ...]
    """As on the y axes."""
    lines: tuple[str, ...]
    """A line for each row, whose seeds are drawn together."""
    missing: list[str]
    """Records that lack what is drawn, and what they have."""


def curves(
    runs: Iterable[Run],
    records: Mapping[str, Record],
    metrics: Sequence[str] = (),
    cases: str = "",
) -> Curves:
    """Return the learning curves of runs.

    Parameters
    ----------
    runs : iterable of Run
        Which runs, and what they are called.
    records : mapping
        Records by id.
    metrics : sequence of str
        Metrics, or losses as "loss:NAME"; empty: the metric that chose the epoch, or else the first
        of the table.
    cases : str
        "test" or "valid"; empty: those that chose the epoch, if the curve has them.

    Raises
    ------
    ReproError
        If no run has a curve of what is asked for.
    """
    points: list[Point] = []
    missing: list[str] = []
    known: dict[str, None] = {}
    every = list(runs)
    chosen = tuple(metrics) or _usual(every, records)
    of = cases or _usual_cases(every, records)
    for run in reversed(every):  # the oldest first, as the legend has them
        record = records[run.id]
        for metric in chosen:
            values = _values(record, metric, of)
            label = metric if metric.startswith(LOSS) else f"{metric}, {of}"
            points += [_point(run, record, label, epoch, value) for epoch, value in values]
            if not values:
                known |= dict.fromkeys(_held(record))
                missing.append(f"{run.row}, seed {run.seed} ({run.id}) has no {label}")
    if not points:
        wanted = chosen[0] if chosen else "metric"
        raise (
            unknown("curve of these records", f"{wanted} ({of})", known)
            if known
            else ReproError("there is no record to draw", "repro runs lists all")
        )
    labels = tuple(dict.fromkeys(point.metric for point in points))
    return Curves(points, labels, tuple(dict.fromkeys(p.line for p in points)), missing)


def _usual(runs: Sequence[Run], records: Mapping[str, Record]) -> tuple[str, ...]:
    """Return the metric that chose the epoch of a run, or else the first of its table."""
    for run in runs:
        if metric := records[run.id].experiment.selection.metric:
            return (metric,)
    return tuple(dict.fromkeys(next(iter(run.results)) for run in runs if run.results))[:1]


def _usual_cases(runs: Sequence[Run], records: Mapping[str, Record]) -> str:
    cases = {records[run.id].experiment.selection.cases for run in runs}
    return "valid" if cases == {"valid"} else "test"


def _held(record: Record) -> list[str]:
    """Return what the curve of a record has."""
    found: dict[str, None] = {}
    for entry in record.curve:
        found |= {f"{LOSS}{name}": None for name in entry.get("losses", {})}
        for of in ("test", "valid"):
            found |= {f"{name} ({of})": None for name in entry.get(of, {})}
    return list(found)


def _values(record: Record, metric: str, cases: str) -> list[tuple[int, float]]:
    loss = metric.startswith(LOSS)
    of, name = ("losses", metric.removeprefix(LOSS)) if loss else (cases, metric)
    looks = [(entry["epoch"], entry.get(of, {})) for entry in record.curve]
    found = [(epoch, look[name]) for epoch, look in looks if name in look]
    return [(epoch, float(value)) for epoch, value in found if not isinstance(value, str)]


def _point(run: Run, record: Record, label: str, epoch: int, value: float) -> Point:
    where = f"{run.paper}, {_table(run.table)}: {run.group}" if run.paper else run.group
    return Point(
        figure="curve",
        panel=where,
        metric=label,
        line=run.row,
        x=float(epoch),
        value=value,
        seed=run.seed,
        experiment=record.id,
        digest=record.digest,
        verified=record.verified,
        commit=record.code.get("commit", ""),
        dirty=record.dirty,
        began=record.began,
        seal=record.seal,
    )


def _table(number: str) -> str:
    return number if number.startswith("figure") else f"Table {number}"
