"""Measures of what is recommended, by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from repro.results.exposure import (
    MEASURES,
    by_activity,
    coverage,
    long_tail,
    mean_popularity,
    novelty,
    overlap,
)
from repro.runs.lists import Lists

# ten training users; items 0 and 1 hold 14 of 17 interactions (0.82), item 5 has none
LISTS = Lists(
    items=np.array([[0, 1, 2], [0, 3, -1], [5, 0, 1]]),
    popularity=np.array([8, 6, 1, 1, 1, 0]),
    n_train_users=10,
    activity=np.array([4, 2, 9]),
)


def test_measures_by_hand() -> None:
    assert coverage(LISTS, 1) == 2 / 6  # items 0 and 5
    assert coverage(LISTS, 3) == 5 / 6  # all but item 4
    assert mean_popularity(LISTS, 2) == pytest.approx((8 + 6 + 8 + 1 + 0 + 8) / 6 / 10)
    bits = [-math.log2(share) for share in (0.8, 0.6, 0.8, 0.1, 0.1, 0.8)]
    assert novelty(LISTS, 2) == pytest.approx(sum(bits) / 6)
    assert long_tail(LISTS, 2) == pytest.approx(2 / 6)  # items 3 and 5


def test_overlap_by_hand() -> None:
    other = Lists(np.array([[2, 0, 4], [4, 5, -1], [1, 0, 5]]), *list(vars(LISTS).values())[1:])
    assert overlap(LISTS, other, 3).tolist() == [2 / 4, 0.0, 1.0]
    assert overlap(LISTS, other, 1).tolist() == [0.0, 0.0, 0.0]


def test_equal_histories_stay_in_one_group() -> None:
    activity = np.array([1, 1, 1, 1, 5, 6, 7, 9])
    values = np.array([0.0, 0.2, 0.4, 0.6, 0.1, 0.3, 0.5, 0.7])
    found = by_activity(values, activity)
    assert [(one.least, one.most, one.users) for one in found] == [(1, 1, 4), (5, 6, 2), (7, 9, 2)]
    assert [one.value for one in found] == pytest.approx([0.3, 0.2, 0.6])


@given(
    activity=arrays(np.int64, st.integers(1, 60), elements=st.integers(0, 9)),
    n_groups=st.integers(1, 5),
)
def test_groups_hold_every_user_once_and_do_not_overlap(
    activity: np.ndarray, n_groups: int
) -> None:
    found = by_activity(activity.astype(float), activity, n_groups)
    assert sum(one.users for one in found) == len(activity)
    assert len(found) <= n_groups
    assert all(one.most < after.least for one, after in itertools.pairwise(found))
    total = sum(one.users * one.value for one in found)
    assert total == pytest.approx(activity.sum())


@given(items=arrays(np.int64, (4, 3), elements=st.integers(0, 5)), k=st.integers(1, 3))
def test_shares_are_shares_and_a_list_overlaps_with_itself(items: np.ndarray, k: int) -> None:
    items = np.array([np.random.default_rng(row[0]).permutation(6)[:3] for row in items])
    lists = Lists(items, LISTS.popularity, 10, np.ones(4, dtype=int))
    for name in ("coverage", "mean popularity", "long tail"):
        assert 0 <= MEASURES[name](lists, k) <= 1
    assert novelty(lists, k) >= 0
    assert overlap(lists, lists, k).tolist() == [1.0] * 4
