"""Rule S1: shares of users are whole multiples of one over their number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor
from statistics import median

from repro.auditing.findings import HARD, Finding, at, half_units
from repro.auditing.intervals import TOLERANCE, Interval, share
from repro.auditing.rows import Cell, PrintedRow
from repro.auditing.rules import documented
from repro.papers.printed import printed_number

SURE = 0.001
"""The chance below which a pattern is no accident."""


@dataclass(frozen=True)
class Share:
    """A cell that is a share of users, and whether it is a multiple of one over their number."""

    row: PrintedRow
    cell: Cell
    chance: float
    """That a random number with as many digits is one."""
    fits: bool


def shares(rows: Sequence[PrintedRow], users: int) -> list[Share]:
    """Return the cells that are shares of users."""
    found = []
    for row in rows:
        if row.average_of:
            continue
        functions = ["hit_rate", *(["recall", "capped_recall"] if row.known.one_target else [])]
        for cell in row.cells:
            if cell.function in functions:
                found_in = printed_number(cell.printed)
                unit = float(found_in.unit) / (100 if found_in.percent else 1)
                fits = multiple(share(cell.printed), users)
                found.append(Share(row, cell, min(1.0, users * unit), fits))
    return found


def multiple(of: Interval, users: int) -> bool:
    """Return whether an interval holds a whole multiple of one over a number of users."""
    return ceil(of.low * users - TOLERANCE) <= floor(of.high * users + TOLERANCE)


def informative(found: Sequence[Share]) -> bool:
    """Return whether the digits can tell: enough of them, and enough cells."""
    return bool(found) and _by_chance(len(found), found) < SURE


def _by_chance(hits: int, found: Sequence[Share]) -> float:
    """Return the chance that at least so many random numbers are multiples."""
    exactly = [1.0]  # the chance of 0, 1, 2 … multiples among the cells so far
    for one in found:
        grown = [*(p * (1 - one.chance) for p in exactly), 0.0]
        for m, p in enumerate(exactly):
            grown[m + 1] += p * one.chance
        exactly = grown
    return sum(exactly[hits:])


def whole_users(rows: Sequence[PrintedRow], users: int, runs: int | None) -> Iterator[Finding]:
    """Yield that shares of users are whole multiples of one over their number.

    Notes
    -----
    Demands: a whole m with low <= m / (n s) <= high, over n users and s runs averaged.
    Source: a hit rate counts users (the granularity test GRIM of Brown and Heathers 2017, for
    shares). A random value of d digits fails with a chance of 1 - n s / 10^d.
    Assumes: the number of test users is the one named. Where the file says how many runs were
    averaged (`runs`), a number that is no multiple is impossible. Else nothing is accused: that
    nearly all are multiples of 1/n shows single runs, which is notable, and so is an exception.
    """
    n = users * (runs or 1)
    found = shares(rows, n)
    misfits = [one for one in found if not one.fits]
    if runs:
        for one in misfits:
            yield _impossible(one, n, runs)
        return
    hits = len(found) - len(misfits)
    if not informative(found) or _by_chance(hits, found) > SURE or len(misfits) * 10 > len(found):
        return
    cells = tuple(cell for one in found for cell in at(one.row, one.cell.label))
    group, table = rows[0].group_label, rows[0].table
    chance = median(one.chance for one in found)
    yield Finding(
        "", table, "S1", "notable", cells,
        f"{group}: {hits} of {len(found)} shares of users are multiples of 1/{users:,} "
        f"({rows[0].known.users_from}); by chance {chance:.0%} of them would be. They are single "
        "runs over all users",
        "m / n lies within half a unit of the printed number", rounding=half_units("differs"),
    )  # fmt: skip
    for one in misfits:
        yield _exception(one, users, hits, len(found))


documented("S1", whole_users)


def _neighbours(one: Share, n: int) -> str:
    """Return the multiples around a printed number, with enough digits to tell them apart."""
    found = printed_number(one.cell.printed)
    printed = float(found.value) / (100 if found.percent else 1)
    below = floor(printed * n + TOLERANCE)
    return " and ".join(f"{m:,}/{n:,} = {m / n:.6f}" for m in (below, below + 1))


def _impossible(one: Share, n: int, runs: int) -> Finding:
    cut = multiple(share(one.cell.printed, "cut"), n)
    severity = HARD[cut]
    return Finding(
        "", one.row.table, "S1", severity, at(one.row, one.cell.label),
        f"{one.row.label}, {one.cell.label}: {one.cell.printed} is no share of users in {runs} "
        f"runs; its neighbours are {_neighbours(one, n)}",
        f"m / {n:,} lies within the printed number's rounding", rounding=half_units(severity),
    )  # fmt: skip


def _exception(one: Share, users: int, hits: int, of: int) -> Finding:
    cut = multiple(share(one.cell.printed, "cut"), users)
    how = "only truncated or rounded up can it be one" if cut else "it is none, however it was cut"
    return Finding(
        "", one.row.table, "S1", "notable", at(one.row, one.cell.label),
        f"{one.row.label}, {one.cell.label}: {one.cell.printed} is no multiple of 1/{users:,}, as "
        f"{hits} of {of} shares here are; its neighbours are {_neighbours(one, users)}: {how}",
        "m / n lies within half a unit of the printed number", rounding=half_units("differs"),
    )  # fmt: skip
