"""Learning curves of runs, and the papers' figures, as SVG."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from repro.papers.schema import Figure
from repro.report.site.charts import Key
from repro.report.site.svg import SERIES, WIDTH, Drawing, Scale, key, label, marker, spanning, text
from repro.results.figures import Point
from repro.runs.records import Record

MOST_POINTS = 80
"""Of a curve; of a longer one every so many epochs are drawn."""

MOST_DOTS = 2000
"""Of a picture of vectors, for each panel."""


@dataclass(frozen=True)
class Curve:
    """A learning curve, and what it shows."""

    drawing: Markup
    caption: str


def learning(records: Sequence[Record], metrics: Sequence[str]) -> Curve | None:
    """Return the curves of a row's runs in the metric that chooses the epoch; None without any.

    Parameters
    ----------
    records : sequence of Record
        One per seed.
    metrics : sequence of str
        The table's, where no single metric chooses.
    """
    chosen = records[0].experiment.selection if records else None
    if chosen is None:
        return None
    for cases in dict.fromkeys([chosen.cases or "test", "test", "valid"]):
        for metric in dict.fromkeys([chosen.metric or metrics[0], *metrics]):
            found = [(r, _points(r, cases, metric)) for r in records]
            if any(len(points) > 1 for _, points in found):
                return _learning(found, cases, metric)
    return None


def _points(record: Record, cases: str, metric: str) -> list[tuple[float, float]]:
    curve = [e for e in record.curve if metric in e.get(cases, {})]
    points = [(float(e["epoch"]), float(e[cases][metric])) for e in curve]
    every = -(-len(points) // MOST_POINTS) or 1
    return [p for n, p in enumerate(points) if not n % every or n == len(points) - 1]


def _learning(
    found: list[tuple[Record, list[tuple[float, float]]]], cases: str, metric: str
) -> Curve:
    named = {"test": "test cases", "valid": "validation cases"}.get(cases, cases)
    seeds = ", ".join(str(r.experiment.seed) for r, _ in found)
    caption = f"{metric} on the {named} by epoch; seed {seeds}"
    every = [point for _, points in found for point in points]
    drawing = Drawing(180, caption)
    x = spanning([p[0] for p in every], 44, 352, 0.0)
    y = spanning([p[1] for p in every], 142, 20)
    drawing.axes(x, y, ("epoch", metric))
    marks = []
    for number, (record, points) in enumerate(found):
        if len(points) > 1:
            drawing.line([(x(a), y(b)) for a, b in points], f"line s{number % SERIES}")
        best = [(a, b) for a, b in points if a == record.epoch]
        marks += [(number, x(a), y(b)) for a, b in best]
    for number, a, b in marks:
        drawing.add(marker(number, a, b, f"mark s{number % SERIES}", "the epoch that counts"))
    caption += "; a mark shows the epoch that counts" if marks else ""
    return Curve(drawing.markup(), caption)


@dataclass(frozen=True)
class Panel:
    """One panel of a figure."""

    title: str
    drawing: Markup


@dataclass(frozen=True)
class Drawn:
    """A figure as panels that share a legend."""

    panels: list[Panel]
    legend: list[Key]


def figure(shown: Figure, points: Sequence[Point]) -> Drawn:
    """Return a figure's panels, a column group and a metric each, and their legend."""
    order = {line.label: n for n, line in enumerate(shown.lines)}
    panels = []
    for name in dict.fromkeys(one.panel for one in points):
        for metric in shown.metrics:
            own = [one for one in points if (one.panel, one.metric) == (name, metric)]
            if own:
                panels += _panels(shown, name, metric, own, order)
    seen = {one.line for one in points}
    keyed = shown.kind in ("curve", "sweep")
    legend = [
        Key(key(n, shown.kind == "sweep"), name)
        for name, n in order.items()
        if keyed and name in seen
    ]
    return Drawn(panels, legend)


def _panels(
    shown: Figure, name: str, metric: str, own: list[Point], order: dict[str, int]
) -> list[Panel]:
    if shown.kind == "picture":
        clouds: dict[str, list[Point]] = {}
        for one in own:
            clouds.setdefault(f"{one.line}, seed {one.seed}", []).append(one)
        return [Panel(f"{name}: {title}", _cloud(title, cloud)) for title, cloud in clouds.items()]
    by_line = {
        line: _by_x([one for one in own if one.line == line])
        for line in order
        if any(one.line == line for one in own)
    }
    if shown.kind == "bars":
        return [Panel(name, _bars(name, metric, by_line, order))]
    about = shown.x.label if shown.x else "epoch"
    ordinal = shown.kind == "sweep"
    return [Panel(name, _lines(f"{metric}, {name}", (about, metric), by_line, order, ordinal))]


