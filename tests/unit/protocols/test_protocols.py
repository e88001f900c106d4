from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from repro.errors import ReproError
from repro.interactions import Dataset, Interactions
from repro.protocols.given_split import GivenSplit
from repro.protocols.leave_one_out import LeaveOneOut
from repro.protocols.random_split import RandomSplit
from repro.protocols.sequential_split import SequentialSplit
from repro.protocols.strong_generalization import StrongGeneralization
from repro.split import Cases, Queries
from repro.training.ranking import rank

Make = Callable[..., Dataset]


def lists(rows: Interactions) -> list[list[int]]:
    return [rows[user].tolist() for user in range(rows.n_users)]


def asked(cases: Cases | None) -> dict[int, tuple[list[int], list[int]]]:
    """Return history and targets by the user's row in training."""
    assert cases is not None
    both = zip(lists(cases.queries.history), lists(cases.targets), strict=True)
    return dict(zip(cases.queries.user.tolist(), both, strict=True))


def shown(cases: Cases | None) -> list[list[int]]:
    """Return each user's candidates, without the padding."""
    assert cases is not None
    assert cases.queries.candidates is not None
    return [[i for i in row if i >= 0] for row in cases.queries.candidates.tolist()]


def up_to(n: int) -> list[int]:
    return list(range(n))


