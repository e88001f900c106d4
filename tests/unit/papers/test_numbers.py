"""A table's number means the same in roman and arabic numerals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro import api
from repro.errors import ReproError
from repro.papers import library
from repro.papers.numbers import meant

ROMAN = ((10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"))


def roman(n: int) -> str:
    text = ""
    for value, letters in ROMAN:
        while n >= value:
            text, n = text + letters, n - value
    return text


@given(st.integers(1, 39), st.integers(1, 39))
def test_both_numerals_mean_the_same_and_nothing_else(one: int, other: int) -> None:
    for typed in (str(one), roman(one), roman(one).lower(), f" {one} ", f"table {one}"):
        assert meant(typed, [roman(other)]) == (roman(other) if one == other else None)
        assert meant(typed, [str(other)]) == (str(other) if one == other else None)


def test_what_is_written_alike_comes_first() -> None:
    assert meant("2", ["II", "2"]) == "2"
    assert meant("II", ["2", "II"]) == "II"
    assert meant("figure 2", ["2", "figure II"]) == "figure II"


@given(st.text())
def test_other_text_means_nothing_but_itself(text: str) -> None:
    assert meant(text, [text]) == text
    assert meant(f"{text}?", ["1", "2", "II"]) is None


def test_a_paper_with_roman_numbers_is_asked_in_arabic_ones() -> None:
    mvae = library.load("mvae")
    assert [n for _, n in library.numbered([mvae], "2")] == ["II"]
    assert [n for _, n in library.numbered([mvae, library.load("dave")], "2")] == ["2"]
    assert api.paper("mvae").table("2").number == "II"
    assert {cell.table for cell in api.compare("mvae", table="ii").cells} == {"II"}
    assert api.claims("mvae", table="2") == api.claims("mvae", table="II")
    assert api.audit("mvae", table="2") == api.audit("mvae", table="II")
    with pytest.raises(ReproError, match="no table of mvae is called '3'"):
        api.compare("mvae", table="3")
