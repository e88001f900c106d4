"""Draw a figure from its points: curves, sweeps, bars, pictures."""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import zip_longest
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal

from repro.errors import ReproError
from repro.files import write_atomically
from repro.papers.paper import Paper
from repro.report import style
from repro.results.figures import About, Point, as_csv, doubts, found, numbers_as_csv
from repro.runs.records import Record
from repro.text import one_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

FORMS = ("png", "svg", "pdf")
"""The files that a figure is written to."""

MOST_NAMED, MOST_ROWS = 6, 2
"""Column groups and rows that are named where something is not drawn; more are counted."""

MOST_TICKS = 8
"""Places on an axis that are all marked."""

INCH = 17
"""Characters of a title in an inch."""

MOST_MARKED = 25
"""Points of a line beyond which not every one has a marker."""


@dataclass(frozen=True)
class Drawn:
    """A figure that has been written."""

    stem: Path
    """The path of its files, without their endings."""
    n_points: int
    remarks: list[str]
    """What was not drawn, what was drawn from frozen numbers, and doubts."""


@dataclass(frozen=True)
class Sheet:
    """What a figure shows, besides its points."""

    title: str
    kind: Literal["curve", "sweep", "bars", "picture"]
    metrics: tuple[str, ...]
    """The labels of the y axes."""
    lines: tuple[str, ...]
    """In the order of the legend."""
    x_label: str = "Epoch"
    smoke: bool = False
    """Whether "smoke" is written across it."""


def draw(paper: Paper, number: str, records: Iterable[Record], to: Path, smoke: bool) -> Drawn:
    """Draw a figure from records, and write it as PNG, SVG and PDF, with its numbers as CSV.

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
        raise ReproError(
            f"there is no record for figure {number} of {paper.id}",
            "\n  ".join([*told("not drawn", have.missing), how]),
        )
    stem = to / (f"{paper.id}-{number}" + ("-smoke" if smoke else ""))  # the real one must stay
    write(stem, drawn(paper, number, have.points, smoke), have.points)
    if have.numbers:
        numbers = stem.with_name(f"{stem.name}-numbers.csv")
        write_atomically(numbers, numbers_as_csv(have.numbers).encode())
    remarks = told("no record, so drawn from tables/reference", have.kept, with_reasons=False)
    remarks += told("not drawn", have.missing)
    remarks += [f"note: {doubt}" for doubt in doubts(have.points)]
    return Drawn(stem, len(have.points), remarks)


def told(what: str, runs: Sequence[About], with_reasons: bool = True) -> list[str]:
    """Return what there is to say of some runs in one line; nothing if there are none.

    Parameters
    ----------
    what : str
        What they have in common.
    runs : sequence of About
        The runs.
    with_reasons : bool
        Whether what is known of each is said; what several share is said once.
    """
    if not runs:
        return []
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for run in runs:
        rows = found.setdefault((run.says if with_reasons else "", run.group), {})
        rows.setdefault(run.row, []).append(str(run.seed))
    parts = []
    for (reason, group), rows in list(found.items())[:MOST_NAMED]:
        if len(rows) > MOST_ROWS:
            named = f"{len(rows)} rows"
        else:
            each = (f"{row} (seed{'s' * (len(s) > 1)} {', '.join(s)})" for row, s in rows.items())
            named = ", ".join(each)
        parts.append(f"{named} on {group}" + (f": {reason}" if reason else ""))
    more = len(found) - MOST_NAMED
    parts += [f"and {more} more"] if more > 0 else []
    counted = f"{len(runs)} runs" if len(runs) > 1 else "1 run"
    return [one_line(f"{what}, {counted}: {'; '.join(parts)}")]


def write(stem: Path, drawing: Drawing, points: list[Point]) -> None:
    """Write a drawing in every form, with its numbers as CSV.

    Parameters
    ----------
    stem : Path
        The path of its files, without their endings.
    drawing : Figure
        Of matplotlib.
    points : list of Point
        Its numbers.
    """
    import matplotlib

    dateless: dict[str, dict[str, None]] = {
        "svg": {"Date": None},
        "pdf": {"CreationDate": None},
        "png": {},
    }
    with matplotlib.rc_context(style.SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # a letter that no font has
        for form in FORMS:
            picture = BytesIO()
            drawing.savefig(picture, format=form, dpi=200, metadata=dateless[form])
            write_atomically(stem.with_name(f"{stem.name}.{form}"), picture.getvalue())
    write_atomically(stem.with_name(f"{stem.name}.csv"), as_csv(points).encode())


def drawn(paper: Paper, number: str, points: list[Point], smoke: bool = False) -> Drawing:
    """Return a figure of a paper.

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
    figure = paper.figure(number)
    sheet = Sheet(
        title=f"{paper.id}, Figure {number}: {figure.caption}",
        kind=figure.kind,
        metrics=tuple(figure.metrics),
        lines=tuple(line.label for line in figure.lines),
        x_label=figure.x.label if figure.x else "Epoch",
        smoke=smoke,
    )
    return sheet_drawn(sheet, points)


