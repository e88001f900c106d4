"""Claims as text: a table with both verdicts and a sentence that is made from their numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby

from tabulate import tabulate

from repro.papers import library
from repro.papers.claims import Kind
from repro.results.claims.judge import JudgedClaim
from repro.results.claims.judgement import CLAIM_VERDICTS, Compared, Judgement
from repro.text import in_markdown, one_line

WIDTHS = [22, 13, 11, 10, 56]
"""Of the columns, in characters."""

FINE = 0.0005
"""Intervals that are narrower have a digit more."""

MOST_NAMED = 3
"""Of what is missing, or does not fit; the others are counted."""


def claims_text(claims: Iterable[JudgedClaim]) -> str:
    """Return claims as plain text: a table for each paper, the counts, and what verdicts mean."""
    every = list(claims)
    parts = []
    for paper, group in groupby(every, key=lambda one: one.paper):
        own = list(group)
        told = ([c.id, c.section, c.printed.verdict, c.ours.verdict, found(c)] for c in own)
        rows = [list(map(one_line, row)) for row in told]
        head = ["claim", "where", "on print", "on ours", "what it says, and what the numbers say"]
        table = tabulate(rows, head, "simple", disable_numparse=True, maxcolwidths=WIDTHS)
        parts += [
            one_line(f"{paper}: {library.load(paper).about.title}"),
            "",
            table,
            "",
            summary(own),
            "",
        ]
    seen = {verdict for one in every for verdict in (one.printed.verdict, one.ours.verdict)}
    parts += [f"- {name}: {meaning}" for name, meaning in CLAIM_VERDICTS.items() if name in seen]
    return "\n".join(parts) if every else "no claims"


def summary(claims: Sequence[JudgedClaim]) -> str:
    """Return how many claims have which verdict."""
    printed = counted([one.printed.verdict for one in claims])
    ours = counted([one.ours.verdict for one in claims])
    n = f"{len(claims)} claims" if len(claims) > 1 else "1 claim"
    return f"{n}. On print: {printed}. On our runs: {ours}."


def counted(verdicts: Iterable[str]) -> str:
    """Return verdicts, each with how often it is given."""
    counts = Counter(verdicts)
    return ", ".join(f"{name} {counts[name]}" for name in CLAIM_VERDICTS if counts[name])


def decided(claims: Iterable[JudgedClaim]) -> str:
    """Return the claims that rest on a table, a line each, with both verdicts."""
    lines = [
        f"- {in_markdown(one.id)}: on print {one.printed.verdict}, on ours {one.ours.verdict}"
        for one in claims
    ]
    return "\n".join(["Claims that rest on this table (`repro claims` says more):", "", *lines])


def found(claim: JudgedClaim) -> str:
    """Return what a claim says, and what was found of it on both sides."""
    if claim.kind in ("unmeasured", "untestable"):
        how = {"unmeasured": "A test would take", "untestable": "It cannot be tested:"}
        return f"{claim.says} {how[claim.kind]} {claim.ours.reason}."
    printed, ours = sentence(claim.printed, claim.kind), sentence(claim.ours, claim.kind)
    return f"{claim.says} Print: {printed}. Ours: {ours}."


def sentence(judged: Judgement, kind: Kind) -> str:
    """Return a judgement as a sentence without its full stop, from its comparisons."""
    seen = [one for one in judged.compared if one.verdict != "missing"]
    if not seen or judged.verdict == "untestable":
        return _few(judged.reason.split("; "))
    if kind == "equal" and all(one.difference is None for one in seen):
        return _facts(judged, seen)
    parts = [_where(judged, seen) + _counts(judged, seen)]
    if not judged.columns:
        parts.append(_telling(seen, judged.verdict, kind))
    if kind == "margin":
        parts.append(_few([one.why for one in seen if one.why and not one.seeds]))
    parts += [_how(seen)] if any(one.seeds for one in seen) else []
    return "; ".join(part for part in parts if part)


def _counts(judged: Judgement, seen: Sequence[Compared]) -> str:
    """Return how many comparisons hold, fail and are open; of a rank, how many columns fit."""
    verdicts = judged.columns or [one.verdict for one in seen]
    n, counts = len(verdicts), Counter(verdicts)
    what = "columns fit" if judged.columns else "comparisons hold"
    one = "the column fits" if judged.columns else "the comparison holds"
    if n == 1:
        return {"holds": one, "fails": "it fails"}.get(verdicts[0], "it is open")
    said = [f"{counts['holds']} of {n} {what}"]
    said += [f"{counts['fails']} fail{'s' * (counts['fails'] == 1)}"] if counts["fails"] else []
    open_ = counts["undecided"]
    said += [f"{open_} {'is' if open_ == 1 else 'are'} open"] if open_ else []
    return ", ".join(said)


def _facts(judged: Judgement, seen: Sequence[Compared]) -> str:
    fit = sum(one.verdict == "holds" for one in seen)
    some = f" ({len(judged.compared)} are stated)" if len(seen) < len(judged.compared) else ""
    told = [f"{_place(one)}{one.why}" for one in seen if one.why]
    numbers = "number fits" if len(seen) == 1 else "numbers fit"
    return "; ".join([f"{fit} of {len(seen)} {numbers}{some}", *([_few(told)] if told else [])])


def _place(one: Compared) -> str:
    return f"{one.row}, {one.column}: " if one.table else ""


def _few(told: Sequence[str]) -> str:
    """Return the first of several texts, and how many more there are."""
    more = len(told) - MOST_NAMED
    return "; ".join([*told[:MOST_NAMED], *([f"and {more} more"] if more > 0 else [])])


def _where(judged: Judgement, seen: Sequence[Compared]) -> str:
    """Return on which data it was judged, if not on all that the paper names."""
    if not judged.stand_in and judged.sets == judged.of_sets:
        return ""
    data = ", ".join(dict.fromkeys(one.data for one in seen))
    if judged.stand_in:
        return f"on {data}, in place of the paper's data, "
    return f"on {judged.sets} of {judged.of_sets} sets ({data}) "


def _telling(seen: Sequence[Compared], verdict: str, kind: Kind) -> str:
    """Return the comparison that tells most: the worst failure, or else the smallest difference."""
    of = [one for one in seen if one.verdict == verdict and one.difference is not None]
    if not of:
        return ""
    one = min(of, key=lambda each: each.difference or 0.0)
    if kind == "trend" and verdict == "holds" and (one.difference or 0.0) < 0:  # what falls least
        one = max(of, key=lambda each: each.difference or 0.0)
    if kind in ("level", "equal"):
        one = max(of, key=lambda each: abs(each.difference or 0.0))
    named = f"{one.row} minus {one.against}" if one.against else one.row
    if kind == "trend":
        named += ", slope" if one.x is None else ""
    at = "" if one.x is None or " at " in one.row else f" at {one.x:g}"
    inside = one.low is not None and one.high is not None
    fine = inside and (one.high or 0.0) - (one.low or 0.0) < FINE
    value = _number(one.difference, kind, fine)
    ends = ", ".join(_number(end, kind, fine) for end in (one.low, one.high)) if inside else ""
    between = f" [{ends}]" if inside else ""
    what = "largest" if kind in ("level", "equal") or verdict == "fails" else "smallest"
    ratio = ""
    if one.ratio is not None and one.ratio_low is not None and one.ratio_high is not None:
        ends = f"[{_ratio(one.ratio_low)}, {_ratio(one.ratio_high)}]"
        ratio = f", effect ratio {_ratio(one.ratio)} {ends}"
    about = f"{one.column}{at}, {one.data}" if one.data else f"{one.column}{at}"
    return f"{what}: {named} {value}{between} in {about}{ratio}"


def _number(value: float | None, kind: Kind, fine: bool) -> str:
    number = value or 0.0
    if kind == "margin":
        return f"{number:+.2%}"
    if abs(number) >= 10:
        return f"{number:+.1f}"
    return f"{number:+.5f}" if fine or 0 < abs(number) < 0.001 else f"{number:+.4f}"


def _ratio(value: float) -> str:
    return f"{value:.2g}" if abs(value) < 100 else f"{value:,.0f}"


def _how(seen: Sequence[Compared]) -> str:
    """Return how our runs were compared."""
    fewest, most = min(one.seeds for one in seen), max(one.seeds for one in seen)
    seeds = f"{fewest} seed{'s' * (fewest > 1)}" if fewest == most else f"{fewest} to {most} seeds"
    paired = {one.paired for one in seen}
    how = {True: "paired", False: "unpaired"}.get(paired.pop(), "") if len(paired) == 1 else "mixed"
    doubts = list(dict.fromkeys(one.why for one in seen if one.why))
    return f"{how}, {seeds}" + (f" ({doubts[0]})" if doubts else "")
