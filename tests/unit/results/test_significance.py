"""Tests of a difference: against tables and against naive versions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from repro.results.significance import at_most, freedom, holm, interval, level

VALUES = st.floats(-1, 1)
ERRORS = st.floats(0.001, 1)
FREEDOMS = st.one_of(st.floats(1, 200), st.just(math.inf))
P = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def test_an_interval_as_tables_have_it() -> None:
    low, high = interval(1.0, 2.0, 4.0)
    assert (low, high) == pytest.approx((1 - 2 * 2.776, 1 + 2 * 2.776), abs=1e-3)
    assert interval(0.0, 1.0, math.inf)[1] == pytest.approx(1.960, abs=1e-3)
    assert interval(0.0, 1.0, math.inf, 0.9)[1] == pytest.approx(1.645, abs=1e-3)


@given(VALUES, ERRORS, FREEDOMS, VALUES)
def test_a_p_value_is_that_of_the_t_distribution(
    value: float, error: float, df: float, bound: float
) -> None:
    known = stats.norm if df == math.inf else stats.t(df)
    assert at_most(value, error, df, bound) == pytest.approx(known.sf((value - bound) / error))


@given(VALUES, ERRORS, FREEDOMS)
def test_a_difference_is_significant_where_its_interval_leaves_0_out(
    value: float, error: float, df: float
) -> None:
    low, high = interval(value, error, df)
    if min(abs(low), abs(high)) > 1e-9:
        assert (at_most(value, error, df) < 0.025) == (low > 0)
        assert (at_most(-value, error, df) < 0.025) == (high < 0)


@given(VALUES, ERRORS, FREEDOMS, st.floats(0.001, 1))
def test_level_is_where_the_interval_of_90_per_cent_lies_inside_the_margin(
    value: float, error: float, df: float, margin: float
) -> None:
    low, high = interval(value, error, df, 0.9)
    if min(abs(low + margin), abs(high - margin)) > 1e-9:
        assert (level(value, error, df, margin) < 0.05) == (-margin < low and high < margin)


@given(VALUES, ERRORS, FREEDOMS, st.floats(0.001, 1))
def test_no_difference_is_both_level_and_beyond_the_margin(
    value: float, error: float, df: float, margin: float
) -> None:
    beyond = min(at_most(value, error, df, margin), at_most(-value, error, df, margin))
    assert not (level(value, error, df, margin) < 0.05 and beyond < 0.025)


@given(P)
def test_holm_rejects_what_the_textbook_rejects(p: list[float]) -> None:
    found = holm(p)
    assert all(one <= other for one, other in zip(p, found, strict=True))
    for alpha in (0.01, 0.05, 0.3):
        rejected: set[int] = set()
        for step, place in enumerate(sorted(range(len(p)), key=p.__getitem__)):
            if p[place] * (len(p) - step) > alpha:  # step down until one is not rejected
                break
            rejected.add(place)
        assert {place for place, one in enumerate(found) if one <= alpha} == rejected


def test_freedom_of_a_sum_is_between_the_least_and_all_together() -> None:
    assert freedom([(1.0, 4.0)]) == 4.0
    assert freedom([(1.0, 4.0), (1.0, 4.0)]) == 8.0
    assert freedom([(1.0, math.inf), (0.0, 2.0)]) == math.inf
    assert freedom([(1.0, math.inf), (1.0, 2.0)]) == 8.0  # (1 + 1)^2 / (1 / 2)