class TestStrongGeneralization:
    @pytest.mark.parametrize(
        ("n_users", "last"),
        [
            (136_677, [2057, 37808, 126893, 69107, 134933]),  # ML-20M
            (463_435, [423901, 389037, 238956, 331251, 134933]),  # Netflix
        ],
    )
    def test_the_test_users_are_the_last_of_the_published_permutation(
        self, n_users: int, last: list[int]
    ) -> None:
        base = 14  # every user's five items spell the number, one digit each
        digits = np.arange(n_users)[:, None] // base ** np.arange(5) % base
        every = np.arange(5 * base)  # user 0 has all items, so that they keep their numbers
        item = np.concatenate([every, (digits + base * np.arange(5))[1:].ravel()])
        user = np.repeat(np.arange(n_users), [len(every)] + [5] * (n_users - 1))
        rows = Interactions(user, item, n_users, 5 * base, ordered=False)
        dataset = Dataset("toy/digits", rows, np.array([]), np.array([]), "")
        cases = StrongGeneralization(heldout_users=5).split(dataset).test
        together = zip(lists(cases.queries.history), lists(cases.targets), strict=True)
        spelled = [sum(i % base * base ** (i // base) for i in h + t) for h, t in together]
        assert spelled == sorted(last)

    def test_six_users(self, dataset: Make) -> None:
        # RandomState(98765).permutation(6) = 4 2 | 1 0 | 3 5: two users each for training,
        # validation and test; items are numbered as users 2 and 4 bring them: 7 3 5 1 0 9 8 6
        rows = [
            [7, 3, 5, 1, 0],
            [9, 8, 6, 7, 3, 11],
            [7, 3, 5],
            [0, 9, 8, 6, 7],
            [7, 1, 0, 9, 8, 6],
            [7, 3, 5, 1, 11],
        ]
        split = StrongGeneralization(heldout_users=2).split(dataset(rows, n_items=12))
        assert lists(split.train) == [[0, 1, 2], [0, 3, 4, 5, 6, 7]]
        assert split.train.n_items == split.test.targets.n_items == 8
        # the first draw out of five is number 4; user 5 has four rows left: nothing is asked
        assert lists(split.test.queries.history) == [[4, 5, 6, 7]]
        assert lists(split.test.targets) == [[0]]
        assert split.valid is not None
        assert lists(split.valid.queries.history)[0] == [0, 1, 2, 3]
        assert lists(split.valid.targets)[0] == [4]
        assert split.valid.queries.user.tolist() == [-1, -1]

    @pytest.mark.parametrize("seed", [98765, 7])
    def test_it_equals_a_naive_reading_of_the_published_recipe(
        self, dataset: Make, seed: int
    ) -> None:
        rng = np.random.default_rng(3)
        sizes = rng.integers(1, 40, size=60)
        rows = [rng.choice(300, size, replace=False).tolist() for size in sizes]
        split = StrongGeneralization(heldout_users=20, seed=seed).split(dataset(rows, n_items=300))

        order = np.random.RandomState(seed).permutation(60).tolist()
        training = sorted(order[:20])
        seen = list(dict.fromkeys(item for user in training for item in rows[user]))

        def naive(heldout: list[int]) -> list[tuple[list[int], list[int]]]:
            generator = np.random.RandomState(seed)
            found = []
            for user in sorted(heldout):
                known = [seen.index(item) for item in rows[user] if item in seen]
                n = len(known)
                drawn = set(generator.permutation(n)[: n // 5].tolist()) if n >= 5 else set()
                history = [item for place, item in enumerate(known) if place not in drawn]
                targets = [item for place, item in enumerate(known) if place in drawn]
                found.append((history, targets))
            return [(history, targets) for history, targets in found if targets]

        def ours(cases: Cases | None) -> list[tuple[list[int], list[int]]]:
            assert cases is not None
            assert set(cases.queries.user) == {-1}
            return list(zip(lists(cases.queries.history), lists(cases.targets), strict=True))

        assert lists(split.train) == [[seen.index(item) for item in rows[u]] for u in training]
        assert ours(split.valid) == naive(order[20:40])
        assert ours(split.test) == naive(order[40:])

    def test_too_few_users_are_an_error(self, dataset: Make) -> None:
        with pytest.raises(ReproError, match="has 4 users, too few to hold out 2 for"):
            StrongGeneralization(heldout_users=2).split(dataset([[0]] * 4))


SIX = [[0, 1, 2, 3, 4], [5, 4, 3, 2, 1], [6, 7, 8], [9, 0, 1, 2], [3, 5, 7], [8, 6, 4]]


class TestLeaveOneOut:
    def test_the_latest_item_is_held_out(self, dataset: Make) -> None:
        split = LeaveOneOut(negatives=3).split(dataset(SIX))
        assert split.valid is not None
        test, valid = asked(split.test), asked(split.valid)
        assert [targets for _, targets in test.values()] == [[rows[-1]] for rows in SIX]
        for user, rows in enumerate(SIX):
            [drawn] = valid[user][1]
            assert drawn in rows[:-1]
            left = [item for item in rows[:-1] if item != drawn]
            assert split.train[user].tolist() == test[user][0] == valid[user][0] == left

    def test_without_validation_all_but_the_held_out_item_is_trained_on(
        self, dataset: Make
    ) -> None:
        split = LeaveOneOut(validation=False).split(dataset(SIX))
        assert split.valid is None
        assert lists(split.train) == [rows[:-1] for rows in SIX]

    def test_noise_is_in_the_vectors_of_users_and_items_and_drawn_anew(self, dataset: Make) -> None:
        rng = np.random.default_rng(0)
        data = dataset([rng.permutation(12)[:6].tolist() for _ in range(6)])
        protocol = LeaveOneOut(noise=(0.5, 1.0), noise_kind="replace", noise_draws=3, negatives=3)
        split = protocol.split(data)
        assert list(split.others) == ["noise 0.5", "noise 1"]
        of_users = split.train.matrix().toarray()
        for share, draws in zip((0.5, 1.0), split.others.values(), strict=True):
            seen = []
            for cases in draws:
                queries = cases.queries
                assert queries.item_users is not None
                assert cases.targets is split.test.targets
                assert queries.candidates is split.test.queries.candidates
                users = queries.history.matrix().toarray()
                items = queries.item_users.matrix().toarray()
                for clean, noisy in ((of_users, users), (of_users.T, items)):
                    n, n_zeros = np.rint(share * clean.sum(1)), (1 - clean).sum(1)
                    assert np.array_equal((clean > noisy).sum(1), n)  # deleted
                    assert np.array_equal((clean < noisy).sum(1), np.minimum(n, n_zeros))  # filled
                assert not np.array_equal(users.T, items)
                seen += [users.tobytes() + items.tobytes()]
            assert len(set(seen)) == 3

    def test_a_random_item_is_any_of_the_users_and_the_seed_decides_which(
        self, dataset: Make
    ) -> None:
        data = dataset(SIX, ordered=False)

        def drawn(seed: int) -> list[int]:
            split = LeaveOneOut(test="random", negatives=2, seed=seed).split(data)
            return split.test.targets.item.tolist()

        by_seed = [drawn(seed) for seed in range(40)]
        assert by_seed[0] == drawn(0)
        assert [sorted(set(column)) for column in zip(*by_seed, strict=True)] == [
            sorted(rows) for rows in SIX
        ]

    def test_the_target_stands_among_as_many_items_that_the_user_never_touched(
        self, dataset: Make
    ) -> None:
        split = LeaveOneOut(negatives=3).split(dataset(SIX))
        for cases in (split.test, split.valid):
            for user, ((_, [target]), items) in enumerate(
                zip(asked(cases).values(), shown(cases), strict=True)
            ):
                assert items == sorted(set(items))
                assert len(items) == 4
                assert set(items) & set(SIX[user]) == {target}
        assert shown(split.test) != shown(split.valid)

    def test_every_untouched_item_is_drawn_as_often(self, dataset: Make) -> None:
        split = LeaveOneOut(negatives=4, validation=False).split(dataset([[0, 1]] * 3000, 12))
        drawn = np.bincount([item for items in shown(split.test) for item in items], minlength=12)
        assert drawn[:2].tolist() == [0, 3000]
        # 4 of 10, 3,000 times: 1,200, give or take five standard deviations of 27
        assert np.abs(drawn[2:] - 1200).max() < 135

    def test_a_user_with_few_untouched_items_has_a_shorter_list(self, dataset: Make) -> None:
        split = LeaveOneOut(negatives=99).split(dataset([up_to(10), [0, 1, 2]]))
        assert shown(split.test) == [[9, 10, 11], [2, *range(3, 12)]]
        assert split.test.queries.candidates is not None
        assert split.test.queries.candidates[0].tolist() == [9, 10, 11] + [-1] * 7 + [-1] * 3

    def test_a_given_split_is_taken_as_it_is(self, dataset: Make) -> None:
        parts = {"train": [[0, 1, 5], [3, 4]], "test": [[2], [5]]}
        split = LeaveOneOut(test="given", negatives=2, validation=False).split(
            dataset([[0, 1, 5, 2], [3, 4, 5]], **parts)
        )
        assert asked(split.test) == {0: ([0, 1, 5], [2]), 1: ([3, 4], [5])}

    def test_a_given_test_item_does_not_stay_in_training(self, dataset: Make) -> None:
        parts = {"train": [[0, 1, 2, 0]], "test": [[1]]}
        split = LeaveOneOut(test="given", validation=False).split(dataset([[0, 1, 2]], **parts))
        assert lists(split.train) == [[0, 2]]

    def test_a_given_negative_that_is_the_target_is_dropped(self, dataset: Make) -> None:
        parts = {
            "train": [[0, 1], [3, 4]],
            "test": [[2], [5]],
            "negatives": [[9, 2, 7], [8, 6, 7]],
        }
        given = LeaveOneOut(test="given", given_negatives=True, validation=False)
        split = given.split(dataset([[0, 1, 2], [3, 4, 5]], **parts))
        assert shown(split.test) == [[2, 7, 9], [5, 6, 7, 8]]

    def test_a_given_negative_that_is_listed_again_stands_once(self, dataset: Make) -> None:
        parts = {
            "train": [[0, 1], [3, 4]],
            "test": [[2], [0]],
            "negatives": [[9, 7, 9, 9], [0, 6, 0, 6]],
        }
        given = LeaveOneOut(test="given", given_negatives=True, validation=False)
        split = given.split(dataset([[0, 1, 2], [3, 4, 0]], **parts))
        assert shown(split.test) == [[2, 7, 9], [0, 6]]

    @pytest.mark.parametrize(("validation", "needed"), [(True, 3), (False, 2)])
    def test_users_with_too_few_items_are_an_error(
        self, dataset: Make, validation: bool, needed: int
    ) -> None:
        data = dataset([up_to(needed), up_to(needed - 1), [0] * needed, []])
        with pytest.raises(ReproError, match=f"3 users have fewer than {needed} interactions"):
            LeaveOneOut(validation=validation).split(data)

    def test_the_latest_item_of_rows_without_order_is_an_error(self, dataset: Make) -> None:
        with pytest.raises(ReproError, match="toy/lists is not ordered in time"):
            LeaveOneOut().split(dataset(SIX, ordered=False))

    @pytest.mark.parametrize(
        ("how", "part"),
        [
            (LeaveOneOut(test="given"), "train and test"),
            (LeaveOneOut(given_negatives=True), "negatives"),
        ],
    )
    def test_what_the_archive_does_not_give_is_an_error(
        self, dataset: Make, how: LeaveOneOut, part: str
    ) -> None:
        with pytest.raises(ReproError, match=f"does not come with its own {part}"):
            how.split(dataset(SIX))

    def test_more_than_one_given_test_item_is_an_error(self, dataset: Make) -> None:
        data = dataset([[0, 1, 2]], train=[[0]], test=[[1, 2]])
        with pytest.raises(ReproError, match="more than one test item"):
            LeaveOneOut(test="given").split(data)


class TestRandomSplit:
    def test_the_shares_are_rounded_down_and_at_least_one(self, dataset: Make) -> None:
        sizes = [10, 5, 5, 5, 2, 6, 30, 3]
        split = RandomSplit().split(dataset([up_to(size) for size in sizes], n_items=30))
        assert split.valid is not None
        test, valid = asked(split.test), asked(split.valid)
        n_test, n_valid = (
            {user: len(targets) for user, (_, targets) in cases.items()} for cases in (test, valid)
        )
        assert n_test == {0: 2, 1: 1, 2: 1, 3: 1, 5: 1, 6: 6, 7: 1}
        assert n_valid == {0: 1, 1: 1, 2: 1, 3: 1, 5: 1, 6: 2, 7: 1}
        assert split.train.counts.tolist() == [7, 3, 3, 3, 2, 4, 22, 1]
        assert test[0][0] == valid[0][0] == split.train[0].tolist()

    def test_without_a_validation_share_the_rest_is_trained_on(self, dataset: Make) -> None:
        split = RandomSplit(valid_share=0.0).split(dataset([up_to(10), [3], [4, 5]]))
        assert split.valid is None
        assert split.train.counts.tolist() == [8, 1, 1]

    def test_repeated_pairs_count_once(self, dataset: Make) -> None:
        split = RandomSplit(valid_share=0.0).split(dataset([[0, 0, 1, 0, 2, 1]]))
        assert len(split.train) == 2
        assert len(split.test.targets) == 1

    def test_every_row_is_held_out_as_often(self, dataset: Make) -> None:
        split = RandomSplit(valid_share=0.0).split(dataset([up_to(10)] * 3000))
        drawn = np.bincount(split.test.targets.item, minlength=12)
        # 2 of 10, 3,000 times: 600, give or take five standard deviations of 22
        assert np.abs(drawn[:10] - 600).max() < 110

    def test_the_seed_decides(self, dataset: Make) -> None:
        data = dataset([up_to(12)] * 5)
        one, same, other = (asked(RandomSplit(seed=s).split(data).test) for s in (1, 1, 2))
        assert one == same
        assert one != other


class ByNumber:
    """Ranks the lower number first."""

    def score(self, queries: Queries) -> Tensor:
        return -torch.arange(float(queries.history.n_items)).repeat(len(queries), 1)


class TestSequentialSplit:
    def test_six_users(self, dataset: Make) -> None:
        rows = [up_to(n) for n in (13, 5, 10, 4, 9, 5)]
        split = SequentialSplit(last=10).split(dataset(rows, n_items=13))
        assert split.valid is None
        assert asked(split.test) == {
            0: ([3, 4, 5, 6, 7, 8, 9, 10], [11, 12]),
            1: ([0, 1, 2, 3], [4]),
            2: ([0, 1, 2, 3, 4, 5, 6, 7], [8, 9]),
            4: ([0, 1, 2, 3, 4, 5, 6, 7], [8]),
            5: ([0, 1, 2, 3], [4]),
        }
        assert lists(split.train)[3] == [0, 1, 2, 3]
        assert lists(split.train)[0] == [3, 4, 5, 6, 7, 8, 9, 10]

    def test_the_newest_of_what_is_known_chooses_the_epoch_and_is_seen_at_test(
        self, dataset: Make
    ) -> None:
        rows = [up_to(n) for n in (13, 5, 10)]
        split = SequentialSplit(last=10, valid_share=0.2).split(dataset(rows, n_items=13))
        assert lists(split.train) == [[3, 4, 5, 6, 7, 8, 9], [0, 1, 2, 3], up_to(7)]
        assert asked(split.valid) == {
            0: ([3, 4, 5, 6, 7, 8, 9], [10]),
            2: (up_to(7), [7]),
        }
        without = SequentialSplit(last=10).split(dataset(rows, n_items=13))
        assert asked(split.test) == asked(without.test)

    def test_nothing_is_cut_unless_asked(self, dataset: Make) -> None:
        split = SequentialSplit().split(dataset([up_to(13)], n_items=14))
        assert asked(split.test) == {0: (up_to(11), [11, 12])}

    @pytest.mark.parametrize(
        ("n", "n_test"), [(4, 0), (5, 1), (9, 1), (10, 2), (12, 2), (15, 3), (201, 40)]
    )
    def test_a_fifth_is_held_out_rounded_down(self, dataset: Make, n: int, n_test: int) -> None:
        split = SequentialSplit().split(dataset([up_to(n)], n_items=n + 1))
        assert len(split.test.targets) == n_test
        assert len(split.train) == n - n_test

    def test_what_was_cut_away_may_be_recommended_and_is_a_miss(self, dataset: Make) -> None:
        split = SequentialSplit(last=5).split(dataset([up_to(6)], n_items=6))
        assert asked(split.test) == {0: ([1, 2, 3, 4], [5])}
        assert rank(ByNumber(), split.test).hits[0].tolist()[:2] == [False, True]

    def test_a_repeated_target_counts_once(self, dataset: Make) -> None:
        split = SequentialSplit().split(dataset([[0, 1, 2, 3, 4, 5, 6, 7, 8, 8]]))
        assert asked(split.test) == {0: (up_to(8), [8])}

    def test_rows_without_order_are_an_error(self, dataset: Make) -> None:
        with pytest.raises(ReproError, match="toy/lists is not ordered in time"):
            SequentialSplit().split(dataset([up_to(5)], ordered=False))


GIVEN: dict[str, Sequence[Sequence[int]]] = {
    "train": [[0, 1, 2, 3], [0, 1, 2], [0, 1, 2, 3], [3, 0, 1, 2], [0, 1], [0, 1, 2, 3, 3]],
    "valid": [[2], [1], [3], [3], [1], [2]],
    "test": [[4], [3, 4], [3], [4], [1], [4, 4]],
}
"""User 2 has a target that is also in train, user 4 no other; user 5 has repeated rows."""


class TestGivenSplit:
    def test_the_files_are_taken_as_they_are(self, dataset: Make) -> None:
        split = GivenSplit().split(dataset([[]] * 6, **GIVEN))
        assert split.valid is None
        assert lists(split.train) == [*GIVEN["train"][:5], [0, 1, 2, 3]]
        histories = lists(split.train)
        targets = [[4], [3, 4], [3], [4], [1], [4]]
        expected = dict(enumerate(zip(histories, targets, strict=True)))
        assert asked(split.test) == expected

    @pytest.mark.parametrize(
        ("leaked", "users"), [("keep", [0, 1, 2, 3, 4, 5]), ("drop", [0, 1, 3, 5])]
    )
    def test_targets_that_stand_in_training_are_kept_or_dropped(
        self, dataset: Make, leaked: Literal["keep", "drop"], users: list[int]
    ) -> None:
        split = GivenSplit(leaked=leaked).split(dataset([[]] * 6, **GIVEN))
        assert list(asked(split.test)) == users

    def test_validation_rows_are_taken_out_of_training_and_stay_in_the_test_history(
        self, dataset: Make
    ) -> None:
        split = GivenSplit(holdout_valid=True).split(dataset([[]] * 6, **GIVEN))
        rest = [[0, 1, 3], [0, 2], [0, 1, 2], [0, 1, 2], [0], [0, 1, 3]]
        assert lists(split.train) == rest
        valid = GIVEN["valid"]
        assert asked(split.valid) == dict(enumerate(zip(rest, valid, strict=True)))
        assert lists(split.test.queries.history)[:5] == GIVEN["train"][:5]

    @pytest.mark.parametrize("part", ["train", "test"])
    def test_a_missing_file_is_an_error(self, dataset: Make, part: str) -> None:
        parts = {name: rows for name, rows in GIVEN.items() if name != part}
        with pytest.raises(ReproError, match=f"toy/lists does not come with its own {part}\n"):
            GivenSplit().split(dataset([[]] * 6, **parts))

    def test_a_validation_that_is_not_there_cannot_be_held_out(self, dataset: Make) -> None:
        parts = {name: rows for name, rows in GIVEN.items() if name != "valid"}
        with pytest.raises(ReproError, match="does not come with its own valid"):
            GivenSplit(holdout_valid=True).split(dataset([[]] * 6, **parts))
