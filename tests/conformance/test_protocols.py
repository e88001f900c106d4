from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import hypergeom
from torch import Tensor

from repro.interactions import Dataset
from repro.plugins import MODELS, PROTOCOLS
from repro.split import Cases, Queries, Split
from repro.training.progress import Progress
from repro.training.ranking import rank

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "given_split": [{"holdout_valid": True}, {"leaked": "drop"}],
    "leave_one_out": [{"test": "random"}, {"validation": False}, {"negatives": 19}],
    "random_split": [{"valid_share": 0.0}],
    "sequential_split": [{"last": 8}],
    "strong_generalization": [{"heldout_share": 0.5}],
}
"""What is looked at beside every protocol's defaults."""

ASKED = [(name, params) for name in PROTOCOLS.names() for params in ({}, *VARIANTS.get(name, []))]


@pytest.fixture(params=ASKED, ids=lambda asked: " ".join([asked[0], *map(str, asked[1].items())]))
def under(request: pytest.FixtureRequest, split: Callable[..., Split]) -> Split:
    name, params = request.param
    return split(name, **params)


def parts(split: Split) -> list[Cases]:
    return [cases for cases in (split.valid, split.test) if cases is not None]


@dataclass
class Known:
    """Scores by the place of a query among all; knows whose turn it is."""

    scores: Tensor
    done: int = 0

    def score(self, queries: Queries) -> Tensor:
        scores = self.scores[self.done : self.done + len(queries)]
        self.done += len(queries)
        if queries.candidates is None:
            return scores.clone()
        return scores.gather(1, torch.from_numpy(queries.candidates.astype(np.int64)))


def noise(cases: Cases, seed: int) -> Tensor:
    shape = len(cases), cases.targets.n_items
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def rankable(cases: Cases) -> np.ndarray:
    """Return how many items each query ranks."""
    if cases.queries.candidates is not None:
        return (cases.queries.candidates >= 0).sum(axis=1)
    return cases.targets.n_items - cases.queries.history.distinct().counts


def test_a_random_scorer_hits_as_often_as_chance(under: Split) -> None:
    n, t = rankable(under.test), under.test.targets.counts
    expected = (1 - hypergeom.pmf(0, n, t, np.minimum(10, n))).mean()
    rates = [rank(Known(noise(under.test, s)), under.test).value("hit_rate@10") for s in range(20)]
    error = (expected * (1 - expected) / (20 * len(under.test))) ** 0.5
    assert abs(np.mean(rates) - expected) < 4 * error


def test_a_random_scorer_finds_one_of_a_hundred_candidates_in_a_tenth_of_the_tops(
    split: Callable[..., Split],
) -> None:
    test = split("leave_one_out").test
    assert (rankable(test) == 100).all()
    rates = [rank(Known(noise(test, s)), test).value("hit_rate@10") for s in range(20)]
    assert np.mean(rates) == pytest.approx(0.10, abs=0.02)


def test_a_scorer_that_knows_the_targets_is_perfect(under: Split) -> None:
    for cases in parts(under):
        found = rank(Known(torch.from_numpy(cases.targets.matrix().toarray())), cases)
        assert found.value("hit_rate@10") == 1.0
        assert found.value("ndcg@10") == pytest.approx(1.0)
        assert found.constant == 0.0


def test_a_constant_scorer_is_reported_and_gains_nothing(under: Split) -> None:
    for cases in parts(under):
        shape = len(cases), cases.targets.n_items
        found = rank(Known(torch.ones(shape)), cases)
        assert found.constant == 1.0
        if cases.queries.candidates is not None:
            assert not found.hits[:, : int(rankable(cases).min()) - 1].any()
        else:
            by_number = Known(-torch.arange(float(shape[1])).repeat(shape[0], 1))
            np.testing.assert_array_equal(found.hits, rank(by_number, cases).hits)


def test_popularity_finds_the_same_in_two_runs(
    split: Callable[..., Split], under: Split, request: pytest.FixtureRequest
) -> None:
    name, params = request.node.callspec.params["under"]
    one, other = (popularity(made) for made in (under, split(name, **params)))
    np.testing.assert_array_equal(one, other)
    assert one.any()


def popularity(split: Split) -> np.ndarray:
    [scorer] = MODELS.load("popularity")().epochs(split.train, Progress(0, torch.device("cpu")))
    return np.packbits(rank(scorer, split.test).hits)


def test_nothing_that_is_asked_was_trained_on(under: Split) -> None:
    trained = [set(under.train[user].tolist()) for user in range(under.train.n_users)]
    for cases in parts(under):
        for row, user in enumerate(cases.queries.user):
            targets = set(cases.targets[row].tolist())
            if user >= 0:
                assert targets.isdisjoint(trained[user])
            else:
                assert targets | set(cases.queries.history[row].tolist()) not in trained


def test_no_item_is_asked_of_a_user_twice(under: Split) -> None:
    asked = [pair for cases in parts(under) for pair in pairs(cases)]
    assert len(asked) == len(set(asked)) > 0


def pairs(cases: Cases) -> list[tuple[Any, int]]:
    """Return user and item of every target; a stranger is known by the history."""
    user = [
        user if user >= 0 else tuple(cases.queries.history[row].tolist())
        for row, user in enumerate(cases.queries.user.tolist())
    ]
    targets = cases.targets
    return [(user[row], int(item)) for row, item in zip(targets.user, targets.item, strict=True)]


def test_queries_give_no_target_away(under: Split) -> None:
    for cases in parts(under):
        queries = cases.queries
        assert set(vars(queries)) == {"user", "history", "candidates", "item_users"}
        assert queries.item_users is None  # training's
        for row in range(len(cases)):
            assert not np.isin(cases.targets[row], queries.history[row]).any()
        if queries.candidates is not None:
            listed = np.where(queries.candidates < 0, np.iinfo(np.int32).max, queries.candidates)
            assert (np.diff(listed.astype(np.int64), axis=1) >= 0).all()


def test_the_place_of_the_target_among_the_candidates_says_nothing(
    split: Callable[..., Split],
) -> None:
    test = split("leave_one_out").test
    assert test.queries.candidates is not None
    is_target = test.queries.candidates == test.targets.item[:, None]
    assert (is_target.sum(axis=1) == 1).all()
    assert len(set(is_target.argmax(axis=1))) > 20


def test_the_history_is_all_that_training_has_of_a_known_user_or_more(under: Split) -> None:
    for cases in parts(under):
        for row, user in enumerate(cases.queries.user):
            if user >= 0:
                assert set(under.train[user]) <= set(cases.queries.history[row])


def test_splitting_changes_nothing_in_the_dataset(
    toy: Dataset, split: Callable[..., Split]
) -> None:
    rows = toy.interactions
    before = np.stack([rows.user, rows.item])
    for name, params in ASKED:
        split(name, **params)
    np.testing.assert_array_equal(np.stack([rows.user, rows.item]), before)
