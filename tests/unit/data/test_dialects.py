"""Text as people have it: what a manifest may state of it, and what is told where it does not."""

from __future__ import annotations

import gzip
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders import Write
from builders.manifests import BY_HAND, box
from builders.tables_of_text import pairs, written
from repro.data import archive, manifest, views
from repro.data.dialect import Dialect
from repro.data.schema import Read
from repro.data.separated import read_separated
from repro.data.tell import Silent
from repro.errors import ReproError

PAIR = ["user", "item"]
TIMED = ["user", "item", "time"]
DATED = ["user", "item", "date"]


def read(path: Path, columns: list[str] = PAIR, separator: str = ",", **given: Any) -> Any:
    text, header = given.pop("text", False), given.pop("header", False)
    unit = given.pop("unit", "")
    return read_separated(path, separator, header, columns, text, Dialect(**given), unit)


@pytest.mark.parametrize(
    ("content", "given", "expected"),
    [
        ('"a;b";"x""y"\r\nc;z\r\n', {"separator": ";", "quote": '"'}, [("a;b", 'x"y'), ("c", "z")]),
        ("'a',b\n", {"quote": "'"}, [("a", "b")]),
        ('"a,b\n', {"quote": "none"}, [('"a', "b")]),
        ("# mine\na,b\n #c,d\n", {"comment": "#"}, [("a", "b")]),
        ("a,b\n\n \t\r\nc,d\n\n", {"blank_lines": "skip"}, [("a", "b"), ("c", "d")]),
        (" a , b\u00a0\n", {"blanks": "strip"}, [("a", "b")]),
        (" a,b \n", {"blanks": "keep"}, [(" a", "b ")]),
        ("a \t b\n  c\td  \n", {"separator": "whitespace"}, [("a", "b"), ("c", "d")]),
        ("a§b\n", {"separator": "§"}, [("a", "b")]),
        ("é,ü\n".encode("latin-1"), {"encoding": "latin-1"}, [("é", "ü")]),
        ("é,ü\nß,b\n".encode("utf-16"), {"encoding": "utf-16"}, [("é", "ü"), ("ß", "b")]),
        ("a,b\rc,d\r", {}, [("a", "b"), ("c", "d")]),
        (gzip.compress(b"a,b\n", mtime=0), {}, [("a", "b")]),
    ],
)
def test_what_a_manifest_states_is_read(
    tmp_path: Path, content: str | bytes, given: dict[str, Any], expected: list[Any]
) -> None:
    assert pairs(read(written(tmp_path, content), text=True, **given)) == expected


def test_decimal_commas_are_read_where_they_are_stated(tmp_path: Path) -> None:
    path = written(tmp_path, "1;2;4,5\n1;3;4\n")
    columns = ["user", "item", "rating"]
    assert read(path, columns, ";", decimal=",").rating.tolist() == [4.5, 4.0]
    with pytest.raises(ReproError, match=r"line 1: rating '4,5' is not a number; decimal = \",\""):
        read(path, columns, ";")
    written(tmp_path, "1;2;4.5\n")
    with pytest.raises(ReproError, match="line 1: rating"):
        read(path, columns, ";", decimal=",")


