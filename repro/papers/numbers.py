"""Numbers of tables and figures: as printed, or in the other numerals."""

from __future__ import annotations

import re
from collections.abc import Iterable

_ROMAN = re.compile(r"M{0,3}(CM|CD|D?C{0,3})(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})", re.IGNORECASE)
_WORTH = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100, "d": 500, "m": 1000}
_FIGURE = "figure "


def meant(number: str, known: Iterable[str]) -> str | None:
    """Return the known number that is meant, or None: "2" also means "II", and "ii" means "2".

    Parameters
    ----------
    number : str
        As typed; "figure 3" means a figure, "table 3" the same as "3".
    known : iterable of str
        As printed; one that is written like `number` comes first.
    """
    every = list(known)
    if number in every:
        return number
    wanted = _value(number)
    return next((one for one in every if wanted is not None and _value(one) == wanted), None)


def _value(number: str) -> tuple[str, str] | None:
    """Return what a number counts, and its value as text; None if it is no number."""
    text = number.strip().lower().removeprefix("table ").strip()
    kind = _FIGURE if text.startswith(_FIGURE) else ""
    text = text.removeprefix(_FIGURE).strip()
    if text.isdecimal():
        return kind, str(int(text))
    if text and _ROMAN.fullmatch(text):
        digits = [_WORTH[one] for one in text]
        after = [*digits[1:], 0]
        value = sum(-a if a < b else a for a, b in zip(digits, after, strict=True))
        return kind, str(value)
    return None
