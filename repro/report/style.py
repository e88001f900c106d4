"""The one style of all figures: colours that everybody tells apart, markers, dashes, sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Of Okabe and Ito: colours that people with any colour vision tell apart."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
"""Lines differ in these, too: a figure is also printed in grey."""

HATCHES = ("", "///", "...", "\\\\\\", "xxx", "---", "+++")

COLUMN, PAGE = 3.35, 7.0
"""The width of a column and of a page of a paper, in inches."""

HEIGHT = 2.1
"""Of a panel, in inches."""

SMALL = 6.5
"""The size of what is said below the panels, in points."""

MOST_ACROSS = 3
"""Panels side by side."""

SETTINGS: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "figure.titlesize": 8,
    "legend.fontsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "pdf.fonttype": 42,  # text that a journal's checker accepts, and that can be searched
    "svg.hashsalt": "repro",  # the same figure gives the same bytes
}
"""For matplotlib."""


@dataclass(frozen=True)
class Look:
    """How a line is drawn."""

    colour: str
    marker: str
    dash: Any
    hatch: str


def look(n: int) -> Look:
    """Return the look of the line with a number; after seven colours markers and dashes change."""
    k, turn = n % len(PALETTE), n // len(PALETTE)
    other = (k + turn) % len(MARKERS)
    return Look(PALETTE[k], MARKERS[other], DASHES[other], HATCHES[other])


def across(n_groups: int, n_metrics: int) -> int:
    """Return how many panels stand side by side: a column for each group, or a grid of one kind."""
    if n_groups > 1 and n_metrics > 1:
        return n_groups
    n = n_groups * n_metrics
    return 2 if n == 4 else min(n, MOST_ACROSS)
