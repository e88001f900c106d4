"""Other readings of a metric, worked by hand, and which of them gives a printed number."""

from __future__ import annotations

from dataclasses import replace
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from builders.records import EASE, record
from repro.results.variants import Variant, epochs, variants
from repro.runs import records
from repro.runs.records import Record

HITS = [[1, 0, 1], [0, 1, 0], [0, 0, 0]]
TARGETS = [4, 1, 2]


def saved(
    folder: Path, hits: Any = HITS, targets: Any = TARGETS, *, seed: int = 0, **changed: Any
) -> Record:
    experiment = replace(EASE, seed=seed, select=changed.pop("select", "last"))
    made = record(experiment, id=f"seed{seed}", n_users=len(hits), **changed)
    records.save(folder, made, np.array(hits, dtype=bool), np.array(targets))
    return replace(made, folder=folder / made.id)


def by_name(found: list[Variant]) -> dict[str, float]:
    return {one.name: one.value for one in found}


def test_readings_worked_by_hand(tmp_path: Path) -> None:
    found = by_name(variants("ndcg@2", "", [saved(tmp_path)])[0])
    two, three = 1 / log2(3), 1 / log2(4)
    assert found["ndcg@2"] == pytest.approx((1 / (1 + two) + two) / 3)
    assert found["ndcg@1"] == pytest.approx(1 / 3)
    assert found["ndcg@3"] == pytest.approx(((1 + three) / (1 + two + three) + two) / 3)
    assert found["recall@2"] == pytest.approx((1 / 4 + 1) / 3)
    assert found["capped_recall@2"] == pytest.approx((1 / 2 + 1) / 3)
    assert found["precision@2"] == pytest.approx((1 / 2 + 1 / 2) / 3)
    assert found["hit_rate@2"] == pytest.approx(2 / 3)
    assert found["mrr@2"] == pytest.approx((1 + 1 / 2) / 3)
    four = 1 + two + three + 1 / log2(5)
    assert found["DCG over the ideal of all targets"] == pytest.approx((1 / four + two) / 3)
    assert found["DCG over the ideal of the hits found"] == pytest.approx((1 + two) / 3)
    assert found["DCG without an ideal"] == pytest.approx((1 + two) / 3)


def test_recall_over_pairs_worked_by_hand(tmp_path: Path) -> None:
    found = by_name(variants("recall@3", "", [saved(tmp_path)])[0])
    assert found["recall@3"] == pytest.approx((2 / 4 + 1 + 0) / 3)
    assert found["hits of all users over targets of all users"] == pytest.approx(3 / 7)


def test_the_printed_number_is_recognised_in_another_recall(tmp_path: Path) -> None:
    found, _ = variants("capped_recall@2", "0.4167", [saved(tmp_path)])
    own, nearest = found[0], found[1]
    assert (own.kind, own.name, own.prints) == ("own", "capped_recall@2", False)
    assert (nearest.kind, nearest.name, nearest.prints) == ("formula", "recall@2", True)
    assert nearest.z == pytest.approx(0, abs=1e-3)
    assert own.z is not None
    assert own.standard_error is not None
    assert own.z == pytest.approx((own.value - 0.4167) / own.standard_error)


def test_readings_that_are_the_same_for_every_user_stand_apart(tmp_path: Path) -> None:
    one_target = [[1, 0, 0], [0, 1, 0], [0, 0, 0]]
    found, same = variants("hit_rate@2", "0.5", [saved(tmp_path, one_target, [1, 1, 1])])
    assert {"recall@2", "capped_recall@2"} <= set(same)
    assert set(same).isdisjoint(one.name for one in found)


def test_seeds_are_averaged_and_their_spread_counts(tmp_path: Path) -> None:
    two = [saved(tmp_path), saved(tmp_path, [[0, 0, 0], [1, 0, 0], [1, 1, 0]], seed=1)]
    alone, both = (variants("hit_rate@2", "", some)[0][0] for some in (two[:1], two))
    assert both.value == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert alone.standard_error == pytest.approx(np.std([1, 1, 0], ddof=1) / np.sqrt(3))


def test_without_a_record_there_is_no_reading() -> None:
    assert variants("ndcg@10", "0.5", []) == ([], [])


@settings(deadline=None)
@given(
    hits=arrays(bool, st.tuples(st.integers(1, 8), st.integers(1, 12))),
    more=st.integers(0, 5),
    metric=st.sampled_from(["ndcg@3", "recall@2", "capped_recall@5", "f1_of_means@2", "mrr@4"]),
)
def test_every_reading_is_a_mean_that_its_printed_form_finds(
    tmp_path_factory: pytest.TempPathFactory, hits: Any, more: int, metric: str
) -> None:
    targets = np.maximum(hits.sum(axis=1) + more, 1)
    made = saved(tmp_path_factory.mktemp("run"), hits, targets)
    for one in variants(metric, "", [made])[0]:
        assert np.isfinite(one.value)
        printed = f"{one.value:.4f}"
        again, _ = variants(metric, printed, [made])
        assert next(v for v in again if v.name == one.name).prints


CURVE = [
    {"epoch": 1, "test": {"ndcg@2": 0.2}, "valid": {"ndcg@2": 0.5}},
    {"epoch": 2, "losses": {}},
    {"epoch": 3, "test": {"ndcg@2": 0.4}, "valid": {"ndcg@2": 0.3}},
    {"epoch": 4, "test": {"ndcg@2": 0.3}, "valid": {"ndcg@2": 0.4}},
]


def test_the_epochs_of_a_curve(tmp_path: Path) -> None:
    found = epochs("ndcg@2", "0.40", [saved(tmp_path, curve=CURVE)])
    assert [(one.name, one.value, one.prints) for one in found] == [
        ("the last epoch, epoch 4", 0.3, False),
        ("the best on validation by this metric, epoch 1", 0.2, False),
        ("the best on test, epoch 3", 0.4, True),
    ]
    before = [{"phase": "first", "epoch": 1, "test": {"ndcg@2": 0.9}}]
    later = [{**one, "phase": "second"} for one in CURVE]
    both = epochs("ndcg@2", "0.40", [saved(tmp_path, curve=before + later)])
    assert both == found
    assert epochs("ndcg@3", "0.40", [saved(tmp_path, curve=CURVE)]) == []
