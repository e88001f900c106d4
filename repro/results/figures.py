"""Figures from records: metrics over epochs, over an axis, or as bars; and their numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.papers.paper import Paper
from repro.papers.rows import Entry
from repro.papers.schema import Figure, Line, figure_key, point
from repro.results import frozen
from repro.results.tsne import picture
from repro.results.verdicts import MARKS
from repro.runs.records import Record


@dataclass(frozen=True)
class Point:
    """A number in a figure."""

    figure: str
    panel: str
    """The column group's label."""
    metric: str
    """As on the y axis."""
    line: str
    x: float
    """The epoch, or the place on the axis; 0 for bars."""
    value: float
    seed: int
    experiment: str
    """The run's id."""
    digest: str
    """Of the dataset."""
    verified: bool
    commit: str
    dirty: bool
    """Whether the code differed from its commit, or changed after an interruption."""
    began: str
    cluster: int | None = None
    """Only in a picture, where x and value are the two dimensions, and points are rows in order."""
    seal: str = ""
    """The seal of the record; empty for a point from before records were sealed."""


@dataclass(frozen=True)
class About:
    """What there is to say of a run of a figure."""

    row: str
    group: str
    """The column group's label."""
    seed: int
    says: str

    def __str__(self) -> str:
        return f"{self.row} | {self.group} | seed {self.seed}: {self.says}"


@dataclass(frozen=True)
class FigureData:
    """What the records hold for a figure."""

    points: list[Point]
    missing: list[About]
    """Runs without a record, and runs that lack something."""
    kept: list[About]
    """Runs without a record whose frozen points are shown."""
    numbers: list[dict[str, str | float]]
    """What a picture does not show, by panel, line and seed."""


def file(paper: Paper, number: str) -> Path:
    """Return where a figure's frozen points are: next to the paper's tables."""
    return paper.path.parent / "reference" / "figures" / f"{paper.id}-{number}.csv"


def found(paper: Paper, number: str, records: Iterable[Record], smoke: bool = False) -> FigureData:
    """Return a figure's points for every seed: from its record, or else the frozen ones.

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
    frozen_points = [] if smoke else frozen.read(file(paper, number), Point)
    data = FigureData([], [], [], [])
    for entry in paper.entries[figure_key(number)]:
        line, x = places[entry.row]
        for seed in entry.seeds:
            experiment = entry.experiment(seed)
            if experiment and smoke:
                experiment = experiment.smoked()
            record = known.get(experiment.key()) if experiment else None
            run = _Run(number, figure, line, x, entry, seed)
            if record:
                run.take(record, data)
            else:
                run.take_frozen(frozen_points, data)
    return data


@dataclass(frozen=True)
class _Run:
    """A run that a figure is drawn from: a line at a place on the x axis, with one seed."""

    number: str
    figure: Figure
    line: Line
    x: float | None
    entry: Entry
    seed: int

    def about(self, says: str) -> About:
        """Return something that is to be said of it."""
        return About(self.entry.row, self.entry.group_label, self.seed, says)

    def take_frozen(self, points: list[Point], data: FigureData) -> None:
        """Add the run's frozen points; without any it is missing."""
        place = self.entry.group_label, self.line.label, self.seed
        own = [p for p in points if (p.panel, p.line, p.seed) == place and self.x in (None, p.x)]
        if own:
            data.points.extend(own)
            data.kept.append(self.about(f"{own[0].experiment} of {own[0].began[:10]}"))
        elif not self.entry.added:  # an added view is not reported
            reason = self.entry.obstacle() or ("no record",)
            data.missing.append(self.about(", ".join(reason)))

    def take(self, record: Record, data: FigureData) -> None:
        """Add the points of the run's record, and name what it lacks."""
        for label, metric in self.figure.metrics.items():
            if self.figure.kind == "picture":
                self._picture(label, metric, record, data)
                continue
            values = _values(self.figure, self.line, record, metric, self.x)
            data.points.extend(self._point(label, record, x=at, value=v) for at, v in values)
            axis = self.figure.x
            if len(values) < (len(axis.values) if axis and axis.cases else 1):
                data.missing.append(self.about(f"lacks some {label}"))

    def _picture(self, label: str, metric: str, record: Record, data: FigureData) -> None:
        """Add the points of a picture of vectors, and what it does not show."""
        vectors = record.embeddings().get(metric.partition(":")[2])
        if vectors is None:
            data.missing.append(self.about("has no vectors"))
            return
        shown = picture(vectors)
        for x1, x2, cluster in zip(*shown.xy.T.tolist(), shown.cluster.tolist(), strict=True):
            data.points.append(self._point(label, record, x=x1, value=x2, cluster=cluster))
        about = {"panel": self.entry.group_label, "line": self.line.label, "of": label}
        data.numbers.append({**about, "seed": self.seed, **shown.numbers})

    def _point(self, label: str, record: Record, **numbers: Any) -> Point:
        return Point(
            figure=self.number,
            panel=self.entry.group_label,
            metric=label,
            line=self.line.label,
            seed=self.seed,
            experiment=record.id,
            digest=record.digest,
            verified=record.verified,
            commit=record.code.get("commit", ""),
            dirty=record.dirty,
            began=record.began,
            seal=record.seal,
            **numbers,
        )


def _values(
    figure: Figure, line: Line, record: Record, metric: str, x: float | None
) -> list[tuple[float, float]]:
    """Return a record's points: over its epochs, or its result at a place on the x axis."""
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
    """Return what a picture does not show as CSV, a line for each."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(numbers[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(numbers)
    return out.getvalue()


def doubts(points: Iterable[Point]) -> list[str]:
    """Return the meaning of the marks "u" and "d", each if it applies to any of the points."""
    points = list(points)
    found = {"u": any(not p.verified for p in points), "d": any(p.dirty for p in points)}
    return [MARKS[mark] for mark, holds in found.items() if holds]