@pytest.mark.parametrize(
    ("content", "given", "said"),
    [
        ('a,b\n"c",d\n', {}, "line 2: user '\"c\"' is in quotes; quote ="),
        ("a,b\n c,d\n", {}, "line 2: user ' c' has a blank at an end"),
        ("a,b\nc\u200b,d\n", {}, "line 2: user 'c"),
        ('a,b\n"c,d\n', {"quote": '"'}, "line 2: a quote does not close"),
        ('a,b\n"c"x,d\n', {"quote": '"'}, "line 2: something follows a closing quote"),
        ("# x\n\na,b\nc\n", {"comment": "#", "blank_lines": "skip"}, "line 4: expected 2 columns"),
        ("a,b\n\nc,d\n", {}, "line 2: expected 2 columns, got 1: the line is blank; blank_lines ="),
        ("a;b\n", {}, "separator = ';' gives 2"),
        ("a b\n", {}, "separator = ' ' gives 2"),
        ("a,b,\n", {}, 'the last is empty: add "-" to the columns'),
        ("# x\na,b\n", {}, 'comment = "#" leaves such lines out'),
        ("a,b\né,c\n".encode("latin-1"), {}, "line 2: user b'\\xe9' is not UTF-8 text; if the"),
        ("a,b\né,c\n".encode("latin-1"), {"encoding": "ascii"}, "line 2: b'\\xe9' is not text in"),
        (
            "a,b\n".encode("utf-16"),
            {},
            'UTF-16, expected UTF-8\n  add encoding = "utf-16"',
        ),
        ("a,b\n".encode("utf-16-le") * 9, {}, 'add encoding = "utf-16-le"'),
        (b"PK\x03\x04rest", {}, "is a zip (as .xlsx files are, too), not text"),
        (b"  <!DOCTYPE html><html>", {}, "is a web page (HTML), not data"),
        (b"PAR1....", {}, "is a Parquet file, not text"),
        (gzip.compress(gzip.compress(b"a,b\n", mtime=0), mtime=0), {}, "is packed twice by gzip"),
        (gzip.compress(b"<html></html>", mtime=0), {}, "is a web page (HTML), not data"),
    ],
)
def test_what_is_not_stated_is_named_with_what_to_set(
    tmp_path: Path, content: str | bytes, given: dict[str, Any], said: str
) -> None:
    path = written(tmp_path, content)
    with pytest.raises(ReproError) as caught:
        read(path, text=True, **given)
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('separator = ", "', "separator: ', ' is not one character, once or repeated"),
        ('quote = "ab"', "quote: 'ab' is neither one character"),
        ('quote = ","', "quote: ',' cannot be a quote here"),
        ('decimal = ","', "decimal: is the separator, too"),
        ('encoding = "latin-99"', "encoding: Python knows no encoding 'latin-99' of text"),
        ('encoding = "base64"', "encoding: Python knows no encoding 'base64' of text"),
        ('format = "negatives"\nquote = "\'"', "quote: only of separated text"),
    ],
)
def test_a_dialect_that_cannot_be_is_a_fault_of_the_manifest(
    write: Write, line: str, fault: str
) -> None:
    text = box("", BY_HAND).replace('rows = { member = "rows.csv" }', "[read.rows]")
    write(
        "data_manifests/box.toml",
        text.replace("[read]\n", "").replace(
            "[read.rows]", f'[read.rows]\nmember = "rows.csv"\n{line}'
        ),
    )
    with pytest.raises(ReproError) as caught:
        manifest.load("box")
    assert f"read.rows: {fault}" in caught.value.hint


# The first line


@pytest.mark.parametrize(
    ("content", "header", "columns", "said"),
    [
        ("u1,i1\nu1,i2\nu2,i1\n", True, PAIR, "line 1: expected the columns' names, got a row"),
        ("u9,i9\nu1,i2\nu2,i1\n", True, PAIR, "line 1: expected the columns' names, got a row"),
        ("u1,i1,5\nu2,i2,3\n", True, [*PAIR, "rating"], "expected the columns' names, got a row"),
        ("userId,movieId\nu1,i2\nu2,i1\n", False, PAIR, "are the names of columns, not a row"),
        ("u,i,r\nu1,i2,3\n", False, [*PAIR, "rating"], "names the columns: header = true"),
        ("item,user\nu1,i2\nu2,i1\n", True, PAIR, "column 1 is called 'item', and the manifest"),
        ("user,item,timestamp\nu,i,3\n", True, [*PAIR, "rating"], "column 3 is called 'timestamp'"),
    ],
)
def test_a_header_and_a_first_row_are_told_apart(
    tmp_path: Path, content: str, header: bool, columns: list[str], said: str
) -> None:
    with pytest.raises(ReproError) as caught:
        read(written(tmp_path, content), columns, text=True, header=header)
    assert said in str(caught.value)
    assert ", line 1" in str(caught.value)


def test_a_first_row_that_looks_like_no_other_is_told(tmp_path: Path) -> None:
    rows = read(written(tmp_path, "klant,boek\nu1,i1\nu2,i1\nu2,i3\n"), text=True)
    assert "'klant' and 'boek' stand nowhere else" in rows.doubts[0]
    rows = read(written(tmp_path, "u1,i1\nu2,i2\nu3,i3\n"), text=True)
    assert rows.doubts == ()
    rows = read(written(tmp_path, "anna,x\nbert,y\nanna,z\n"), text=True)
    assert rows.doubts == ()


