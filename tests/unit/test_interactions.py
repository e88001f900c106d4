from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from repro.interactions import Interactions, digest, from_rows

Build = Callable[..., Interactions]

FOUR = [[3, 1, 3, 0], [], [2], [1, 4]]
"""User 0 touched item 3 twice, user 1 nothing."""


def lists(rows: Interactions) -> list[list[int]]:
    return [rows[user].tolist() for user in range(rows.n_users)]


def test_rows_in_any_order_become_lists_in_the_rows_own_order() -> None:
    user, item = np.array([3, 0, 2, 0, 3, 0, 0]), np.array([1, 3, 2, 1, 4, 3, 0])
    assert lists(from_rows(user, item, 4, 5, ordered=True)) == FOUR


def test_rows_that_are_not_grouped_by_user_are_refused() -> None:
    with pytest.raises(AssertionError, match="not grouped by user"):
        Interactions(np.array([1, 0]), np.array([0, 0]), 2, 1, ordered=True)


def test_counts_offsets_and_positions(build: Build) -> None:
    rows = build(FOUR)
    assert rows.counts.tolist() == [4, 0, 1, 2]
    assert rows.offsets.tolist() == [0, 4, 4, 5, 7]
    assert rows.position.tolist() == [0, 1, 2, 3, 0, 0, 1]
    assert len(rows) == 7


def test_users_are_taken_and_renumbered_in_the_order_given(build: Build) -> None:
    taken = build(FOUR).rows(np.array([3, 1, 0, 3]))
    assert lists(taken) == [[1, 4], [], [3, 1, 3, 0], [1, 4]]


def test_taking_no_user_leaves_none(build: Build) -> None:
    taken = build(FOUR).rows(np.array([], dtype=np.int64))
    assert (taken.n_users, len(taken)) == (0, 0)


def test_where_keeps_the_numbers_of_users_and_items(build: Build) -> None:
    rows = build(FOUR, n_items=5)
    kept = rows.where(rows.item == 1)
    assert lists(kept) == [[1], [], [], [1]]
    assert kept.n_items == 5


def test_distinct_keeps_the_first_of_a_repeated_pair(build: Build) -> None:
    assert lists(build(FOUR).distinct()) == [[3, 1, 0], [], [2], [1, 4]]


def test_pairs_are_distinct_and_ascend(build: Build) -> None:
    pairs = build(FOUR, n_items=5).pairs()
    assert [divmod(pair, 5) for pair in pairs] == [(0, 0), (0, 1), (0, 3), (2, 2), (3, 1), (3, 4)]


def test_the_matrix_is_binary_even_where_a_pair_is_repeated(build: Build) -> None:
    expected = [[1, 1, 0, 1, 0], [0, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 1, 0, 0, 1]]
    matrix = build(FOUR, n_items=5).matrix()
    assert matrix.toarray().tolist() == expected
    assert matrix.dtype == np.float32


def test_sequences_stand_in_order_with_zeros_behind(build: Build) -> None:
    assert build([[3, 1, 3], [], [2], [4, 1]]).sequences().tolist() == [
        [3, 1, 3],
        [0, 0, 0],
        [2, 0, 0],
        [4, 1, 0],
    ]


def test_without_drops_every_row_of_a_pair_that_the_other_has(build: Build) -> None:
    left = build([[3, 1, 3], [2], [4, 1]]).without(build([[3], [1], [4, 4]]))
    assert [left[user].tolist() for user in range(3)] == [[1], [2], [1]]


@pytest.mark.parametrize(
    "taken",
    [
        lambda rows: rows.rows(np.array([0])),
        lambda rows: rows.where(rows.item > 0),
        lambda rows: rows.distinct(),
    ],
    ids=["rows", "where", "distinct"],
)
def test_that_rows_are_not_ordered_in_time_is_not_forgotten(
    build: Build, taken: Callable[[Interactions], Interactions]
) -> None:
    assert not taken(build(FOUR, ordered=False)).ordered


ARRAYS = {"user": np.array([0, 1]), "item": np.array([1, 0])}


def test_equal_arrays_have_equal_digests() -> None:
    same = {name: array.copy() for name, array in reversed(ARRAYS.items())}
    assert digest(same) == digest(ARRAYS)


@pytest.mark.parametrize(
    "changed",
    [
        {"user": np.array([0, 1]), "item": np.array([0, 1])},
        {"item": np.array([0, 1]), "user": np.array([1, 0])},
        {"user": np.array([0, 1], dtype=np.int32), "item": np.array([1, 0])},
        {"user": np.array([[0, 1]]), "item": np.array([1, 0])},
        {"users": np.array([0, 1]), "item": np.array([1, 0])},
        {"user": np.array([0, 1])},
    ],
    ids=["values", "names swapped", "type", "shape", "name", "missing"],
)
def test_whatever_is_changed_changes_the_digest(changed: dict[str, np.ndarray]) -> None:
    assert digest(changed) != digest(ARRAYS)
