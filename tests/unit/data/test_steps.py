"""The steps between a file and a view, by hand on ten rows."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.data.rows import Rows
from repro.data.steps import STEPS, argument_fault, core
from repro.errors import ReproError

#                 row     0    1    2    3    4    5    6    7    8    9
USER = np.array(       [  3,   3,   3,   1,   1,   1,   1,   2,   2,   4])  # fmt: skip
ITEM = np.array(       [ 30,  10,  20,  10,  20,  30,  10,  10,  40,  20])  # fmt: skip
RATING = np.array(     [4.0, 3.0, 5.0, 3.5, 2.0, 5.0, 4.0, 1.0, 4.0, 3.0])  # fmt: skip
TIME = np.array(       [  5,   5,   1,   9,   8,   7,   9,   2,   2,   0])  # fmt: skip

TEN = Rows.of(USER, ITEM, rating=RATING, time=TIME, part=np.arange(10))  # part: which row it was

NEW_YEAR_2018 = 1_514_764_800
EVE = Rows.of(
    np.arange(4),
    np.arange(4),
    time=np.array([NEW_YEAR_2018 - 1, NEW_YEAR_2018, NEW_YEAR_2018 + 86_400, 0]),
    part=np.arange(4),
)

PAIRS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=40)


def left(rows: Rows) -> list[int]:
    assert rows.part is not None
    return rows.part.tolist()


def of_pairs(pairs: list[tuple[int, int]]) -> Rows:
    user, item = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return Rows.of(user, item, part=np.arange(len(pairs)))


@pytest.mark.parametrize(
    ("step", "argument", "expected"),
    [
        ("min_rating", 4.0, [0, 2, 5, 6, 8]),
        ("min_rating", 3.5, [0, 2, 3, 5, 6, 8]),
        ("rating_above", 3.0, [0, 2, 3, 5, 6, 8]),
        ("rating_above", 3.5, [0, 2, 5, 6, 8]),
        ("min_items_per_user", 3, [0, 1, 2, 3, 4, 5, 6]),
        ("min_users_per_item", 3, [1, 2, 3, 4, 6, 7, 9]),
        ("min_rows_of_both", 3, [1, 2, 3, 4, 6]),  # user 3 keeps 2 rows, item 20 keeps 2
        ("min_rows_of_both", 2, [0, 1, 2, 3, 4, 5, 6, 7]),  # user 2 keeps only 7
        ("core", 2, [0, 1, 2, 3, 4, 5, 6]),  # 9 and 8 go, then user 2 has only 7
        ("core", 4, []),
        ("distinct", "first", [0, 1, 2, 3, 4, 5, 7, 8, 9]),  # 3 and 6 are one pair
        ("distinct", "last", [0, 1, 2, 4, 5, 6, 7, 8, 9]),
        ("order", "file", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("order", "oldest first", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("order", "time", [5, 4, 3, 6, 7, 8, 2, 0, 1, 9]),
        ("last_items_per_user", 2, [1, 2, 5, 6, 7, 8, 9]),
        ("last_items_per_user", 200, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ],
)
def test_a_step_leaves_these_rows(step: str, argument: Any, expected: list[int]) -> None:
    rows = STEPS[step](TEN, argument)
    assert left(rows) == expected
    assert rows.user_ids[rows.user].tolist() == USER[expected].tolist()
    assert rows.item_ids[rows.item].tolist() == ITEM[expected].tolist()


@pytest.mark.parametrize(
    ("day", "expected"), [("2018-01-01", [1, 2]), ("2018-01-02", [2]), ("2017-12-31", [0, 1, 2])]
)
def test_a_day_begins_at_midnight_utc(day: str, expected: list[int]) -> None:
    assert left(STEPS["since"](EVE, day)) == expected


@pytest.mark.parametrize(
    "day", ["2018-13-01", "1.1.2018", "then", "", "NaT", "2018-01-01T12:00", "now", "today"]
)
def test_what_is_no_day_is_an_error(day: str) -> None:
    with pytest.raises(ReproError, match=f"(?s)'{day}' is not a date.*2018-01-01"):
        STEPS["since"](EVE, day)


@pytest.mark.parametrize(
    ("by", "order"),
    [("file", "file"), ("oldest first", "time"), ("time", "time"), ("time, random ties", "time")],
)
def test_rows_know_the_order_in_which_they_stand(by: str, order: str) -> None:
    assert TEN.order == ""
    rows = STEPS["order"](TEN, by)
    assert rows.order == order
    assert STEPS["last_items_per_user"](rows, 1).order == order


def test_random_ties_keep_the_order_in_time_and_come_out_the_same_each_time() -> None:
    by = "time, random ties"
    once = STEPS["order"](TEN, by)
    assert once.order == "time"
    assert once.user_ids[once.user].tolist() == sorted(USER)
    assert once.time is not None
    assert once.time.tolist() == [7, 8, 9, 9, 2, 2, 1, 5, 5, 0]
    assert left(once) == left(STEPS["order"](TEN, by))


def test_random_ties_follow_neither_the_file_nor_the_items() -> None:
    n = 50
    together = Rows.of(
        np.zeros(n, dtype=np.int64),
        np.arange(n),
        time=np.full(n, 7, dtype=np.int64),
        part=np.arange(n),
    )
    shuffled = left(STEPS["order"](together, "time, random ties"))
    assert sorted(shuffled) == list(range(n))
    assert shuffled not in (list(range(n)), list(range(n))[::-1])


@pytest.mark.parametrize(
    ("by", "numbers"),
    [
        ("first appearance", [30, 10, 20, 40]),
        ("ascending", [10, 20, 30, 40]),
        ("from one", list(range(1, 41))),
        ("from zero", list(range(41))),
    ],
)
def test_items_are_numbered(by: str, numbers: list[int]) -> None:
    rows = STEPS["number_items"](TEN, by)
    assert rows.vocabulary is not None
    assert rows.vocabulary.tolist() == numbers
    assert left(rows) == list(range(10))


@pytest.mark.parametrize(
    ("by", "numbers"),
    [
        ("first appearance", [30, 20, 10]),
        ("ascending", [10, 20, 30]),
        ("from one", list(range(1, 31))),
    ],
)
def test_items_that_an_earlier_step_left_without_rows_get_no_number(
    by: str, numbers: list[int]
) -> None:
    rows = STEPS["number_items"](TEN.take(np.array([5, 2, 3, 4])), by)
    assert rows.vocabulary is not None
    assert rows.vocabulary.tolist() == numbers


def test_items_keep_their_numbers_when_later_steps_leave_them_without_rows() -> None:
    rows = STEPS["last_items_per_user"](STEPS["number_items"](TEN, "first appearance"), 1)
    assert sorted(set(rows.item_ids[rows.item].tolist())) == [10, 20, 40]
    assert rows.vocabulary is not None
    assert rows.vocabulary.tolist() == [30, 10, 20, 40]


def test_text_items_are_numbered_too() -> None:
    rows = Rows.of(np.array([1, 1, 2]), np.array(["b", "a", "b"]))
    named = {by: STEPS["number_items"](rows, by) for by in ("ascending", "first appearance")}
    assert [*map(str, named["ascending"].vocabulary)] == ["a", "b"]  # type: ignore[arg-type]
    assert [*map(str, named["first appearance"].vocabulary)] == ["b", "a"]  # type: ignore[arg-type]


def test_text_items_cannot_be_numbers_from_one() -> None:
    rows = Rows.of(np.array([1, 1]), np.array(["1", "2"]))
    with pytest.raises(ReproError, match="'from one': their identifiers are text"):
        STEPS["number_items"](rows, "from one")


@pytest.mark.parametrize(
    ("item", "by", "remedy"),
    [(0, "from one", "from zero"), (-1, "from zero", "ascending"), (-1, "from one", "ascending")],
)
def test_an_item_before_the_first_number_names_a_way_that_fits(
    item: int, by: str, remedy: str
) -> None:
    rows = Rows.of(np.array([1, 1]), np.array([item, 2]))
    with pytest.raises(ReproError, match=f"there is an item {item}") as error:
        STEPS["number_items"](rows, by)
    assert f"'{remedy}'" in error.value.hint


def test_a_catalogue_is_at_least_as_large_as_its_items() -> None:
    counted = STEPS["number_items"](TEN, "from zero")
    for n_items in (41, 60):
        whole = STEPS["catalogue"](counted, n_items).vocabulary
        assert whole is not None
        assert whole.tolist() == list(range(n_items))
    with pytest.raises(ReproError, match="catalogue = 40, and there is an item 40"):
        STEPS["catalogue"](counted, 40)


@pytest.mark.parametrize("by", ["", "ascending", "first appearance"])
def test_a_catalogue_needs_items_that_are_numbers(by: str) -> None:
    rows = STEPS["number_items"](TEN, by) if by else TEN
    with pytest.raises(ReproError, match="needs items that are numbered from zero or one"):
        STEPS["catalogue"](rows, 60)


def test_an_item_far_too_large_to_be_a_number_from_one_is_an_error() -> None:
    rows = Rows.of(np.array([1, 1]), np.array([1, 2**50]))
    with pytest.raises(ReproError, match="from one"):
        STEPS["number_items"](rows, "from one")


@pytest.mark.parametrize(
    ("step", "argument", "known"),
    [
        ("order", "newest first", "'time' or 'time, random ties' or 'oldest first' or 'file'"),
        (
            "number_items",
            "random",
            "'first appearance' or 'ascending' or 'from zero' or 'from one'",
        ),
        ("distinct", "frist", "'first' or 'last'"),
        ("distinct", ["first"], "'first' or 'last'"),
        ("since", "1.1.2018", "a date in quotes, such as '2018-01-01'"),
        ("since", "2018-02-30", "a date in quotes, such as '2018-01-01'"),
        ("since", 2018, "a date in quotes, such as '2018-01-01'"),
        ("core", 0, "at least 1"),
        ("core", 2.0, "a whole number"),
        ("last_items_per_user", -3, "at least 1"),
        ("min_rating", True, "a number"),
        ("rating_above", "3", "a number"),
    ],
)
def test_an_argument_that_a_step_cannot_have_is_told_with_what_it_can(
    step: str, argument: Any, known: str
) -> None:
    assert argument_fault(step, argument) == f"must be {known}, got {argument!r}"


@given(
    st.sampled_from(sorted(STEPS.keys() - {"catalogue"})),
    st.one_of(
        st.integers(-3, 3), st.floats(allow_nan=False), st.text(max_size=9), st.booleans(),
        st.lists(st.integers(), max_size=2), st.sampled_from(["first", "last", "file", "time"]),
    ),
)  # fmt: skip
def test_an_argument_that_is_accepted_can_be_applied(step: str, argument: Any) -> None:
    """All but a catalogue's, which also needs numbered items."""
    if not argument_fault(step, argument):
        assert len(STEPS[step](TEN, argument)) <= len(TEN)


