"""The verdict on one number: whether ours agrees with the printed one."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from repro.metrics import Result
from repro.papers.printed import number_in, unit_in
from repro.papers.rows import Cell, Entry
from repro.results.distance import NEAR, Distance, distance

VERDICTS = {
    "exact": "our run rounds to the printed digits",
    "close": "chance explains the difference (|z| up to 2), or a tolerance that the paper states",
    "higher": "our run is higher than published; this needs a reason as much as lower does",
    "lower": "our run is lower than published",
    "undecided": "our run differs, and how much chance could explain is unknown, as with one seed",
    "collapsed": "our run scores all items alike for some users; it is not judged",
    "easier": "our run ranks among fewer candidates than were asked for; it is not judged",
    "misprint": "the printed number cannot be this row's result; our run is not judged by it",
    "ours": "nothing to compare with: a row or a view that the paper lacks, or a shorter run",
    "unrun": "no record yet; the reason is printed",
    "damaged": "there is a record, but it cannot be used; the reason is printed",
    "quoted": "the paper took the number from elsewhere, and there is no recipe to run",
    "blocked": "nobody can obtain the data",
    "smoke": "a shortened run on toy data: it shows that the code runs, nothing else",
}


@dataclass(frozen=True)
class Judged:
    """A verdict and what it rests on."""

    verdict: str
    """A key of `VERDICTS`."""
    reason: str = ""
    """In words; empty where the verdict says it all."""
    z: float | None = None
    """How far our number is off, in units of what chance explains."""
    chance: tuple[str, ...] = ()
    """What these units count; `z` and `chance` are those of `Distance`."""


def judge(
    entry: Entry,
    cell: Cell,
    seeds: list[Result],
    *,
    n_users: int | None = None,
    marks: str = "",
) -> Judged:
    """Return the verdict on a cell of a results table.

    Parameters
    ----------
    entry, cell : Entry, Cell
        The row in its column group, and what was printed.
    seeds : list of Result
        Our result for each seed; empty: there is none.
    n_users : int, optional
        Test users.
    marks : str
        Of our runs; a smoke run and a collapsed one are not judged, nor is one with fewer
        candidates than asked for.
    """
    if not seeds and entry.added:
        return Judged("ours")
    if not seeds:
        return Judged(*(entry.obstacle() or ("unrun", "no record")))
    if "s" in marks:
        return Judged("smoke")
    if not cell.published:
        return Judged("ours")
    if "m" in cell.doubts:
        return Judged("misprint")
    off = distance(
        cell.published,
        seeds,
        metric=cell.metric,
        redraw=entry.redraw,
        is_random=entry.is_random,
        n_users=n_users,
    )
    by = f"by {abs(off.value):.4f}"
    which = "higher" if off.value > 0 else "lower"
    tolerance = cell.tolerance if cell.tolerance and cell.tolerance.within else None
    verdict, reason = "undecided", f"{which} {by}: {_why_undecided(off)}"
    if "f" in marks:
        verdict, reason = "easier", "ranked among fewer candidates than were asked for"
    elif "c" in marks:
        verdict, reason = "collapsed", "all items score the same for some users"
    elif Decimal(repr(abs(off.value))) <= unit_in(cell.published) / 2:
        verdict, reason = "exact", ""
    elif off.is_near:
        verdict, reason = "close", f"|z| up to {NEAR:g}, counting {', '.join(off.sources)}"
    elif tolerance and Decimal(repr(abs(off.value))) <= number_in(tolerance.within):
        verdict, reason = "close", f"within {tolerance.within}: {tolerance.source}"
    elif off.is_far:
        verdict, reason = which, by
    return Judged(verdict, reason, off.z, off.sources)


def _why_undecided(off: Distance) -> str:
    if off.error is None:
        return "nothing tells how much chance explains"
    return f"one seed does not tell how much seeds vary, and {off.error:.4f} stands for it"


def count(cell: Cell, ours: float) -> Judged:
    """Return the verdict on a count of the data, which no chance changes."""
    difference = Decimal(repr(ours)) - number_in(cell.published)
    if abs(difference) <= unit_in(cell.published) / 2:
        return Judged("exact")
    return Judged("higher" if difference > 0 else "lower", f"by {abs(difference):.4f}")
