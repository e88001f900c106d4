"""Figures, drawn from records: metrics over epochs, over an axis, or as bars; and as numbers."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from textwrap import fill
from typing import TYPE_CHECKING, Any

from repro.clusters import picture
from repro.errors import ReproError
from repro.experiment import canonical
from repro.records import Record
from repro.table_schema import Figure, Line, figure_key, point
from repro.tables import Paper

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

TITLE_WIDTH = 48
"""Letters of a title that fit above a panel."""


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
    cluster: int | None = None
    """In a picture, whose points are rows in their order: x and value are the two dimensions."""


@dataclass(frozen=True)
class Found:
    """What the records have of a figure."""

    points: list[Point]
    missing: list[str]
    """Runs without a record."""
    numbers: list[dict[str, str | float]]
    """What a picture does not show, by panel, line and seed."""


def found(paper: Paper, number: str, records: Iterable[Record], smoke: bool = False) -> Found:
    """Return a figure's points, of every seed that has a record.

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
    known = {canonical(record.experiment): record for record in records}
    places = {point(line.label, x): (line, x) for line in figure.lines for x in figure.trained()}
    points: list[Point] = []
    missing: list[str] = []
    numbers: list[dict[str, str | float]] = []
    for entry in paper.entries(figure_key(number)):
        line, x = places[entry.row]
        for seed in entry.seeds:
            experiment = entry.experiment(seed)
            if experiment and smoke:
                experiment = experiment.smoked()
            record = known.get(canonical(experiment.as_json())) if experiment else None
            if record is None and entry.added:
                continue  # a view of ours, which nobody has run
            if record is None:
                reason = ": ".join(entry.obstacle() or ("no record",))
                missing.append(f"{entry.row} | {entry.group_label} | seed {seed}: {reason}")
                continue
            panel = entry.group_label
            for label, metric in figure.metrics.items():
                if figure.kind == "picture":
                    vectors = record.embeddings().get(metric.partition(":")[2])
                    if vectors is None:
                        missing.append(f"{entry.row} | {panel} | seed {seed}: has no vectors")
                        continue
                    shown = picture(vectors)
                    points += [
                        Point(number, panel, label, line.label, x1, x2, seed, record.id, cluster)
                        for (x1, x2), cluster in zip(
                            shown.xy.tolist(), shown.cluster.tolist(), strict=True
                        )
                    ]
                    place = {"panel": panel, "line": line.label, "of": label}
                    numbers.append({**place, "seed": seed, **shown.numbers})
                    continue
                values = _values(figure, line, record, metric, x)
                wanted = len(figure.x.values) if figure.x and figure.x.cases else 1
                if len(values) < wanted:
                    missing.append(f"{entry.row} | {panel} | seed {seed}: lacks some {label}")
                for at, value in values:
                    found_at = (number, panel, label, line.label, at, value, seed)
                    points.append(Point(*found_at, record.id))
    return Found(points, missing, numbers)


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
    curve = [(epoch, float(values[name])) for epoch, values in at if name in values]
    if figure.kind == "curve":
        return curve
    if of == "loss" or figure.cases == "valid":
        return [(x or 0.0, dict(curve)[record.epoch])] if record.epoch in dict(curve) else []
    return [(x or 0.0, record.result(metric).value)]


def as_csv(points: list[Point]) -> str:
    """Return the numbers of a figure, a line each."""
    return _csv([f.name for f in fields(Point)], [asdict(one) for one in points])


def numbers_as_csv(numbers: list[dict[str, str | float]]) -> str:
    """Return what a picture does not show, a line for each."""
    return _csv(list(numbers[0]), numbers)


def _csv(head: list[str], rows: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, head, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def drawn(paper: Paper, number: str, points: list[Point], mark: str = "") -> Drawing:
    """Return the figure: a column of panels for each group, a row of them for each metric.

    Several seeds are drawn as their mean, with the standard deviation as bars or as a band.

    Parameters
    ----------
    paper, number
        Whose figure.
    points : list of Point
        Its numbers.
    mark : str
        Written across it, such as "smoke".

    Raises
    ------
    ReproError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure as Drawing
    except ImportError as error:
        raise ReproError("matplotlib is not installed", 'pip install "repro[figures]"') from error
    figure = paper.figure(number)
    panels = list(dict.fromkeys(one.panel for one in points))
    if figure.kind == "picture":
        panels = list(dict.fromkeys(_pane(one) for one in points))
    drawing = Drawing(figsize=(4.2 * len(panels), 3.2 * len(figure.metrics)), layout="constrained")
    grid = drawing.subplots(len(figure.metrics), len(panels), squeeze=False)
    for axes_row, label in zip(grid, figure.metrics, strict=True):
        for axes, panel in zip(axes_row, panels, strict=True):
            for line in figure.lines if figure.kind != "picture" else []:
                own = [
                    one
                    for one in points
                    if (one.panel, one.metric, one.line) == (panel, label, line.label)
                ]
                _line(axes, line.label, own, figure)
            axes.set_title(panel)
            axes.set_ylabel(label)
            if figure.kind == "picture":
                own = [one for one in points if _pane(one) == panel and one.metric == label]
                colours = [one.cluster for one in own]
                axes.scatter(
                    [one.x for one in own], [one.value for one in own], 4, colours, cmap="tab20"
                )
                axes.set_xticks([])
                axes.set_yticks([])
            elif figure.kind == "bars":
                axes.tick_params(axis="x", labelrotation=30)
            else:
                axes.set_xlabel(figure.x.label if figure.x else "epoch")
                axes.legend(fontsize="small")
            if mark:
                axes.text(
                    0.5,
                    0.5,
                    mark,
                    transform=axes.transAxes,
                    fontsize=40,
                    alpha=0.3,
                    ha="center",
                    va="center",
                    rotation=30,
                )
    title = f"{paper.id}, Figure {number}: {figure.caption}"
    drawing.suptitle(fill(title, TITLE_WIDTH * len(panels)), fontsize="medium")
    return drawing


def _pane(point: Point) -> str:
    """Return the panel of a picture: each line and seed has one."""
    return f"{point.panel}, {point.line}, seed {point.seed}"


def _line(axes: Any, label: str, points: list[Point], figure: Figure) -> None:
    by_x: dict[float, list[float]] = {}
    for one in points:
        by_x.setdefault(one.x, []).append(one.value)
    xs = sorted(by_x)
    means = [statistics.fmean(by_x[x]) for x in xs]
    spread = [statistics.stdev(by_x[x]) if len(by_x[x]) > 1 else 0.0 for x in xs]
    if not xs:
        return  # named among what is missing
    if figure.kind == "bars":
        axes.bar(label, means[0], yerr=spread[0] or None)
        return
    if figure.kind == "sweep":
        axes.errorbar(xs, means, yerr=spread if any(spread) else None, marker="o", label=label)
        return
    axes.plot(xs, means, label=label)
    if any(spread):
        low = [m - s for m, s in zip(means, spread, strict=True)]
        high = [m + s for m, s in zip(means, spread, strict=True)]
        axes.fill_between(xs, low, high, alpha=0.2)
