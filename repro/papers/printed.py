"""The value and precision of a printed number."""

from __future__ import annotations

from decimal import Decimal, DecimalException

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
