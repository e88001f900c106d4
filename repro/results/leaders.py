"""Who is ahead in a table: as printed, in our runs, and in our runs with further rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from repro.papers.printed import number_in, unit_in
from repro.papers.schema import STATISTICS
from repro.results.frozen import RowName
from repro.results.verdicts import ComparedCell


@dataclass(frozen=True)
class Leaders:
    """In one column group, the number of columns that each row leads; a tie counts for all."""

    columns: int
    published: dict[RowName, int]
    """By the printed numbers."""
    here: dict[RowName, int]
    """By our numbers, among the paper's rows; empty if fewer than two have one."""
    found: int
    """How many of the paper's rows have a number of our runs."""
    rows: int
    """How many rows the paper has."""
    with_added: dict[RowName, int]
    """By our numbers, among all rows; empty without further rows, or where `here` is empty."""
    above: dict[RowName, int]
    """In how many columns a row's number, rounded as the printed ones, is above all of these."""


def leaders(cells: Iterable[ComparedCell]) -> Leaders | None:
    """Return who is ahead in one column group; None if our runs have fewer than two rows.

    In an added view two of them must be the paper's.

    A frozen number is used where there is no record. Smoke runs do not count, nor does a row that
    was run on other data than its group, for fewer epochs than the table says, among fewer
    candidates than asked for, or collapsed.

    Parameters
    ----------
    cells : iterable of ComparedCell
        Those of the group. In every metric more is better.
    """
    known = [cell for cell in cells if _counts(cell)]
    own = [cell for cell in known if cell.origin == "paper"]
    with_number = {cell.name for cell in known if cell.value is not None}
    if len(with_number) < 2:
        return None
    found = with_number & {cell.name for cell in own}
    printed = _led(known, _published)
    if not printed and len(found) < 2:
        return None
    by_column: dict[str, list[ComparedCell]] = {}
    for cell in known:
        by_column.setdefault(cell.label, []).append(cell)
    above: Counter[RowName] = Counter()
    for column in by_column.values():
        shown = [cell.published for cell in column if _published(cell) is not None]
        if shown:
            best = max(map(number_in, shown))
            unit = min(map(unit_in, shown))
            for cell in column:
                if cell.value is not None and cell.value > float(best + unit / 2):
                    above[cell.name] += 1
    return Leaders(
        columns=len(by_column),
        published=printed,
        here=_led(own, _value) if len(found) > 1 else {},
        found=len(found),
        rows=len({cell.name for cell in own}),
        with_added=_led(known, _value) if len(own) < len(known) and len(found) > 1 else {},
        above=dict(above.most_common()),
    )


def _counts(cell: ComparedCell) -> bool:
    marks = cell.reference_marks if cell.ours is None else cell.marks
    apart = set("acfs") & set(marks) or cell.shortened
    return not apart and cell.metric not in STATISTICS


def _published(cell: ComparedCell) -> float | None:
    believed = cell.published and "m" not in cell.doubts
    return float(number_in(cell.published)) if believed else None


def _value(cell: ComparedCell) -> float | None:
    return cell.value


def _led(
    cells: Iterable[ComparedCell], value: Callable[[ComparedCell], float | None]
) -> dict[RowName, int]:
    """Return how many columns each row leads."""
    columns: dict[str, list[tuple[float, RowName]]] = {}
    for cell in cells:
        own = value(cell)
        if own is not None:
            columns.setdefault(cell.label, []).append((own, cell.name))
    led: Counter[RowName] = Counter()
    for column in columns.values():
        best = max(own for own, _ in column)
        led.update(name for own, name in column if own == best)
    return dict(led.most_common())
