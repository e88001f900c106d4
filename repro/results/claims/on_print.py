"""Does a claim follow from the numbers that the paper prints? Only rounding leaves doubt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import groupby
from typing import Any

from repro.papers.claims import Claim
from repro.papers.paper import Paper
from repro.papers.printed import Interval, agreement, number_in, rounded
from repro.papers.rows import Cell
from repro.papers.schema import figure_key
from repro.results.claims.contrasts import Contrast, Spot
from repro.results.claims.judgement import (
    Compared,
    Judgement,
    Outcome,
    combined,
    over_sets,
    rank_verdict,
)


class Print:
    """The printed numbers of a paper, by place."""

    def __init__(self, paper: Paper) -> None:
        self.paper = paper
        self._cells: dict[Spot, Cell] = {}
        self._groups: dict[tuple[str, str], str] = {}
        self._ours: set[tuple[str, str]] = set()
        for table, entries in paper.entries.items():
            for entry in entries:
                if "row" in entry.added:
                    self._ours.add((table, entry.row))
                if "view" in entry.added:
                    continue
                self._groups[table, entry.group] = entry.group_label
                for cell in entry.cells:
                    if cell.published:
                        self._cells[Spot(table, entry.group, entry.row, cell.label)] = cell

    def number(self, spot: Spot) -> Interval | None:
        """Return the numbers that round to what is printed; None if nothing is."""
        cell = self._cells.get(spot)
        return rounded(cell.published) if cell else None

    def text(self, spot: Spot) -> str:
        """Return what is printed."""
        return self._cells[spot].published

    def group(self, spot: Spot) -> str:
        """Return the label of its column group."""
        return self._groups.get((spot.table, spot.group), spot.group)

    def why_not(self, spot: Spot) -> str:
        """Return why nothing is printed."""
        if spot.drawn:
            return f"{spot.table.replace(figure_key(''), 'Figure ')} prints no numbers"
        if (spot.table, spot.row) in self._ours:
            return f"{spot.row} is a row of ours"
        return f"Table {spot.table} prints no {spot.label} of {spot.row}"


def on_print(claim: Claim, compared: Sequence[Contrast], printed: Print) -> Judgement:
    """Return the verdict of a claim's contrasts on the printed numbers."""
    found = [_outcome(claim, one, printed) for one in compared]
    judged = [one for one in found if one.verdict != "missing"]
    if not judged:
        return over_sets(found, "unsupported")
    if claim.kind == "best" and claim.ranks != [1, 1]:
        return replace(over_sets(found, ""), **of_ranks(claim, found))
    return over_sets(found, combined(claim, [one.verdict for one in judged]))


def of_ranks(claim: Claim, found: Sequence[Outcome]) -> dict[str, Any]:
    """Return the verdict on a row's ranks; a row that is missing may be above it or below."""
    seen = [column for column in by_column(found) if set(column) != {"missing"}]
    columns = [
        rank_verdict(claim, one.count("fails"), one.count("undecided") + one.count("missing"))
        for one in seen
    ]
    return {"verdict": combined(claim, columns), "columns": columns}


def by_column(found: Sequence[Outcome]) -> list[list[str]]:
    """Return the verdicts on a row against the others, column by column."""

    def column(one: Outcome) -> tuple[str, ...]:
        return (*one.contrast.column, one.contrast.row.row, str(one.contrast.row.x))

    return [[one.verdict for one in same] for _, same in groupby(sorted(found, key=column), column)]


def _outcome(claim: Claim, contrast: Contrast, printed: Print) -> Outcome:
    row, against = contrast.row, contrast.against
    a = printed.number(row)
    b = printed.number(against) if against else None
    about: dict[str, Any] = {
        "table": row.table,
        "data": printed.group(row),
        "row": named(row, against),
        "against": named(against, row) if against else "",
        "column": row.label,
        "x": row.x,
    }
    if a is None or b is None or against is None:
        lacking = row if a is None or against is None else against
        why = printed.why_not(lacking)
        return Outcome(contrast, Compared(**about, verdict="missing", why=why))
    why = ""
    if claim.kind == "margin":
        value = a / b - Interval(Fraction(1), Fraction(1))
        verdict, why = _margin(claim, row.label, value)
        middle = float(value.low + value.high) / 2
    else:
        value = a - b
        verdict = _plain(claim, value, printed, row, against)
        middle = float(number_in(printed.text(row)) - number_in(printed.text(against)))
    about |= {"difference": middle, "low": float(value.low), "high": float(value.high)}
    return Outcome(contrast, Compared(**about, verdict=verdict, why=why))


def _plain(claim: Claim, value: Interval, printed: Print, row: Spot, against: Spot) -> str:
    if claim.kind == "equal":
        same = number_in(printed.text(row)) == number_in(printed.text(against))
        return "holds" if same else "fails"
    if claim.kind == "level":
        margin = Fraction(number_in(claim.within))
        if max(-value.low, value.high) <= margin:
            return "holds"
        return "fails" if value.low > margin or value.high < -margin else "undecided"
    # Numbers one digit apart differ, as one rule rounds what lies between them.
    if value.low >= 0:
        return "holds"
    return "fails" if value.high <= 0 else "undecided"


def _margin(claim: Claim, label: str, value: Interval) -> tuple[str, str]:
    """Return whether a recomputed share is the stated one, or lies between the stated ones."""
    if label in claim.percent:
        stated = claim.percent[label]
        is_ = f"it is {float(value.low):.2%} to {float(value.high):.2%}"
        how = agreement(stated, value)
        said = {"rounded": "", "cut": f"{stated} is cut, not rounded: {is_}"}
        return ("holds" if how else "fails"), said.get(how, f"{stated} is stated, and {is_}")
    ends = [rounded(one) for one in claim.percent.values()]
    lowest, highest = min(one.low for one in ends), max(one.high for one in ends)
    if lowest <= value.low and value.high <= highest:
        return "holds", ""
    outside = value.low > highest or value.high < lowest
    return ("fails" if outside else "undecided"), ""


def named(spot: Spot, other: Spot | None) -> str:
    """Return a row's label, with its table, column group or column if the other's is another."""
    where = []
    if other and other.label != spot.label:
        where.append(spot.label)
    if other and other.table != spot.table:
        where.append(spot.table if spot.drawn else f"Table {spot.table}")
    if other and other.group != spot.group and other.table == spot.table:
        where.append(spot.group)
    at = f" at {spot.x:g}" if other and other.x != spot.x and spot.x is not None else ""
    return spot.row + at + (f" ({', '.join(where)})" if where else "")
