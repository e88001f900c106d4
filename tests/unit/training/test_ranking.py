from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from repro.errors import ReproError
from repro.interactions import Interactions
from repro.split import Cases, Queries
from repro.training import ranking
from repro.training.ranking import rank

Build = Callable[..., Interactions]

N_ITEMS = 6
SCORES = [
    [6.0, 5.0, 4.0, 3.0, 2.0, 1.0],
    [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    [0.0, 7.0, 0.0, 7.0, 0.0, 7.0],
]
HISTORY = [[0], [5, 4], []]
TARGETS = [[2, 5], [3], [3, 0]]


@dataclass
class Fixed:
    """Known scores for every user, of whom it remembers which were asked for."""

    scores: Tensor
    asked: list[int]

    def score(self, queries: Queries) -> Tensor:
        assert type(queries) is Queries
        self.asked.append(len(queries))
        scores = self.scores[torch.from_numpy(queries.user)]
        if queries.candidates is None:
            return scores
        return scores.gather(1, torch.from_numpy(queries.candidates.astype(np.int64)))


def fixed(scores: object) -> Fixed:
    return Fixed(torch.tensor(scores), [])


@pytest.fixture
def cases(build: Build) -> Callable[..., Cases]:
    def made(
        history: list[list[int]] = HISTORY,
        targets: list[list[int]] = TARGETS,
        n_items: int = N_ITEMS,
        candidates: list[list[int]] | None = None,
    ) -> Cases:
        return Cases.of(
            np.arange(len(history)),
            build(history, n_items),
            build(targets, n_items),
            None if candidates is None else np.array(candidates, dtype=np.int32),
        )

    return made


def ranks(hits: np.ndarray) -> list[list[int]]:
    """Return the ranks of the hits, from 1, per user."""
    return [(np.flatnonzero(row) + 1).tolist() for row in hits]


def test_everything_but_the_history_is_ranked(cases: Callable[..., Cases]) -> None:
    # user 0: 1 [2] 3 4 [5]; user 1: [3] 2 1 0; user 2: 1 [3] 5 [0] 2 4
    found = rank(fixed(SCORES), cases())
    assert ranks(found.hits) == [[2, 5], [1], [2, 4]]
    assert found.n_targets.tolist() == [2, 1, 2]
    assert found.hits.shape == (3, N_ITEMS)
    assert (found.tie_size, found.constant) == (0.0, 0.0)


def test_a_metric_of_the_ranking_is_its_mean_over_users(cases: Callable[..., Cases]) -> None:
    found = rank(fixed(SCORES), cases())
    assert found.value("mrr@10") == pytest.approx((1 / 2 + 1 + 1 / 2) / 3)
    assert found.standard_error("mrr@10") == pytest.approx((1 / 12 / 3) ** 0.5)


def test_a_target_in_the_history_is_never_found_but_counts(cases: Callable[..., Cases]) -> None:
    found = rank(fixed(SCORES), cases(targets=[[0, 2], [4], [3]]))
    assert ranks(found.hits) == [[2], [], [2]]
    assert found.n_targets.tolist() == [2, 1, 1]


def test_a_user_with_nothing_left_to_rank_finds_nothing(build: Build) -> None:
    history, targets = build([[0, 1, 2, 3, 4, 5]], 6), build([[1]], 6)
    found = rank(fixed(SCORES[:1]), Cases(Queries(np.array([0]), history), targets))
    assert ranks(found.hits) == [[]]
    assert found.constant == 0.0


@pytest.mark.parametrize(("target", "hit"), [(2, [3]), (5, [])])
def test_a_tie_that_crosses_the_last_rank_goes_to_the_lower_number(
    cases: Callable[..., Cases], monkeypatch: pytest.MonkeyPatch, target: int, hit: list[int]
) -> None:
    # 4 1 2 | 5 3: items 1, 2 and 5 score the same, and two of them have a rank
    monkeypatch.setattr(ranking, "DEPTH", 3)
    scores = [[9.0, 1.0, 1.0, 0.0, 2.0, 1.0]]
    found = rank(fixed(scores), cases(history=[[0]], targets=[[target]]))
    assert ranks(found.hits) == [hit]
    assert found.tie_size == 2.0


def test_the_ranked_items_can_be_kept(cases: Callable[..., Cases]) -> None:
    found = rank(fixed(SCORES), cases(), keep_items=True)
    assert found.items is not None
    assert found.items.tolist() == [
        [1, 2, 3, 4, 5, -1],
        [3, 2, 1, 0, -1, -1],
        [1, 3, 5, 0, 2, 4],
    ]
    assert rank(fixed(SCORES), cases()).items is None


def test_of_candidates_a_target_comes_behind_those_of_its_score_in_the_kept_list_too(
    cases: Callable[..., Cases],
) -> None:
    asked = cases(targets=[[2], [3], [0]], candidates=[[2, 4, -1], [1, 3, 5], [0, 3, 4]])
    found = rank(
        fixed([SCORES[0], [0.0] * 6, [0.0, 1.0, 1.0, 0.0, 0.0, 1.0]]), asked, "", keep_items=True
    )
    assert found.items is not None
    assert found.items.tolist() == [[2, 4, -1], [1, 5, 3], [3, 4, 0]]
    for user, row in enumerate(found.items):
        assert [item in asked.targets.rows(np.array([user])).item for item in row] == found.hits[
            user
        ].tolist()


def test_constant_scores_are_reported(cases: Callable[..., Cases]) -> None:
    found = rank(fixed([[1.0] * N_ITEMS, SCORES[1], SCORES[2]]), cases())
    assert found.constant == pytest.approx(1 / 3)
    assert [len(row) for row in ranks(found.hits)] == [2, 1, 2]  # whatever the order, all are found


@pytest.mark.parametrize("level", [0.0, -3.5, 2**-20])
@pytest.mark.parametrize("place", ["first", "last"])
def test_a_constant_scorer_is_as_good_as_chance_wherever_the_targets_stand(
    cases: Callable[..., Cases], level: float, place: str
) -> None:
    n_users, n_items = 2000, 150
    wanted = [0, 1, 2] if place == "first" else [147, 148, 149]
    asked = cases([[5, 6]] * n_users, [wanted] * n_users, n_items)
    found = rank(fixed([[level] * n_items] * n_users), asked)
    expected = 10 / (n_items - 2)  # of three targets in a random order, the share in ten ranks
    assert found.value("recall@10") == pytest.approx(expected, abs=4 * 0.0033)
    assert found.constant == 1.0


def test_the_random_order_of_constant_scores_is_the_same_in_every_run(
    cases: Callable[..., Cases], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = cases([[]] * 40, [[3]] * 40, 20)
    once = rank(fixed([[1.0] * 20] * 40), asked).hits
    monkeypatch.setattr(ranking, "BATCH_SCORES", 3 * 20)
    np.testing.assert_array_equal(rank(fixed([[1.0] * 20] * 40), asked).hits, once)
    assert len({tuple(row) for row in ranks(once)}) > 5  # each user has an order of their own


def test_a_scorer_that_gives_minus_infinity_is_constant_and_finds_nothing(
    cases: Callable[..., Cases],
) -> None:
    found = rank(fixed([[-np.inf] * N_ITEMS, SCORES[1], [-np.inf] * N_ITEMS]), cases())
    assert found.constant == pytest.approx(2 / 3)
    assert ranks(found.hits) == [[], [1], []]


def test_constant_scores_beyond_the_last_rank_are_reported(
    cases: Callable[..., Cases], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "DEPTH", 3)
    flat, lower_last = [1.0] * N_ITEMS, [1.0] * 5 + [0.0]
    asked = cases(history=[[], []], targets=[[0], [0]])
    found = rank(fixed([flat, lower_last]), asked)
    assert found.constant == 0.5
    assert found.tie_size == (5 + 4) / 2


@pytest.mark.parametrize("candidates", [None, [[1, 3, 5]]])
@pytest.mark.parametrize("place", [1, 3])
def test_a_score_that_is_not_a_number_is_an_error_that_names_the_model(
    cases: Callable[..., Cases], candidates: list[list[int]] | None, place: int
) -> None:
    scores = [list(SCORES[0])]
    scores[0][place] = float("nan")
    asked = cases(history=[[0]], targets=[[3]], candidates=candidates)
    with pytest.raises(ReproError, match="toy_vae gave a score that is not a number"):
        rank(fixed(scores), asked, "toy_vae")


def test_scores_of_the_wrong_shape_are_refused(cases: Callable[..., Cases]) -> None:
    with pytest.raises(ReproError, match=r"toy_vae: score returns the shape \(\d, 3\)"):
        rank(fixed([row[:3] for row in SCORES]), cases(), "toy_vae")


CANDIDATES = [[0, 2, 5], [1, 3, 5], [0, 3, 4]]


@pytest.mark.parametrize("candidates", [None, CANDIDATES])
@pytest.mark.parametrize(("value", "what"), [(np.nan, "not a number"), (np.inf, "infinite")])
def test_scores_that_are_no_numbers_are_refused(
    cases: Callable[..., Cases], candidates: list[list[int]] | None, value: float, what: str
) -> None:
    scores = [row.copy() for row in SCORES]
    scores[1][3] = value
    with pytest.raises(ReproError, match=f"toy_vae gave a score that is {what}"):
        rank(fixed(scores), cases(candidates=candidates), "toy_vae")


@pytest.mark.parametrize("candidates", [None, CANDIDATES])
def test_whole_numbers_are_ranked(
    cases: Callable[..., Cases], candidates: list[list[int]] | None
) -> None:
    asked = cases(candidates=candidates)
    whole = rank(fixed([[int(score) for score in row] for row in SCORES]), asked)
    assert whole.hits.tolist() == rank(fixed(SCORES), asked).hits.tolist()


@pytest.mark.parametrize("candidates", [None, [[0, 2, -1], [1, 3, 5], [0, 3, 4]]])
def test_the_size_of_the_batches_changes_nothing(
    cases: Callable[..., Cases],
    monkeypatch: pytest.MonkeyPatch,
    candidates: list[list[int]] | None,
) -> None:
    asked = cases(candidates=candidates)
    whole, pieces = fixed(SCORES), fixed(SCORES)
    expected = rank(whole, asked)
    monkeypatch.setattr(ranking, "BATCH_SCORES", 2 * N_ITEMS)
    found = rank(pieces, asked)
    assert (whole.asked, pieces.asked) == ([3], [2, 1])
    np.testing.assert_array_equal(found.hits, expected.hits)
    assert (found.tie_size, found.constant) == (expected.tie_size, expected.constant)


def test_only_candidates_are_ranked(cases: Callable[..., Cases]) -> None:
    # user 0: 1 [2] 4; user 1: 5 [3] 0, though 5 is in the history; user 2: 1 [3] 2
    candidates = [[1, 2, 4], [0, 3, 5], [1, 2, 3]]
    found = rank(fixed(SCORES), cases(targets=[[2], [3], [3]], candidates=candidates))
    assert ranks(found.hits) == [[2], [2], [2]]
    assert found.hits.shape == (3, 3)
    assert found.tie_size == pytest.approx(1 / 3)


def test_a_target_comes_after_every_candidate_of_its_score(cases: Callable[..., Cases]) -> None:
    # user 2 scores 1, 3 and 5 alike: the target is third of them whatever its number
    for target in (1, 3, 5):
        asked = cases(
            history=[[], [], []], targets=[[0], [0], [target]], candidates=[[0, 1, 3, 5]] * 3
        )
        assert ranks(rank(fixed(SCORES), asked).hits)[2] == [3]


def test_the_size_of_a_tie_is_a_mean_over_a_users_targets(cases: Callable[..., Cases]) -> None:
    # target 0 has the score of 1 and 2, target 3 that of 4, and target 5 its own
    scores = [[1.0, 1.0, 1.0, 2.0, 2.0, 0.0]]
    asked = cases([[]], [[0, 3, 5]], candidates=[[0, 1, 2, 3, 4, 5]])
    found = rank(fixed(scores), asked)
    assert found.tie_size == (2 + 1 + 0) / 3
    assert ranks(found.hits) == [[2, 5, 6]]


def test_a_constant_scorer_never_hits_among_a_hundred_candidates(
    cases: Callable[..., Cases],
) -> None:
    targets = [[0], [50], [99]]
    asked = cases([[], [], []], targets, n_items=100, candidates=[list(range(100))] * 3)
    found = rank(fixed([[0.5] * 100] * 3), asked)
    assert found.value("hit_rate@10") == 0.0
    assert found.value("hit_rate@100") == 1.0
    assert (found.tie_size, found.constant) == (99.0, 1.0)


def test_padding_behind_a_short_list_is_no_candidate(cases: Callable[..., Cases]) -> None:
    # the model sees no negative number, and what it says of the padding is not ranked:
    # item 0, which stands in for it, has the best score
    scores = [[9.0, -2.0, -1.0, 3.0, 4.0, 5.0]]
    candidates = [[1, 2, -1, -1]]
    found = rank(fixed(scores), cases([[]], [[1]], candidates=candidates))
    assert ranks(found.hits) == [[2]]
    assert (found.tie_size, found.constant) == (0.0, 0.0)


def test_padding_does_not_hide_that_all_candidates_score_the_same(
    cases: Callable[..., Cases],
) -> None:
    found = rank(fixed([[0.5] * N_ITEMS]), cases([[]], [[1]], candidates=[[1, 2, 4, -1]]))
    assert ranks(found.hits) == [[3]]
    assert (found.tie_size, found.constant) == (2.0, 1.0)


def test_scores_are_ranked_without_gradients(cases: Callable[..., Cases]) -> None:
    weights = torch.tensor(SCORES, requires_grad=True)
    found = rank(Fixed(weights, []), cases())
    assert ranks(found.hits) == [[2, 5], [1], [2, 4]]


def test_without_any_case_ranking_is_an_error(build: Build) -> None:
    nobody = Cases.of(np.array([], dtype=int), build([], 5), build([], 5))
    with pytest.raises(ReproError, match="no user has a target"):
        rank(fixed(SCORES), nobody)
