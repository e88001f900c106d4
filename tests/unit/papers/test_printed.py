"""Printed numbers as intervals: worked by hand, and never at odds with exact arithmetic."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.errors import ReproError
from repro.papers.printed import Interval, agreement, computed, rounded

SHARES = st.decimals("0.0001", "0.9999", places=7)
DIGITS = st.integers(2, 5)


def interval(low: str, high: str) -> Interval:
    return Interval(Fraction(low), Fraction(high))


def cut_to(number: Decimal | Fraction, digits: int, how: str = ROUND_HALF_UP) -> str:
    """Return a number as it would be printed."""
    exact = Fraction(number)
    value = Decimal(exact.numerator) / Decimal(exact.denominator)
    return str(value.quantize(Decimal(1).scaleb(-digits), how))


@pytest.mark.parametrize(
    ("printed", "low", "high"),
    [
        ("0.420", "0.4195", "0.4205"),
        (".063", "0.0625", "0.0635"),
        ("46K", "45500", "46500"),
        ("1,682", "1681.5", "1682.5"),
        ("5%", "0.045", "0.055"),
        ("93.69%", "0.93685", "0.93695"),
    ],
)
def test_a_printed_number_stands_for_all_that_round_to_it(
    printed: str, low: str, high: str
) -> None:
    assert rounded(printed) == interval(low, high)


def test_a_formula_takes_counts_as_exact_and_the_rest_as_rounded() -> None:
    assert computed("6 / 3 + 2 * (5 - 1)") == interval("10", "10")
    assert computed("10.0M / 1,000") == interval("9950", "10050")
    assert computed("1 - 0.5") == interval("0.45", "0.55")


@pytest.mark.parametrize(
    "formula", ["", "1 +", "(1", "1)", "two", "1 2", "__import__('os')", "1 / (1 - 1)"]
)
def test_what_is_no_formula_is_refused(formula: str) -> None:
    with pytest.raises(ReproError):
        computed(formula)


@pytest.mark.parametrize(
    ("stated", "value", "how"),
    [
        ("1.9%", "0.0193", "rounded"),
        ("1.5%", "0.0157", "cut"),  # would round to 1.6
        ("1.5%", "0.0253", ""),
        ("93.69%", "0.936953", "cut"),
        ("3.4", "3.186", ""),
    ],
)
def test_a_stated_number_is_rounded_or_cut_or_wrong(stated: str, value: str, how: str) -> None:
    assert agreement(stated, interval(value, value)) == how


@given(SHARES, SHARES, DIGITS)
def test_rounding_never_contradicts_exact_arithmetic(a: Decimal, b: Decimal, digits: int) -> None:
    x, y = Fraction(a), Fraction(b)
    p, q = rounded(cut_to(a, digits)), rounded(cut_to(b, digits))
    for exact, found in ((x + y, p + q), (x - y, p - q), (x * y, p * q)):
        assert found.low <= exact <= found.high
    if q.low > 0:
        ratio = p / q
        assert ratio.low <= x / y <= ratio.high


@given(SHARES, SHARES, DIGITS, st.integers(0, 3))
def test_a_share_that_is_rounded_from_the_truth_agrees_with_print(
    a: Decimal, b: Decimal, digits: int, places: int
) -> None:
    p, q = rounded(cut_to(a, digits)), rounded(cut_to(b, digits))
    if q.low > 0:
        gain = Fraction(a) / Fraction(b) - 1
        value = p / q - interval("1", "1")
        assert agreement(f"{cut_to(100 * gain, places)}%", value) == "rounded"
        assert agreement(f"{cut_to(100 * gain, places, ROUND_DOWN)}%", value)