def sheet_drawn(sheet: Sheet, points: list[Point]) -> Drawing:
    """Return a figure: panels in a grid, one legend below all of them.

    Several seeds are drawn as their mean, with the standard deviation as a band or as bars.

    Parameters
    ----------
    sheet : Sheet
        What it shows.
    points : list of Point
        Its numbers.

    Raises
    ------
    ReproError
        If matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure as Drawing
    except ImportError as error:
        raise ReproError(
            "matplotlib is not installed", 'pip install "repro-tables[figures]"'
        ) from error
    panes = list(dict.fromkeys(map(_pane, points)))
    panels = [(label, pane) for label in sheet.metrics for pane in panes]
    columns = style.across(len(panes), len(sheet.metrics))
    rows = -(-len(panels) // columns)
    width = style.COLUMN if columns == 1 else max(style.PAGE, 1.9 * columns)
    with matplotlib.rc_context(style.SETTINGS):
        drawing = Drawing(figsize=(width, style.HEIGHT * rows + 0.7), layout="constrained")
        grid = drawing.subplots(rows, columns, squeeze=False, sharex=sheet.kind in _SHARE_X)
        for n, (axes, panel) in enumerate(zip_longest(grid.flat, panels)):
            if panel is None:
                axes.set_visible(False)
                continue
            label, pane = panel
            own = [one for one in points if _pane(one) == pane and one.metric == label]
            _fill(axes, own, sheet)
            if len(panes) > 1 or sheet.kind == "picture":
                axes.set_title(fill(_plain(pane), int(width / columns * INCH)))
            alone = len(panes) == 1 or n % columns == 0
            axes.set_ylabel(_plain(label) if alone and sheet.kind != "picture" else "")
            if sheet.kind in _SHARE_X:
                is_last = n + columns >= len(panels)
                axes.set_xlabel(_capital(_plain(sheet.x_label)) if is_last else "")
                axes.tick_params(labelbottom=is_last)
            axes.text(
                *(0.5, 0.5, "smoke" if sheet.smoke else ""),
                **{"transform": axes.transAxes, "ha": "center", "va": "center"},
                **{"fontsize": 28, "alpha": 0.3, "rotation": 30},
            )
        _around(drawing, sheet, points, int(width * INCH))
    return drawing


_SHARE_X = ("curve", "sweep")


def _around(drawing: Drawing, sheet: Sheet, points: list[Point], n_characters: int) -> None:
    """Draw the title above the panels; the legend, and what holds for all points, below."""
    drawing.suptitle(fill(_plain(sheet.title), n_characters))
    seeds = {one.seed for one in points}
    notes = list(map(_plain, doubts(points)))
    if len(seeds) > 1 and sheet.kind != "picture":
        notes.insert(0, "Bands and error bars: standard deviation over seeds")
    said = fill("; ".join(notes), int(n_characters * 1.2))
    handles: dict[str, Any] = {}
    for axes in drawing.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if len(handles) > 1:
        columns = _legend_columns(list(handles), n_characters)
        beside: dict[str, Any] = {"title": said or None, "title_fontsize": style.SMALL}
        own, labels = list(handles.values()), list(handles)
        drawing.legend(own, labels, loc="outside lower center", ncols=columns, **beside)
    elif said:
        drawing.supxlabel(said, fontsize=style.SMALL)


def _legend_columns(labels: list[str], n_characters: int) -> int:
    """Return how many labels fit side by side."""
    widest = max(map(len, labels)) + 7
    return max(1, min(len(labels), n_characters // widest))


def _plain(text: str) -> str:
    """Return text in one line that matplotlib draws as it is: no formula, no hidden label."""
    shown = one_line(text).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _pane(point: Point) -> str:
    """Return the title of a point's panel; in a picture each line and seed has one."""
    if point.cluster is None:
        return point.panel
    return f"{point.panel}, {point.line}, seed {point.seed}"