def test_a_header_in_any_language_is_a_header(tmp_path: Path) -> None:
    rows = read(written(tmp_path, "klant,boek\nu1,i1\nu2,i1\n"), text=True, header=True)
    assert pairs(rows) == [("u1", "i1"), ("u2", "i1")]


# Times


def seconds(rows: Any) -> list[float]:
    return [time / rows.ticks for time in rows.time.tolist()]


@pytest.mark.parametrize(
    ("values", "unit", "expected", "told"),
    [
        (["1500000000", "1500000001"], "", [1.5e9, 1.5e9 + 1], ""),
        (["1500000000.0", "1500000001.00"], "", [1.5e9, 1.5e9 + 1], ""),
        (["1500000000.25", "1500000001"], "", [1.5e9 + 0.25, 1.5e9 + 1], ""),
        (["-0.5", "2"], "", [-0.5, 2], ""),
        (["1500000000250", "0"], "", [1.5e9 + 0.25, 0], "milliseconds"),
        (["1500000000250.5"], "", [1_500_000_000.2505], "milliseconds"),
        (["1500000000250000"], "", [1.5e9 + 0.25], "microseconds"),
        (["1500000000250000000"], "", [1.5e9 + 0.25], "nanoseconds"),
        (["1500000000250"], "ms", [1.5e9 + 0.25], ""),
        (["5000"], "ms", [5.0], ""),
    ],
)
def test_times_of_any_unit_are_read_and_an_unstated_one_is_told(
    tmp_path: Path, values: list[str], unit: str, expected: list[float], told: str
) -> None:
    path = written(tmp_path, "".join(f"1,2,{value}\n" for value in values))
    rows = read(path, TIMED, unit=unit)
    assert seconds(rows) == pytest.approx(expected, abs=1e-6)
    assert [told in doubt for doubt in rows.doubts] == [True] * bool(told)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2010-10-19T23:55:27Z", 1287532527),
        ("2010-10-19T23:55:27.250Z", 1287532527.25),
        ("2010-10-20 01:55:27+02:00", 1287532527),
        ("2010-10-20T01:55:27.5+0200", 1287532527.5),
        ("2010-10-19 23:55:27.250", 1287532527.25),
        ("2010-10-19", 1287446400),
    ],
)
def test_dates_with_fractions_and_zones_are_seconds_in_utc(
    tmp_path: Path, value: str, expected: float
) -> None:
    rows = read(written(tmp_path, f"1,2,{value}\n" * 2), DATED)
    assert seconds(rows) == [expected] * 2
    assert rows.dated


@pytest.mark.parametrize(
    ("columns", "values", "said"),
    [
        (TIMED, ["1500000000", "1500000000000"], "row 2: the time 1500000000000 and that of row 1"),
        (TIMED, ["2001-09-09"], "line 1: time '2001-09-09' is not a number; the column of such"),
        (DATED, ["1500000000"], "line 1: date '1500000000' is not a date"),
        (TIMED, ["1.5e9"], "line 1: time '1.5e9' is not a number"),
        (DATED, ["2010-10-19T23:55:27Z", "2010-10-19T23:55:27"], "line 2: the date '2010-10-19T23"),
        (DATED, ["2010-10-19T23:55:27", "2010-10-19T23:55:27Z"], "line 2: the date '2010-10-19T23"),
    ],
)
def test_times_of_two_kinds_are_refused(
    tmp_path: Path, columns: list[str], values: list[str], said: str
) -> None:
    path = written(tmp_path, "".join(f"1,2,{value}\n" for value in values))
    with pytest.raises(ReproError) as caught:
        read(path, columns)
    assert f"{path}, {said}" in str(caught.value)


# Views


def own(write: Write, folder: Path, files: dict[str, str], read: str) -> str:
    text = '[archive]\ntitle = "Box"\nlicense = "none"\nsource = "a test"\nmanual = "mine"\n'
    for name, content in files.items():
        (folder / name).write_text(content)
        text += f'[members."{name}"]\n'
    write("data_manifests/box.toml", text + read)
    archive.fetch(manifest.load("box"), folder)
    return "box/all"


