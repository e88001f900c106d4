"""Every protocol passes the checks that `repro.testing` offers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from repro.plugins import PROTOCOLS
from repro.protocols import Splitter
from repro.split import Cases
from repro.testing import Check, protocol_checks, quick_protocol, toy_dataset
from repro.testing.protocols import noise, rankable
from repro.training.ranking import rank

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "given_split": [{"holdout_valid": True}, {"leaked": "drop"}],
    "leave_one_out": [{"test": "random"}, {"validation": False}, {"negatives": 19}],
    "random_split": [{"valid_share": 0.0}],
    "sequential_split": [{"last": 8}],
    "strong_generalization": [{"heldout_share": 0.5}],
}
"""What is looked at beside every protocol's defaults."""

every_protocol = pytest.mark.parametrize(
    ("name", "params"),
    [
        pytest.param(name, params, id=" ".join([name, *map(str, params.items())]))
        for name in PROTOCOLS.names()
        for params in ({}, *VARIANTS.get(name, []))
    ],
)


@every_protocol
@pytest.mark.parametrize("check", protocol_checks(), ids=str)
def test_a_protocol_keeps_its_contract(
    name: str, params: dict[str, Any], check: Check[Splitter]
) -> None:
    check(quick_protocol(name, **params))


@every_protocol
def test_the_users_of_an_item_are_those_in_training(name: str, params: dict[str, Any]) -> None:
    split = quick_protocol(name, **params).split(toy_dataset())
    assert split.test.queries.item_users is None
    assert split.valid is None or split.valid.queries.item_users is None


@pytest.fixture(scope="module")
def left_out() -> Cases:
    return quick_protocol("leave_one_out").split(toy_dataset()).test


def test_a_random_scorer_finds_one_of_a_hundred_candidates_in_a_tenth_of_the_tops(
    left_out: Cases,
) -> None:
    assert (rankable(left_out) == 100).all()
    rates = [rank(noise(left_out, s), left_out).value("hit_rate@10") for s in range(20)]
    assert np.mean(rates) == pytest.approx(0.10, abs=0.02)


def test_the_place_of_the_target_among_the_candidates_says_nothing(left_out: Cases) -> None:
    assert left_out.queries.candidates is not None
    is_target = left_out.queries.candidates == left_out.targets.item[:, None]
    assert (is_target.sum(axis=1) == 1).all()
    assert len(set(is_target.argmax(axis=1))) > 20
