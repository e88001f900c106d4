"""Times: seconds, milliseconds and finer ones since 1970, with fractions, and dates with zones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from repro.errors import ReproError

if TYPE_CHECKING:
    import pyarrow as pa

Unit = Literal["", "s", "ms", "us", "ns"]
"""Of times that are numbers; "": recognised by their size."""

TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
WORDS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
LARGEST = {"s": 10**11, "ms": 10**14, "us": 10**17}
"""Numbers below it are taken for this unit: the year 5138."""
NANO = 10**9


@dataclass(frozen=True)
class Time:
    """A column of times."""

    values: NDArray[np.int64]
    """Since 1970."""
    ticks: int
    """How many of their unit a second has."""
    dated: bool
    """Whether they were dates."""
    doubt: str = ""
    """How their unit was recognised, where it is not seconds."""


@dataclass
class Times:
    """A column of times that grows piece by piece."""

    _whole: list[NDArray[Any]] = field(default_factory=list)
    _fraction: list[NDArray[np.int64] | None] = field(default_factory=list)
    """In 10^-9 of the unit; None: none in the piece."""
    _dated: bool = False

    def add(self, column: pa.ChunkedArray) -> None:
        """Add a piece: timestamps, whole numbers, or numbers with decimals as text.

        Raises
        ------
        ArrowInvalid
            If a text is not such a number.
        """
        import pyarrow as pa

        fraction = None
        if pa.types.is_timestamp(column.type):
            self._dated = True
            whole = column.cast("int64").to_numpy()
            if column.type.unit == "ns":
                whole, fraction = np.divmod(whole, NANO)
        elif pa.types.is_string(column.type):
            whole, fraction = decimals(column)
        elif pa.types.is_floating(column.type):  # of JSON
            number = column.to_numpy()
            whole = np.floor(number).astype(np.int64)
            fraction = ((number - whole) * NANO).astype(np.int64)
        else:
            whole = column.to_numpy()
        self._whole.append(narrow(whole))
        self._fraction.append(fraction if fraction is not None and fraction.any() else None)

    def found(self, where: str, unit: str) -> Time | None:
        """Return all pieces; None if there is none.

        Parameters
        ----------
        where : str
            The file.
        unit : str
            The stated unit of numbers; "" to recognise it.

        Raises
        ------
        ReproError
            If they are of two units.
        """
        if not self._whole:
            return None
        pieces = zip(self._whole, self._fraction, strict=True)
        parts = [np.zeros(len(w), dtype=np.int64) if f is None else f for w, f in pieces]
        whole = np.concatenate(self._whole).astype(np.int64)
        exact = all(fraction is None for fraction in self._fraction)
        known = "s" if self._dated else unit or recognised(where, whole)
        ticks = TICKS[known]
        if not exact:
            finer = NANO // ticks
            late = np.abs(whole) >= (2**63 - 1) // finer
            if late.any():
                row = int(np.argmax(late))
                raise ReproError(
                    f"{where}, row {row + 1:,}: the time {whole[row]} lies beyond the year 2262, "
                    "and others have decimals"
                )
            whole, ticks = whole * finer + np.concatenate(parts) // ticks, NANO
        doubt = ""
        if not (self._dated or unit or known == "s"):
            large = int(np.abs(whole).max()) // ticks
            doubt = (
                f"the times are taken for {WORDS[known]}, as the latest is {day(large)} then; "
                f'time_unit = "{known}" states it'
            )
        return Time(whole, ticks, self._dated, doubt)


def decimals(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return whole numbers and 10^-9 parts of texts such as "12.5", rounded down.

    Raises
    ------
    ArrowInvalid
        If a text is not such a number.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if (
        column.null_count
        or not pc.all(pc.match_substring_regex(column, r"^ *-?[0-9]{1,19}(\.[0-9]*)? *$")).as_py()
    ):
        raise pa.ArrowInvalid("a time is not a number")
    plain = pc.utf8_trim(column, " ")
    whole = pc.replace_substring_regex(plain, r"\..*$", "").cast("int64").to_numpy()
    parts = pc.replace_substring_regex(plain, r"^[^.]*\.?", "")
    nine = pc.utf8_slice_codeunits(pc.utf8_rpad(parts, 9, "0"), 0, 9).cast("int64").to_numpy()
    below = pc.starts_with(plain, "-").to_numpy() & (nine > 0)
    return whole - below, np.where(below, NANO - nine, nine)


def recognised(where: str, whole: NDArray[np.int64]) -> str:
    """Return the unit of numbers, by their size; 0 stands for a time that is unknown."""
    sizes = np.abs(whole)
    if not sizes.any():
        return "s"
    rows = int(np.argmax(sizes)), int(np.argmin(np.where(sizes == 0, sizes.max(), sizes)))
    units = [_unit(int(sizes[row])) for row in rows]
    if units[0] != units[1]:
        raise ReproError(
            f"{where}, row {rows[0] + 1:,}: the time {whole[rows[0]]} and that of row "
            f"{rows[1] + 1:,}, {whole[rows[1]]}, cannot be of one unit: {WORDS[units[0]]} and "
            f"{WORDS[units[1]]}?",
            f'write them in one unit; or state it, as time_unit = "{units[1]}"',
        )
    return units[0]


def _unit(size: int) -> str:
    return next((unit for unit, largest in LARGEST.items() if size < largest), "ns")


def day(seconds: int) -> str:
    """Return the day of a time in seconds, such as "2018-01-01"; a rough one far from today."""
    if abs(seconds) < LARGEST["s"]:
        return str(np.datetime64(seconds, "s").astype("datetime64[D]"))
    return f"the year {1970 + seconds // 31_556_952:,}"


def narrow(column: NDArray[Any]) -> NDArray[Any]:
    """Return whole numbers as int32 if that loses nothing; others as they are."""
    small = np.iinfo(np.int32)
    if column.dtype == np.int64 and small.min <= column.min() and column.max() <= small.max:
        return column.astype(np.int32)
    return column
