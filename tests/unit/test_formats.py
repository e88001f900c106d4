"""Files into rows, and what is said of a file that does not fit."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.data.formats import Rows, read_negatives, read_separated
from repro.errors import ReproError

ALL = ["user", "item", "rating", "time"]
ROWS = [(3, 20, 4.5, 978300760), (1, 20, 3.0, 978300761), (3, 7, 0.5, 978300760)]
SEPARATORS = [",", "::", "\t", " "]


def written(folder: Path, text: str) -> Path:
    path = folder / "rows.txt"
    path.write_text(text, encoding="utf-8")
    return path


def lines(rows: list[tuple[int, int, float, int]], separator: str) -> str:
    return "".join(separator.join(map(str, row)) + "\n" for row in rows)


def as_tuples(rows: Rows) -> list[tuple[int, int, float, int]]:
    assert rows.rating is not None
    assert rows.time is not None
    return list(
        zip(
            rows.user.tolist(),
            rows.item.tolist(),
            rows.rating.tolist(),
            rows.time.tolist(),
            strict=True,
        )
    )


@pytest.mark.parametrize("header", ["", "userId,movieId,rating,timestamp\n"])
@pytest.mark.parametrize("separator", SEPARATORS)
def test_rows_come_out_as_they_stand(tmp_path: Path, separator: str, header: str) -> None:
    path = written(tmp_path, header + lines(ROWS, separator))
    assert as_tuples(read_separated(path, separator, bool(header), ALL)) == ROWS


@settings(deadline=None, max_examples=50)
@given(
    separator=st.sampled_from(SEPARATORS),
    rows=st.lists(
        st.tuples(
            st.integers(0, 2**62),
            st.integers(0, 2**62),
            st.integers(1, 10).map(lambda half: half / 2),
            st.integers(0, 2**40),
        ),
        min_size=1,
        max_size=20,
    ),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    separator: str,
    rows: list[tuple[int, int, float, int]],
) -> None:
    path = written(tmp_path_factory.mktemp("rows"), lines(rows, separator))
    assert as_tuples(read_separated(path, separator, False, ALL)) == rows


@settings(deadline=None, max_examples=25)
@given(
    st.lists(
        st.tuples(*[st.text("abcXYZ019-_é", min_size=1).filter(lambda text: text[0] > "9")] * 2),
        min_size=1,
        max_size=8,
    )
)
def test_identifiers_may_be_text(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]
) -> None:
    text = "".join(f"{user},{item}\n" for user, item in pairs)
    rows = read_separated(
        written(tmp_path_factory.mktemp("rows"), text), ",", False, ["user", "item"]
    )
    assert list(zip(rows.user.tolist(), rows.item.tolist(), strict=True)) == pairs


def test_columns_may_stand_in_any_order_and_be_skipped(tmp_path: Path) -> None:
    path = written(tmp_path, "20,x,3\n21,y,1\n")
    rows = read_separated(path, ",", False, ["item", "-", "user"])
    assert rows.item.tolist() == [20, 21]
    assert rows.user.tolist() == [3, 1]
    assert rows.rating is None
    assert rows.time is None


def test_windows_line_ends_are_no_part_of_the_last_column(tmp_path: Path) -> None:
    rows = read_separated(written(tmp_path, "1,2\r\n3,4\r\n"), ",", False, ["user", "item"])
    assert rows.item.tolist() == [2, 4]


def test_a_gz_file_is_unpacked_on_the_way(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(lines(ROWS, ",").encode()))
    assert as_tuples(read_separated(path, ",", False, ALL)) == ROWS


@pytest.mark.parametrize(
    ("text", "separator", "line", "said"),
    [
        ("1,2,3.0,4\n1,two,3.0,4\n", ",", 2, "item 'two' is not a number"),
        ("1,2,3.0,4\n1,2,good,4\n", ",", 2, "rating 'good' is not a number"),
        ("1,2,3.0,4\n1,2,3.0,now\n", ",", 2, "time 'now' is not a number"),
        ("1,2,3.0,4\n\n1,2,3.0,4\n", ",", 2, "expected 4 columns, got 1"),
        ("1,2,3.0,4\n1,2,3.0,4\n1,2\n", ",", 3, "expected 4 columns, got 2"),
        ("1,2,3.0,4\n1,2,3.0,\n", ",", 2, "time '' is not a number"),
        ("1::2::3::4\n1::2::3\n", "::", 2, "expected 4 columns, got 3"),
        ("1\t2\t3\t4\n1 2 3 4\n", "\t", 2, "expected 4 columns, got 1"),
        ("1,2,3.0,4\n1,2,3.0,41,2,3.0,4\n", ",", 2, "expected 4 columns, got 7"),
        ("ann,x,3.0,4\nbob,y,good,4\n", ",", 2, "rating 'good' is not a number"),
        ("ann,x,3.0,4\n,y,3.0,4\n", ",", 2, "user '' is not an identifier"),
    ],
)
def test_a_malformed_line_is_named(
    tmp_path: Path, text: str, separator: str, line: int, said: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ReproError) as caught:
        read_separated(path, separator, False, ALL)
    assert f"{path}, line {line}: {said}" in str(caught.value)


def test_the_header_counts_as_a_line(tmp_path: Path) -> None:
    path = written(tmp_path, "user,item\n1,2\nx,2\n3,4\n")
    with pytest.raises(ReproError, match=r"line 3: user 'x' is not a number"):
        read_separated(path, ",", True, ["user", "item"])


def test_an_unforeseen_header_is_no_row(tmp_path: Path) -> None:
    path = written(tmp_path, "user,item\n1,2\n3,4\n5,6\n")
    with pytest.raises(ReproError, match=r"line 1: user 'user' is not a number"):
        read_separated(path, ",", False, ["user", "item"])


@pytest.mark.parametrize(("text", "header"), [("", False), ("", True), ("user,item\n", True)])
def test_an_empty_file_is_an_error(tmp_path: Path, text: str, header: bool) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ReproError, match=str(path)):
        read_separated(path, ",", header, ["user", "item"])


def test_a_file_that_is_not_utf_8_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.txt"
    path.write_bytes(b"1,2\n3,\xff\n")
    with pytest.raises(ReproError, match=str(path)):
        read_separated(path, ",", False, ["user", "item"])


def test_a_separator_of_two_characters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReproError, match="separator ', '"):
        read_separated(written(tmp_path, "1, 2\n"), ", ", False, ["user", "item"])


def test_lists_of_negatives_give_a_row_each_without_the_held_out_item(tmp_path: Path) -> None:
    rows = read_negatives(written(tmp_path, "(0,25)\t1064\t174\n(1,133)\n(2,207)\t174\n"))
    assert list(zip(rows.user.tolist(), rows.item.tolist(), strict=True)) == [
        (0, 1064),
        (0, 174),
        (2, 174),
    ]


@pytest.mark.parametrize("bad", ["0\t1\t2", "(0,25)\t1\tx", "(0)\t1", "(a,25)\t1"])
def test_a_malformed_list_of_negatives_is_named(tmp_path: Path, bad: str) -> None:
    path = written(tmp_path, f"(0,25)\t1\t2\n{bad}\n")
    with pytest.raises(ReproError, match=r"line 2: expected \(user,item\) and item numbers"):
        read_negatives(path)


def test_an_empty_file_of_negatives_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReproError, match="is empty"):
        read_negatives(written(tmp_path, ""))


def test_taking_rows_takes_every_column() -> None:
    three = np.arange(3)
    rows = Rows(three, three + 10, np.array([0.5, 1.5, 2.5]), three + 100, part=three)
    kept = rows.take(np.array([2, 0]))
    assert as_tuples(kept) == [(2, 12, 2.5, 102), (0, 10, 0.5, 100)]
    assert kept.part is not None
    assert kept.part.tolist() == [2, 0]


def test_users_may_be_numbers_and_items_text(tmp_path: Path) -> None:
    rows = read_separated(written(tmp_path, "7,b\n3,a\n"), ",", False, ["user", "item"])
    assert rows.user.tolist() == [7, 3]
    assert rows.item.tolist() == ["b", "a"]


def test_a_last_line_without_its_end_is_read(tmp_path: Path) -> None:
    rows = read_separated(written(tmp_path, "7,1\n3,2"), ",", False, ["user", "item"])
    assert rows.item.tolist() == [1, 2]


def test_an_identifier_beyond_64_bits_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path, f"1,2\n{2**70},3\n")
    with pytest.raises(ReproError, match="more digits than a 64-bit number"):
        read_separated(path, ",", False, ["user", "item"])


def test_a_malformed_line_of_a_packed_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(b"1,2\n1,two\n1,3\n"))
    with pytest.raises(ReproError, match=r"line 2: item 'two' is not a number"):
        read_separated(path, ",", False, ["user", "item"])