def _fill(axes: Any, points: list[Point], sheet: Sheet) -> None:
    """Draw the points of one panel."""
    if sheet.kind == "picture":
        axes.grid(visible=False)
        axes.set_xticks([])
        axes.set_yticks([])
        for cluster in sorted({one.cluster for one in points if one.cluster is not None}):
            own, look = [one for one in points if one.cluster == cluster], style.look(cluster)
            xy = [one.x for one in own], [one.value for one in own]
            axes.scatter(*xy, 5, color=look.colour, marker=look.marker, linewidths=0)
        return
    for n, line in enumerate(sheet.lines):
        own = [one for one in points if one.line == line]
        if own:
            _line(axes, _plain(line), own, sheet.kind, style.look(n))
    places = sorted({one.x for one in points})
    if sheet.kind == "sweep" and 1 < len(places) <= MOST_TICKS:
        if places[0] > 0 and places[-1] / places[0] >= 2 ** (len(places) - 1):
            axes.set_xscale("log")
        axes.minorticks_off()
        axes.set_xticks(places, [f"{place:g}" for place in places])
    if sheet.kind == "bars":
        axes.tick_params(axis="x", labelrotation=30)
        axes.grid(visible=False, axis="x")


def _line(axes: Any, label: str, points: list[Point], kind: str, look: style.Look) -> None:
    """Draw a line with its band, or a bar."""
    by_x: dict[float, list[float]] = {}
    for one in points:
        by_x.setdefault(one.x, []).append(one.value)
    xs = sorted(by_x)
    means = [statistics.fmean(by_x[x]) for x in xs]
    spread = [statistics.stdev(by_x[x]) if len(by_x[x]) > 1 else 0.0 for x in xs]
    if kind == "bars":
        shown = {"color": look.colour, "hatch": look.hatch, "edgecolor": "white", "width": 0.6}
        axes.bar(label, means[0], yerr=spread[0] or None, capsize=3, **shown)
        return
    every = 1 if len(xs) <= MOST_MARKED else -(-len(xs) // 10)
    shown = {"color": look.colour, "marker": look.marker, "linestyle": look.dash}
    axes.plot(xs, means, label=label, markevery=every, **shown)
    several = [len(by_x[x]) > 1 for x in xs]
    if kind == "sweep" and not all(several):  # a band would look as if all places had some
        few = [(x, m, s) for x, m, s in zip(xs, means, spread, strict=True) if s]
        for x, mean, deviation in few:
            axes.errorbar(x, mean, yerr=deviation, color=look.colour, capsize=3)
    elif any(spread):
        low = [m - s for m, s in zip(means, spread, strict=True)]
        high = [m + s for m, s in zip(means, spread, strict=True)]
        axes.fill_between(xs, low, high, several, color=look.colour, alpha=0.15, linewidth=0)
