"""Text in any dialect: what is written is read, or refused with its line; never something else."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from builders.tables_of_text import pairs, written
from repro.data import first_bytes, forms, header
from repro.data import lines as text_lines
from repro.data.dialect import Dialect
from repro.data.separated import read_separated
from repro.errors import ReproError

quick = settings(deadline=None, max_examples=60)
PAIR = ["user", "item"]

values = st.text(
    st.characters(codec="latin-1", exclude_characters="\r\n\0\x1c\x1d\x1e\x1f\x85"),
    min_size=1,
    max_size=6,
).filter(lambda value: value.strip(" \t\x0b\x0c\xa0\xad") == value)
rows = st.lists(st.tuples(values, values), min_size=1, max_size=12)
separators = st.sampled_from([",", ";", "|", "\t", ":", "§", "¦"])
encodings = st.sampled_from(["utf-8", "latin-1", "cp1252", "utf-16", "utf-16-be", "utf-32"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dialects")


@quick
@given(
    rows,
    separators,
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    encodings,
    st.integers(64, 200),
)
def test_quoted_text_that_is_written_is_read(
    folder: Path,
    rows: list[tuple[str, str]],
    separator: str,
    ending: str,
    all_quoted: bool,
    encoding: str,
    piece: int,
) -> None:
    out = io.StringIO()
    how: Literal[0, 1] = csv.QUOTE_ALL if all_quoted else csv.QUOTE_MINIMAL
    csv.writer(out, delimiter=separator, lineterminator=ending, quoting=how).writerows(rows)
    try:
        path = written(folder, out.getvalue().encode(encoding))
    except UnicodeEncodeError:
        assume(False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_lines, "PIECE", piece)
        # the first row of few may look like a header: then it is refused with its line
        try:
            dialect = Dialect(quote='"', encoding=encoding, blanks="keep")
            got = read_separated(path, separator, False, PAIR, True, dialect)
        except ReproError as error:
            assert "are the names of columns" in str(error)  # noqa: PT017
            return
    assert pairs(got) == rows


@quick
@given(rows, separators, st.data())
def test_comments_and_blank_lines_change_no_row_and_no_number_of_a_line(
    folder: Path, rows: list[tuple[str, str]], separator: str, data: st.DataObject
) -> None:
    plain = [f"{u}{separator}{i}" for u, i in rows]
    assume(all(line.count(separator) == 1 and line.lstrip()[0] != "#" for line in plain))
    lines = list(plain)
    for _ in range(data.draw(st.integers(1, 5))):
        other = data.draw(st.sampled_from(["", "  ", "# note", f"#{separator}"]))
        lines.insert(data.draw(st.integers(0, len(lines))), other)
    dialect = Dialect(comment="#", blank_lines="skip", quote="none", blanks="keep")
    given = (separator, False, ["item", "user"][::-1], True, dialect)
    try:
        got = read_separated(written(folder, "\n".join(lines)), *given)
    except ReproError as error:
        assert "are the names of columns" in str(error)  # noqa: PT017
        return
    assert pairs(got) == rows
    with pytest.raises(ReproError, match=f"line {len(lines) + 1}: expected 2 columns, got 1"):
        read_separated(written(folder, "\n".join([*lines, "one"])), *given)


@quick
@given(rows, st.sampled_from([" ", "\t", "\xa0", '"']), st.booleans(), st.data())
def test_a_blank_or_quote_around_an_identifier_is_never_read_in_silence(
    folder: Path, rows: list[tuple[str, str]], around: str, before: bool, data: st.DataObject
) -> None:
    clean = [value for pair in rows for value in pair]
    assume(not any(set(value) & set(",\"'#") for value in clean))
    at = data.draw(st.integers(0, len(rows) - 1))
    lines = [f"{user},{item},1" for user, item in rows]
    user = around + rows[at][0] if before else rows[at][0] + around
    lines[at] = f"{user},{rows[at][1]},1"
    path = written(folder, "\n".join(lines))
    with pytest.raises(ReproError, match=f"line {at + 1}: user"):
        read_separated(path, ",", False, [*PAIR, "rating"], True)


moments = st.datetimes(datetime(1971, 1, 1), datetime(2090, 1, 1))
units = st.sampled_from([("s", 0), ("ms", 3), ("us", 6), ("ns", 9)])


@quick
@given(st.lists(moments, min_size=1, max_size=9), units, st.booleans())
def test_times_of_every_unit_are_the_moments_that_they_state(
    folder: Path, moments: list[datetime], unit: tuple[str, int], stated: bool
) -> None:
    epoch, tick = datetime.fromtimestamp(0, UTC), timedelta(microseconds=1)
    micro = [(one.replace(tzinfo=UTC) - epoch) // tick for one in moments]
    assume(stated or min(micro) > 100 * 10**12)  # smaller ones could be of another unit
    name, digits = unit
    scaled = [Fraction(one, 10**6) * 10**digits for one in micro]
    texts = [
        f"{one.numerator // one.denominator}.{one % 1 * 10**6 // 1:06}" if one % 1 else f"{one}"
        for one in scaled
    ]
    path = written(folder, "".join(f"1,2,{text}\n" for text in texts))
    got = read_separated(path, ",", False, [*PAIR, "time"], unit=name if stated else "")
    assert got.time is not None
    assert [Fraction(time, got.ticks) for time in got.time.tolist()] == [
        Fraction(one, 10**6) for one in micro
    ]
    assert bool(got.doubts) == (not stated and name != "s")


@quick
@given(
    st.lists(moments, min_size=1, max_size=9),
    st.none() | st.integers(-23 * 60, 23 * 60),
    st.sampled_from(["T", " "]),
    st.sampled_from(["seconds", "milliseconds", "microseconds"]),
)
def test_dates_in_every_zone_are_the_moments_that_they_state(
    folder: Path, moments: list[datetime], offset: int | None, between: str, spec: str
) -> None:
    zone = None if offset is None else timezone(timedelta(minutes=offset))
    moments = [one.replace(tzinfo=zone) for one in moments]
    texts = [one.isoformat(between, spec) for one in moments]
    path = written(folder, "".join(f"1,2,{text}\n" for text in texts))
    got = read_separated(path, ",", False, [*PAIR, "date"])
    exact = [datetime.fromisoformat(text) for text in texts]
    exact = [one if one.tzinfo else one.replace(tzinfo=UTC) for one in exact]
    epoch = datetime.fromtimestamp(0, UTC)
    assert got.time is not None
    assert [Fraction(time, got.ticks) for time in got.time.tolist()] == [
        Fraction((one - epoch) // timedelta(microseconds=1), 10**6) for one in exact
    ]


@quick
@given(st.integers(0, 10**12), st.integers(1, 4), st.integers(1, 3))
def test_numbers_with_zeros_around_them_are_two_forms_of_one(
    number: int, before: int, after: int
) -> None:
    plain = str(number)
    for other in ("0" * before + plain, f"{plain}.{'0' * after}", f" {plain}"):
        ids = np.sort(np.array([plain, other, "x", "y"]))
        assert "stands in two forms" in forms.doubt("item", ids, {"rows": ids})
        with pytest.raises(ReproError, match="no item of test occurs in train as it stands"):
            forms.doubt("item", ids, {"train": np.array([plain, "x"]), "test": np.array([other])})


@quick
@given(st.sets(st.integers(0, 10**6), min_size=1, max_size=30))
def test_identifiers_that_differ_are_told_of_nothing(numbers: set[int]) -> None:
    ids = np.sort(np.array([f"u{number}" for number in numbers] + [str(n) for n in numbers]))
    assert forms.doubt("user", ids, {"rows": ids}) == ""


@quick
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=3, max_size=20, unique=True),
    st.sampled_from(["user", "userId", "USER_ID", "user_id:token", "reviewerID"]),
    st.sampled_from(["item", "movieId", "ASIN", "item_id:token"]),
)
def test_a_header_is_never_a_row_and_a_row_that_is_read_is_never_a_header(
    folder: Path, rows: list[tuple[int, int]], user: str, item: str
) -> None:
    lines = [f"U{u},I{i}" for u, i in rows]
    under = written(folder, "\n".join([f"{user},{item}", *lines]))
    expected = [(f"U{u}", f"I{i}") for u, i in rows]
    assert pairs(read_separated(under, ",", True, PAIR, True)) == expected
    with pytest.raises(ReproError, match=r"line 1.*names of columns"):
        read_separated(under, ",", False, PAIR, True)
    alone = written(folder, "\n".join(lines))
    assert pairs(read_separated(alone, ",", False, PAIR, True)) == expected
    with pytest.raises(ReproError, match="line 1: expected the columns' names, got a row"):
        read_separated(alone, ",", True, PAIR, True)
    swapped = written(folder, "\n".join([f"{item},{user}", *lines]))
    with pytest.raises(ReproError, match="column 1 is called"):
        read_separated(swapped, ",", True, PAIR, True)


@quick
@given(st.sampled_from(first_bytes._KINDS), st.binary(max_size=40))
def test_a_file_that_begins_as_another_kind_is_named_as_it(
    folder: Path, kind: tuple[bytes, str, str], rest: bytes
) -> None:
    begin, what, remedy = kind
    assume(begin != first_bytes.GZIP)
    path = written(folder, begin + rest)
    with pytest.raises(ReproError) as caught:
        read_separated(path, ",", False, PAIR)
    assert f"{path} is {what}, not text" in caught.value.message
    assert caught.value.hint == remedy


@quick
@given(st.text(max_size=12), st.text(max_size=12))
def test_names_of_columns_are_known_or_not_whatever_they_are(name: str, other: Any) -> None:
    assert header.column_of(name) in (None, "user", "item", "rating", "time")
