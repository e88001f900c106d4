"""The value and precision of a printed number."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from repro.errors import ReproError


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
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite():
        raise ReproError(f"'{printed}' is not a number")
    return number


def unit_in(printed: str) -> Decimal:
    """Return one unit of the last printed digit: "0.420" gives 0.001, "46K" gives 1000."""
    text = printed.replace(",", "").rstrip("%").strip()
    scale = {"K": 1000, "M": 1_000_000}.get(text[-1:], 1)
    digits = text.rstrip("KM").partition(".")[2]
    return Decimal(1).scaleb(-len(digits)) * scale