Series = list[tuple[float, float, float]]
"""x, mean over seeds, and standard deviation over seeds."""


def _by_x(points: Iterable[Point]) -> Series:
    values: dict[float, list[float]] = {}
    for one in points:
        values.setdefault(one.x, []).append(one.value)
    made = [
        (x, statistics.fmean(v), statistics.stdev(v) if len(v) > 1 else 0.0)
        for x, v in sorted(values.items())
    ]
    every = -(-len(made) // (3 * MOST_POINTS)) or 1
    return made[::every]


def _lines(
    title: str,
    names: tuple[str, str],
    by_line: dict[str, Series],
    order: dict[str, int],
    ordinal: bool,
) -> Markup:
    """Return lines over an axis; the values of a sweep stand side by side, whatever their size."""
    drawing = Drawing(250, f"{title}: {', '.join(by_line)} by {names[0]}")
    every = [point for series in by_line.values() for point in series]
    xs = sorted({x for x, _, _ in every})
    place = {x: float(n) for n, x in enumerate(xs)} if ordinal else {x: x for x in xs}
    x = spanning(place.values(), 46, 352, 0.06 if ordinal else 0.0)
    y = spanning([m + side * s for _, m, s in every for side in (-1, 1)], 212, 20)
    drawing.axes(x, y, names, x_ticks=not ordinal)
    for value in xs if ordinal else []:
        drawing.word(x(place[value]), 226, label(value), "tick", "middle")
    for name, series in by_line.items():
        look = f"s{order[name] % SERIES}"
        if any(s for _, _, s in series):
            upper = [(x(place[a]), y(m + s)) for a, m, s in series]
            lower = [(x(place[a]), y(m - s)) for a, m, s in reversed(series)]
            path = "L".join(f"{a:.1f} {b:.1f}" for a, b in upper + lower)
            drawing.add(f'<path class="area {look}" d="M{path}Z"/>')
    for name, series in by_line.items():
        look = f"s{order[name] % SERIES}"
        drawing.line([(x(place[a]), y(m)) for a, m, _ in series], f"line {look}")
        if ordinal:
            for a, m, _ in series:
                told = f"{name}: {m:.4f} at {label(a)}"
                drawing.add(marker(order[name], x(place[a]), y(m), f"mark {look}", told))
    return drawing.markup()


def _bars(title: str, metric: str, by_line: dict[str, Series], order: dict[str, int]) -> Markup:
    values = {name: series[0] for name, series in by_line.items()}
    told = ", ".join(f"{name} {mean:.4f}" for name, (_, mean, _) in values.items())
    drawing = Drawing(len(values) * 34 + 44, f"{metric}, {title}: {told}")
    x = Scale(0, max(m + s for _, m, s in values.values()) or 1.0, 8, 310)
    for n, (name, (_, mean, sd)) in enumerate(values.items()):
        top = n * 34 + 18.0
        drawing.word(8, top - 4, name, "tick")
        drawing.add(
            f'<rect class="fill s{order[name] % SERIES}" x="8" y="{top:.1f}" '
            f'width="{max(x(mean) - 8, 1):.1f}" height="12"/>'
        )
        if sd:
            drawing.line([(x(mean - sd), top + 6), (x(mean + sd), top + 6)], "whisker")
        drawing.word(x(mean + sd) + 4, top + 10, f"{mean:.4f}", "tick")
    drawing.word(8, len(values) * 34 + 30, metric, "name")
    return drawing.markup()


def _cloud(title: str, points: list[Point]) -> Markup:
    """Return vectors in two dimensions, by cluster."""
    shown = points[:: -(-len(points) // MOST_DOTS) or 1]
    says = f"{title}: {len(points)} vectors in two dimensions, coloured by cluster"
    drawing = Drawing(WIDTH, says)
    x = spanning([p.x for p in shown], 8, WIDTH - 8)
    y = spanning([p.value for p in shown], WIDTH - 8, 8)
    clusters: dict[int, list[Point]] = {}
    for one in shown:
        clusters.setdefault(one.cluster or 0, []).append(one)
    for cluster, own in sorted(clusters.items()):
        path = "".join(f"M{x(p.x):.1f} {y(p.value):.1f}h0" for p in own)
        drawing.add(
            f'<path class="cloud s{cluster % SERIES}" d="{path}">'
            f"<title>{text(f'cluster {cluster}')}</title></path>"
        )
    return drawing.markup()
