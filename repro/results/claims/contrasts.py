"""What a claim compares: pairs of numbers, or how a number changes along an axis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from repro.papers.claims import Claim, RowAt, RowRef
from repro.papers.paper import Paper
from repro.papers.schema import Figure, figure_key


@dataclass(frozen=True)
class Spot:
    """Where a number stands."""

    table: str
    """Or "figure 3"."""
    group: str
    row: str
    label: str
    """Of the column."""
    x: float | None = None
    """On the axis of a figure."""

    @property
    def drawn(self) -> bool:
        """Whether it stands in a figure."""
        return self.table.startswith(figure_key(""))


@dataclass(frozen=True)
class Contrast:
    """A number that is said to be above another, or to rise along an axis."""

    row: Spot
    against: Spot | None = None
    """The other number; or the row whose gap rises; or nothing."""
    along: tuple[float, ...] = ()
    """The places on the axis along which it rises or falls."""

    @property
    def column(self) -> tuple[str, str, str]:
        """Table, column group and column."""
        return self.row.table, self.row.group, self.row.label


def contrasts(paper: Paper, claim: Claim) -> list[Contrast]:
    """Return what a claim compares, each once, in the order of its tables."""
    found: dict[Contrast, None] = {}
    for table in claim.tables:
        keys = [key for key in paper.table(table).groups if key in claim.groups or not claim.groups]
        for group in keys:
            for label in _columns(paper, claim, table, group):
                found |= dict.fromkeys(_at(paper, claim, Spot(table, group, "", label)))
    return list(found)


def _columns(paper: Paper, claim: Claim, table: str, group: str) -> list[str]:
    left_out = {label for one in claim.apart_from if one.group == group for label in one.metrics}
    figure = _figure(paper, table)
    every = figure.metrics if figure else paper.table(table).metrics
    asked = claim.metrics or ([*claim.percent] if not claim.between else [])
    return [label for label in every if label in (asked or every) and label not in left_out]


def _at(paper: Paper, claim: Claim, place: Spot) -> Iterator[Contrast]:
    """Yield the contrasts of a claim in one column; rows may name another table or group."""
    if claim.kind == "trend":
        yield from _along(paper, claim, place)
        return
    pairs = claim.two_by_two()
    if claim.kind == "best" and not claim.against:
        every = _rows(paper, place.table)
        pairs = [(row, other) for row in claim.rows for other in every if other != row]
    for one, other in pairs:
        row, against = _spot(paper, place, one), _spot(paper, place, other)
        if row and against:
            figure = _figure(paper, place.table)
            if figure is None or figure.x is None:  # a cell, a bar, or a point of a curve
                yield Contrast(row, against)
                continue
            for x in map(float, claim.x or figure.x.values):
                yield Contrast(replace(row, x=x), replace(against, x=x))


def _along(paper: Paper, claim: Claim, place: Spot) -> Iterator[Contrast]:
    figure = _figure(paper, place.table)
    assert figure is not None, "the schema lets no other table have a trend"
    assert figure.x is not None
    xs = tuple(map(float, figure.x.values))
    for one in claim.rows:
        row = _spot(paper, place, one)
        if row is None:
            continue
        if claim.shape == "peak":
            best = claim.peak.get(place.group)
            rest = [x for x in xs if best is not None and x != best]
            yield from (Contrast(replace(row, x=best), replace(row, x=x)) for x in rest)
        others: list[RowRef | None] = [*claim.against]
        for other in others or [None]:
            against = _spot(paper, place, other) if other else None
            if claim.shape != "peak":
                yield Contrast(row, against, xs)


def _spot(paper: Paper, place: Spot, ref: RowRef) -> Spot | None:
    """Return where a row that a claim names has its number; None if it has none there."""
    at = RowAt(row=ref) if isinstance(ref, str) else ref
    spot = Spot(at.table or place.table, at.group or place.group, at.row, at.metric or place.label)
    figure = _figure(paper, spot.table)
    columns = figure.metrics if figure else paper.table(spot.table).metrics
    rows = figure.lines if figure else paper.table(spot.table).rows
    has = any(row.label == spot.row and spot.group in row.at for row in rows)
    return spot if has and spot.label in columns else None


def _rows(paper: Paper, table: str) -> list[str]:
    """Return the rows that the paper has, without added ones."""
    figure = _figure(paper, table)
    rows = figure.lines if figure else paper.table(table).rows
    return [row.label for row in rows if not row.added]


def _figure(paper: Paper, table: str) -> Figure | None:
    drawn = table.startswith(figure_key(""))
    return paper.figure(table.removeprefix(figure_key(""))) if drawn else None
