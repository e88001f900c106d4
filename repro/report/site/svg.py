"""Charts as SVG text: axes, marks and text, each escaped; colours come from the style sheet.

A chart is drawn 360 units wide, so that its text keeps its size on a phone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

from markupsafe import Markup

from repro.text import one_line

WIDTH = 360.0
SERIES = 8
"""Looks of lines: colour, dashes and marker."""


def text(said: object) -> str:
    """Return text for an element or an attribute."""
    return escape(one_line(said))


def at(value: float) -> str:
    """Return a coordinate."""
    return f"{value:.1f}".removesuffix(".0")


def ticks(low: float, high: float, n: int = 5) -> list[float]:
    """Return round numbers between two numbers, about n."""
    if not high > low:
        return [low]
    raw = (high - low) / n
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * m for m in (1, 2, 2.5, 5, 10) if raw <= unit * m)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def label(value: float) -> str:
    """Return a number for an axis."""
    return f"{value:.6g}".replace("-", "−")


@dataclass(frozen=True)
class Scale:
    """From numbers to places."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the place of a number."""
        if self.high == self.low:
            return (self.start + self.end) / 2
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def spanning(values: Iterable[float], start: float, end: float, room: float = 0.05) -> Scale:
    """Return a scale for some numbers, with room at both ends."""
    seen = list(values)
    low, high = min(seen), max(seen)
    more = (high - low) * room or abs(low) * room or 1.0
    return Scale(low - more, high + more, start, end)


@dataclass
class Drawing:
    """An SVG element that is put together."""

    height: float
    says: str
    """What a reader is told who does not see it."""
    parts: list[str] = field(default_factory=list)
    width: float = WIDTH

    def add(self, *parts: str) -> None:
        """Add elements."""
        self.parts += parts

    def line(self, points: Sequence[tuple[float, float]], look: str) -> None:
        """Add a line through points."""
        path = "L".join(f"{at(x)} {at(y)}" for x, y in points)
        self.add(f'<path class="{look}" d="M{path}"/>')

    def word(self, x: float, y: float, said: object, look: str = "", anchor: str = "") -> None:
        """Add text; `anchor` is "middle" or "end" where it does not begin at x."""
        looks = f' class="{look}"' if look else ""
        where = f' text-anchor="{anchor}"' if anchor else ""
        self.add(f'<text x="{at(x)}" y="{at(y)}"{looks}{where}>{text(said)}</text>')

    def axes(self, x: Scale, y: Scale, names: tuple[str, str], x_ticks: bool = True) -> None:
        """Add a frame with ticks, and what the axes are called."""
        if x_ticks:
            for value in ticks(x.low, x.high):
                self.line([(x(value), y.start), (x(value), y.end)], "grid")
                self.word(x(value), y.start + 14, label(value), "tick", "middle")
        for value in ticks(y.low, y.high):
            self.line([(x.start, y(value)), (x.end, y(value))], "grid")
            self.word(x.start - 5, y(value) + 3.5, label(value), "tick", "end")
        self.line([(x.start, y.end), (x.start, y.start), (x.end, y.start)], "axis")
        self.word((x.start + x.end) / 2, y.start + 30, names[0], "name", "middle")
        self.word(2, y.end - 7, names[1], "name")

    def markup(self) -> Markup:
        """Return the element."""
        size = f"0 0 {at(self.width)} {at(self.height)}"
        head = f'<svg class="chart" viewBox="{size}" role="img" aria-label="{text(self.says)}">'
        return Markup(f"{head}{''.join(self.parts)}</svg>")


def marker(kind: int, x: float, y: float, look: str, says: str = "") -> str:
    """Return a mark of one of several shapes, with what a pointer over it shows."""
    r = 3.2
    far = r * 1.4
    title = f"<title>{text(says)}</title>" if says else ""
    shapes = [
        f'<circle class="{look}" cx="{at(x)}" cy="{at(y)}" r="{at(r)}">{title}</circle>',
        _shape(look, title, [(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)]),
        _shape(look, title, [(x, y - r * 1.3), (x + r * 1.2, y + r), (x - r * 1.2, y + r)]),
        _shape(look, title, [(x, y + r * 1.3), (x + r * 1.2, y - r), (x - r * 1.2, y - r)]),
        _shape(look, title, [(x, y - far), (x + far, y), (x, y + far), (x - far, y)]),
    ]
    return shapes[kind % len(shapes)]


def _shape(look: str, title: str, points: list[tuple[float, float]]) -> str:
    path = "L".join(f"{at(x)} {at(y)}" for x, y in points)
    return f'<path class="{look}" d="M{path}Z">{title}</path>'


def key(number: int, marked: bool, drawn: bool = True) -> Markup:
    """Return a piece of a line as a legend shows it."""
    parts = f'<path class="line s{number % SERIES}" d="M1 6L27 6"/>' if drawn else ""
    parts += marker(number, 14, 6, f"mark s{number % SERIES}") if marked else ""
    return Markup(f'<svg class="key" viewBox="0 0 28 12" aria-hidden="true">{parts}</svg>')
