"""A printed number as the interval of values that it can stand for."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal

from repro.papers.printed import number_in, printed_number, unit_in

TOLERANCE = 1e-9
"""Far below half of any printed digit, far above the error of a float."""

Rounding = Literal["rounded", "cut"]
"""To the nearest digit; or truncated or rounded up, so that it is off by less than a whole one."""


@dataclass(frozen=True)
class Interval:
    """All values from `low` to `high`."""

    low: float
    high: float

    def __add__(self, other: Interval) -> Interval:
        return Interval(self.low + other.low, self.high + other.high)

    def __sub__(self, other: Interval) -> Interval:
        return Interval(self.low - other.high, self.high - other.low)

    def times(self, factor: float) -> Interval:
        """Return it times a factor that is not negative."""
        return Interval(self.low * factor, self.high * factor)

    def outside(self, other: Interval) -> bool:
        """Return whether the two have no value in common."""
        return self.low > other.high + TOLERANCE or other.low > self.high + TOLERANCE


def interval(printed: str, rounding: Rounding = "rounded") -> Interval:
    """Return the values that a printed number can stand for; "46.2%" is a share of 0.462.

    Notes
    -----
    d printed decimals leave half of 10^-d on either side, d + 2 of them in per cent; a number that
    was truncated or rounded up leaves all of 10^-d.
    """
    scale = 0.01 if printed_number(printed).percent else 1.0
    middle, unit = float(number_in(printed)), float(unit_in(printed))
    off = unit / 2 if rounding == "rounded" else unit
    return Interval((middle - off) * scale, (middle + off) * scale)


def share(printed: str, rounding: Rounding = "rounded") -> Interval:
    """Return the values of a metric, which lies between 0 and 1."""
    found = interval(printed, rounding)
    return Interval(max(found.low, 0.0), min(found.high, 1.0))


def count(printed: str, rounding: Rounding = "rounded") -> Interval:
    """Return the values of a count.

    Notes
    -----
    Without K or M it is exact. With one of them, zeros before the letter may be rounded, too:
    "580K" can stand for 575,272.
    """
    text = printed.strip()
    number = float(number_in(text))
    if text[-1:] not in ("K", "M"):
        return Interval(number, number)
    unit = float(unit_in(text))
    digits = text[:-1].replace(",", "")
    if "." not in digits:
        unit *= 10 ** (len(digits) - len(digits.rstrip("0")))
    off = unit / 2 if rounding == "rounded" else unit
    return Interval(number - off, number + off)


def improvement(a: Interval, b: Interval) -> Interval:
    """Return how much a is above b as a share of b: 0.05 is 5 % (rule G1).

    Notes
    -----
    Between a_low / b_high - 1 and a_high / b_low - 1: the difference of two rounded numbers is less
    exact than either.
    """
    high = a.high / b.low - 1 if b.low > 0 else inf
    return Interval(a.low / b.high - 1 if b.high > 0 else inf, high)
