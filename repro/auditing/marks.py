"""Rules on what a table says of its own numbers: bold print, improvements, tests (P4, G1, S8)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from repro.auditing.findings import At, Finding, Severity, at, half_units
from repro.auditing.intervals import Interval, improvement, interval, share
from repro.auditing.one_target import z_allowed
from repro.auditing.rows import PrintedRow
from repro.auditing.rules import documented
from repro.papers.printed import number_in
from repro.papers.schema import Table


def bold(rows: Sequence[PrintedRow], table: Table) -> Iterator[Finding | None]:
    """Yield that the best numbers, and no others, are in bold.

    Notes
    -----
    Demands: in bold stand the highest printed numbers of a column, ties included; or those that
    `bold_among` names.
    Source: the papers' captions; every metric here is better when higher.
    Assumes: the marks were copied (`bold`). A table without any is not tested.
    """
    if not any(row.bold for row in rows):
        return
    for numbers in _rivals(rows, table):
        best = max(number_in(cell.printed) for _, cell in numbers)
        marked = [one for row, one in numbers if one.label in row.bold]
        wrong = [one for one in marked if number_in(one.printed) < best]
        missed = [
            one
            for row, one in numbers
            if one.label not in row.bold and number_in(one.printed) == best
        ]
        if not marked or not (wrong or missed):
            yield None
            continue
        what = "in bold, but" if wrong else "not in bold, but it is"
        one = (wrong or missed)[0]
        best_cells = [c for _, c in numbers if number_in(c.printed) == best and c != one]
        end = f"{best} is higher" if wrong else "the highest"
        yield Finding(
            "", one.table, "P4", "differs", (one, *best_cells),
            f"{one.group}, {one.row}, {one.label}: {one.printed} is {what} {end}",
        )  # fmt: skip


documented("P4", bold)


def _rivals(rows: Sequence[PrintedRow], table: Table) -> Iterator[list[tuple[PrintedRow, At]]]:
    """Yield the sets of numbers among which bold marks the best."""
    every = [(row, cell) for row in rows for cell in at(row)]
    columns = dict.fromkeys((cell.group, cell.label) for _, cell in every)
    if table.bold_among == "row":
        for name in dict.fromkeys((cell.row, cell.label) for _, cell in every):
            yield [one for one in every if (one[1].row, one[1].label) == name]
        return
    chosen = (
        table.bold_among if isinstance(table.bold_among, list) else [[row.label for row in rows]]
    )
    for labels in chosen:
        for column in columns:
            found = [o for o in every if (o[1].group, o[1].label) == column and o[1].row in labels]
            if found:
                yield found


def averages(rows: Sequence[PrintedRow]) -> Iterator[Finding | None]:
    """Yield that a printed average follows from the numbers that it averages.

    Notes
    -----
    Demands: the average lies between the average of the lowest values and that of the highest.
    Source: an average of numbers known to half a digit is known to half a digit.
    Assumes: a plain average over the rows named (`average_of`).
    """
    for row in rows:
        parts = [one for one in rows if one.label in row.average_of and one.group == row.group]
        for cell in at(row):
            own = [c for one in parts for c in at(one) if c.label == cell.label]
            if not own or len(own) != len(row.average_of):
                continue
            allowed = _average([share(c.printed) for c in own])
            if not share(cell.printed).outside(allowed):
                yield None
                continue
            wide = _average([share(c.printed, "cut") for c in own])
            cut = not share(cell.printed, "cut").outside(wide)
            severity: Severity = (
                "impossible unless truncated or rounded up" if cut else "impossible"
            )
            printed = share(cell.printed)
            ends = (printed.low, allowed.high) if printed.low > allowed.high else (
                allowed.low, printed.high)  # fmt: skip
            yield Finding(
                "", row.table, "G2", severity, (cell, *own),
                f"{cell.group}, {cell.row}, {cell.label}: {cell.printed} is printed, but the "
                f"{len(own)} rows average {allowed.low:.5f} to {allowed.high:.5f}",
                "the average of the rows is the printed one", *ends, rounding=half_units(severity),
            )  # fmt: skip


documented("G2", averages)


def _average(parts: Sequence[Interval]) -> Interval:
    n = len(parts)
    return Interval(sum(one.low for one in parts) / n, sum(one.high for one in parts) / n)


def improvements(rows: Sequence[PrintedRow], table: Table) -> Iterator[Finding | None]:
    """Yield that a printed improvement in per cent follows from the two numbers.

    Notes
    -----
    Demands: the improvement of a over b lies between a_low / b_high - 1 and a_high / b_low - 1.
    Source: the quotient of two numbers known to half a digit.
    Assumes: relative improvement; over the best of the other rows unless another is named.
    """
    for printed in table.improvements:
        for group, texts in printed.at.items():
            named = {row.label: row for row in rows if row.group == group}
            for label, text in zip(table.metrics, texts, strict=True):
                column = {n: c for n, row in named.items() for c in at(row) if c.label == label}
                others = [n for n in column if n != printed.of]
                if not text or printed.of not in column or not others:
                    continue
                over = printed.over or max(others, key=lambda n: number_in(column[n].printed))
                if over in column:
                    yield _improved(column[printed.of], column[over], text)


documented("G1", improvements)


def _improved(of: At, over: At, text: str) -> Finding | None:
    percent = f"{text.rstrip(' %')}%"
    allowed = improvement(share(of.printed), share(over.printed))
    if not interval(percent).outside(allowed):
        return None
    wide = improvement(share(of.printed, "cut"), share(over.printed, "cut"))
    cut = not interval(percent, "cut").outside(wide)
    severity: Severity = "impossible unless truncated or rounded up" if cut else "impossible"
    low, high = interval(percent).low, allowed.high
    if low <= high:
        low, high = allowed.low, interval(percent).high
    return Finding(
        "", of.table, "G1", severity, (of, over),
        f"{of.group}, {of.row}, {of.label}: an improvement of {percent} over {over.row} is "
        f"printed, but {of.printed} over {over.printed} is {allowed.low:.2%} to {allowed.high:.2%}",
        "a / b − 1 is the printed improvement", low, high, rounding=half_units(severity),
    )  # fmt: skip


def significance(rows: Sequence[PrintedRow], table: Table) -> Iterator[Finding | None]:
    """Yield that a printed test of two hit rates is one that they allow.

    Notes
    -----
    Demands: with D = H_a - H_b > 0, D sqrt(n - 1) / sqrt(min(H_a + H_b, 2 - H_a - H_b) - D^2) <= z
    <= D sqrt(n) / sqrt(D - D^2).
    Source: a user's difference is -1, 0 or 1; at least a share D of the users differs, and at most
    as many as have a hit, or a miss, in either.
    Assumes: a test, z or t, of one run over the same n users (`runs = 1`), paired or not; each user
    has one target, or the metric is the hit rate.
    """
    for test in table.significance if table.runs == 1 else []:
        pair = [
            next((row for row in rows if (row.group, row.label) == (test.group, name)), None)
            for name in (test.row, test.against)
        ]
        a, b = pair
        metric = table.metrics[test.metric]
        if a is None or b is None or not _share_of_users(metric, a) or not a.known.users:
            continue
        cells = [*at(a, test.metric), *at(b, test.metric)]
        first, second = (share(cell.printed) for cell in cells)
        printed = interval(test.z)
        allowed = z_allowed(first, second, a.known.users)
        if printed.low <= allowed.high and printed.high >= allowed.low:
            yield None
            continue
        first, second = (share(cell.printed, "cut") for cell in cells)
        wide = z_allowed(first, second, a.known.users)
        cut = not interval(test.z, "cut").outside(wide)
        severity: Severity = "impossible unless truncated or rounded up" if cut else "impossible"
        ends = (
            (printed.low, allowed.high)
            if printed.low > allowed.high
            else (allowed.low, printed.high)
        )
        yield Finding(
            "", a.table, "S8", severity, tuple(cells),
            f"{a.group_label}, {a.label} against {b.label}, {test.metric}: a statistic of {test.z} "
            f"is printed, but over {a.known.users:,} users ({a.known.users_from}) it lies between "
            f"{allowed.low:.2f} and {allowed.high:.2f}",
            "z = D sqrt(n) / sd of the users' differences", *ends, rounding=half_units(severity),
        )  # fmt: skip


documented("S8", significance)


def _share_of_users(metric: str, row: PrintedRow) -> bool:
    """Return whether a metric is 0 or 1 for each user."""
    function = metric.partition("@")[0]
    return function == "hit_rate" or (
        row.known.one_target and function in ("recall", "capped_recall")
    )
