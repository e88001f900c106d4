"""Figures, drawn from records: metrics over epochs, over an axis, or as bars; and as numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.papers.paper import Paper
from repro.papers.schema import Figure, Line, figure_key, point
from repro.results import frozen
from repro.results.tsne import picture
from repro.results.verdicts import MARKS
from repro.runs.records import Record

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Point:
    """A number in a figure."""

    figure: str
    panel: str
    """The column group's label."""
    metric: str
    """As the y axis has it."""
    line: str
    x: float
    """The epoch, or the place on the axis; of bars 0."""
    value: float
    seed: int
    experiment: str
    """The run's id."""
    digest: str
    """Of the dataset."""
    verified: bool
    commit: str
    dirty: bool
    """Whether no commit has the code: it differed from its own, or changed after a cut."""
    began: str
    cluster: int | None = None
    """In a picture, whose points are rows in their order: x and value are the two dimensions."""


@dataclass(frozen=True)
class FigureData:
    """What the records have of a figure."""

    points: list[Point]
    missing: list[str]
    """Runs without a record."""
    kept: list[str]
    """Runs without a record whose frozen points are shown."""
    numbers: list[dict[str, str | float]]
    """What a picture does not show, by panel, line and seed."""


def file(paper: Paper, number: str) -> Path:
    """Return where a figure's frozen points lie: beside the paper's tables."""
    return paper.path.parent / "reference" / "figures" / f"{paper.id}-{number}.csv"


def found(paper: Paper, number: str, records: Iterable[Record], smoke: bool = False) -> FigureData:
    """Return a figure's points, of every seed that has a record, or else frozen points.

    Parameters
    ----------
    paper : Paper
        The paper.
    number : str
        The figure's printed number.
    records : iterable of Record
        All there are.
    smoke : bool
        Look for smoke runs, which otherwise never count.
    """
    figure = paper.figure(number)
    by_age = sorted(records, key=lambda record: record.began)  # of several, the latest counts
    known = {record.experiment.key(): record for record in by_age}
    places = {point(line.label, x): (line, x) for line in figure.lines for x in figure.trained()}
    kept_points = [] if smoke else frozen.read(file(paper, number), Point)
    points: list[Point] = []
    missing: list[str] = []
    kept: list[str] = []
    numbers: list[dict[str, str | float]] = []
    for entry in paper.entries[figure_key(number)]:
        line, x = places[entry.row]
        for seed in entry.seeds:
            experiment = entry.experiment(seed)
            if experiment and smoke:
                experiment = experiment.smoked()
            record = known.get(experiment.key()) if experiment else None
            panel = entry.group_label
            run = f"{entry.row} | {panel} | seed {seed}"
            if record is None:
                place = panel, line.label, seed
                own = [p for p in kept_points if (p.panel, p.line, p.seed) == place]
                own = [p for p in own if x in (None, p.x)]
                if own:
                    points += own
                    kept.append(f"{run}: {own[0].experiment} of {own[0].began[:10]}")
                elif not entry.added:  # nobody misses a view of ours
                    missing.append(f"{run}: {': '.join(entry.obstacle() or ('no record',))}")
                continue
            for label, metric in figure.metrics.items():
                made = partial(
                    Point,
                    *(number, panel, label, line.label),
                    seed=seed,
                    experiment=record.id,
                    digest=record.digest,
                    verified=record.verified,
                    commit=record.code.get("commit", ""),
                    dirty=record.dirty,
                    began=record.began,
                )
                if figure.kind != "picture":
                    values = _values(figure, line, record, metric, x)
                    points += [made(x=at, value=value) for at, value in values]
                    wanted = len(figure.x.values) if figure.x and figure.x.cases else 1
                    if len(values) < wanted:
                        missing.append(f"{run}: lacks some {label}")
                elif (vectors := record.embeddings().get(metric.partition(":")[2])) is None:
                    missing.append(f"{run}: has no vectors")
                else:
                    shown = picture(vectors)
                    rows = zip(*shown.xy.T.tolist(), shown.cluster.tolist(), strict=True)
                    points += [made(x=x1, value=x2, cluster=cluster) for x1, x2, cluster in rows]
                    numbers.append({"panel": panel, "line": line.label, "of": label, "seed": seed})
                    numbers[-1] |= shown.numbers
    return FigureData(points, missing, kept, numbers)


def _values(
    figure: Figure, line: Line, record: Record, metric: str, x: float | None
) -> list[tuple[float, float]]:
    """Return a record's points: over its epochs, or its result at a place of the x axis."""
    counted = (entry for entry in reversed(record.curve) if entry["epoch"] == record.epoch)
    seen: dict[str, Any] = next(counted, {})
    if line.part:
        own = seen.get(line.part, {})
        return [(x or 0.0, own[metric])] if metric in own else []
    if figure.x and figure.x.cases:
        asked = {value: seen.get(f"{figure.x.cases} {value:g}", {}) for value in figure.x.values}
        return [(value, found[metric]) for value, found in asked.items() if metric in found]
    of, _, name = metric.rpartition(":")
    at = [
        (e["epoch"], e["losses"] if of == "loss" else e.get(figure.cases, {})) for e in record.curve
    ]
    curve = [(float(epoch), float(values[name])) for epoch, values in at if name in values]
    if figure.kind == "curve":
        return curve
    if of == "loss" or figure.cases == "valid":
        return [(x or 0.0, dict(curve)[record.epoch])] if record.epoch in dict(curve) else []
    return [(x or 0.0, record.result(metric).value)]


def as_csv(points: list[Point]) -> str:
    """Return the numbers of a figure, a line each, with what made them."""
    return frozen.written(points, Point)


def numbers_as_csv(numbers: list[dict[str, str | float]]) -> str:
    """Return what a picture does not show, a line for each."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(numbers[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(numbers)
    return out.getvalue()


def doubts(points: Iterable[Point]) -> list[str]:
    """Return what the marks "u" and "d" of a table say, as far as it holds of some points."""
    points = list(points)
    found = {"u": any(not p.verified for p in points), "d": any(p.dirty for p in points)}
    return [MARKS[mark] for mark, holds in found.items() if holds]
