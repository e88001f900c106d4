"""Files into rows, and what is said of a file that does not fit."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest

from builders.archives import packed, tar_of
from repro.data import lines as text_lines
from repro.data.dialect import Dialect
from repro.data.formats import read_json, read_negatives, read_netflix
from repro.data.rows import Rows
from repro.data.separated import read_separated
from repro.errors import ReproError

ALL = ["user", "item", "rating", "time"]
PAIR = ["user", "item"]
ROWS = [(3, 20, 4.5, 978300760), (1, 20, 3.0, 978300761), (3, 7, 0.5, 978300760)]
SEPARATORS = [",", "::", "\t", " "]

MOVIE = ["user", "rating", "date"]
COMBINED = [  # the first block is empty, the last one of a file has no line end
    "2:\n1:\n6,3,2005-09-06\n7,5,2005-05-13\n30,4,1999-11-11\n",
    "17:\n6,1,2005-12-31\n8,2,2004-01-01\n9:\n7,4,2003-03-03",
]
RATINGS = [
    (6, 1, 3.0, 1125964800),
    (7, 1, 5.0, 1115942400),
    (30, 1, 4.0, 942278400),
    (6, 17, 1.0, 1135987200),
    (8, 17, 2.0, 1072915200),
    (7, 9, 4.0, 1046649600),
]
DAY = "5,3,2005-09-06\n"

FIELDS = {"user": "reviewerID", "item": "asin", "rating": "overall", "time": "unixReviewTime"}
REVIEWS = [
    {"reviewerID": "A2", "asin": "0001", "overall": 5.0, "unixReviewTime": 1522627200},
    {"reviewerID": "A10", "asin": "B00é", "overall": 4, "unixReviewTime": 1522627201},
    {"reviewerID": "A2", "asin": "B00é", "overall": 1.5, "unixReviewTime": 5},
]


def written(folder: Path, text: str | bytes, name: str = "rows.txt") -> Path:
    content = text if isinstance(text, bytes) else text.encode()
    path = folder / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def lines(rows: list[tuple[int, int, float, int]], separator: str) -> str:
    return "".join(separator.join(map(str, row)) + "\n" for row in rows)


def pairs(rows: Rows) -> list[tuple[object, object]]:
    users, items = rows.user_ids[rows.user].tolist(), rows.item_ids[rows.item].tolist()
    return list(zip(users, items, strict=True))


def as_tuples(rows: Rows) -> list[tuple[object, object, float, int]]:
    assert rows.rating is not None
    assert rows.time is not None
    columns = zip(pairs(rows), rows.rating.tolist(), rows.time.tolist(), strict=True)
    return [(user, item, rating, time) for (user, item), rating, time in columns]


def tarred(folder: Path, files: dict[str, str], name: str = "training_set.tar") -> Path:
    (folder / name).write_bytes(tar_of(files))
    return folder / name


def reviews(entries: list[dict[str, object]]) -> str:
    return "".join(json.dumps(entry) + "\n" for entry in entries)


# Separated text


@pytest.mark.parametrize("header", ["", "userId,movieId,rating,timestamp\n"])
@pytest.mark.parametrize("separator", SEPARATORS)
def test_rows_come_out_as_they_stand(tmp_path: Path, separator: str, header: str) -> None:
    path = written(tmp_path, header.replace(",", separator) + lines(ROWS, separator))
    assert as_tuples(read_separated(path, separator, bool(header), ALL)) == ROWS


def test_rows_are_places_in_ascending_identifiers(tmp_path: Path) -> None:
    rows = read_separated(written(tmp_path, "70,-3\n9,8\n70,8\n"), ",", False, PAIR)
    assert rows.user.tolist() == [1, 0, 1]
    assert rows.user_ids.tolist() == [9, 70]
    assert rows.item.tolist() == [0, 1, 1]
    assert rows.item_ids.tolist() == [-3, 8]
    assert rows.user.dtype == rows.item.dtype == np.int32
    assert rows.order == ""


def test_columns_may_stand_in_any_order_and_be_skipped(tmp_path: Path) -> None:
    path = written(tmp_path, b"20,x,3\n21,\xff,1\n")
    rows = read_separated(path, ",", False, ["item", "-", "user"])
    assert pairs(rows) == [(3, 20), (1, 21)]
    assert rows.rating is None
    assert rows.time is None


def test_dates_are_seconds_since_1970(tmp_path: Path) -> None:
    text = "1,2,1970-01-02\n1,3,2005-09-06 12:30:01\n1,4,2005-09-06T12:30\n1,5,1969-12-31\n"
    rows = read_separated(written(tmp_path, text), ",", False, ["user", "item", "date"])
    assert rows.time is not None
    assert rows.time.tolist() == [86_400, 1_126_009_801, 1_126_009_800, -86_400]
    assert rows.time.dtype == np.int64


def test_windows_line_ends_are_no_part_of_the_last_column(tmp_path: Path) -> None:
    for text in ("1,2\r\n3,4\r\n", "1,2\r\n3,4", "1,2\n3,4\r"):
        rows = read_separated(written(tmp_path, text), ",", False, PAIR)
        assert pairs(rows) == [(1, 2), (3, 4)]
        rows = read_separated(written(tmp_path, text), ",", False, PAIR, text=True)
        assert pairs(rows) == [("1", "2"), ("3", "4")]


def test_a_byte_order_mark_is_no_part_of_the_first_identifier(tmp_path: Path) -> None:
    path = written(tmp_path, b"\xef\xbb\xbf1,2\n3,4\n")
    assert pairs(read_separated(path, ",", False, PAIR)) == [(1, 2), (3, 4)]
    assert pairs(read_separated(path, ",", False, PAIR, text=True)) == [("1", "2"), ("3", "4")]


@pytest.mark.parametrize("piece", [16, 1 << 20])
def test_a_byte_order_mark_amid_a_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr(text_lines, "PIECE", piece)
    path = written(tmp_path, "anne,1\nbert,2\n\ufeffcarl,3\n\ufeffdora,4\n")
    with pytest.raises(ReproError, match=r"line 3: user '\\ufeffcarl' has a blank at an end"):
        read_separated(path, ",", False, PAIR, text=True)
    kept = read_separated(path, ",", False, PAIR, text=True, dialect=Dialect(blanks="keep"))
    assert [user for user, _ in pairs(kept)] == ["anne", "bert", "\ufeffcarl", "\ufeffdora"]


def test_a_gz_file_is_unpacked_on_the_way(tmp_path: Path) -> None:
    path = written(tmp_path, lines(ROWS, ","), "rows.csv.gz")
    assert as_tuples(read_separated(path, ",", False, ALL)) == ROWS


def test_a_gz_file_of_several_members_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(b"1,2\n3,") + gzip.compress(b"4\n5,6\n"))
    assert pairs(read_separated(path, ",", False, PAIR)) == [(1, 2), (3, 4), (5, 6)]


def test_a_gz_file_cut_at_any_byte_is_an_error_that_says_so(tmp_path: Path) -> None:
    whole = gzip.compress(lines(ROWS, ",").encode())
    path = tmp_path / "rows.csv.gz"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ReproError) as caught:
            read_separated(path, ",", False, ALL)
        said = "is cut off or damaged" if length else "is empty"
        assert str(caught.value).startswith(f"{path} {said}"), length


@pytest.mark.parametrize(
    ("text", "separator", "line", "said"),
    [
        ("1,2,3.0,4\n1,two,3.0,4\n", ",", 2, "item 'two' is not a number"),
        ("1,2,3.0,4\n1,2,good,4\n", ",", 2, "rating 'good' is not a number"),
        ("1,2,3.0,4\n1,2,3.0,now\n", ",", 2, "time 'now' is not a number"),
        ("1,2,3.0,4\n\n1,2,3.0,4\n", ",", 2, "expected 4 columns, got 1: the line is blank"),
        ("1,2,3.0,4\n1,2,3.0,4\n\n", ",", 3, "expected 4 columns, got 1: the line is blank"),
        ("1,2,3.0,4\n1,2,3.0,4\n1,2\n", ",", 3, "expected 4 columns, got 2"),
        ("1,2,3.0,4\n1,2,3.0,\n", ",", 2, "time '' is not a number"),
        ("1::2::3::4\n1::2::3\n", "::", 2, "expected 4 columns, got 3"),
        ("1::2::3::4\n1::2:3::4\n", "::", 2, "expected 4 columns, got 3"),
        ("1\t2\t3\t4\n1 2 3 4\n", "\t", 2, "expected 4 columns, got 1"),
        ("1,2,3.0,4\n1,2,3.0,41,2,3.0,4\n", ",", 2, "expected 4 columns, got 7"),
        ("1,2,3.0,4\n1,2,nan,4\n", ",", 2, "rating 'nan' is not a number"),
        ("1,2,3.0,4\n1,2,-inf,4\n", ",", 2, "rating '-inf' is not a number"),
        ("1,2,3.0,4\n1,2,Infinity,4\n", ",", 2, "rating 'Infinity' is not a number"),
        ("1,2,3.0,4\n1,2,0x1p3,4\n", ",", 2, "rating '0x1p3' is not a number"),
        ("1,2,3.0,4\n1,2,3,0x10\n", ",", 2, "time '0x10' is not a number"),
        ("1,2,3.0,4\n0X10,2,3,4\n", ",", 2, "user '0X10' is not a number"),
        ("1,2,3.0,4\n1_0,2,3,4\n", ",", 2, "user '1_0' is not a number"),
        ("1,2,3.0,4\n1,\u0661,3,4\n", ",", 2, "item '\u0661' is not a number"),
        ("1,2,3.0,4\n1.0,2,3,4\n", ",", 2, "user '1.0' is not a number"),
        ("1,2,3.0,4\n1,2\x00,3,4\n", ",", 2, "item '2\\x00' is not a number"),
        ("1,2,3.0,4\n1,2,3.0,4\r5,6,3.0,4\n", ",", 2, "expected 4 columns, got 7"),
        ("1,2,3.0,4\n1,2\r,3.0,4\n", ",", 2, "item '2\\r' is not a number"),
        (f"1,2,3.0,4\n{2**63},2,3,4\n", ",", 2, f"user '{2**63}' has more digits than"),
        (f"1,2,3.0,4\n1,{-(2**63) - 1},3,4\n", ",", 2, f"item '{-(2**63) - 1}' has more digits"),
        (f"1,2,3.0,4\n1,{'9' * 5000},3,4\n", ",", 2, f"item '{'9' * 40}' has more digits than"),
        ("1,2,3.0,4\n1,2,1e999,4\n", ",", 2, "rating '1e999' "),
    ],
)
def test_a_malformed_line_is_named(
    tmp_path: Path, text: str, separator: str, line: int, said: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ReproError) as caught:
        read_separated(path, separator, False, ALL)
    assert f"{path}, line {line}: {said}" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ann,x,3.0,4\nbob,y,good,4\n", "rating 'good' is not a number"),
        ("ann,x,3.0,4\n,y,3.0,4\n", "user '' is not an identifier"),
        ("ann,x,3.0,4\nbob,y,3.0,0x10\n", "time '0x10' is not a number"),
        ("ann,x,3.0,4\nbob,y,nan,4\n", "rating 'nan' is not a number"),
        ("ann,x,3.0,4\nbob,y,3.0\n", "expected 4 columns, got 3"),
        ("ann,x,3.0,4\nb\rb,y,3.0,4\n", ""),
        ("ann,x,3.0,4\nbob,y,3.0,4\r\r\ncid,z,3.0,4\n", ""),
        ("ann,x,3.0,4\nbob,\r,3.0,4\n", ""),
    ],
)
def test_a_malformed_line_of_text_identifiers_is_named(
    tmp_path: Path, text: str, said: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ReproError) as caught:
        read_separated(path, ",", False, ALL, text=True)
    assert f"{path}, line 2: {said}" in str(caught.value)


@pytest.mark.parametrize(
    "day", ["2005-9-6", "6.9.2005", "2005-02-30", "2005-13-01", "2005-09-06 24:00:00", "", "1e9"]
)
def test_a_day_that_does_not_exist_is_named(tmp_path: Path, day: str) -> None:
    path = written(tmp_path, f"1,2,2005-09-06\n1,2,{day}\n1,2,2005-09-06\n")
    with pytest.raises(ReproError) as caught:
        read_separated(path, ",", False, ["user", "item", "date"])
    assert f"{path}, line 2: " in str(caught.value)
    assert repr(day) in str(caught.value)


def test_identifiers_that_are_no_numbers_are_not_guessed_to_be_text(tmp_path: Path) -> None:
    path = written(tmp_path, "1,2\nann,2\n")
    with pytest.raises(ReproError, match=r'line 2: user \'ann\'.*identifiers = "text"'):
        read_separated(path, ",", False, PAIR)


def test_numbers_at_the_ends_of_64_bits_are_read(tmp_path: Path) -> None:
    ends = [(2**63 - 1, -(2**63)), (0, 2**31), (-(2**31) - 1, 7)]
    path = written(tmp_path, "".join(f"{user},{item}\n" for user, item in ends))
    assert pairs(read_separated(path, ",", False, PAIR)) == ends


@pytest.mark.parametrize("value", ["5", "5.", ".5", "-1.25", "1e2", "2.5E-1", "0.1", "4.000"])
def test_a_rating_is_the_number_that_python_reads(tmp_path: Path, value: str) -> None:
    path = written(tmp_path, f"1,2,{value}\n")
    rows = read_separated(path, ",", False, ["user", "item", "rating"])
    assert rows.rating is not None
    assert rows.rating.tolist() == [float(value)]


def test_text_identifiers_stay_as_they_are(tmp_path: Path) -> None:
    users = [
        "NA",
        "null",
        "nan",
        "007",
        "7",
        "1e5",
        "0x10",
        "true",
        "a'",
        'a"b',
        "\\",
        "a b",
        "é",
    ]
    path = written(tmp_path, "".join(f"{user},x\n" for user in users))
    rows = read_separated(path, ",", False, PAIR, text=True)
    assert [user for user, _ in pairs(rows)] == users
    assert rows.user_ids.tolist() == sorted(users)


def test_text_identifiers_that_differ_by_a_nul_byte_are_not_the_same(tmp_path: Path) -> None:
    path = written(tmp_path, b"a\0,x\na,x\n")
    try:
        rows = read_separated(path, ",", False, PAIR, text=True)
    except ReproError as error:
        assert f"{path}, line 1: " in str(error)  # noqa: PT017 - refusing it is as good
    else:
        assert pairs(rows) == [("a\0", "x"), ("a", "x")]


def test_the_header_counts_as_a_line(tmp_path: Path) -> None:
    path = written(tmp_path, "user,item\n1,2\nx,2\n3,4\n")
    with pytest.raises(ReproError, match=r"line 3: user 'x' is not a number"):
        read_separated(path, ",", True, PAIR)


def test_an_unforeseen_header_is_no_row(tmp_path: Path) -> None:
    path = written(tmp_path, "user,item\n1,2\n3,4\n5,6\n")
    with pytest.raises(ReproError, match=r"line 1: user 'user' is not a number"):
        read_separated(path, ",", False, PAIR)


def test_a_row_is_no_header(tmp_path: Path) -> None:
    path = written(tmp_path, "1,2\n3,4\n")
    with pytest.raises(ReproError) as caught:
        read_separated(path, ",", True, PAIR)
    assert f"{path}, line 1: expected the columns' names, got a row: '1,2'" in str(caught.value)


def test_a_header_of_other_columns_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "user,item,rating\n3,4\n")
    with pytest.raises(ReproError) as caught:
        read_separated(path, ",", True, PAIR)
    assert f"{path}, line 1: expected 2 columns, got 3" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "header"), [("", False), ("", True), ("user,item\n", True), ("user,item", True)]
)
def test_an_empty_file_is_an_error(tmp_path: Path, text: str, header: bool) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ReproError, match=re.escape(str(path))):
        read_separated(path, ",", header, PAIR)


@pytest.mark.parametrize("text", [True, False])
def test_a_file_that_is_not_utf_8_is_an_error(tmp_path: Path, text: bool) -> None:
    path = written(tmp_path, b"1,2\n3,\xff\n")
    with pytest.raises(ReproError) as caught:
        read_separated(path, ",", False, PAIR, text)
    assert f"{path}, line 2: item b'\\xff' is not UTF-8 text" in str(caught.value)


def test_a_separator_of_two_characters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReproError, match="separator: ', '"):
        read_separated(written(tmp_path, "1, 2\n"), ", ", False, PAIR)


@pytest.mark.parametrize("line", ["1:::2", "a:b::c", ":a::c", "a::c:"])
def test_a_colon_beside_a_double_colon_is_read_as_it_stands_or_its_line_is_named(
    tmp_path: Path, line: str
) -> None:
    path = written(tmp_path, f"a::b\n{line}\n")
    try:
        rows = read_separated(path, "::", False, PAIR, text=True)
    except ReproError as error:
        assert f"{path}, line 2: " in str(error)  # noqa: PT017 - refusing it is as good
    else:
        assert pairs(rows)[1] == tuple(line.split("::"))


def test_users_may_be_numbers_beside_items_of_text(tmp_path: Path) -> None:
    rows = read_separated(written(tmp_path, "7,b\n30,a\n"), ",", False, PAIR, text=True)
    assert pairs(rows) == [("7", "b"), ("30", "a")]


def test_a_last_line_without_its_end_is_read(tmp_path: Path) -> None:
    rows = read_separated(written(tmp_path, "7,1\n3,2"), ",", False, PAIR)
    assert pairs(rows) == [(7, 1), (3, 2)]


def test_a_malformed_line_of_a_packed_file_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "1,2\n1,two\n1,3\n", "rows.csv.gz")
    with pytest.raises(ReproError, match=r"line 2: item 'two' is not a number"):
        read_separated(path, ",", False, PAIR)


def test_a_line_longer_than_a_piece_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_lines, "PIECE", 64)
    path = written(tmp_path, "1,2\n3,4\n" + "5" * 200 + ",6\n")
    with pytest.raises(ReproError) as caught:
        read_separated(path, ",", False, PAIR)
    assert f"{path}, line 3: longer than 64 bytes" in str(caught.value)


def test_a_skipped_text_of_megabytes_is_skipped(tmp_path: Path) -> None:
    long = "y" * (5 << 20)
    path = written(tmp_path, "1,y,2\n" * 1000 + f"3,{long},4\n" + "1,y,2\n" * 1000)
    rows = read_separated(path, ",", False, ["user", "-", "item"])
    assert len(rows) == 2001
    assert pairs(rows)[1000] == (3, 4)


@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize("name", ["rows.txt", "rows.txt.gz"])
def test_the_size_of_the_pieces_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: bool
) -> None:
    content = "u,i,r,t\r\n" + "".join(f"{n * 7 % 23},{n},{n % 9 / 2},{n}\r\n" for n in range(40))
    path = written(tmp_path, content[:-2], name)
    whole = read_separated(path, ",", True, ALL, text)
    for piece in range(15, len(content) + 2, 3):
        monkeypatch.setattr(text_lines, "PIECE", piece)
        rows = read_separated(path, ",", True, ALL, text)
        assert as_tuples(rows) == as_tuples(whole)
        assert rows.item_ids.tolist() == whole.item_ids.tolist()


def test_the_line_is_right_whatever_the_size_of_the_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = "user,item\n" + "10,20\n" * 9 + "10,x\n" + "10,20\n" * 9
    path = written(tmp_path, content)
    for piece in range(10, len(content) + 2):
        monkeypatch.setattr(text_lines, "PIECE", piece)
        with pytest.raises(ReproError, match=r"line 11: item 'x' is not a number"):
            read_separated(path, ",", True, PAIR)


# Netflix's blocks


def test_combined_files_are_read_one_after_the_other(tmp_path: Path) -> None:
    paths = [written(tmp_path, text, f"{n}.txt") for n, text in enumerate(COMBINED)]
    assert as_tuples(read_netflix(paths, MOVIE)) == RATINGS
    assert as_tuples(read_netflix(paths[:1], MOVIE)) == RATINGS[:3]


def test_blocks_may_be_cut_anywhere_between_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = [text.replace("\n", "\r\n") for text in COMBINED]
    for contents in (COMBINED, windows):
        paths = [written(tmp_path, text, f"{n}.txt") for n, text in enumerate(contents)]
        for piece in range(18, max(map(len, contents)) + 2):
            monkeypatch.setattr(text_lines, "PIECE", piece)
            assert as_tuples(read_netflix(paths, MOVIE)) == RATINGS


def test_a_combined_file_that_begins_amid_a_block_is_an_error(tmp_path: Path) -> None:
    paths = [written(tmp_path, text, f"{n}.txt") for n, text in enumerate(["1:\n" + DAY, DAY])]
    with pytest.raises(ReproError) as caught:
        read_netflix(paths, MOVIE)
    assert f"{paths[1]}, line 1: expected a movie's number, got '5,3,2005-09-06'" in str(
        caught.value
    )


def test_a_tar_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    files = {
        "training_set/mv_0000017.txt": "17:\n6,1,2005-12-31\n8,2,2004-01-01\n",
        "training_set/mv_0000001.txt": "1:\n" + COMBINED[0].partition("1:\n")[2],
        "training_set/README": "1:\n9,9,not a date\n",
        "training_set/mv_0000009.txt": "9:\n7,4,2003-03-03",
    }
    together = [
        written(tmp_path, files[f"training_set/mv_00000{n}.txt"] + end, f"{n}.txt")
        for n, end in (("01", ""), ("09", "\n"), ("17", ""))
    ]
    rows = read_netflix([tarred(tmp_path, files)], MOVIE)
    assert as_tuples(rows) == as_tuples(read_netflix(together, MOVIE))
    assert [item for _, item in pairs(rows)] == [1, 1, 1, 9, 17, 17]


NETFLIX_FAULTS = [
    ("x:\n", 1, "expected a movie's number and ':', got 'x:'"),
    ("-1:\n", 1, "expected a movie's number and ':', got '-1:'"),
    ("1:2\n", 1, "expected a movie's number and ':', got '1:2'"),
    ("0x2:\n", 1, "expected a movie's number and ':', got '0x2:'"),
    (f"{2**63}:\n", 1, ""),
    ("9" * 5000 + ":\n", 1, ""),
    ("\n", 1, "expected 3 columns, got 1"),
    ("5,3\n", 1, "expected 3 columns, got 2"),
    ("5,3,2005-09-06,1\n", 1, "expected 3 columns, got 4"),
    ("5,x,2005-09-06\n", 1, "rating 'x' is not a number"),
    ("5,3,2005-09-31\n", 1, "date '2005-09-31'"),
    ("5,3,06.09.2005\n", 1, "date '06.09.2005'"),
    ("2:\n5,3,2005-09-06\nann,3,2005-09-06\n", 3, "user 'ann' is not a number"),
    ("5,3,2005-09-06\r6,3,2005-09-06\n", 1, "expected 3 columns, got 5"),
    ("0x5,3,2005-09-06\n", 1, "user '0x5' is not a number"),
]


@pytest.mark.parametrize(("bad", "line", "said"), NETFLIX_FAULTS)
def test_a_malformed_line_of_a_combined_file_is_named(
    tmp_path: Path, bad: str, line: int, said: str
) -> None:
    fine = written(tmp_path, "1:\n" + DAY, "fine.txt")
    path = written(tmp_path, "1:\n" + DAY + bad + DAY, "bad.txt")
    with pytest.raises(ReproError) as caught:
        read_netflix([fine, path], MOVIE)
    assert f"{path}, line {line + 2}: {said}" in str(caught.value)


@pytest.mark.parametrize(("bad", "line", "said"), NETFLIX_FAULTS)
def test_a_malformed_line_in_a_tar_is_named(tmp_path: Path, bad: str, line: int, said: str) -> None:
    path = tarred(tmp_path, {"mv_1.txt": "1:\n" + DAY, "mv_2.txt": "2:\n" + DAY + bad + DAY})
    with pytest.raises(ReproError) as caught:
        read_netflix([path], MOVIE)
    assert f"{path}, mv_2.txt, line {line + 2}: {said}" in str(caught.value)


def test_a_file_in_a_tar_that_lacks_its_movie_does_not_get_the_previous_one(tmp_path: Path) -> None:
    path = tarred(tmp_path, {"mv_0000001.txt": "1:\n" + DAY, "mv_0000002.txt": DAY})
    with pytest.raises(ReproError) as caught:
        read_netflix([path], MOVIE)
    assert f"{path}, mv_0000002.txt, line 1: expected a movie's number" in str(caught.value)


@pytest.mark.parametrize("text", ["", "1:\n", "1:\n2:\n"])
def test_movies_without_ratings_are_an_error_that_names_the_file(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ReproError, match=re.escape(str(path))):
        read_netflix([path], MOVIE)


def test_a_tar_that_holds_no_movie_is_an_error(tmp_path: Path) -> None:
    path = tarred(tmp_path, {"README": "nothing"})
    with pytest.raises(ReproError, match=re.escape(str(path))):
        read_netflix([path], MOVIE)


def test_a_tar_that_is_cut_off_is_never_read_as_a_shorter_one(tmp_path: Path) -> None:
    path = tarred(tmp_path, {f"mv_{n}.txt": f"{n}:\n{DAY}" for n in (1, 2, 3)})
    whole = path.read_bytes()
    for length in [0, 1, 511, 512, 530, 1023, 1024, 1025, 1100, 1536, 1544, 2047, 2048, 2050, 2570]:
        path.write_bytes(whole[:length])
        with pytest.raises(ReproError, match=re.escape(str(path))):
            read_netflix([path], MOVIE)


@pytest.mark.parametrize("place", [0, 1024, 2048])
@pytest.mark.parametrize("within", [3, 124, 148, 156])
def test_a_tar_with_a_damaged_head_is_never_read_as_a_shorter_one(
    tmp_path: Path, place: int, within: int
) -> None:
    path = tarred(tmp_path, {f"mv_{n}.txt": f"{n}:\n{DAY}" for n in (1, 2, 3)})
    content = bytearray(path.read_bytes())
    content[place + within] ^= 0x41
    path.write_bytes(content)
    with pytest.raises(ReproError, match=re.escape(str(path))):
        read_netflix([path], MOVIE)


# JSON lines


@pytest.mark.parametrize("name", ["reviews.json", "reviews.json.gz"])
def test_json_lines_give_the_fields_that_are_named(tmp_path: Path, name: str) -> None:
    rows = read_json(written(tmp_path, reviews(REVIEWS), name), FIELDS, text=True)
    assert as_tuples(rows) == [tuple(entry.values()) for entry in REVIEWS]


def test_other_keys_may_hold_anything_of_any_size(tmp_path: Path) -> None:
    others: list[object] = ["long " * 500_000, {"deep": [{"deeper": []}]}, None, 7, True]
    entries = [{"else": other, **REVIEWS[0], "image": [other]} for other in others]
    rows = read_json(written(tmp_path, reviews(entries)), FIELDS, text=True)
    assert as_tuples(rows) == [tuple(REVIEWS[0].values())] * len(others)


def test_keys_may_stand_in_any_order_and_lines_end_as_on_windows(tmp_path: Path) -> None:
    text = reviews([dict(reversed(entry.items())) for entry in REVIEWS]).replace("\n", "\r\n")
    rows = read_json(written(tmp_path, text[:-2]), FIELDS, text=True)
    assert as_tuples(rows) == [tuple(entry.values()) for entry in REVIEWS]


def test_json_numbers_and_dates_are_read(tmp_path: Path) -> None:
    fields = {"user": "u", "item": "i", "date": "day"}
    text = '{"u": 12345678901, "i": -5, "day": "2018-01-01 00:00:10"}\n'
    text += '{"u": 1, "i": 2, "day": "1970-01-02"}\n'
    rows = read_json(written(tmp_path, text), fields)
    assert pairs(rows) == [(12345678901, -5), (1, 2)]
    assert rows.rating is None
    assert rows.time is not None
    assert rows.time.tolist() == [1514764810, 86400]


GOOD = '{"u": "a", "i": "b", "r": 5, "t": 7}\n'


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("", "not JSON"),
        ("   ", "not JSON"),
        ("{", "not JSON"),
        ('{"u": "a", "i": "b", "r": 5, "t": 7},', "not JSON"),
        ('{"u": "a", "i": "b", "r": 5, "t": 7} {}', "not JSON"),
        ("{'u': 'a', 'i': 'b', 'r': 5, 't': 7}", "not JSON"),
        ('{"u": "a", "i": "b", "r": nan, "t": 7}', "not JSON"),
        ('{"u": "a", "i": "b", "r": 5, "t": 0x7}', "not JSON"),
        ("[]", "expected an object"),
        ("null", "expected an object"),
        ('"a"', "expected an object"),
        ("{}", "the key 'u', which is the user, is missing"),
        ('{"u": "a", "i": "b", "r": 5}', "the key 't', which is the time, is missing"),
        ('{"u": null, "i": "b", "r": 5, "t": 7}', "the key 'u', which is the user, is missing"),
        ('{"u": 3, "i": "b", "r": 5, "t": 7}', "user 3 is not text"),
        ('{"u": ["a"], "i": "b", "r": 5, "t": 7}', "user ['a'] is not text"),
        ('{"u": "a", "i": "", "r": 5, "t": 7}', "item '' is not an identifier"),
        ('{"u": "a", "i": "b", "r": "5", "t": 7}', "rating '5' is text"),
        ('{"u": "a", "i": "b", "r": true, "t": 7}', "rating 'True' is not a number"),
        ('{"u": "a", "i": "b", "r": NaN, "t": 7}', "rating 'nan' is not a number"),
        ('{"u": "a", "i": "b", "r": 1e999, "t": 7}', "rating 'inf' is not a number"),
        ('{"u": "a", "i": "b", "r": 5, "t": 1e300}', "time '1e+300' is not a number"),
        ('{"u": "a", "i": "b", "r": 5, "t": "7"}', "time '7' is text"),
        (f'{{"u": "a", "i": "b", "r": 5, "t": {2**63}}}', f"time '{2**63}' has more digits"),
        (f'{{"u": "a", "i": "b", "r": 5, "t": {"9" * 5000}}}', ""),
        ('{"u": "a", "u": "c", "i": "b", "r": 5, "t": 7}', ""),
        ('{"u": "\\ud800", "i": "b", "r": 5, "t": 7}', ""),
        ("[" * 100_000, ""),
    ],
)
def test_a_malformed_line_of_json_is_named(tmp_path: Path, bad: str, said: str) -> None:
    fields = {"user": "u", "item": "i", "rating": "r", "time": "t"}
    path = written(tmp_path, f"{GOOD}{GOOD}{bad}\n{GOOD}")
    with pytest.raises(ReproError) as caught:
        read_json(path, fields, text=True)
    assert f"{path}, line 3: {said}" in str(caught.value)


@pytest.mark.parametrize("bad", ["2018-02-30", "yesterday", "2018-01-01 10:00:00.1x", "1514764810"])
def test_a_date_in_json_that_is_none_is_named(tmp_path: Path, bad: str) -> None:
    fields = {"user": "u", "item": "i", "date": "d"}
    text = '{"u": 1, "i": 2, "d": "2018-01-01"}\n' + f'{{"u": 1, "i": 2, "d": "{bad}"}}\n'
    path = written(tmp_path, text)
    with pytest.raises(ReproError) as caught:
        read_json(path, fields)
    assert f"{path}, line 2: " in str(caught.value)


def test_a_number_where_json_has_text_is_named_with_what_the_manifest_may_say(
    tmp_path: Path,
) -> None:
    path = written(tmp_path, '{"u": 1, "i": 2}\n{"u": "1", "i": 2}\n')
    with pytest.raises(ReproError, match=r"line 2: user '1' is text"):
        read_json(path, {"user": "u", "item": "i"})


def test_an_identifier_in_json_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, b'{"u": "a", "i": "b"}\n{"u": "\xff", "i": "b"}\n')
    with pytest.raises(ReproError) as caught:
        read_json(path, {"user": "u", "item": "i"}, text=True)
    assert f"{path}, line 2: " in str(caught.value)


def test_json_identifiers_that_differ_by_a_nul_character_are_not_the_same(tmp_path: Path) -> None:
    path = written(tmp_path, '{"u": "a\\u0000", "i": "b"}\n{"u": "a", "i": "b"}\n')
    try:
        rows = read_json(path, {"user": "u", "item": "i"}, text=True)
    except ReproError as error:
        assert f"{path}, line 1: " in str(error)  # noqa: PT017 - refusing it is as good
    else:
        assert pairs(rows) == [("a\0", "b"), ("a", "b")]


def test_json_text_means_what_its_escapes_say(tmp_path: Path) -> None:
    path = written(tmp_path, '{"u": "\\u00e9", "i": "\\ud83d\\ude00"}\n{"u": "é", "i": "😀"}\n')
    rows = read_json(path, {"user": "u", "item": "i"}, text=True)
    assert pairs(rows) == [("é", "😀")] * 2
    assert rows.user_ids.tolist() == ["é"]


def test_an_empty_file_of_json_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReproError, match="is empty"):
        read_json(written(tmp_path, ""), FIELDS, text=True)


def test_packed_json_cut_at_any_byte_is_an_error_that_says_so(tmp_path: Path) -> None:
    whole = gzip.compress(reviews(REVIEWS).encode())
    path = tmp_path / "reviews.json.gz"
    for length in range(1, len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ReproError) as caught:
            read_json(path, FIELDS, text=True)
        assert str(caught.value).startswith(f"{path} is cut off or damaged"), length


def test_json_may_be_cut_anywhere_between_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = reviews(REVIEWS * 3)
    path = written(tmp_path, content)
    longest = max(map(len, content.splitlines())) + 1
    for piece in range(longest, len(content) + 2, 5):
        monkeypatch.setattr(text_lines, "PIECE", piece)
        rows = read_json(path, FIELDS, text=True)
        assert as_tuples(rows) == [tuple(entry.values()) for entry in REVIEWS * 3]


# Lists of negatives


def test_lists_of_negatives_give_a_row_each_without_the_held_out_item(tmp_path: Path) -> None:
    text = "(0,25)\t1064\t174\n(1,133)\n(2,207)\t174\n"
    for content in (text, text.replace("\n", "\r\n"), text.replace("\n", "\t\n"), text[:-1]):
        rows = read_negatives(written(tmp_path, content))
        assert pairs(rows) == [(0, 1064), (0, 174), (2, 174)]


def test_a_list_of_negatives_that_is_repeated_counts_once(tmp_path: Path) -> None:
    path = written(tmp_path, "(0,25)\t7\t8\n(1,3)\t7\t7\n(0,25)\t7\t8\n")
    assert pairs(read_negatives(path)) == [(0, 7), (0, 8), (1, 7), (1, 7)]


@pytest.mark.parametrize(
    "bad",
    [
        "0\t1\t2",
        "(0,25)\t1\tx",
        "(0)\t1",
        "(a,25)\t1",
        "(0,25) 1",
        "(0,25)\t1_0",
        "(0,25)\t\u0661",
        "(\u0661,25)\t1",
        "(0,25)\t-1",
        "(0,25)\t1\t\t2",
        "(0,25)\t1\r(1,3)\t2",
        "(0,25)\t1\x00",
        f"(0,25)\t{2**63}",
        f"({2**63},25)\t1",
        f"(0,25)\t{'9' * 5000}",
        f"({'9' * 5000},25)\t1",
        "",
    ],
)
def test_a_malformed_list_of_negatives_is_named(tmp_path: Path, bad: str) -> None:
    path = written(tmp_path, f"(0,25)\t1\t2\n{bad}\n(0,25)\t1\t2\n")
    with pytest.raises(ReproError) as caught:
        read_negatives(path)
    assert f"{path}, line 2: expected (user,item) and item numbers" in str(caught.value)


def test_an_empty_file_of_negatives_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReproError, match="is empty"):
        read_negatives(written(tmp_path, ""))


# Rows


def test_rows_of_identifiers_are_places_in_them() -> None:
    rows = Rows.of(np.array([30, 10, 30]), np.array(["b", "é", "b"]))
    assert rows.user.tolist() == [1, 0, 1]
    assert rows.user_ids.tolist() == [10, 30]
    assert rows.item.tolist() == [0, 1, 0]
    assert rows.item_ids.tolist() == ["b", "é"]
    assert rows.order == ""
    assert len(rows) == 3


def test_taking_rows_takes_every_column_and_keeps_all_identifiers() -> None:
    three = np.arange(3)
    rows = Rows.of(
        three, three + 10, rating=np.array([0.5, 1.5, 2.5]), time=three + 100, part=three
    )
    kept = rows.take(np.array([2, 0]))
    assert as_tuples(kept) == [(2, 12, 2.5, 102), (0, 10, 0.5, 100)]
    assert kept.part is not None
    assert kept.part.tolist() == [2, 0]
    assert kept.user_ids.tolist() == [0, 1, 2]
    assert as_tuples(rows.take(np.array([False, True, False]))) == [(1, 11, 1.5, 101)]


def test_two_movies_of_one_name_are_not_both_counted(tmp_path: Path) -> None:
    path = tmp_path / "training_set.tar"
    movie = ("training_set/mv_0000001.txt", b"1:\n1488844,3,2005-09-06\n")
    path.write_bytes(packed("tar", [movie, movie]))
    with pytest.raises(ReproError, match=r"several files called training_set/mv_0000001\.txt"):
        read_netflix([path], MOVIE)
