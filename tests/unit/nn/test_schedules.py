from __future__ import annotations

import numpy as np
import pytest

from repro.nn.schedules import Cap, cyclical, linear_clipped, linear_scaled


def test_a_clipped_ramp_rises_towards_one_and_stops_at_the_cap() -> None:
    found = [linear_clipped(step, 8, 0.25) for step in (0, 1, 2, 3, 8, 100)]
    assert found == [0.0, 0.125, 0.25, 0.25, 0.25, 0.25]


def test_a_scaled_ramp_rises_to_the_cap_in_all_its_steps() -> None:
    found = [linear_scaled(step, 8, 0.25) for step in (0, 1, 2, 4, 8, 100)]
    assert found == [0.0, 0.03125, 0.0625, 0.125, 0.25, 0.25]


def test_both_ramps_are_the_same_when_the_cap_is_one() -> None:
    assert [linear_clipped(n, 7, 1.0) for n in range(10)] == [
        linear_scaled(n, 7, 1.0) for n in range(10)
    ]


def test_a_cap_above_one_is_reached_late_by_one_ramp_and_in_time_by_the_other() -> None:
    assert [linear_clipped(step, 4, 2.0) for step in (4, 8, 12)] == [1.0, 2.0, 2.0]
    assert [linear_scaled(step, 4, 2.0) for step in (2, 4, 8)] == [1.0, 2.0, 2.0]


def test_a_cap_of_zero_leaves_no_weight() -> None:
    assert {linear_clipped(step, 4, 0.0) for step in range(9)} == {0.0}
    assert {linear_scaled(step, 4, 0.0) for step in range(9)} == {0.0}


def test_without_steps_a_ramp_is_at_its_cap_from_the_start() -> None:
    assert linear_clipped(0, 0, 0.2) == linear_scaled(0, 0, 0.2) == 0.2


RAMP = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]


@pytest.mark.parametrize(
    ("how", "cap", "first_cycle", "mean"),
    [
        ("clip", 1.0, RAMP + [1.0] * 10, 0.725),
        ("clip", 0.2, [0.0, 0.1] + [0.2] * 18, 0.185),
        ("scale", 0.2, [0.2 * w for w in RAMP] + [0.2] * 10, 0.145),
        ("replace", 0.2, RAMP + [0.2] * 10, 0.325),
    ],
)
def test_ten_cycles_in_two_hundred_epochs(
    how: Cap, cap: float, first_cycle: list[float], mean: float
) -> None:
    values = [cyclical(epoch, 200, 10, 0.5, cap, how) for epoch in range(200)]
    assert values == pytest.approx(first_cycle * 10)
    assert np.mean(values) == pytest.approx(mean)


def test_cycles_need_not_have_a_whole_number_of_steps() -> None:
    found = [cyclical(step, 5, 2, 0.8, 1.0, "clip") for step in range(5)]  # 2.5 steps each, 2 rise
    assert found == pytest.approx([0.0, 0.5, 1.0, 0.25, 0.75])


def test_a_cycle_that_only_rises_never_stays() -> None:
    found = [cyclical(step, 8, 2, 1.0, 1.0, "clip") for step in range(8)]
    assert found == [0.0, 0.25, 0.5, 0.75] * 2


def test_a_cycle_that_does_not_rise_is_at_its_cap() -> None:
    assert {cyclical(step, 8, 2, 0.0, 0.2, "clip") for step in range(8)} == {0.2}
