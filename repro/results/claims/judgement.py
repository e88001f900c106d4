"""What is found of a claim: the verdict, and every comparison that it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from repro.papers.claims import Claim
from repro.results.claims.contrasts import Contrast

CLAIM_VERDICTS = {
    "holds": "the numbers show it, beyond rounding or chance",
    "fails": "the numbers show the opposite, beyond rounding or chance",
    "undecided": "rounding or chance could explain it either way",
    "unsupported": "the paper prints no number that it rests on",
    "not run": "no run of ours that it rests on; the reason says what is missing",
    "untestable": "it cannot be tested; the reason says why",
}
"""Verdicts on a claim. `unsupported` is only of print, `not run` only of our runs."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One comparison of a claim, or one stated number."""

    table: str
    """Its printed number, or "figure 3"."""
    data: str
    """The column group's label; for our runs on an added view, that view's."""
    row: str
    against: str = ""
    """The other row; empty where one row changes along an axis, or a number is checked."""
    column: str = ""
    """The metric as printed."""
    x: float | None = None
    """The place on a figure's axis."""
    verdict: str
    """holds, fails, undecided; or missing."""
    difference: float | None = None
    """Row minus the other; along an axis, the slope; with kind margin, as a share of the other."""
    low: float | None = None
    """Where the difference may lie: after rounding, or the confidence interval of 95 %."""
    high: float | None = None
    seeds: int = 0
    """Of our runs; of the row that has fewer."""
    paired: bool = False
    """Whether our runs are compared user by user, or, in a figure, seed by seed."""
    ratio: float | None = None
    """The effect ratio: our difference over the printed one."""
    ratio_low: float | None = None
    """Where the effect ratio may lie, after both chance and rounding."""
    ratio_high: float | None = None
    why: str = ""
    """Why it is missing or cannot be decided, or what else there is to say."""


@dataclass(frozen=True)
class Judgement:
    """A verdict on a claim."""

    verdict: str
    """A key of `CLAIM_VERDICTS`."""
    reason: str = ""
    """Why there is no other verdict."""
    sets: int = 0
    """The column groups on which it was judged."""
    of_sets: int = 0
    """The column groups for which the paper says it."""
    stand_in: bool = False
    """Whether our runs are on an added view, and not on the paper's own."""
    columns: list[str] = field(default_factory=list)
    """Where a rank is claimed: the verdict on it, column by column."""
    compared: list[Compared] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """What is found of one contrast."""

    contrast: Contrast
    compared: Compared
    p_holds: float = 1.0
    """Of our runs: small if it is shown to hold."""
    p_fails: float = 1.0
    """Of our runs: small if the opposite is shown."""

    @property
    def verdict(self) -> str:
        """The verdict on the one comparison."""
        return self.compared.verdict


def combined(claim: Claim, verdicts: Sequence[str]) -> str:
    """Return the verdict that the single ones give together; some, most or all must hold."""
    n, holds, fails = len(verdicts), verdicts.count("holds"), verdicts.count("fails")
    least = {"all": n, "most": n // 2 + 1, "some": 1}[claim.need]
    if holds >= least:
        return "holds"
    return "fails" if n - fails < least else "undecided"


def over_sets(found: Sequence[Outcome], verdict: str) -> Judgement:
    """Return a judgement with the column groups that it rests on."""
    judged = [one for one in found if one.verdict != "missing"]
    missing = [one.compared.why for one in found if one.verdict == "missing"]
    return Judgement(
        verdict,
        "; ".join(dict.fromkeys(missing)),
        len({one.contrast.column[:2] for one in judged}),
        len({one.contrast.column[:2] for one in found}),
        compared=[one.compared for one in found],
    )


def rank_verdict(claim: Claim, above: int, unknown: int) -> str:
    """Return whether a row has a rank that fits, if so many are above it and so many may be."""
    first, last = claim.ranks
    if first <= 1 + above and 1 + above + unknown <= last:
        return "holds"
    return "fails" if 1 + above > last or 1 + above + unknown < first else "undecided"
