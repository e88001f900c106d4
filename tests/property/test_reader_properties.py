"""Readers against naive ones: what is written is read, and what is damaged is told or read alike.

The naive readers go line by line in plain Python, and are strict: they know the formats from their
description, not from the code.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import archives
from builders.archives import tar_of
from repro.data import lines as text_lines
from repro.data.formats import read_json, read_negatives, read_netflix
from repro.data.rows import Rows
from repro.data.separated import read_separated
from repro.data.steps import STEPS
from repro.errors import ReproError

quick = settings(deadline=None, max_examples=50)

Row = tuple[Any, ...]
"""User, item, and rating and time where the file has them, else None."""

ALL = ["user", "item", "rating", "time"]
DATED = ["user", "item", "rating", "date"]
MOVIE = ["user", "rating", "date"]
FIELDS = {"user": "reviewerID", "item": "asin", "rating": "overall", "time": "unixReviewTime"}
INT64 = range(-(2**63), 2**63)


def decoded(rows: Rows) -> list[Row]:
    """Return the rows with their original identifiers."""
    none = [None] * len(rows)
    return list(
        zip(
            rows.user_ids[rows.user].tolist(),
            rows.item_ids[rows.item].tolist(),
            none if rows.rating is None else rows.rating.tolist(),
            none if rows.time is None else [Fraction(at, rows.ticks) for at in rows.time.tolist()],
            strict=True,
        )
    )


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


# The naive readers. Each raises ValueError for what is not in its format.


def naive_lines(content: bytes) -> list[bytes]:
    if not content:
        raise ValueError("empty")
    return [line.removesuffix(b"\r") for line in content.removesuffix(b"\n").split(b"\n")]


def naive_integer(value: str) -> int:
    if not re.fullmatch(r"[ \t]*-?[0-9]+[ \t]*", value) or int(value) not in INT64:
        raise ValueError(value)
    return int(value)


def naive_rating(value: str) -> float:
    plain = re.fullmatch(r"[ \t]*[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?[ \t]*", value)
    if not plain or float(value) in (float("inf"), float("-inf")):
        raise ValueError(value)
    return float(value)


def naive_date(value: str) -> int:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}(:[0-9]{2}){0,2})?", value):
        raise ValueError(value)
    return seconds(value)


def naive_time(value: str) -> Fraction:
    """Read whole seconds, or decimals of which nine count."""
    whole, _, decimals = value.strip(" ").partition(".")
    if not re.fullmatch("[0-9]*", decimals):
        raise ValueError(value)
    below = Fraction(int((decimals + "0" * 9)[:9]), 10**9)
    return naive_integer(whole) + (-below if whole.startswith("-") else below)


def naive_text(value: str) -> str:
    if not value or "\r" in value or value != value.strip() or value[0] in '"\ufeff':
        raise ValueError(value)
    if value[-1] == '"' or value[0] == value[-1] == "'":
        raise ValueError(value)
    return value


def naive_row(line: bytes, separator: str, columns: list[str], text: bool) -> Row:
    parts = line.split(separator.encode())
    if len(parts) != len(columns):
        raise ValueError(line)
    read: dict[str, Callable[[str], Any]] = {
        "user": naive_text if text else naive_integer,
        "item": naive_text if text else naive_integer,
        "rating": naive_rating,
        "time": naive_time,
        "date": naive_date,
    }
    found = {
        name: read[name](part.decode())
        for name, part in zip(columns, parts, strict=True)
        if name != "-"
    }
    time = found.get("time", found.get("date"))
    return found["user"], found.get("item"), found.get("rating"), time


def naive_separated(
    content: bytes, separator: str, header: bool, columns: list[str], text: bool
) -> list[Row]:
    lines = naive_lines(content.removeprefix(b"\xef\xbb\xbf"))
    if header and len(lines[0].split(separator.encode())) != len(columns):
        raise ValueError(lines[0])
    rows = [naive_row(line, separator, columns, text) for line in lines[header:]]
    if not rows:
        raise ValueError("no rows")
    return rows


def naive_netflix(contents: list[bytes]) -> list[Row]:
    rows = []
    for content in contents:
        movie = None
        for line in naive_lines(content):
            if re.fullmatch(rb"[0-9]+:", line):
                movie = naive_integer(line[:-1].decode())
                continue
            user, _, rating, time = naive_row(line, ",", MOVIE, False)
            if movie is None:
                raise ValueError("no movie")
            rows.append((user, movie, rating, time))
    if not rows:
        raise ValueError("no rows")
    return rows


def naive_json(content: bytes) -> list[Row]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs if key in FIELDS.values()]
        if len(set(keys)) != len(keys):
            raise ValueError("a key stands twice")
        return dict(pairs)

    rows = []
    for line in naive_lines(content.removeprefix(b"\xef\xbb\xbf")):
        entry = json.loads(line.decode("utf-8", "replace"), object_pairs_hook=once)
        if not isinstance(entry, dict):
            raise ValueError(line)
        values: Any = [entry.get(FIELDS[name]) for name in ALL]
        user, item, rating, time = values
        if [type(user), type(item), type(time)] != [str, str, int] or time not in INT64:
            raise ValueError(line)
        if type(rating) not in (int, float):
            raise ValueError(line)
        for value in (user, item):
            value.encode()  # no half of a pair of surrogates
            if "\ufffd" in value or "\n" in value or not value:
                raise ValueError(line)
        rows.append((user, item, naive_rating(str(rating)), time))
    return rows


def naive_negatives(content: bytes) -> list[Row]:
    rows = []
    for line in naive_lines(content):
        found = re.fullmatch(r"\(([0-9]+),[0-9]+\)((\t[0-9]+)*)[\t ]*", line.decode())
        if not found:
            raise ValueError(line)
        user = naive_integer(found[1])
        rows += [(user, naive_integer(item), None, None) for item in found[2].split("\t")[1:]]
    return rows


# What is written is read.

numbers = st.integers(-(2**63), 2**63 - 1)
texts = st.text(
    st.characters(codec="utf-8", exclude_characters=",:\t\r\n\0\"'", exclude_categories=["Z", "C"]),
    min_size=1,
    max_size=6,
)
ratings = st.integers(1, 10).map(lambda half: half / 2)
days = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)).map(
    lambda day: day.isoformat(" ", "seconds")
)
plain_times = st.integers(0, 2**40)
separators = st.sampled_from([",", "::", "\t", "|"])
endings = st.sampled_from(["\n", "\r\n"])
columns = st.permutations([*ALL, "-"])


def lists(*of: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Row]]:
    return st.lists(st.tuples(*of), min_size=1, max_size=20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


def stored(path: Path, content: bytes) -> Path:
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@quick
@given(
    separators,
    endings,
    columns,
    st.booleans(),
    st.booleans(),
    st.sampled_from(["rows.txt", "rows.txt.gz"]),
    st.one_of(
        lists(numbers, numbers, ratings, plain_times),
        lists(texts.filter(lambda text: "|" not in text), texts, ratings, plain_times),
    ),
)
def test_separated_rows_that_are_written_are_read(
    folder: Path,
    separator: str,
    ending: str,
    columns: list[str],
    header: bool,
    last_end: bool,
    name: str,
    rows: list[Row],
) -> None:
    rows = [(user, str(item).replace("|", "/"), *more) for user, item, *more in rows]
    text = isinstance(rows[0][0], str)
    rows = rows if text else [(user, int(item), *more) for user, item, *more in rows]
    lines = [columns] if header else []
    for row in rows:
        by_name = {**dict(zip(ALL, row, strict=True)), "-": "x"}
        lines.append([str(by_name[column]) for column in columns])
    content = ending.join(separator.join(line) for line in lines) + (ending if last_end else "")
    path = stored(folder / name, content.encode())
    assert decoded(read_separated(path, separator, header, columns, text, unit="s")) == rows


@quick
@given(lists(numbers, numbers, days))
def test_dates_that_are_written_are_read(folder: Path, rows: list[Row]) -> None:
    content = "".join(f"{user};{item};{day}\n" for user, item, day in rows)
    path = stored(folder / "dates.csv", content.encode())
    read = read_separated(path, ";", False, ["user", "item", "date"])
    assert decoded(read) == [(user, item, None, seconds(day)) for user, item, day in rows]


movies = st.lists(
    st.tuples(
        st.integers(1, 17_770),
        st.lists(st.tuples(numbers, ratings, days.map(lambda day: day[:10]))),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda movie: movie[0],
).filter(lambda blocks: any(lines for _, lines in blocks))


@quick
@given(movies, endings, st.integers(0, 6), st.integers(60, 200))
def test_both_layouts_of_netflix_that_are_written_are_read(
    folder: Path,
    blocks: list[tuple[int, list[Row]]],
    ending: str,
    cut: int,
    piece: int,
) -> None:
    texts = {
        movie: f"{movie}:{ending}" + "".join(f"{u},{r},{day}{ending}" for u, r, day in lines)
        for movie, lines in blocks
    }
    rows = {
        movie: [(user, movie, rating, seconds(day)) for user, rating, day in lines]
        for movie, lines in blocks
    }
    order = list(texts)
    combined = [
        stored(folder / f"combined_{n}.txt", "".join(texts[m] for m in some).encode())
        for n, some in enumerate([order[:cut], order[cut:]])
        if some
    ]
    path = folder / "all.tar"
    path.write_bytes(tar_of({f"training_set/mv_{m:07}.txt": text for m, text in texts.items()}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_lines, "PIECE", piece)
        assert decoded(read_netflix(combined, MOVIE)) == [row for m in order for row in rows[m]]
        assert decoded(read_netflix([path], MOVIE)) == [
            row for m in sorted(rows) for row in rows[m]
        ]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
reviews = st.lists(
    st.tuples(
        st.fixed_dictionaries(
            {
                "reviewerID": texts,
                "asin": texts,
                "overall": st.one_of(ratings, st.integers(1, 5)),
                "unixReviewTime": plain_times,
            }
        ),
        st.dictionaries(st.sampled_from(["image", "reviewText", "é", "style:"]), anything),
        st.randoms(use_true_random=False),
    ),
    min_size=1,
    max_size=8,
)


@quick
@given(reviews, endings, st.booleans(), st.sampled_from(["r.json", "r.json.gz"]))
def test_json_that_is_written_is_read(
    folder: Path,
    entries: list[tuple[dict[str, Any], dict[str, Any], random.Random]],
    ending: str,
    escaped: bool,
    name: str,
) -> None:
    content = ""
    for entry, others, chance in entries:
        keys = [*entry.items(), *others.items()]
        chance.shuffle(keys)
        content += json.dumps(dict(keys), ensure_ascii=escaped) + ending
    try:
        path = stored(folder / name, content.encode())
    except UnicodeEncodeError:  # half a pair of surrogates among the other keys
        path = stored(folder / name, content.encode("utf-8", "replace"))
    rows = read_json(path, FIELDS, text=True, unit="s")
    assert decoded(rows) == [tuple(entry[FIELDS[name]] for name in ALL) for entry, _, _ in entries]


@quick
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**63 - 1),
            st.integers(0, 2**63 - 1),
            st.lists(st.integers(0, 2**63 - 1), max_size=9),
        ),
        min_size=1,
        max_size=9,
    ),
    endings,
)
def test_negatives_that_are_written_are_read(
    folder: Path, lists: list[tuple[int, int, list[int]]], ending: str
) -> None:
    lines = ["\t".join([f"({user},{item})", *map(str, some)]) for user, item, some in lists]
    path = stored(folder / "negatives.txt", (ending.join(lines) + ending).encode())
    once = dict(zip(lines, lists, strict=True)).values()  # a repeated line counts once
    expected = [(user, negative, None, None) for user, _, some in once for negative in some]
    assert decoded(read_negatives(path)) == expected


# Rows are places in identifiers, and steps look at places only.

raw = st.one_of(
    st.lists(st.tuples(numbers, st.integers(1, 30)), min_size=1, max_size=30),
    st.lists(st.tuples(texts, texts), min_size=1, max_size=30),
    st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4)), min_size=1, max_size=40),
)


def rows_of(pairs: list[tuple[Any, Any]], time: list[int] | None = None) -> Rows:
    users, items = (np.array(list(column)) for column in zip(*pairs, strict=True))
    times = None if time is None else np.array(time, dtype=np.int64)
    return Rows.of(users, items, time=times, part=np.arange(len(pairs)))


def kept(rows: Rows) -> list[int]:
    assert rows.part is not None
    return rows.part.tolist()


@quick
@given(raw)
def test_places_lead_back_to_the_identifiers(pairs: list[tuple[Any, Any]]) -> None:
    rows = rows_of(pairs)
    assert [(user, item) for user, item, _, _ in decoded(rows)] == pairs
    assert rows.user_ids.tolist() == sorted({user for user, _ in pairs})
    assert rows.item_ids.tolist() == sorted({item for _, item in pairs})


@dataclass(frozen=True)
class Naive:
    """Steps on lists of original identifiers; each returns the rows that stay."""

    pairs: list[tuple[Any, Any]]

    def often(self, rows: list[int], which: int, least: int) -> set[Any]:
        """Return the users (0) or items (1) with at least so many rows."""
        counts = Counter(self.pairs[i][which] for i in rows)
        return {name for name, count in counts.items() if count >= least}

    def min_items_per_user(self, rows: list[int], least: int) -> list[int]:
        users = self.often(rows, 0, least)
        return [i for i in rows if self.pairs[i][0] in users]

    def min_users_per_item(self, rows: list[int], least: int) -> list[int]:
        items = self.often(rows, 1, least)
        return [i for i in rows if self.pairs[i][1] in items]

    def min_rows_of_both(self, rows: list[int], least: int) -> list[int]:
        users, items = self.often(rows, 0, least), self.often(rows, 1, least)
        return [i for i in rows if self.pairs[i][0] in users and self.pairs[i][1] in items]

    def core(self, rows: list[int], least: int) -> list[int]:
        while True:
            fewer = self.min_rows_of_both(rows, least)
            if fewer == rows:
                return rows
            rows = fewer

    def distinct(self, rows: list[int], which: str) -> list[int]:
        seen: dict[Any, int] = {}
        for i in rows if which == "first" else rows[::-1]:
            seen.setdefault(self.pairs[i], i)
        return [i for i in rows if i in seen.values()]

    def last_items_per_user(self, rows: list[int], most: int) -> list[int]:
        users = [self.pairs[i][0] for i in rows]
        return [i for at, i in enumerate(rows) if users[at + 1 :].count(self.pairs[i][0]) < most]


steps = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(
                [
                    "min_items_per_user",
                    "min_users_per_item",
                    "min_rows_of_both",
                    "core",
                    "last_items_per_user",
                ]
            ),
            st.integers(1, 4),
        ),
        st.tuples(st.just("distinct"), st.sampled_from(["first", "last"])),
    ),
    max_size=4,
)


@settings(deadline=None, max_examples=200)
@given(raw, steps)
def test_steps_leave_the_rows_that_naive_ones_leave(
    pairs: list[tuple[Any, Any]], steps: list[tuple[str, Any]]
) -> None:
    rows, expected = rows_of(pairs), list(range(len(pairs)))
    for name, argument in steps:
        rows = STEPS[name](rows, argument)
        expected = getattr(Naive(pairs), name)(expected, argument)
    assert kept(rows) == expected
    assert [(user, item) for user, item, _, _ in decoded(rows)] == [pairs[i] for i in expected]


@quick
@given(raw, st.integers(1, 3), st.sampled_from(["first appearance", "ascending"]))
def test_items_are_numbered_as_naively(pairs: list[tuple[Any, Any]], least: int, by: str) -> None:
    rows = STEPS["min_items_per_user"](rows_of(pairs), least)
    there = [pairs[i][1] for i in kept(rows)]
    vocabulary = STEPS["number_items"](rows, by).vocabulary
    assert vocabulary is not None
    expected = list(dict.fromkeys(there)) if by == "first appearance" else sorted(set(there))
    assert vocabulary.tolist() == expected


@quick
@given(
    st.lists(st.integers(1_514_764_800 - 200_000, 1_514_764_800 + 200_000), min_size=1),
    st.integers(-3, 3),
)
def test_since_keeps_the_days_from_then_on(times: list[int], day: int) -> None:
    first = datetime.fromtimestamp(1_514_764_800 + 86_400 * day, UTC).strftime("%Y-%m-%d")
    rows = STEPS["since"](rows_of([(1, 1)] * len(times), times), first)
    dates = [datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d") for time in times]
    assert kept(rows) == [i for i, date in enumerate(dates) if date >= first]


@quick
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), min_size=1, max_size=30))
def test_rows_are_ordered_by_user_then_time_then_as_they_stood(
    pairs: list[tuple[int, int]],
) -> None:
    rows = STEPS["order"](rows_of(pairs, [time for _, time in pairs]), "time")
    assert kept(rows) == sorted(range(len(pairs)), key=lambda i: pairs[i])


# Damaged files: whatever the bytes, they are read as they are meant, or refused with file and line.

N_ROUNDS = 300
PIECES = [300, 700, 1 << 25]
BITS = [
    *(b"\n", b"\r", b"\r\n", b"\n\n", b"\t", b" ", b",", b"::", b":", b";", b"-", b"+", b".", b"_"),
    *(b"0", b"1", b"9", b"0x1", b"X", b"e", b"e9", b"e999", b"nan", b"inf", b"\0", b"\xff", b"a"),
    *(b"\xc3\xa9", b"\xd9\xa1", b"\xe2\x80\xa8", b"\xc2\x85", b"\x0b", b"\x0c", b"\x1c", b'"'),
    *(b"\\", b"'", b"{", b"}", b"[", b"(", b")", b"null", b"\\u0000", b"9999999999", b"1:\n"),
]


def mutated(content: bytes, chance: random.Random) -> bytes:
    """Return the bytes with one to three small faults."""
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        at = chance.randrange(len(content) + 1)
        end = at + chance.choice([1, 1, 2, 5, 20])
        kind = chance.choice(
            ["flip", "byte", "delete", "insert", "insert", "insert", "cut", "again"]
        )
        if kind == "flip":
            flipped = bytes(byte ^ 1 << chance.randrange(8) for byte in content[at : at + 1])
            content = content[:at] + flipped + content[at + 1 :]
        elif kind == "byte":
            content = content[:at] + bytes([chance.randrange(256)]) + content[at + 1 :]
        elif kind == "delete":
            content = content[:at] + content[end:]
        elif kind == "insert":
            content = content[:at] + chance.choice(BITS) + content[at:]
        elif kind == "cut":
            content = content[:at]
        else:
            content = content[:end] + content[at:]
    return content


def separated(
    separator: str, header: bool, columns: list[str], text: bool
) -> tuple[Callable[[list[Path]], Rows], Callable[[list[bytes]], list[Row]]]:
    return (
        lambda paths: read_separated(paths[0], separator, header, columns, text, unit="s"),
        lambda contents: naive_separated(contents[0], separator, header, columns, text),
    )


def generated(separator: str, columns: list[str], text: bool, chance: random.Random) -> bytes:
    def line() -> str:
        user, item = chance.randrange(1, 40), chance.randrange(1, 4000)
        made = {
            "user": f"A{user}é" if text else str(user),
            "item": f"B00{item}" if text else str(item),
            "rating": str(chance.randrange(1, 11) / 2),
            "time": str(chance.randrange(10**9, 2 * 10**9)),
            "date": f"2018-0{chance.randrange(1, 10)}-{chance.randrange(10, 29)}",
            "-": chance.choice(["", "some text", "é"]),
        }
        return separator.join(made[name] for name in columns)

    return "".join(line() + "\n" for _ in range(12)).encode()


def movies_of(names: list[int], chance: random.Random) -> bytes:
    blocks = [generated(",", MOVIE, False, chance) for _ in names]
    blocks[0] = chance.choice([b"", blocks[0]]) if len(blocks) > 1 else blocks[0]
    return b"".join(b"%d:\n" % name + block for name, block in zip(names, blocks, strict=True))


def reviews_of(chance: random.Random) -> bytes:
    lines = [
        {
            "reviewerID": f"A{chance.randrange(30)}",
            "reviewText": "é" * chance.randrange(20),
            "asin": f"B{chance.randrange(30)}é",
            "overall": chance.choice([1.0, 5, 4.5]),
            "image": [{"x": 1}],
            "unixReviewTime": chance.randrange(2 * 10**9),
        }
        for _ in range(8)
    ]
    ascii_only = chance.random() < 0.5
    return "".join(json.dumps(line, ensure_ascii=ascii_only) + "\n" for line in lines).encode()


def negatives_of(chance: random.Random) -> bytes:
    return b"".join(
        b"(%d,%d)" % (user, chance.randrange(99))
        + b"".join(b"\t%d" % chance.randrange(9999) for _ in range(chance.randrange(6)))
        + b"\n"
        for user in range(12)
    )


@dataclass(frozen=True)
class Reader:
    """A reader, the naive one, and what makes the contents of its files."""

    read: Callable[[list[Path]], Rows]
    naive: Callable[[list[bytes]], list[Row]]
    make: Callable[[random.Random], list[bytes]]


def of_separated(separator: str, header: bool, columns: list[str], text: bool = False) -> Reader:
    head = separator.join(columns).encode() + b"\n" if header else b""
    return Reader(
        *separated(separator, header, columns, text),
        lambda chance: [head + generated(separator, columns, text, chance)],
    )


READERS = {
    "numbers": of_separated(",", False, ALL),
    "numbers under a header": of_separated("\t", True, ["item", "user", "-", "time"]),
    "numbers between double colons": of_separated("::", False, ALL),
    "dates": of_separated(",", False, DATED),
    "pairs": of_separated(" ", False, ["user", "item"]),
    "text": of_separated(",", False, ALL, text=True),
    "text between double colons": of_separated("::", False, ALL, text=True),
    "netflix": Reader(
        lambda paths: read_netflix(paths, MOVIE),
        naive_netflix,
        lambda chance: [movies_of([1, 30, 4], chance), movies_of([5, 17_770], chance)],
    ),
    "json": Reader(
        lambda paths: read_json(paths[0], FIELDS, text=True, unit="s"),
        lambda contents: naive_json(contents[0]),
        lambda chance: [reviews_of(chance)],
    ),
    "negatives": Reader(
        lambda paths: read_negatives(paths[0]),
        lambda contents: naive_negatives(contents[0]),
        lambda chance: [negatives_of(chance)],
    ),
}


class Faults(list[str]):
    """What was found in many rounds; there must be none."""

    def judge(
        self, what: object, read: Callable[[], Rows], naive: Callable[[], list[Row]], named: str
    ) -> bool:
        """Compare reading with naive reading; return whether it gave rows.

        `named` is a pattern for how the message of an error begins.
        """
        try:
            expected: list[Row] | None = naive()
        except ValueError:
            expected = None
        try:
            got = decoded(read())
        except ReproError as error:
            if not re.match(named, error.message):
                self.append(f"{what}: {error.message}")
            return False
        except Exception as error:
            self.append(f"{what}: {type(error).__name__}: {error}")
            return False
        if got != expected:
            self.append(f"{what}: {got} read, {expected} meant")
        return True

    def __str__(self) -> str:
        return f"{len(self)} faults:\n" + "\n".join(one[:2000] for one in self[:8])


def written(folder: Path, contents: list[bytes]) -> list[Path]:
    paths = [folder / f"{n}.txt" for n in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


def with_line(paths: list[Path]) -> str:
    files = "|".join(re.escape(str(path)) for path in paths)
    return rf"({files})( is empty$| has no rows$|, (line|row) [\d,]+: )"


@pytest.mark.parametrize("name", READERS)
def test_damaged_text_is_read_as_naively_or_refused_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    reader, chance, faults = READERS[name], random.Random(2024), Faults()
    n_read = 0
    for _ in range(N_ROUNDS):
        contents = reader.make(chance)
        hurt = chance.randrange(len(contents))
        contents[hurt] = mutated(contents[hurt], chance)
        paths = written(tmp_path, contents)
        monkeypatch.setattr(text_lines, "PIECE", chance.choice(PIECES))
        n_read += faults.judge(
            contents[hurt],
            lambda paths=paths: reader.read(paths),  # type: ignore[misc]
            lambda contents=contents: reader.naive(contents),  # type: ignore[misc]
            with_line(paths),
        )
    assert not faults, str(faults)
    assert n_read > N_ROUNDS / 20, "hardly a file was still in its format"
    assert n_read < N_ROUNDS * 0.9, "hardly a file was damaged"


@pytest.mark.parametrize("name", READERS)
def test_undamaged_text_is_read_as_naively(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    reader, chance = READERS[name], random.Random(7)
    for _ in range(20):
        contents = reader.make(chance)
        monkeypatch.setattr(text_lines, "PIECE", chance.choice(PIECES))
        assert decoded(reader.read(written(tmp_path, contents))) == reader.naive(contents)


def unpacked(packed: bytes) -> bytes | None:
    try:
        return gzip.decompress(packed)
    except Exception:  # whatever it is, it cannot be unpacked
        return None


@pytest.mark.parametrize("name", [name for name in READERS if name != "netflix"])
def test_a_damaged_gz_is_refused_or_has_the_rows_that_it_unpacks_to(
    tmp_path: Path, name: str
) -> None:
    reader, chance, faults = READERS[name], random.Random(99), Faults()
    path = tmp_path / "0.txt.gz"
    n_refused = 0
    for _ in range(N_ROUNDS // 2):
        packed = mutated(gzip.compress(reader.make(chance)[0], mtime=0), chance)
        path.write_bytes(packed)
        content = unpacked(packed)
        n_refused += content is None
        faults.judge(
            packed,
            lambda: reader.read([path]),
            lambda content=content: reader.naive([content or b""]),  # type: ignore[misc]
            rf"{re.escape(str(path))} is cut off or damaged|{with_line([path])}",
        )
    assert not faults, str(faults)
    assert n_refused > N_ROUNDS / 6


def test_damaged_files_in_a_tar_are_read_as_naively_or_refused_with_their_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance, faults, path = random.Random(5), Faults(), tmp_path / "set.tar"
    names = [f"training_set/mv_000000{n}.txt" for n in (1, 2, 3)]
    n_read = 0
    for _ in range(N_ROUNDS):
        contents = [movies_of([number], chance) for number in (1, 2, 3)]
        hurt = chance.randrange(3)
        contents[hurt] = mutated(contents[hurt], chance)
        files = list(zip(names, contents, strict=True))
        path.write_bytes(archives.packed("tar", dict(chance.sample(files, 3))))
        monkeypatch.setattr(text_lines, "PIECE", chance.choice(PIECES))
        inside = rf"(, {names[hurt]}( is empty$|, line \d+: )| has no rows$)"
        n_read += faults.judge(
            contents,
            lambda: read_netflix([path], MOVIE),
            lambda contents=contents: naive_netflix(contents),  # type: ignore[misc]
            re.escape(str(path)) + inside,
        )
    assert not faults, str(faults)
    assert n_read > N_ROUNDS / 20


def test_a_damaged_tar_is_refused_or_has_no_fewer_rows(tmp_path: Path) -> None:
    chance, faults, path = random.Random(6), Faults(), tmp_path / "set.tar"
    names = [f"mv_000000{n}.txt" for n in (1, 2, 3)]
    n_refused = 0
    for _ in range(N_ROUNDS):
        contents = [b"%d:\n" % n + generated(",", MOVIE, False, chance) for n in (1, 2, 3)]
        whole = archives.packed("tar", dict(zip(names, contents, strict=True)))
        at, kind = chance.randrange(3 * 1024), chance.choice(["flip", "cut", "zeros"])
        if kind == "flip":
            packed = whole[:at] + bytes([whole[at] ^ 1 << chance.randrange(8)]) + whole[at + 1 :]
        elif kind == "cut":
            packed = whole[:at]
        else:
            packed = whole[:at] + bytes(512) + whole[at + 512 :]
        path.write_bytes(packed)
        try:
            n_rows = len(read_netflix([path], MOVIE))
        except ReproError as error:
            n_refused += 1
            if not error.message.startswith(str(path)):
                faults.append(f"{kind} at {at}: {error.message}")
        else:
            if n_rows != 36:
                faults.append(f"{kind} at {at}: {n_rows} rows of 36")
    assert not faults, str(faults)
    assert n_refused > N_ROUNDS / 4
