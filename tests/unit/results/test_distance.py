"""z by hand, and what it counts."""

from __future__ import annotations

import csv
import math
import statistics
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from repro import paths
from repro.metrics import Result
from repro.results.distance import NEAR, STAND_IN, Distance, distance, wilson

ERRORS = st.floats(1e-4, 0.1)
SHARES = st.floats(0.01, 0.99)


def far(
    published: str,
    *values: float,
    error: float | None = 0.01,
    redraw: float = 0.0,
    random: bool = True,
    metric: str = "ndcg@10",
    n_users: int | None = None,
) -> Distance:
    seeds = [Result(value, error, 1) for value in values]
    return distance(
        published, seeds, metric=metric, redraw=redraw, is_random=random, n_users=n_users
    )


def test_z_by_hand() -> None:
    # seeds: stdev(.41, .43, .45) = .02, times sqrt(1 + 1/3); users: .01 sqrt(2); digit: .0005
    found = far("0.400", 0.41, 0.43, 0.45, redraw=1.0)
    s = math.sqrt(0.02**2 * 4 / 3 + 2 * 0.01**2 + 0.0005**2)
    assert found.z == pytest.approx(0.03 / s)
    assert found.sources == ("seeds", "users", "digit")
    assert found.known == found.error == pytest.approx(s)


@given(published=SHARES, ours=SHARES, error=ERRORS)
def test_one_seed_is_never_both_near_and_far_and_never_near_by_its_stand_in(
    published: float, ours: float, error: float
) -> None:
    found = far(f"{published:.4f}", ours, error=error)
    assert found.sources == (STAND_IN, "digit")
    assert not (found.is_near and found.is_far)
    assert not found.is_near or abs(found.value) <= NEAR * 0.00005  # by the digit alone


@given(published=SHARES, values=st.lists(SHARES, min_size=2, max_size=5, unique=True))
def test_other_users_can_only_explain_more(published: float, values: list[float]) -> None:
    printed = f"{published:.3f}"
    same, other = far(printed, *values), far(printed, *values, redraw=1.0)
    assert same.error is not None
    assert other.error is not None
    assert other.error > same.error
    assert other.is_near or not same.is_near
    assert same.is_far or not other.is_far


def test_a_model_without_random_numbers_on_the_same_users_has_no_chance() -> None:
    found = far("0.420", 0.422, random=False)
    assert found.sources == ("digit",)
    assert found.z == pytest.approx(4.0)


@pytest.mark.parametrize(("metric", "n_users"), [("ndcg@10", 500), ("hit_rate@10", None)])
def test_no_error_over_users_leaves_z_open(metric: str, n_users: int | None) -> None:
    found = far("0.420", 0.3, error=0.0, redraw=1.0, random=False, metric=metric, n_users=n_users)
    assert (found.z, found.is_near, found.is_far) == (None, False, False)


def test_no_hit_among_all_users_is_not_known_without_error() -> None:
    found = far("0.003", 0.0, error=0.0, redraw=1.0, metric="hit_rate@5", n_users=500)
    assert found.error == pytest.approx(math.hypot(2 * wilson(0.0, 500), 0.0005))
    assert not found.is_far


@given(n=st.integers(5, 5000), data=st.data())
def test_the_error_of_a_share_is_that_of_scipys_interval(n: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, n))
    level = math.erf(NEAR / math.sqrt(2))
    interval = binomtest(hits, n).proportion_ci(level, method="wilson")
    assert NEAR * wilson(hits / n, n) == pytest.approx((interval.high - interval.low) / 2)


def test_the_error_over_users_is_larger_than_the_spread_over_seeds_in_most_frozen_cells() -> None:
    ratios = []
    for file in sorted((paths.shipped("tables")[0] / "reference").glob("*.csv")):
        cells = defaultdict(list)
        with file.open(newline="") as lines:
            for line in csv.DictReader(lines):
                place = ("table", "row", "origin", "shortened", "apart", "group", "label", "digest")
                cells[tuple(line[key] for key in place)].append(line)
        for seeds in cells.values():
            values = [float(line["value"]) for line in seeds]
            if len(values) > 1 and (spread := statistics.stdev(values)):
                error = statistics.fmean(float(line["standard_error"]) for line in seeds)
                ratios.append(spread / error)
    assert len(ratios) > 150
    assert sum(ratio > 1 for ratio in ratios) / len(ratios) < 0.06
    assert 0.3 < statistics.median(ratios) < 0.5
