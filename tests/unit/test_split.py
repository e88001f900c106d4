"""What a split says of what it asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.interactions import Dataset, Interactions, from_rows
from repro.protocols.given_split import GivenSplit
from repro.protocols.leave_one_out import LeaveOneOut
from repro.protocols.random_split import RandomSplit
from repro.protocols.sequential_split import SequentialSplit
from repro.protocols.strong_generalization import StrongGeneralization
from repro.report import splits
from repro.split import NO_RIVAL, NO_TARGET, Cases, Split, SplitSummary

Make = Callable[..., Dataset]
Build = Callable[..., Interactions]
N_ITEMS = 9


def test_users_without_a_target_are_counted_by_the_first_reason_that_holds(build: Build) -> None:
    history, targets = build([[1], [2], [3], [4]]), build([[5], [], [], []])
    why = {"are new": np.array([True, True, False, False])}
    why["are old"] = np.array([False, True, True, False])
    cases = Cases.of(np.arange(4), history, targets, why=why)
    assert cases.dropped == {"are new": 1, "are old": 1, NO_TARGET: 1}


@pytest.mark.parametrize(
    ("candidates", "users"),
    [
        (None, [0, 2]),  # user 1 has all items but the target in the history
        ([[2, -1, -1], [1, 3, -1], [1, 2, 3]], [1, 2]),
    ],
)
def test_a_target_that_would_stand_alone_is_not_asked(
    build: Build, candidates: list[list[int]] | None, users: list[int]
) -> None:
    history, targets = build([[0], [0, 2, 3], [0]], 4), build([[2], [1], [1, 2]], 4)
    listed = None if candidates is None else np.array(candidates)
    cases = Cases.of(np.arange(3), history, targets, listed)
    assert cases.queries.user.tolist() == users
    assert cases.dropped == {NO_RIVAL: 1}


def test_candidates_that_are_all_targets_are_no_test(build: Build) -> None:
    cases = Cases.of(np.array([0]), build([[0]], 4), build([[1, 2]], 4), np.array([[1, 2]]))
    assert (len(cases), cases.dropped) == (0, {NO_RIVAL: 1})


def test_what_a_model_cannot_know_is_counted(dataset: Make) -> None:
    train = [[0, 1, 2], [0, 3], [], [], [1, 2]]
    test = [[3, 8], [0, 7], [1], [], []]  # 7 and 8 are in no training row; user 1 has 0 already
    asked = GivenSplit().split(dataset([[]] * 5, train=train, test=test)).summary.test
    assert (asked.users, asked.of, asked.dropped) == (3, 5, {"not in the test file": 2})
    assert (asked.without_history, asked.without_training) == (1, 1)
    assert (asked.targets, asked.unknown_targets, asked.masked_targets) == (5, 2, 1)
    assert asked.full
    assert asked.negatives_mean == pytest.approx((7 + 9 + 11) / 3)
    assert asked.negatives_min == 7


def test_targets_that_are_left_out_because_they_were_trained_on_are_a_reason(dataset: Make) -> None:
    data = dataset([[]] * 3, train=[[0, 1], [0], [2]], test=[[1], [2], []])
    asked = GivenSplit(leaked="drop").split(data).summary.test
    assert asked.dropped == {
        "not in the test file": 1,
        "all targets are in training, too": 1,
    }


def test_strong_generalization_tells_whom_it_does_not_ask(dataset: Make) -> None:
    # RandomState(98765).permutation(6) = 4 2 | 1 0 | 3 5: users 3 and 5 are the test users
    rows = [[0, 1], [0], [0, 1, 2], [3, 4, 5, 6], [0, 1, 2], [0, 1, 2, 9]]
    asked = StrongGeneralization(heldout_users=2).split(dataset(rows)).summary.test
    assert (asked.users, asked.of, asked.lost) == (0, 2, 5)
    assert list(asked.dropped.values()) == [1, 1]
    assert list(asked.dropped) == [
        "no interaction with an item that training knows",
        "fewer than 5 interactions, all of which are given",
    ]


def test_held_out_users_of_a_given_split_who_have_nothing_to_find_are_told_of(
    dataset: Make,
) -> None:
    parts = {
        "train": [[0, 1], [], [], []],
        "valid_history": [[], [0], [], []],
        "valid": [[], [1], [], []],
        "test_history": [[], [], [0], [1]],
        "test": [[], [], [1], []],
    }
    summary = StrongGeneralization(users="given").split(dataset([[]] * 4, **parts)).summary
    assert (summary.test.users, summary.test.of, summary.test.without_training) == (1, 2, 1)
    assert summary.valid is not None
    assert (summary.valid.users, summary.valid.of) == (1, 1)


@pytest.mark.parametrize("protocol", [RandomSplit(), SequentialSplit()])
def test_users_who_are_too_short_to_hold_out_from_are_counted(
    dataset: Make, protocol: RandomSplit | SequentialSplit
) -> None:
    asked = protocol.split(dataset([list(range(8)), [1], [2]])).summary.test
    assert asked.dropped == {"too few interactions to hold any out": 2}


class TestCandidates:
    def test_fewer_negatives_than_asked_for_are_told_of(self, dataset: Make) -> None:
        rows = [list(range(8)), [0, 1, 2], [3, 4, 5]]
        asked = LeaveOneOut(negatives=9).split(dataset(rows)).summary.test
        assert (asked.negatives_asked, asked.negatives_min) == (9, 4)
        assert asked.negatives_mean == pytest.approx((4 + 9 + 9) / 3)
        assert asked.is_short
        assert "FEWER CANDIDATES than the 9 asked for: ranked among 7.3 others on average, 4" in (
            splits.text(LeaveOneOut(negatives=9).split(dataset(rows)).summary)
        )

    def test_a_list_that_lacks_one_of_many_is_not_short(self, dataset: Make) -> None:
        negatives = [list(range(2, 102))] * 150
        negatives[0] = [1, *range(3, 102)]  # its target among them, as NCF's lists have it
        parts = {"train": [[0]] * 150, "test": [[1]] * 150, "negatives": negatives}
        given = LeaveOneOut(test="given", given_negatives=True, validation=False)
        asked = given.split(dataset([[]] * 150, 102, **parts)).summary.test
        assert (asked.negatives_asked, asked.negatives_min) == (100, 99)
        assert not asked.is_short

    def test_given_lists_are_as_long_as_most_of_them_whatever_the_protocol_says(
        self, dataset: Make
    ) -> None:
        parts = {"train": [[0], [0]], "test": [[1], [1]], "negatives": [[2, 3, 4], [5, 6, 7]]}
        given = LeaveOneOut(test="given", given_negatives=True, validation=False)
        asked = given.split(dataset([[], []], **parts)).summary.test
        assert (asked.negatives_asked, asked.negatives_mean) == (3, 3)
        assert not asked.is_short

    def test_a_list_of_the_target_alone_and_an_empty_one_are_left_out(self, dataset: Make) -> None:
        parts = {
            "train": [[0], [0], [0], [0, 5]],
            "test": [[1], [1], [1], [1]],
            "negatives": [[1, 1, 1], [], [2, 3, 2], [0, 5, 5]],
        }
        given = LeaveOneOut(test="given", given_negatives=True, validation=False)
        split = given.split(dataset([[]] * 4, **parts))
        assert split.test.queries.user.tolist() == [2, 3]
        asked = split.summary.test
        assert asked.dropped == {NO_RIVAL: 2}
        assert (asked.known_negatives, asked.is_short) == (2, True)

    def test_a_user_who_has_touched_everything_is_not_asked(self, dataset: Make) -> None:
        split = LeaveOneOut().split(dataset([list(range(12)), [0, 1, 2]]))
        assert split.test.queries.user.tolist() == [1]


def test_a_repeated_test_row_counts_once_and_its_list_as_well(dataset: Make) -> None:
    parts = {"train": [[0, 1], [3]], "test": [[2, 2], [5]], "negatives": [[7, 8, 7, 8], [7, 8]]}
    given = LeaveOneOut(test="given", given_negatives=True, validation=False)
    split = given.split(dataset([[], []], **parts))
    assert [split.test.targets[user].tolist() for user in (0, 1)] == [[2], [5]]
    assert split.test.queries.candidates is not None
    assert split.test.queries.candidates[0].tolist()[:3] == [2, 7, 8]


lists = st.lists(st.lists(st.integers(0, N_ITEMS - 1), max_size=N_ITEMS), min_size=1, max_size=6)


def interactions(rows: Sequence[Sequence[int]], n_users: int) -> Interactions:
    rows = [*rows, *([[]] * n_users)][:n_users]
    user = np.repeat(np.arange(n_users), [len(items) for items in rows])
    item = np.array([item for items in rows for item in items], dtype=np.int64)
    return from_rows(user, item, n_users, N_ITEMS, ordered=False)


@st.composite
def some_splits(draw: st.DrawFn) -> Split:
    train, history, targets = draw(lists), draw(lists), draw(lists)
    n = len(targets)
    known = draw(st.lists(st.integers(-1, len(train) - 1), min_size=n, max_size=n))
    candidates = None
    if draw(st.booleans()):
        chosen = [
            sorted({*draw(st.lists(st.integers(0, N_ITEMS - 1))), *items}) for items in targets
        ]
        candidates = np.array([[*items, *([-1] * N_ITEMS)][:N_ITEMS] for items in chosen])
    cases = Cases.of(
        np.array(known), interactions(history, n), interactions(targets, n), candidates
    )
    return Split(interactions(train, len(train)), None, cases)


@given(some_splits())
def test_a_summary_is_what_counting_by_hand_gives(split: Split) -> None:
    test, asked = split.test, split.summary.test
    trained = set(split.train.item.tolist())
    found = {"none": 0, "new": 0, "targets": 0, "unknown": 0, "masked": 0}
    negatives, known = [], 0
    for row in range(len(test)):
        history, targets = (set(of[row].tolist()) for of in (test.queries.history, test.targets))
        user = int(test.queries.user[row])
        found["none"] += not history
        found["new"] += user < 0 or not len(split.train[user])
        found["targets"] += len(targets)
        found["unknown"] += len(targets - trained)
        if test.queries.candidates is None:
            found["masked"] += len(targets & history)
            rivals = set(range(N_ITEMS)) - history - targets
        else:
            rivals = set(test.queries.candidates[row].tolist()) - {-1} - targets
            known += len(rivals & history)
        negatives.append(len(rivals))
    assert all(negatives), "a target stands alone"
    assert found == {
        "none": asked.without_history,
        "new": asked.without_training,
        "targets": asked.targets,
        "unknown": asked.unknown_targets,
        "masked": asked.masked_targets,
    }
    assert asked.known_negatives == known
    assert asked.of == asked.users + sum(asked.dropped.values())
    if negatives:
        assert asked.negatives_mean == pytest.approx(np.mean(negatives))
        assert asked.negatives_min == min(negatives)


@given(some_splits())
def test_a_summary_survives_json_and_has_words(split: Split) -> None:
    assert SplitSummary.from_json(asdict(split.summary)) == split.summary
    said = splits.text(split.summary, ["recall@5"])
    assert f" {split.summary.test.users:,} " in said
    for reason, n in split.summary.test.dropped.items():
        assert f"{n} ({reason})" in said


def test_a_cut_off_as_deep_as_the_ranking_is_told_of(dataset: Make) -> None:
    parts = {"train": [[0, 1]] * 2, "test": [[2], [3]]}
    summary = GivenSplit().split(dataset([[]] * 2, **parts)).summary
    assert "recall@10: the cut-off is as deep as the ranking of 10.0 items" in (
        splits.text(summary, ["ndcg@9", "recall@10"])
    )
    assert "the cut-off" not in splits.text(summary, ["ndcg@9"])
