from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.interactions import Dataset, from_rows
from repro.protocols import Splitter
from repro.protocols.leave_one_out import LeaveOneOut
from repro.protocols.random_split import RandomSplit
from repro.protocols.sequential_split import SequentialSplit
from repro.protocols.strong_generalization import StrongGeneralization
from repro.split import Cases, Split

quick = settings(deadline=None, max_examples=50)

N_ITEMS = 15
Lists = list[list[int]]

seeds = st.integers(0, 1000)
shares = st.sampled_from([0.1, 0.2, 0.5])
lists_of_items = st.lists(
    st.lists(st.integers(0, N_ITEMS - 1), min_size=3, max_size=N_ITEMS - 1, unique=True),
    min_size=1,
    max_size=6,
)
"""Every user lacks an item: else a target may stand alone, and the user is not asked."""
leave_one_out = st.builds(
    LeaveOneOut,
    test=st.sampled_from(["latest", "random"]),
    negatives=st.integers(1, N_ITEMS + 1),
    validation=st.booleans(),
    seed=seeds,
)
random_split = st.builds(
    RandomSplit, test_share=shares, valid_share=st.sampled_from([0.0, 0.1, 0.5]), seed=seeds
)
sequential = st.builds(SequentialSplit, test_share=shares)
not_drawn = st.one_of(sequential, st.just(LeaveOneOut(validation=False)))
known_users: st.SearchStrategy[Splitter] = st.one_of(leave_one_out, random_split, sequential)


def dataset(lists: Lists) -> Dataset:
    user = np.repeat(np.arange(len(lists)), [len(items) for items in lists])
    item = np.array([item for items in lists for item in items])
    rows = from_rows(user, item, len(lists), N_ITEMS, ordered=True)
    return Dataset("toy/lists", rows, np.array([]), np.array([]), "")


def held_out(split: Split) -> list[Cases]:
    return [cases for cases in (split.valid, split.test) if cases is not None]


def targets_of(cases: Cases) -> dict[int, list[int]]:
    """Return the targets by the user's row in training."""
    return {user: cases.targets[row].tolist() for row, user in enumerate(cases.queries.user)}


def arrays(split: Split) -> list[np.ndarray]:
    """Return all that a split is made of."""
    rows = [split.train]
    found: list[np.ndarray] = []
    for cases in held_out(split):
        rows += [cases.queries.history, cases.targets]
        candidates = cases.queries.candidates
        found += [cases.queries.user, np.array([]) if candidates is None else candidates]
    return found + [array for some in rows for array in (some.user, some.item)]


@quick
@given(lists_of_items, known_users)
def test_training_validation_and_test_share_out_every_users_items(
    lists: Lists, protocol: Splitter
) -> None:
    split = protocol.split(dataset(lists))
    together = [split.train[user].tolist() for user in range(len(lists))]
    for cases in held_out(split):
        for user, targets in targets_of(cases).items():
            together[user] += targets
    assert [sorted(items) for items in together] == [sorted(items) for items in lists]


@quick
@given(lists_of_items, known_users)
def test_the_history_is_what_training_has_of_the_user_in_its_order(
    lists: Lists, protocol: Splitter
) -> None:
    split = protocol.split(dataset(lists))
    for user, items in enumerate(lists):
        left = split.train[user].tolist()
        assert left == [item for item in items if item in left]
    for cases in held_out(split):
        history = cases.queries.history
        assert history.ordered
        for row, user in enumerate(cases.queries.user):
            np.testing.assert_array_equal(history[row], split.train[user])


@quick
@given(lists_of_items, known_users)
def test_the_same_dataset_gives_the_same_split(lists: Lists, protocol: Splitter) -> None:
    one, other = (arrays(protocol.split(dataset(lists))) for _ in range(2))
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left, right)


@quick
@given(lists_of_items, not_drawn, st.data())
def test_renumbering_users_changes_nothing_where_nothing_is_drawn(
    lists: Lists, protocol: Splitter, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(lists))))
    one = protocol.split(dataset(lists))
    other = protocol.split(dataset([lists[user] for user in order]))
    expected = targets_of(one.test)
    for new, old in enumerate(order):
        np.testing.assert_array_equal(other.train[new], one.train[old])
        assert targets_of(other.test).get(new) == expected.get(old)


@quick
@given(lists_of_items, leave_one_out)
def test_candidates_are_the_target_and_as_many_untouched_items_as_there_are_up_to_the_number_asked(
    lists: Lists, protocol: LeaveOneOut
) -> None:
    for cases in held_out(protocol.split(dataset(lists))):
        candidates = cases.queries.candidates
        assert candidates is not None
        for user, [target] in targets_of(cases).items():
            among = candidates[user][candidates[user] >= 0].tolist()
            assert among == sorted(set(among))
            assert set(among) & set(lists[user]) == {target}
            assert len(among) == 1 + min(protocol.negatives, N_ITEMS - len(lists[user]))
            assert candidates[user].tolist() == among + [-1] * (candidates.shape[1] - len(among))


@quick
@given(lists_of_items.filter(lambda lists: len(lists) >= 3), seeds)
def test_strong_generalization_asks_strangers_for_a_fifth_of_the_items_that_training_knows(
    lists: Lists, seed: int
) -> None:
    n_heldout = (len(lists) - 1) // 2
    split = StrongGeneralization(heldout_users=n_heldout, seed=seed).split(dataset(lists))
    n_items = split.train.n_items
    assert list(dict.fromkeys(split.train.item.tolist())) == list(range(n_items))
    assert split.train.n_users == len(lists) - 2 * n_heldout
    sizes = Counter(len(items) for items in lists)
    assert Counter(split.train.counts.tolist()) <= sizes
    for cases in held_out(split):
        assert len(cases) <= n_heldout
        assert set(cases.queries.user) <= {-1}
        for history, targets in zip(
            cases.queries.history.counts, cases.targets.counts, strict=True
        ):
            assert targets == (history + targets) // 5
        together = np.concatenate([cases.queries.history.pairs(), cases.targets.pairs()])
        assert len(np.unique(together)) == len(together)
        assert all((rows.item < n_items).all() for rows in (cases.queries.history, cases.targets))
