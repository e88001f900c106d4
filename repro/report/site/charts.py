"""The charts of results: published against ours, z by table or paper, effects of the ledger."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from repro.papers.printed import number_in, unit_in
from repro.report.site.looks import number, z_text
from repro.report.site.svg import Drawing, Scale, marker, spanning
from repro.report.tables import row_name
from repro.results.measured import Effect
from repro.results.verdicts import ComparedCell

OUTERMOST = 8.0
"""Of z; what lies farther is drawn at the edge, in a bar of its own."""

BIN = 0.5

SHAPES = {"exact": 0, "close": 0, "higher": 2, "lower": 3, "misprint": 4}
"""Markers of a scatter: a circle, and triangles that point to where ours lies."""


@dataclass(frozen=True)
class Key:
    """A line of a legend."""

    sign: Markup
    says: str


def judged(cells: Sequence[ComparedCell]) -> list[ComparedCell]:
    """Return the cells that have a printed number and one of ours, of a metric."""
    return [cell for cell in cells if cell.published and cell.value is not None and _is_share(cell)]


def _is_share(cell: ComparedCell) -> bool:
    return "@" in cell.metric


def scatter(cells: Sequence[ComparedCell]) -> Markup | None:
    """Return published against ours with the identity line; None if nothing can be drawn.

    A bar is one standard deviation of what chance explains, to each side.
    """
    shown = judged(cells)
    if not shown:
        return None
    pairs = [(float(number_in(cell.published)), cell.value or 0.0) for cell in shown]
    says = f"Published numbers against ours, {len(shown)} cells; the line is where both agree."
    drawing = Drawing(344, says)
    both = [value for pair in pairs for value in pair]
    x, y = spanning(both, 44, 352), spanning(both, 304, 20)
    drawing.axes(x, y, ("published", "ours"))
    drawing.line([(x(x.low), y(x.low)), (x(x.high), y(x.high))], "identity")
    for cell, (printed, ours) in zip(shown, pairs, strict=True):
        verdict = cell.judged
        half = float(unit_in(cell.published)) / 2
        if cell.z:
            error = abs((ours - printed) / cell.z)
            ends = [y(min(max(ours + side * error, y.low), y.high)) for side in (-1, 1)]
            drawing.line([(x(printed), ends[0]), (x(printed), ends[1])], f"bar v-{verdict}")
        if x(printed + half) - x(printed) > 1:
            drawing.line([(x(printed - half), y(ours)), (x(printed + half), y(ours))], "bar")
        where = f"{row_name(cell.name)}, {cell.group}, {cell.label} (Table {cell.table})"
        told = f"{where}: published {cell.published}, ours {number(ours, cell)}, {verdict}"
        drawing.add(marker(SHAPES.get(verdict, 0), x(printed), y(ours), f"dot v-{verdict}", told))
    return drawing.markup()


def legend(cells: Sequence[ComparedCell]) -> list[Key]:
    """Return the marks of a scatter and what they stand for."""
    seen = {cell.judged.replace("exact", "close") for cell in judged(cells)}
    told = {
        "close": "exact or close: chance explains it",
        "higher": "higher than published",
        "lower": "lower than published",
        "undecided": "undecided: one seed tells too little",
        "misprint": "misprint: not judged",
        "collapsed": "collapsed: not judged",
    }
    return [Key(_sign(name), said) for name, said in told.items() if name in seen]


def _sign(verdict: str) -> Markup:
    inner = marker(SHAPES.get(verdict, 0), 6, 6, f"dot v-{verdict}")
    return Markup(f'<svg class="key" viewBox="0 0 12 12" aria-hidden="true">{inner}</svg>')


def spread_of_z(groups: dict[str, list[float]]) -> Markup | None:
    """Return a histogram of z for each of several groups; None if there is no z."""
    rows = {name: zs for name, zs in groups.items() if zs}
    if not rows:
        return None
    n = sum(map(len, rows.values()))
    parts = [f"{name}: {sum(abs(z) <= 2 for z in zs)} of {len(zs)}" for name, zs in rows.items()]
    says = f"Distribution of z over {n} cells. Within 2 standard deviations, {'; '.join(parts)}."
    tall = 52.0
    drawing = Drawing(len(rows) * tall + 40, says)
    x = Scale(-OUTERMOST - BIN, OUTERMOST + BIN, 8, 352)
    bottom = len(rows) * tall + 4
    left, right = x(-2), x(2)
    drawing.add(
        f'<rect class="band" x="{left:.1f}" y="4" width="{right - left:.1f}" '
        f'height="{bottom - 4:.1f}"/>'
    )
    for number_, (name, zs) in enumerate(rows.items()):
        base = (number_ + 1) * tall
        _histogram(drawing, zs, x, base)
        drawing.word(8, base - tall + 16, name, "name")
        inside = sum(abs(z) <= 2 for z in zs)
        drawing.word(352, base - tall + 16, f"{inside} of {len(zs)} within ±2", "tick", "end")
    for value in (-8, -4, -2, 0, 2, 4, 8):
        edge = "≤ " if value == -8 else "≥ " if value == 8 else ""
        place = min(max(x(value), 16), 344)
        drawing.word(place, bottom + 14, edge + z_text(value).removesuffix(".0"), "tick", "middle")
    drawing.word(
        180, bottom + 30, "z = (ours − published) / what chance explains", "name", "middle"
    )
    return drawing.markup()


def _histogram(drawing: Drawing, zs: list[float], x: Scale, base: float) -> None:
    counts: dict[int, int] = {}
    for z in zs:
        inside = max(-OUTERMOST, min(z, OUTERMOST - 1e-9))
        outside = -1 if z < -OUTERMOST else 1 if z >= OUTERMOST else 0
        place = math.floor(inside / BIN) + outside
        counts[place] = counts.get(place, 0) + 1
    most = max(counts.values())
    for place, n in sorted(counts.items()):
        low, high = place * BIN, (place + 1) * BIN
        tall = 28 * n / most
        side = "near" if low >= -2 and high <= 2 else "lower" if low < 0 else "higher"
        drawing.add(
            f'<rect class="h-{side}" x="{x(low) + 0.6:.1f}" y="{base - tall:.1f}" '
            f'width="{x(high) - x(low) - 1.2:.1f}" height="{tall:.1f}">'
            f"<title>{n} cells</title></rect>"
        )
    drawing.line([(x.start, base), (x.end, base)], "axis")


def effect_bar(one: Effect, most: float) -> Markup:
    """Return an effect as a small bar about zero, with two standard errors on each side."""
    x = Scale(-most, most, 4, 156)
    side = "higher" if one.value > 0 else "lower"
    left, right = sorted((x(0), x(one.value)))
    parts = [
        '<path class="axis" d="M80 1L80 19"/>',
        f'<rect class="h-{side}" x="{left:.1f}" y="5" width="{max(right - left, 1):.1f}" '
        'height="10"/>',
    ]
    if one.standard_error is not None:
        low, high = (
            x(max(-most, min(most, one.value + s * 2 * one.standard_error))) for s in (-1, 1)
        )
        parts.append(f'<path class="whisker" d="M{low:.1f} 10L{high:.1f} 10"/>')
    return Markup(
        f'<svg class="effect" viewBox="0 0 160 20" aria-hidden="true">{"".join(parts)}</svg>'
    )
