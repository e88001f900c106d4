"""The value and precision of a printed number, and arithmetic that knows what rounding hides."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from functools import cache
from typing import Literal

from repro.errors import ReproError

MOST_DIGITS = 30
"""Of a number, before or after its point; "1e999999999" would fill the memory."""


_NUMBER = re.compile(
    r"""
    (?P<sign> [+-]? )
    (?P<digits> [1-9][0-9]{0,2} (?: ,[0-9]{3} )+ (?: \.[0-9]* )?   # thousands, set apart by commas
              | [0-9]+ (?: \.[0-9]* )? | \.[0-9]+ )
    (?: (?P<exponent> [eE][+-]?[0-9]{1,3} ) | (?P<scale> [KM] ) )?
    (?P<percent> %? )
    """,
    re.VERBOSE,
)
SCALES = {None: 1, "K": 1000, "M": 1_000_000}


@dataclass(frozen=True)
class Printed:
    """A printed number."""

    value: Decimal
    """What it stands for: "46K" is 46000, and "5%" is 5."""
    unit: Decimal
    """One unit of its last digit."""
    percent: bool
    """Whether it ends in a per cent sign."""
    scaled: bool
    """Whether it ends in K or M."""


@cache
def printed_number(printed: str) -> Printed:
    """Return what a printed text stands for.

    Raises
    ------
    ReproError
        If it is not a number: digits 0 to 9 with a decimal point, and perhaps a sign, commas
        between thousands, an exponent or one of K and M, and a per cent sign.
    """
    text = printed.strip()
    found = _NUMBER.fullmatch(text) if len(text) <= MOST_DIGITS else None
    number = Decimal("nan")
    if found:
        bare = found["sign"] + found["digits"].replace(",", "") + (found["exponent"] or "")
        number = Decimal(bare)
    if not found or abs(number.adjusted()) > MOST_DIGITS:
        raise ReproError(f"'{printed[:100]}' is not a number{_why_not(text)}")
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int), "the pattern has neither inf nor nan"
    scale = SCALES[found["scale"]]
    unit = Decimal(1).scaleb(exponent) * scale
    return Printed(number * scale, unit, bool(found["percent"]), bool(found["scale"]))


def _why_not(text: str) -> str:
    """Return what keeps a text from being a number, where that can be told."""
    if "±" in text:
        return ": write what follows the ± under `errors`"
    if text.startswith("\\textbf") or "*" in text:
        return ": write the digits alone; `bold` and `note` say what is marked"
    if not text.isascii():
        return ": write it with the digits 0 to 9, a point and a hyphen for minus, nothing else"
    if re.fullmatch(r"[+-]?[0-9]+,[0-9]+%?", text):
        return f": write a decimal point, as in {text.replace(',', '.')}"
    if not text.strip("-"):
        return ': where nothing is printed, write ""'
    return ""


def number_in(printed: str) -> Decimal:
    """Return the number that a printed cell stands for: "46K" is 46000, "1,682" is 1682.

    Raises
    ------
    ReproError
        If there is none.
    """
    return printed_number(printed).value


def unit_in(printed: str) -> Decimal:
    """Return one unit of the last printed digit: "0.420" gives 0.001, "46K" gives 1000."""
    return printed_number(printed).unit


_EXACT = Context(prec=2 * MOST_DIGITS)


def share_in(printed: str, per_cent: bool = False) -> str:
    """Return a printed share as a decimal number, with its digits: "17.530%" gives "0.17530".

    Parameters
    ----------
    printed : str
        The text.
    per_cent : bool
        Whether the table prints in per cent: then "17.53" is 0.1753, too.

    Raises
    ------
    ReproError
        If it is not a number from 0 to 1, or from 0 to 100 in per cent.

    Examples
    --------
    >>> share_in("1.753e-1"), share_in("17.530", per_cent=True)
    ('0.1753', '0.17530')
    """
    found = printed_number(printed)
    in_per_cent = per_cent or found.percent
    most = 100 if in_per_cent else 1
    if found.scaled:
        raise ReproError(f"'{printed[:100]}' is no share: it ends in K or M")
    if not 0 <= found.value <= most:
        kind = "a number from 0 to 100" if in_per_cent else "a share from 0 to 1"
        could_be = not in_per_cent and 1 < found.value <= 100
        hint = "; a table in per cent needs per_cent = true" if could_be else ""
        raise ReproError(f"'{printed[:100]}' is not {kind}{hint}")
    return f"{abs(found.value).scaleb(-2 if in_per_cent else 0, _EXACT):f}"


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
    share = 100 if printed_number(printed).percent else 1
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


_TOKEN = re.compile(r"\s*(\d[\d,]*(?:\.\d+)?[KM]?%?|\.\d+%?|[-+*/()])", re.ASCII)


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
