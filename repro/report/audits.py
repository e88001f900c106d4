"""What an audit found, as text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from repro.auditing.audit import Audited
from repro.auditing.findings import HARD, SEVERITIES
from repro.papers.printed_facts import ByHand
from repro.text import one_line

WIDTH = 100


def text(audits: Sequence[Audited]) -> str:
    """Return audits for people: by table the findings, the worst first, then what was tested."""
    return "\n\n".join("\n".join(_lines(one)) for one in audits)


def _lines(audited: Audited) -> Iterator[str]:
    counts = {s: sum(f.severity == s for f in audited.findings) for s in SEVERITIES}
    told = ", ".join(f"{n} {severity}" for severity, n in counts.items() if n)
    yield f"{one_line(audited.paper)}: {told or 'nothing found'}"
    for table in dict.fromkeys(one.table for one in audited.findings):
        yield f"\n{_place(table)}"
        for one in audited.findings:
            if one.table == table:
                rounding = f" ({one.rounding})" if one.severity in HARD else ""
                yield from _item(f"{one.severity} [{one.rule}] {one.says}.{rounding}")
    if audited.by_hand:
        yield "\nNoted by hand, not found by a rule"
        for fault in audited.by_hand:
            yield from _item(f"{_where(fault)}: {fault.says} {fault.why}")
    yield "\nTested"
    tested = [f"{t.rule} {t.comparisons:,} ({t.cells:,})" for t in audited.tested]
    yield from _item(f"comparisons by rule (numbers in them): {', '.join(tested) or 'none'}")
    for gap in audited.untested:
        where = ", ".join(gap.tables)
        yield from _item(f"not applied to {where}: {', '.join(gap.rules)}; {gap.why}")


def _place(table: str) -> str:
    return one_line(table if table.startswith("Section") else f"Table {table}")


def _where(fault: ByHand) -> str:
    parts = (_place(fault.table), fault.group, fault.row, fault.metric)
    return ", ".join(dict.fromkeys(part for part in parts if part))


def _item(said: str) -> list[str]:
    return textwrap.wrap(
        one_line(said),
        WIDTH,
        initial_indent="  - ",
        subsequent_indent="    ",
        break_long_words=False,
    )
