"""Printed numbers of one's own tables: refused or read right, never read as another number."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import Write
from builders.commands import json_of, repro_
from builders.papers import NDCG, paper, row, table, view
from repro.errors import ReproError
from repro.papers import library
from repro.papers.printed import number_in, printed_number, share_in, unit_in


def told(write: Write, text: str, **more: Any) -> str:
    """Return why a table with this number is refused; "" if it is not."""
    published = row("POP", "popularity", [text])
    write("tables/mine.toml", paper(view(), table("1", NDCG, **more), published))
    try:
        library.load("mine")
    except ReproError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("17.53", "not a share from 0 to 1; a table in per cent needs per_cent = true"),
        ("17.53%", "set per_cent = true"),
        ("0,1753", "write a decimal point, as in 0.1753"),
        ("0,175", "write a decimal point, as in 0.175"),
        ("1,753", "is not a share"),
        ("0.1753K", "ends in K or M"),
        ("0.0002M", "ends in K or M"),
        ("1.75", "is not a share"),
        ("-0.1753", "is not a share"),
        ("0.1753*", "is not a number"),
        ("0.1753±0.002", "is not a number"),
        ("0.17_53", "is not a number"),
        ("-", 'where nothing is printed, write ""'),
        ("--", "where nothing is printed"),
        ("\u0660.\u0661\u0667", "the digits 0 to 9"),
        ("\uff10.\uff11\uff17", "the digits 0 to 9"),
        ("\u22120.17", "the digits 0 to 9"),
        ("0.17 53", "is not a number"),
        ("1e-1K", "is not a number"),
        (".", "is not a number"),
        ("0x1", "is not a number"),
        ("infinity", "is not a number"),
    ],
)
def test_what_is_no_share_is_refused_where_the_file_is_read(
    write: Write, text: str, why: str
) -> None:
    found = told(write, text)
    assert 'tables.1, row "POP", at.toy: NDCG@10: ' in found
    assert why in found


@pytest.mark.parametrize(
    "text", ["0.1753", ".1753", "1.753e-1", "1.753E-01", " 0.1753 ", "0", "1.0"]
)
def test_a_share_in_another_form_is_read(write: Write, text: str) -> None:
    assert told(write, text) == ""


@pytest.mark.parametrize("text", ["17.53", "17.53%", "1.753e1"])
def test_a_table_in_per_cent_is_compared_as_shares(write: Write, text: str) -> None:
    published = row("POP", "popularity", [text])
    write("tables/mine.toml", paper(view(), table("1", NDCG, per_cent=True), published))
    repro_("run", "mine")
    [cell] = json_of("compare", "mine")
    assert (cell["published"], cell["verdict"]) == ("0.1753", "exact")
    assert "printed in per cent" in repro_("show", "mine").stdout
    repro_("audit", "mine")


@pytest.mark.parametrize("text", ["100.1", "-1", "17,53", "17.53K", "1,753"])
def test_what_is_no_share_in_per_cent_is_refused(write: Write, text: str) -> None:
    assert told(write, text, per_cent=True)


def test_a_tolerance_is_in_the_unit_of_its_table(write: Write) -> None:
    near = [{"within": "0.5", "source": "the paper"}]
    head = table("1", NDCG, per_cent=True, tolerance=near)
    published = row("POP", "popularity", ["17.93"])
    write("tables/mine.toml", paper(view(redraw=0), head, published))
    repro_("run", "mine")
    [cell] = json_of("compare", "mine")
    assert (cell["verdict"], cell["reason"]) == ("close", "within 0.005: the paper")


def test_a_count_is_no_share_and_counts_are_never_in_per_cent(write: Write) -> None:
    counts, printed = {"#users": "users", "Sparsity": "sparsity"}, ["1,682", "97.3%"]
    head = table("1", counts, kind="statistics")
    write("tables/mine.toml", paper(view(), head, row("Data", published=printed)))
    assert len(library.load("mine").entries["1"][0].cells) == 2
    head = table("1", counts, kind="statistics", per_cent=True)
    write("tables/mine.toml", paper(view(), head, row("Data", published=printed)))
    with pytest.raises(ReproError, match="only results are compared as shares"):
        library.load("mine")


def test_standard_errors_of_files_for_an_earlier_version_are_read(write: Write) -> None:
    assert not told(write, "0.1", tolerance=[{"standard_errors": 2.0, "source": "x"}])
    assert "at most 2" in told(write, "0.1", tolerance=[{"standard_errors": 3.0, "source": "x"}])
    assert "within: missing" in told(write, "0.1", tolerance=[{"source": "x"}])


SHARES = st.decimals(0, 1, places=6, allow_nan=False)


@given(SHARES, st.integers(0, 6), st.booleans(), st.sampled_from(["", "%"]))
def test_a_share_keeps_value_and_unit_in_every_form(
    share: Decimal, places: int, per_cent: bool, sign: str
) -> None:
    unit = Decimal(1).scaleb(-places)
    rounded = share.quantize(unit)
    shifted = per_cent or bool(sign)
    text = f"{rounded.scaleb(2):f}{sign}" if shifted else f"{rounded:f}"
    read = share_in(text, per_cent)
    assert number_in(read) == rounded
    assert unit_in(read) == unit_in(text) * (Decimal("0.01") if shifted else 1)
    exponent = share_in(f"{rounded:e}")
    assert number_in(exponent) == rounded
    assert unit_in(exponent) == unit


@given(st.text(alphabet="0123456789.,-+eEKM%*_ ±\u0661\uff11", max_size=8))
def test_a_text_is_refused_or_is_the_number_that_python_reads_without_its_marks(text: str) -> None:
    try:
        found = printed_number(text)
    except ReproError:
        return
    bare = text.strip().removesuffix("%")
    scale = {"K": 1000, "M": 10**6}.get(bare[-1:], 1)
    bare = bare.rstrip("KM")
    assert bare.isascii()
    number = Decimal(bare.replace(",", ""))
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    assert found.value == number * scale
    assert found.unit == Decimal(1).scaleb(exponent) * scale
    assert all(len(part.partition(".")[0]) == 3 for part in bare.split(",")[1:])


@given(st.integers(0, 10**9))
def test_commas_stand_only_between_thousands(count: int) -> None:
    assert number_in(f"{count:,}") == count
    assert unit_in(f"{count:,}") == 1
