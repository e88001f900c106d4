"""Findings on rows whose numbers break an inequality."""

from __future__ import annotations

from collections.abc import Sequence

from repro.auditing.findings import HARD, Finding, Forced, Severity, at, half_units
from repro.auditing.intervals import TOLERANCE
from repro.auditing.programme import certificate, feasible, forced
from repro.auditing.rows import Bound, PrintedRow
from repro.auditing.rules import RULES


def _severity(row: PrintedRow, rule: str, bound: Bound) -> Severity:
    """Return whether an inequality still fails for numbers that were cut instead of rounded."""
    wide = next(b for b in RULES[rule].bounds(row.widened()) if b.says == bound.says)
    return HARD[not wide.left > wide.right + TOLERANCE]


def broken_by(row: PrintedRow, rule: str, bound: Bound) -> Finding:
    """Return the finding on an inequality that fails."""
    severity = _severity(row, rule, bound)
    return Finding(
        "", row.table, rule, severity, at(row, *bound.labels),
        f"{row.group_label}, {row.label}: {_fails(bound)}"
        f"{IDEAL_OF_HITS if bound.says.rpartition(' ≤ ')[2].startswith('U_') else ''}",
        bound.says, bound.left, bound.right, rounding=half_units(severity),
    )  # fmt: skip


IDEAL_OF_HITS = (
    ". An NDCG above this but below the hit rate is left behind by an ideal over the hits found, "
    "instead of over min(k, targets)"
)


def _fails(bound: Bound) -> str:
    return (
        f"{bound.says} fails: the left side is at least {bound.left:.5f}, the right at most "
        f"{bound.right:.5f}"
    )


def infeasible(row: PrintedRow, off: Sequence[tuple[str, Bound]]) -> Finding:
    """Return the finding on a row that no ranks can give, with the cells that may be at fault."""
    alone = [(cell, forced(row, cell.label)) for cell in row.cells]
    ranges = {cell: of for cell, of in alone if of}

    def move(label: str) -> float:
        (cell,) = (one for one in ranges if one.label == label)
        value, of = row.of(cell.function)[cell.k].of, ranges[cell]
        return max(of.low - value.high, value.low - of.high)

    labels = sorted((cell.label for cell in ranges), key=move)
    worst = max(off, key=lambda one: one[1].left - one[1].right, default=None)
    rule, bound = worst or ("S7", certificate(row))
    severity = HARD[feasible([row.widened()])[0]]
    by_label = {cell.label: of for cell, of in ranges.items()}
    parts = [f"{name} in {by_label[name].low:.4f} to {by_label[name].high:.4f}" for name in labels]
    fix = (
        f"; the other cells allow {' or '.join(parts)}" if parts else "; no single cell explains it"
    )
    named = (*labels, *(one for one in (bound.labels if bound else ()) if one not in labels))
    reason = "no ranks of the targets give this row"
    if bound:
        reason = _fails(bound)
    return Finding(
        "", row.table, rule, severity, at(row, *named),
        f"{row.group_label}, {row.label}: {reason}{fix}",
        bound.says if bound else "", bound.left if bound else None, bound.right if bound else None,
        tuple(Forced(name, by_label[name].low, by_label[name].high) for name in labels),
        half_units(severity),
    )  # fmt: skip