SINCE = """
[read]
rows = { member = "rows.csv", columns = ["user", "item", "time"]UNIT }
[views.all]
source = "a test"
steps = [{ since = "2018-01-01" }]
"""


@pytest.mark.parametrize(
    ("time", "unit", "kept"),
    [
        ("1520000000000", "", True),
        ("1520000000", "", True),
        ("1000000000000", "", False),
        ("1520000000000", "s", None),
        ("1520000000", "ms", None),
        ("1520000000000", "us", None),
        ("17", "", None),
    ],
)
def test_a_step_on_a_day_takes_the_right_unit_or_refuses(
    write: Write, tmp_path: Path, time: str, unit: str, kept: bool | None
) -> None:
    text = SINCE.replace("UNIT", f', time_unit = "{unit}"' if unit else "")
    dataset = own(write, tmp_path, {"rows.csv": f"1,2,{time}\n"}, text)
    if kept:
        assert len(views.load(dataset, Silent()).interactions) == 1
        return
    said = (
        "step since = 2018-01-01 leaves no" if kept is False else f"a step asks for a day.*{time}"
    )
    with pytest.raises(ReproError, match=said):
        views.load(dataset, Silent())


PARTS = """
[read]
train = { member = "train.csv", identifiers = "text" }
test = { member = "test.csv", identifiers = "text" }
[views.all]
source = "a test"
read = { train = "train", test = "test" }
"""


@pytest.mark.parametrize(
    ("train", "test"),
    [("u,007\nu,012\n", "u,7\nu,12\n"), ("1,x\n2,x\n", "1.0,x\n"), ("Anna,x\n", "ANNA,x\n")],
)
def test_parts_whose_identifiers_have_another_form_are_refused(
    write: Write, tmp_path: Path, train: str, test: str
) -> None:
    dataset = own(write, tmp_path, {"train.csv": train, "test.csv": test}, PARTS)
    with pytest.raises(ReproError, match=r"box/all: no (user|item) of test occurs in train as it"):
        views.load(dataset)


@pytest.mark.parametrize(
    ("train", "test", "pair"),
    [
        ("u,007\nu,7\nu,8\n", "u,8\n", "'007' (train) and '7' (train)"),
        ("u,007\nu,8\n", "u,7\nu,8\n", "'007' (train) and '7' (test)"),
        ("u,1.0\nu,8\n", "u,1\nu,8\n", "'1' (test) and '1.0' (train)"),
        ("u,A\nu,8\n", "u,a\nu,8\n", "'A' (train) and 'a' (test)"),
    ],
)
def test_an_identifier_in_two_forms_is_told(
    write: Write, tmp_path: Path, train: str, test: str, pair: str
) -> None:
    dataset = own(write, tmp_path, {"train.csv": train, "test.csv": test}, PARTS)
    with pytest.warns(UserWarning, match="1 item stands in two forms") as caught:
        views.load(dataset)
    assert pair in str(caught[0].message)
    known = views.prepared(dataset)
    assert known is not None
    assert len(known.doubts) == 1


def test_distinct_identifiers_are_not_told(write: Write, tmp_path: Path) -> None:
    files = {"train.csv": "u,a7\nu,a07\nu,x.0\nv,0\n", "test.csv": "u,a7\nu,10\nv,1.05\n"}
    built = views.load(own(write, tmp_path, files, PARTS))
    assert built.interactions.n_items == 6


def test_parts_with_times_of_several_units_have_one_order(write: Write, tmp_path: Path) -> None:
    text = PARTS.replace('identifiers = "text"', 'columns = ["user", "item", "time"]')
    text += 'steps = [{ order = "time" }]\n'
    files = {"train.csv": "1,1,1500000000\n", "test.csv": "1,2,1499999999500\n"}
    rows = views.load(own(write, tmp_path, files, text), Silent()).interactions
    assert np.array_equal(rows.item, [1, 0])


def test_the_example_in_the_documentation_is_an_entry_of_a_manifest() -> None:
    page = (Path(__file__).parents[3] / "data_manifests" / "README.md").read_text(encoding="utf-8")
    example = tomllib.loads(page.partition("```toml\n")[2].partition("```")[0])
    known = Read.model_validate(example["read"]["rows"])
    assert known.faults(known.separator) == []
    assert known.quotes
