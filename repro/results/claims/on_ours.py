"""Does a claim hold in our runs? Differences are tested, and their number is corrected for."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from repro.papers.claims import Claim
from repro.papers.printed import Interval, number_in, rounded
from repro.results import significance
from repro.results.claims.contrasts import Contrast
from repro.results.claims.estimates import Estimate, Ours
from repro.results.claims.judgement import (
    Compared,
    Judgement,
    Outcome,
    combined,
    over_sets,
)
from repro.results.claims.on_print import Print, named, of_ranks

SHARE = 0.95
"""Of its best validation value: a model that has it counts as converged."""


def on_ours(claim: Claim, compared: Sequence[Contrast], ours: Ours, printed: Print) -> Judgement:
    """Return the verdict on our runs, on the paper's own views or those that stand in for them."""
    by_set: dict[tuple[str, ...], list[Contrast]] = {}
    for one in compared:
        by_set.setdefault(one.column[:2], []).append(one)
    found: list[Outcome] = []
    stand_in = False
    for members in by_set.values():
        tried = [
            [_outcome(claim, one, ours, printed, view) for one in members]
            for view in ["", *(view for view in claim.views if ours.has(members[0].row, view))]
        ]
        run = [one for one in tried if any(outcome.verdict != "missing" for outcome in one)]
        found += run[0] if run else tried[-1]
        stand_in = stand_in or bool(run and run[0] is not tried[0])
    judged = [one for one in found if one.verdict != "missing"]
    if not judged:
        return over_sets(found, "not run")
    if claim.kind == "equal":
        return replace(over_sets(found, "untestable"), reason="it is about printed digits")
    shown, verdict = _decided(claim, found)
    made = replace(over_sets(shown, verdict), stand_in=stand_in)
    return replace(made, **of_ranks(claim, shown)) if _ranked(claim) else made


def _ranked(claim: Claim) -> bool:
    return claim.kind == "best" and claim.ranks != [1, 1]


def _decided(claim: Claim, found: list[Outcome]) -> tuple[list[Outcome], str]:
    """Return the comparisons with their verdicts, and the verdict of all.

    What must hold everywhere is an intersection: each comparison is tested by itself. What is said
    to hold somewhere, or fails because it fails somewhere, is corrected for the number of chances.
    """
    judged = [one for one in found if one.verdict != "missing"]
    alpha = significance.EQUIVALENCE if claim.kind == "level" else significance.ALPHA
    everywhere = claim.need == "all" and not _ranked(claim)
    somewhere = claim.need == "some" and not _ranked(claim)
    holds, fails = [one.p_holds for one in judged], [one.p_fails for one in judged]
    holds = holds if everywhere else significance.holm(holds)
    fails = fails if somewhere else significance.holm(fails)
    verdicts = {
        id(one): "holds" if p <= alpha else "fails"
        for one, p, q in zip(judged, holds, fails, strict=True)
        if p <= alpha or q <= significance.ALPHA
    }
    shown = [
        replace(one, compared=replace(one.compared, verdict=verdicts[id(one)]))
        if id(one) in verdicts
        else one
        for one in found
    ]
    return shown, combined(claim, [one.verdict for one in shown if one.verdict != "missing"])


def _outcome(claim: Claim, contrast: Contrast, ours: Ours, printed: Print, view: str) -> Outcome:
    row, against = contrast.row, contrast.against
    if claim.kind == "faster":
        found = _faster(contrast, ours, view)
    else:
        found = ours.estimate(contrast, view, claim.at)
    about: dict[str, Any] = {
        "table": row.table,
        "data": ours.label(row, view),
        "row": named(row, against),
        "against": named(against, row) if against else "",
        "column": row.label,
        "x": row.x,
    }
    if isinstance(found, str):
        return Outcome(contrast, Compared(**about, verdict="missing", why=found))
    scale = found.base if claim.kind == "margin" and found.base else 1.0
    about |= {"difference": found.value / scale, "seeds": found.seeds, "paired": found.paired}
    if found.error is None:
        return Outcome(contrast, Compared(**about, verdict="undecided", why=found.doubt))
    low, high = significance.interval(found.value, found.error, found.df)
    about |= {"low": low / scale, "high": high / scale}
    if claim.kind != "margin":
        about |= _ratio(contrast, printed, found.value, low, high)
    compared = Compared(**about, verdict="undecided", why=found.doubt)
    return Outcome(contrast, compared, *_p(claim, contrast, found))


def _p(claim: Claim, contrast: Contrast, found: Estimate) -> tuple[float, float]:
    """Return the p values of what would refute that it holds, and that it fails."""
    assert found.error is not None
    value, error, df = found.value, found.error, found.df
    if claim.kind == "level":
        margin = float(number_in(claim.within))
        beyond = min(
            significance.at_most(value, error, df, margin),
            significance.at_most(-value, error, df, margin),
        )
        return significance.level(value, error, df, margin), beyond
    if claim.kind == "trend" and claim.shape == "falls":
        value = -value
    least = 0.0
    if claim.kind == "margin" and claim.percent:
        stated = claim.percent.get(contrast.row.label)
        ends = [stated] if stated else list(claim.percent.values())
        least = float(min(rounded(one).low for one in ends)) * found.base
    # A margin fails if the gain is smaller than stated; it holds if there is one, and it does not.
    up = significance.at_most(value, error, df)
    short = significance.at_most(-value, error, df, -least)
    return (1.0 if claim.kind == "margin" and short <= significance.ALPHA else up), short


def _ratio(
    contrast: Contrast, printed: Print, value: float, low: float, high: float
) -> dict[str, float]:
    """Return the effect ratio with its interval, unless the printed difference may be 0."""
    a = printed.number(contrast.row)
    b = printed.number(contrast.against) if contrast.against else None
    if a is None or b is None:
        return {}
    theirs: Interval = a - b
    ends = float(theirs.low), float(theirs.high)
    if ends[0] <= 0 <= ends[1]:
        return {}
    ratios = [one / other for one in (low, high) for other in ends]
    middle = value / ((ends[0] + ends[1]) / 2)
    return {"ratio": middle, "ratio_low": min(ratios), "ratio_high": max(ratios)}


def _faster(contrast: Contrast, ours: Ours, view: str) -> Estimate | str:
    """Return by how many epochs the row is ahead of the other, over the seeds of both."""
    assert contrast.against is not None
    spots = contrast.row, contrast.against
    mine, theirs = (ours.epochs_to(spot, view, SHARE) for spot in spots)
    for spot, epochs in zip(spots, (mine, theirs), strict=True):
        if not epochs:
            return ours.missing(spot, view)
    ahead = [theirs[seed] - mine[seed] for seed in sorted(mine.keys() & theirs.keys())]
    return epochs_ahead(ahead, statistics.fmean(theirs.values()))


def epochs_ahead(ahead: Sequence[float], base: float) -> Estimate | str:
    """Return the mean number of epochs by which a row is ahead, from that of each seed."""
    if not ahead:
        return "a seed that both rows have"
    n = len(ahead)
    spread = statistics.stdev(ahead) if n > 1 else 0.0
    doubt = "over seeds alone" if spread else "no spread over seeds"
    error = spread / n**0.5 or None
    return Estimate(statistics.fmean(ahead), error, n - 1.0, base, n, True, doubt)
