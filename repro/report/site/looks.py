"""What numbers look like on a page: their digits, the sign of a verdict, the step of a colour."""

from __future__ import annotations

import re
from dataclasses import dataclass

from repro.papers.printed import unit_in
from repro.report.picture import LOOKS
from repro.results.judgement import VERDICTS
from repro.results.verdicts import ComparedCell

COUNTS = ("users", "items", "interactions")

SIGNS = {name: sign for name, (sign, _, _) in LOOKS.items()} | {
    "collapsed": "∅",
    "easier": "<",
    "ours": "+",
    "unrun": "–",
    "damaged": "!",
    "quoted": "“",
    "blocked": "×",
    "smoke": "s",
}
"""A sign for every verdict, so that none is told by colour alone."""

STEPS = (1.0, 2.0, 4.0)
"""Limits of |z| between the steps of a colour."""


@dataclass(frozen=True)
class Verdict:
    """A verdict as pages explain it."""

    name: str
    sign: str
    meaning: str


def verdicts() -> list[Verdict]:
    """Return all verdicts, with their signs."""
    return [Verdict(name, SIGNS[name], meaning) for name, meaning in VERDICTS.items()]


def number(value: float | None, cell: ComparedCell) -> str:
    """Return a number of ours with one digit more than the printed one; counts as integers."""
    if value is None:
        return ""
    return f"{value:,.0f}" if cell.metric in COUNTS else f"{value:.{digits(cell.published)}f}"


def digits(published: str) -> int:
    """Return how many digits our number has after the point: one more than the printed one."""
    return max(-int(unit_in(published).logb()), 0) + 1 if published else 4


def z_text(z: float | None) -> str:
    """Return z with its sign, to one digit: "+0.3", "−12"."""
    if z is None:
        return ""
    return (f"{z:+.0f}" if abs(z) >= 10 else f"{z:+.1f}").replace("-", "−")


def step(z: float | None) -> str:
    """Return the class of a colour for z: "z0" where chance explains it, "up1" to "down3"."""
    if z is None:
        return ""
    size = sum(abs(z) > limit for limit in STEPS)
    return "z0" if size == 0 else f"{'up' if z > 0 else 'down'}{size}"


def slug(text: str) -> str:
    """Return a text as a part of an address: what is no letter or digit of ASCII is a hyphen."""
    return re.sub(r"[^A-Za-z0-9@.+]+", "-", text).strip("-.") or "x"


class Ids:
    """Gives each thing on a page an id of its own: the same thing always gets the same one."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, ...], str] = {}
        self._taken: set[str] = set()

    def of(self, *parts: str) -> str:
        """Return the id of what a path names; a second path that looks alike gets a number."""
        if parts not in self._of:
            plain = name = "/".join(map(slug, parts))
            n = 1
            while name in self._taken:
                n += 1
                name = f"{plain}-{n}"
            self._of[parts] = name
            self._taken.add(name)
        return self._of[parts]
