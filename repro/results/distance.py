"""How far our number is from a printed one, in units of what chance explains: one rule for all.

z = (ours - published) / s. Into s goes what differs between the two numbers: the seeds always, as
both are runs; the test users only as far as they are not the paper's own; half of the last printed
digit. Seeds and users are samples on both sides, so both sides vary.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from repro.metrics import Result
from repro.papers.printed import number_in, unit_in

NEAR = 2.0
"""The largest |z| of a number that is `close`."""

SHARES = ("hit_rate",)
"""Metrics that are 0 or 1 for a user: their mean is a share of the users."""


STAND_IN = "users for seeds"
"""Of one seed the spread is unknown. The error over users then stands for it: in 169 cells of
ours with three or five seeds it is larger than the spread in 95 %, and 2.5 times that in the median
(a test counts them)."""


@dataclass(frozen=True)
class Distance:
    """How far our number is from a printed one."""

    value: float
    """Ours minus published."""
    known: float
    """What chance explains, as one standard deviation, as far as that is known."""
    error: float | None
    """s: the same with stand-ins for what is unknown; None if there is none."""
    sources: tuple[str, ...]
    """What s counts: "seeds" or "users for seeds", "users", "digit"."""

    @property
    def z(self) -> float | None:
        """The difference in units of s."""
        return self.value / self.error if self.error else None

    @property
    def is_near(self) -> bool:
        """Whether chance explains the difference; what is unknown could only explain more."""
        return abs(self.value) <= NEAR * self.known

    @property
    def is_far(self) -> bool:
        """Whether chance does not explain the difference."""
        return self.error is not None and abs(self.value) > NEAR * self.error


def distance(
    published: str,
    seeds: Sequence[Result],
    *,
    metric: str,
    redraw: float,
    is_random: bool,
    n_users: int | None = None,
) -> Distance:
    """Return how far the mean of some runs is from a printed number.

    Parameters
    ----------
    published : str
        As printed: its digits say how closely it is known.
    seeds : sequence of Result
        Our result for each seed.
    metric : str
        As in `repro list metrics`.
    redraw : float
        How much the draw of the test cases matters, as in `repro.papers.schema.View`: 0 where they
        are the paper's own.
    is_random : bool
        Whether the model depends on its seed at all.
    n_users : int, optional
        Test users. They give the error of a share that is 0 or 1, where none can be estimated from
        the users (Wilson 1927).

    Notes
    -----
    A printed number counts as one run. The spread of our seeds stands for that of the paper's, too,
    and the error over our users for that of the paper's.
    """
    values = [one.value for one in seeds]
    ours = statistics.fmean(values)
    of_users = _users_error(seeds, metric, n_users)
    over_seeds = spread(values) if len(values) > 1 else 0.0
    parts: dict[str, float | None] = {}
    if over_seeds > 0:
        parts["seeds"] = over_seeds * math.sqrt(1 + 1 / len(values))
    elif is_random:
        parts[STAND_IN] = of_users and of_users * math.sqrt(2)
    if redraw:
        parts["users"] = of_users and redraw * of_users * math.sqrt(2)
    parts["digit"] = float(unit_in(published)) / 2
    sizes = {name: size for name, size in parts.items() if size}
    return Distance(
        value=float(Decimal(repr(ours)) - number_in(published)),
        known=math.hypot(*(size for name, size in sizes.items() if name != STAND_IN)),
        error=math.hypot(*sizes.values()) if len(sizes) == len(parts) else None,
        sources=tuple(sizes),
    )


def spread(values: Sequence[float]) -> float:
    """Return the standard deviation over seeds, of which there are two or more.

    `statistics` computes it in fractions, which took a fifth of the time of a comparison.
    """
    mean = statistics.fmean(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def _users_error(seeds: Sequence[Result], metric: str, n_users: int | None) -> float | None:
    """Return the standard error over users; None if nothing tells it."""
    errors = [one.standard_error for one in seeds if one.standard_error]
    if errors:
        return statistics.fmean(errors)
    if n_users and n_users > 1 and metric.partition("@")[0] in SHARES:
        return wilson(statistics.fmean(one.value for one in seeds), n_users)
    return None


def wilson(share: float, n: int) -> float:
    """Return the standard error of a share of n, by the half width of Wilson's interval.

    It is right at the edge, too: 0 of 100 is not known without error.

    Notes
    -----
    Wilson 1927, at z = 2: half width / 2, with half width z / (1 + z²/n) ·
    sqrt(p(1 - p)/n + z²/(4n²)).

    Examples
    --------
    >>> round(wilson(0.0, 100), 4), round(wilson(0.5, 100), 4)
    (0.0096, 0.049)
    """
    z = NEAR
    return math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
