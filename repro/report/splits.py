"""What a split asks, in words: of how many users, for how many items, among how many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from repro.metrics import parse
from repro.split import CasesSummary, SplitSummary


def text(found: SplitSummary, metrics: Iterable[str] = ()) -> str:
    """Return a split in lines: what is trained on, what the test asks, what validation asks.

    Parameters
    ----------
    found : SplitSummary
        The split.
    metrics : iterable of str
        What is measured: a cut-off may be as deep as the ranking.
    """
    full = f"; users with every item, and so without a negative: {found.full_users:,}"
    lines = [
        f"trains on {found.train_interactions:,} interactions of {found.train_users:,} users with "
        f"{found.train_items:,} items" + full * bool(found.full_users),
        f"test: {'; '.join(_said(found.test))}",
    ]
    if found.valid is not None:
        lines.append(f"validation: {'; '.join(_said(found.valid))}")
    deep = [name for name in metrics if parse(name)[1] >= found.test.ranked_mean]
    if deep:
        lines.append(
            f"{', '.join(deep)}: the cut-off is as deep as the ranking of "
            f"{found.test.ranked_mean:,.1f} items on average"
        )
    return "\n".join(lines)


def _said(cases: CasesSummary) -> Iterator[str]:
    """Yield what the cases ask, and what a reader may not expect of them."""
    whom = f"{cases.users:,} of {cases.of:,}" if cases.dropped else f"all {cases.users:,}"
    yield f"{whom} users are asked for {_items(cases.targets)}"
    if cases.dropped:
        reasons = ", ".join(f"{n:,} ({reason})" for reason, n in cases.dropped.items())
        yield f"not asked: {reasons}"
    if cases.lost:
        yield f"interactions left out, as training lacks their items: {cases.lost:,}"
    if cases.without_training == cases.users > 0:
        yield "none of these users is in training"
    elif cases.without_training:
        yield f"users without a training row: {cases.without_training:,}"
    if cases.without_history:
        yield f"users without a history: {cases.without_history:,}"
    if cases.unknown_targets:
        yield f"targets that no training row has: {cases.unknown_targets:,}"
    if cases.masked_targets:
        yield (
            "targets in the user's own history, never ranked and so misses: "
            f"{cases.masked_targets:,}"
        )
    if cases.users:
        yield _among(cases)
    if cases.known_negatives:
        yield f"candidates in the user's own history: {cases.known_negatives:,}"


def _among(cases: CasesSummary) -> str:
    """Return among how many other items a target is ranked."""
    mean = cases.negatives_mean
    if cases.negatives_min == mean:
        among = f"ranked among {mean:,.0f} others each"
    else:
        among = f"ranked among {mean:,.1f} others on average, {cases.negatives_min:,} at least"
    if cases.is_short:
        among = (
            f"FEWER CANDIDATES than the {cases.negatives_asked:,} asked for: {among}, so the "
            "numbers are higher by chance"
        )
    elif cases.negatives_asked not in (None, mean):
        among += f", of {cases.negatives_asked:,} asked for"
    return among


def _items(n: int) -> str:
    return f"{n:,} item" + "s" * (n != 1)
