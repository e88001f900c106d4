"""The value and precision of a printed number, and arithmetic that knows what rounding hides."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, DecimalException
from fractions import Fraction
from functools import cache
from typing import Literal

from repro.errors import ReproError

MOST_DIGITS = 30
"""Of a number, before or after its point; "1e999999999" would fill the memory."""


def number_in(printed: str) -> Decimal:
    """Return the number that a printed cell stands for: "46K" is 46000, "1,682" is 1682.

    Raises
    ------
    ReproError
        If there is none.
    """
    text = printed.replace(",", "").rstrip("%").strip()
    scale = {"K": 1000, "M": 1_000_000}.get(text[-1:], 1)
    try:
        number = Decimal(text.rstrip("KM")) * scale
    except DecimalException:
        number = Decimal("nan")
    if not number.is_finite() or len(text) > MOST_DIGITS or abs(number.adjusted()) > MOST_DIGITS:
        raise ReproError(f"'{printed[:100]}' is not a number")
    return number


def unit_in(printed: str) -> Decimal:
    """Return one unit of the last printed digit: "0.420" gives 0.001, "46K" gives 1000."""
    text = printed.replace(",", "").rstrip("%").strip()
    scale = {"K": 1000, "M": 1_000_000}.get(text[-1:], 1)
    exponent = Decimal(text.rstrip("KM")).as_tuple().exponent
    assert isinstance(exponent, int), "number_in accepts no infinity"
    return Decimal(1).scaleb(exponent) * scale


@dataclass(frozen=True)
class Interval:
    """All numbers from `low` to `high`; exact, so that rounding is never that of floats."""

    low: Fraction
    high: Fraction

    def __add__(self, other: Interval) -> Interval:
        return Interval(self.low + other.low, self.high + other.high)

    def __sub__(self, other: Interval) -> Interval:
        return Interval(self.low - other.high, self.high - other.low)

    def __mul__(self, other: Interval) -> Interval:
        ends = [a * b for a in (self.low, self.high) for b in (other.low, other.high)]
        return Interval(min(ends), max(ends))

    def __truediv__(self, other: Interval) -> Interval:
        """Return all quotients.

        Raises
        ------
        ReproError
            If the divisor may be 0.
        """
        if other.low <= 0 <= other.high:
            raise ReproError("a divisor that may be 0 after rounding")
        return self * Interval(1 / other.high, 1 / other.low)

    def meets(self, other: Interval) -> bool:
        """Return whether the two share a number."""
        return self.low <= other.high and other.low <= self.high


@cache
def rounded(printed: str) -> Interval:
    """Return the numbers that are printed as a text when rounded; "5%" is 0.045 to 0.055."""
    number, half = Fraction(number_in(printed)), Fraction(unit_in(printed)) / 2
    share = 100 if printed.strip().endswith("%") else 1
    return Interval((number - half) / share, (number + half) / share)


def agreement(stated: str, value: Interval) -> Literal["rounded", "cut", ""]:
    """Return how a stated number fits a value: rounded; only if digits were cut off; or not."""
    near = rounded(stated)
    if value.meets(near):
        return "rounded"
    unit = near.high - near.low
    middle = (near.low + near.high) / 2
    cut = Interval(middle, middle + unit) if middle > 0 else Interval(middle - unit, middle)
    return "cut" if value.meets(cut) else ""


_TOKEN = re.compile(r"\s*(\d[\d,]*(?:\.\d+)?[KM]?%?|\.\d+%?|[-+*/()])")


def computed(formula: str) -> Interval:
    """Return the value of a formula of printed numbers, such as "10.0M / 136,677".

    A number without a decimal point, K, M or % is a count, and exact; any other is rounded.

    Raises
    ------
    ReproError
        If it is not a formula.
    """
    found = _TOKEN.findall(formula)
    if "".join(found) != "".join(formula.split()):
        raise ReproError(f"'{formula}' is not a formula of printed numbers", "as in 10.0M / 73")
    tokens = [*found, ""]
    value = _sum(tokens)
    if tokens != [""]:
        raise ReproError(f"'{formula}' is not a formula: '{tokens[0]}' is left over")
    return value


def _sum(tokens: list[str]) -> Interval:
    value = _product(tokens)
    while tokens[0] in ("+", "-"):
        value = value + _product(tokens) if tokens.pop(0) == "+" else value - _product(tokens)
    return value


def _product(tokens: list[str]) -> Interval:
    value = _factor(tokens)
    while tokens[0] in ("*", "/"):
        value = value * _factor(tokens) if tokens.pop(0) == "*" else value / _factor(tokens)
    return value


def _factor(tokens: list[str]) -> Interval:
    token = tokens.pop(0) if tokens != [""] else ""
    if token == "(":
        value = _sum(tokens)
        if tokens.pop(0) != ")":
            raise ReproError("a formula lacks a closing parenthesis")
        return value
    if not token or token in "-+*/)":
        raise ReproError(f"a formula needs a number where it has '{token}'")
    if token.replace(",", "").isdecimal():
        exact = Fraction(number_in(token))
        return Interval(exact, exact)
    return rounded(token)
