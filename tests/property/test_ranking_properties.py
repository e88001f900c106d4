from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

from repro import metrics
from repro.interactions import Interactions, from_rows
from repro.metrics import Counts, Hits
from repro.split import Cases, Queries
from repro.training import ranking
from repro.training.ranking import rank

quick = settings(deadline=None, max_examples=50)

SCORES = [-1.0, 0.0, 0.5, 2.0]
"""Few values, so that ties are many."""


@dataclass(frozen=True)
class Toy:
    """What a ranking is made of; one row per user, one column per item."""

    scores: np.ndarray
    history: np.ndarray
    targets: np.ndarray
    candidates: np.ndarray | None = None

    def cases(self) -> Cases:
        users = np.arange(len(self.scores))
        return Cases(Queries(users, rows(self.history), self.candidates), rows(self.targets))

    def score(self, queries: Queries) -> Tensor:
        scores = self.scores[queries.user]
        if queries.candidates is not None:
            scores = np.take_along_axis(scores, queries.candidates, axis=1)
        return torch.from_numpy(scores.copy())


def rows(mask: np.ndarray) -> Interactions:
    user, item = mask.nonzero()
    return from_rows(user, item, mask.shape[0], mask.shape[1], ordered=False)


@st.composite
def toys(draw: st.DrawFn) -> Toy:
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 9)))
    scores = draw(hnp.arrays(np.float32, shape, elements=st.sampled_from(SCORES)))
    history, targets = (draw(hnp.arrays(np.bool_, shape)) for _ in range(2))
    targets[
        np.arange(shape[0]), draw(hnp.arrays(int, shape[0], elements=st.integers(0, shape[1] - 1)))
    ] = True
    return Toy(scores, history, targets)


@st.composite
def among_candidates(draw: st.DrawFn) -> Toy:
    """Return a toy with one target per user among candidates, of which some lists are shorter."""
    toy = draw(toys())
    targets = np.zeros_like(toy.targets)
    candidates = np.full(toy.scores.shape, -1)
    for user, (chosen, among) in enumerate(zip(toy.targets, toy.history, strict=True)):
        target = chosen.argmax()
        targets[user, target] = True
        among[target] = True
        candidates[user, : among.sum()] = np.flatnonzero(among)
    return Toy(toy.scores, np.zeros_like(toy.history), targets, candidates)


def oracle(toy: Toy) -> list[list[bool]]:
    """Return the hits of a ranking by Python's own sort."""
    found = []
    for user, scores in enumerate(toy.scores):
        target = toy.targets[user]
        if toy.candidates is None:
            order = sorted(np.flatnonzero(~toy.history[user]), key=lambda i: (-scores[i], i))
        else:
            among = [i for i in toy.candidates[user] if i >= 0]
            order = sorted(among, key=lambda i: (-scores[i], target[i], i))
        found.append([bool(target[i]) for i in order])
    return found


def compared(toy: Toy, depth: int, users_at_once: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "DEPTH", depth)
        patch.setattr(ranking, "BATCH_SCORES", users_at_once * toy.scores.shape[1])
        found = rank(toy, toy.cases())
    for user, (hits, expected) in enumerate(zip(found.hits.tolist(), oracle(toy), strict=True)):
        best = expected[: len(hits)]
        left = toy.scores[user][~toy.history[user]]
        if toy.candidates is None and len(set(left.tolist())) == 1:  # a random order, all alike
            assert len(expected) > len(hits) or sum(hits) == sum(expected)
            continue
        assert hits == best + [False] * (len(hits) - len(best))
    assert found.n_targets.tolist() == toy.targets.sum(axis=1).tolist()


@quick
@given(toys(), st.integers(1, 10), st.integers(1, 4))
def test_a_full_ranking_is_what_sorting_by_score_then_number_gives(
    toy: Toy, depth: int, users_at_once: int
) -> None:
    compared(toy, depth, users_at_once)


@quick
@given(among_candidates(), st.integers(1, 4))
def test_a_candidate_ranking_is_what_sorting_with_the_target_last_of_its_score_gives(
    toy: Toy, users_at_once: int
) -> None:
    compared(toy, depth=100, users_at_once=users_at_once)


