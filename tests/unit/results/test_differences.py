"""Two rows, user by user: worked by hand, and what must not be paired."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders.records import EASE, record
from repro.results.differences import paired
from repro.results.frozen import RowName
from repro.runs import records
from repro.runs.records import Record

TARGETS = np.array([1, 1, 2, 2])
A, B = RowName("A"), RowName("B")
COLUMNS = {"Recall@1": "recall@1", "HR@2": "hit_rate@2"}


def saved(
    folder: Path,
    hits: list[list[int]],
    *,
    targets: Any = TARGETS,
    dataset: str = "toy/split",
    seed: int = 0,
    select: str = "last",
    **changed: Any,
) -> Record:
    """Return a record that has these hits on disk."""
    experiment = replace(EASE, dataset=dataset, seed=seed, select=select)
    made = record(experiment, id=experiment.id(str(hits)), n_users=len(hits), **changed)
    records.save(folder, made, np.array(hits, dtype=bool), targets)
    return replace(made, folder=folder / made.id)


@pytest.fixture
def both(tmp_path: Path) -> tuple[Record, Record]:
    # Recall@1 by user: 1, 0, 0.5, 0 and 0, 0, 0.5, 0.5; HR@2: 1, 1, 1, 0 and 0, 0, 1, 1.
    mine = saved(tmp_path, [[1, 0], [0, 1], [1, 0], [0, 0]])
    theirs = saved(tmp_path, [[0, 0], [0, 0], [1, 1], [1, 0]])
    return mine, theirs


def test_a_difference_worked_by_hand(both: tuple[Record, Record]) -> None:
    mine, theirs = both
    pair = paired("Toy", (A, [mine]), (B, [theirs]), COLUMNS)
    assert pair is not None
    assert (pair.row, pair.against, pair.n_users, pair.seeds) == (A, B, 4, (0,))
    recall, hit_rate = pair.differences
    # The users' differences: 1, 0, 0, -0.5 and 1, 1, 0, -1.
    assert (recall.label, recall.value) == ("Recall@1", 0.125)
    assert recall.standard_error == pytest.approx(np.std([1, 0, 0, -0.5], ddof=1) / 2)
    assert hit_rate.value == 0.25
    assert hit_rate.standard_error == pytest.approx(np.std([1, 1, 0, -1], ddof=1) / 2)


def test_the_other_way_round_it_is_the_same_with_the_other_sign(
    both: tuple[Record, Record],
) -> None:
    mine, theirs = both
    there = paired("Toy", (A, [mine]), (B, [theirs]), COLUMNS)
    back = paired("Toy", (B, [theirs]), (A, [mine]), COLUMNS)
    assert there is not None
    assert back is not None
    for one, other in zip(there.differences, back.differences, strict=True):
        assert (one.value, one.standard_error) == (-other.value, other.standard_error)


def test_seeds_that_both_have_are_averaged_for_each_user(
    both: tuple[Record, Record], tmp_path: Path
) -> None:
    mine, theirs = both
    more = [saved(tmp_path, [[0, 0]] * 4, seed=1), saved(tmp_path, [[1, 0]] * 4, seed=2)]
    against = [theirs, saved(tmp_path, [[1, 0], [0, 0], [0, 0], [0, 0]], seed=1)]
    pair = paired("Toy", (A, [mine, *more]), (B, against), {"Recall@1": "recall@1"})
    assert pair is not None
    assert pair.seeds == (0, 1)
    values = [(1 - 1) / 2, 0, 0, -0.5 / 2]
    assert pair.differences[0].value == pytest.approx(np.mean(values))
    assert pair.differences[0].of_seeds == (0.125, -0.25)
    # The seeds' means vary by 0.070, which is less than chance gives with four users: 0.154.
    assert pair.differences[0].standard_error == pytest.approx(np.std(values, ddof=1) / 2)


def test_what_all_users_share_of_a_seed_is_no_smaller_for_many_users(tmp_path: Path) -> None:
    n = 500
    better = [saved(tmp_path, [[1]] * n, targets=np.ones(n, int), seed=s) for s in (0, 1)]
    others = [
        saved(tmp_path, [[hit]] * n, targets=np.ones(n, int), seed=s) for s, hit in ((0, 0), (1, 1))
    ]
    pair = paired("Toy", (A, better), (B, others), {"Recall@1": "recall@1"})
    assert pair is not None
    (difference,) = pair.differences
    assert difference.of_seeds == (1.0, 0.0)
    assert difference.standard_error == pytest.approx(0.5)  # of two seeds alone: no user differs


def test_the_part_of_the_seeds_is_what_their_users_do_not_explain(tmp_path: Path) -> None:
    one = saved(tmp_path, [[1], [1], [1], [0]])
    two = saved(tmp_path, [[0], [0], [0], [0]], seed=1)
    none = [saved(tmp_path, [[0]] * 4, seed=s) for s in (0, 1)]
    pair = paired("Toy", (A, [one, two]), (B, none), {"HR@1": "hit_rate@1"})
    assert pair is not None
    # Users' means: 0.5, 0.5, 0.5, 0, of variance 1/16; the seeds' means, 0.75 and 0, of variance
    # 9/32, where the residuals, 0.125 three times and -0.375 and the same negated, explain
    # (6 / 64 + 2 * 9 / 64) / 3 / 4 = 1/32.
    expected = 1 / 16 / 4 + (9 / 32 - 1 / 32) / 2
    assert pair.differences[0].standard_error == pytest.approx(np.sqrt(expected))


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 1},
        {
            "select": "test:each",
            "epoch": 2,
        },  # its hits are of the last epoch, its results of the best ones
        {"dataset": "toy/ratings", "cases": "other"},
        {"digest": "e", "cases": "other"},
        {"digest": "e"},  # of a version that did not note the cases
        {"targets": np.array([1, 1, 2, 1])},
    ],
    ids=["seed", "select", "dataset", "data", "data of old", "targets"],
)
def test_what_was_not_asked_the_same_is_not_paired(
    both: tuple[Record, Record], tmp_path: Path, changed: dict[str, Any]
) -> None:
    other = saved(tmp_path, [[0, 0], [0, 0], [1, 1], [1, 1]], **changed)
    assert paired("Toy", (A, [both[0]]), (B, [other]), COLUMNS) is None


def test_equal_cases_of_differently_named_data_are_paired(
    both: tuple[Record, Record], tmp_path: Path
) -> None:
    mine = replace(both[0], cases="same")
    other = saved(tmp_path, [[0, 0]] * 4, dataset="toy/ratings", digest="e", cases="same")
    assert paired("Toy", (A, [mine]), (B, [other]), COLUMNS) is not None
