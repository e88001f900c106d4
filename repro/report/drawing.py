"""Draw a figure from its points: curves, sweeps, bars, pictures."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from repro.errors import ReproError
from repro.files import write_atomically
from repro.papers.paper import Paper
from repro.papers.schema import Figure
from repro.results.figures import Point, as_csv, doubts, found, numbers_as_csv
from repro.runs.records import Record
from repro.text import one_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


TITLE_WIDTH = 48
"""Characters of a title that fit above a panel."""


@dataclass(frozen=True)
class Drawn:
    """A figure that has been written."""

    stem: Path
    """The path of its files, without their endings."""
    n_points: int
    remarks: list[str]
    """What was not drawn, what was drawn from frozen numbers, and doubts."""


def draw(paper: Paper, number: str, records: Iterable[Record], to: Path, smoke: bool) -> Drawn:
    """Draw a figure from records, and write it as PNG and SVG, with its numbers as CSV.

    Parameters
    ----------
    paper, number
        The paper, and the figure's printed number.
    records : iterable of Record
        All there are.
    to : Path
        The folder to write to.
    smoke : bool
        Draw smoke runs instead of real ones.

    Raises
    ------
    ReproError
        If there is no record and nothing frozen, or matplotlib is not installed.
    """
    have = found(paper, number, records, smoke)
    if not have.points:
        how = f"repro run {paper.id} --figure {number}" + (" --smoke" if smoke else "")
        missing = [f"not drawn: {what}" for what in have.missing]
        raise ReproError(
            f"there is no record for figure {number} of {paper.id}", "\n  ".join([*missing, how])
        )
    drawing = drawn(paper, number, have.points, smoke)
    stem = to / (f"{paper.id}-{number}" + ("-smoke" if smoke else ""))  # the real one must stay
    for form in ("png", "svg"):
        picture = BytesIO()
        drawing.savefig(picture, format=form, dpi=150)
        write_atomically(stem.with_name(f"{stem.name}.{form}"), picture.getvalue())
    write_atomically(stem.with_name(f"{stem.name}.csv"), as_csv(have.points).encode())
    if have.numbers:
        numbers = stem.with_name(f"{stem.name}-numbers.csv")
        write_atomically(numbers, numbers_as_csv(have.numbers).encode())
    remarks = [f"no record, so drawn from tables/reference: {what}" for what in have.kept]
    remarks += [f"not drawn: {what}" for what in have.missing]
    remarks += [f"note: {doubt}" for doubt in doubts(have.points)]
    return Drawn(stem, len(have.points), remarks)


def drawn(paper: Paper, number: str, points: list[Point], smoke: bool = False) -> Drawing:
    """Return the figure: a column of panels for each group, a row of them for each metric.

    Several seeds are drawn as their mean, with the standard deviation as bars or as a band.

    Parameters
    ----------
    paper, number
        The paper, and the figure's printed number.
    points : list of Point
        Its numbers.
    smoke : bool
        Whether "smoke" is written across it.

    Raises
    ------
    ReproError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure as Drawing
    except ImportError as error:
        raise ReproError(
            "matplotlib is not installed", 'pip install "repro-tables[figures]"'
        ) from error
    figure = paper.figure(number)
    panels = list(dict.fromkeys(map(_pane, points)))
    drawing = Drawing(figsize=(4.2 * len(panels), 3.2 * len(figure.metrics)), layout="constrained")
    grid = drawing.subplots(len(figure.metrics), len(panels), squeeze=False)
    for axes_row, label in zip(grid, figure.metrics, strict=True):
        for axes, panel in zip(axes_row, panels, strict=True):
            own = [one for one in points if _pane(one) == panel and one.metric == label]
            axes.set_title(_plain(panel))
            axes.set_ylabel(_plain(label))
            _fill(axes, own, figure)
            centred = {"transform": axes.transAxes, "ha": "center", "va": "center"}
            axes.text(
                0.5, 0.5, "smoke" if smoke else "", fontsize=40, alpha=0.3, rotation=30, **centred
            )
    title = f"{paper.id}, Figure {number}: {figure.caption}"
    drawing.supxlabel("\n".join(map(_plain, doubts(points))), fontsize="small")
    drawing.suptitle(fill(_plain(title), TITLE_WIDTH * len(panels)), fontsize="medium")
    return drawing


def _plain(text: str) -> str:
    """Return text in one line that matplotlib draws as it is: no formula, no hidden label."""
    shown = one_line(text).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def _pane(point: Point) -> str:
    """Return the title of a point's panel; in a picture each line and seed has one."""
    if point.cluster is None:
        return point.panel
    return f"{point.panel}, {point.line}, seed {point.seed}"


def _fill(axes: Any, points: list[Point], figure: Figure) -> None:
    """Draw the points of one panel."""
    if figure.kind == "picture":
        colours = [one.cluster for one in points]
        axes.scatter([p.x for p in points], [p.value for p in points], 4, colours, cmap="tab20")
        axes.set_xticks([])
        axes.set_yticks([])
        return
    for line in figure.lines:
        _line(axes, line.label, [one for one in points if one.line == line.label], figure)
    if figure.kind == "bars":
        axes.tick_params(axis="x", labelrotation=30)
    else:
        axes.set_xlabel(_plain(figure.x.label) if figure.x else "epoch")
        axes.legend(fontsize="small")


def _line(axes: Any, label: str, points: list[Point], figure: Figure) -> None:
    shown = _plain(label)
    by_x: dict[float, list[float]] = {}
    for one in points:
        by_x.setdefault(one.x, []).append(one.value)
    xs = sorted(by_x)
    means = [statistics.fmean(by_x[x]) for x in xs]
    spread = [statistics.stdev(by_x[x]) if len(by_x[x]) > 1 else 0.0 for x in xs]
    if not xs:
        return  # reported as missing
    if figure.kind == "bars":
        axes.bar(shown, means[0], yerr=spread[0] or None)
        return
    if figure.kind == "sweep":
        axes.errorbar(xs, means, yerr=spread if any(spread) else None, marker="o", label=shown)
        return
    axes.plot(xs, means, label=shown)
    if any(spread):
        low = [m - s for m, s in zip(means, spread, strict=True)]
        high = [m + s for m, s in zip(means, spread, strict=True)]
        axes.fill_between(xs, low, high, alpha=0.2)