@quick
@given(toys())
def test_scores_that_put_targets_first_find_all_that_can_be_found(toy: Toy) -> None:
    best = Toy(toy.targets.astype(np.float32), toy.history, toy.targets)
    found = rank(best, best.cases())
    reachable = (toy.targets & ~toy.history).sum(axis=1)
    expected = np.arange(found.hits.shape[1]) < reachable[:, None]
    np.testing.assert_array_equal(found.hits, expected)


@quick
@given(toys())
def test_what_the_history_scores_changes_nothing(toy: Toy) -> None:
    loud = Toy(np.where(toy.history, np.inf, toy.scores), toy.history, toy.targets)
    np.testing.assert_array_equal(rank(loud, loud.cases()).hits, rank(toy, toy.cases()).hits)


@quick
@given(toys(), st.sampled_from(SCORES))
def test_the_share_of_constant_users_is_that_of_users_with_one_score(
    toy: Toy, value: float
) -> None:
    toy.scores[0] = value
    constant = [
        bool(left.any()) and len(set(scores[left])) == 1
        for scores, left in zip(toy.scores, ~toy.history, strict=True)
    ]
    assert rank(toy, toy.cases()).constant == pytest.approx(np.mean(constant))


@st.composite
def hits_and_counts(draw: st.DrawFn) -> tuple[Hits, Counts]:
    shape = draw(st.tuples(st.integers(1, 5), st.integers(1, 12)))
    hits = draw(hnp.arrays(np.bool_, shape))
    beyond = draw(hnp.arrays(np.int64, shape[0], elements=st.integers(0, 20)))
    return hits, np.maximum(hits.sum(axis=1) + beyond, 1)


names = st.sampled_from(sorted(metrics.METRICS))
cutoffs = st.integers(1, 15)


@quick
@given(hits_and_counts(), names, cutoffs)
def test_a_metric_lies_between_zero_and_one(found: tuple[Hits, Counts], name: str, k: int) -> None:
    terms = metrics.per_user(f"{name}@{k}", *found)
    assert terms.shape == (len(found[0]),)
    assert -1e-12 <= terms.mean() <= 1 + 1e-12


@quick
@given(hits_and_counts(), st.sampled_from(["ndcg", "capped_recall", "hit_rate", "mrr"]), cutoffs)
def test_a_perfect_ranking_is_worth_one(found: tuple[Hits, Counts], name: str, k: int) -> None:
    n_targets = found[1]
    hits = np.arange(40) < n_targets[:, None]
    np.testing.assert_allclose(metrics.per_user(f"{name}@{k}", hits, n_targets), 1.0)


@quick
@given(hits_and_counts(), names, cutoffs)
def test_moving_hits_to_the_front_never_lowers_a_metric(
    found: tuple[Hits, Counts], name: str, k: int
) -> None:
    hits, n_targets = found
    ahead = np.sort(hits, axis=1)[:, ::-1]
    before, after = (metrics.per_user(f"{name}@{k}", h, n_targets).mean() for h in (hits, ahead))
    assert after >= before - 1e-12


@quick
@given(hits_and_counts(), names, cutoffs)
def test_the_order_of_the_users_does_not_matter(
    found: tuple[Hits, Counts], name: str, k: int
) -> None:
    hits, n_targets = found
    terms, back = (
        metrics.per_user(f"{name}@{k}", hits[order], n_targets[order])
        for order in (np.arange(len(hits)), np.arange(len(hits))[::-1])
    )
    np.testing.assert_allclose(terms, back[::-1])


@quick
@given(hits_and_counts(), names, cutoffs)
def test_ranks_below_the_cutoff_do_not_count(found: tuple[Hits, Counts], name: str, k: int) -> None:
    hits, n_targets = found
    cut = metrics.per_user(f"{name}@{k}", hits[:, :k], n_targets)
    np.testing.assert_array_equal(metrics.per_user(f"{name}@{k}", hits, n_targets), cut)