@pytest.mark.parametrize(
    ("step", "argument", "column"),
    [
        ("min_rating", 4.0, "rating"),
        ("rating_above", 3.0, "rating"),
        ("since", "2018-01-01", "time"),
        ("order", "time", "time"),
        ("order", "time, random ties", "time"),
    ],
)
def test_a_step_without_its_column_is_an_error(step: str, argument: Any, column: str) -> None:
    with pytest.raises(ReproError, match=f"no column '{column}'"):
        STEPS[step](Rows.of(USER, ITEM), argument)


@settings(deadline=None, max_examples=50)
@given(PAIRS, st.integers(1, 4))
def test_a_core_is_what_removing_single_rows_leaves(
    pairs: list[tuple[int, int]], least: int
) -> None:
    kept = list(range(len(pairs)))
    while True:
        users, items = Counter(pairs[i][0] for i in kept), Counter(pairs[i][1] for i in kept)
        poor = [i for i in kept if users[pairs[i][0]] < least or items[pairs[i][1]] < least]
        if not poor:
            break
        kept.remove(poor[-1])
    rows = core(of_pairs(pairs), least)
    assert left(rows) == kept
    assert left(core(rows, least)) == kept


@settings(deadline=None, max_examples=50)
@given(PAIRS, st.sampled_from(["first", "last"]))
def test_distinct_keeps_every_pair_once(pairs: list[tuple[int, int]], which: str) -> None:
    kept = left(STEPS["distinct"](of_pairs(pairs), which))
    assert Counter(pairs[i] for i in kept) == Counter(set(pairs))
    assert kept == sorted(kept)


@settings(deadline=None, max_examples=50)
@given(PAIRS, st.integers(1, 4))
def test_each_user_keeps_the_last_rows(pairs: list[tuple[int, int]], most: int) -> None:
    expected = [
        i
        for i, (user, _) in enumerate(pairs)
        if sum(other == user for other, _ in pairs[i + 1 :]) < most
    ]
    assert left(STEPS["last_items_per_user"](of_pairs(pairs), most)) == expected
