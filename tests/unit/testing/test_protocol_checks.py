"""The checks of `repro.testing`: a broken protocol fails those of its fault, and no other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from repro.interactions import Dataset, Interactions
from repro.protocols.leave_one_out import LeaveOneOut
from repro.protocols.random_split import RandomSplit
from repro.split import Cases, Split
from repro.testing import check_protocol, protocol_checks


class Cut:
    """A protocol without a fault; each below has one."""

    def split(self, dataset: Dataset) -> Split:
        return RandomSplit().split(dataset)


class Leaky(Cut):
    def split(self, dataset: Dataset) -> Split:
        return replace(super().split(dataset), train=dataset.interactions)


class Fickle(Cut):
    def split(self, dataset: Dataset) -> Split:
        return RandomSplit(seed=int(np.random.default_rng().integers(1 << 31))).split(dataset)


class Careless(Cut):
    def split(self, dataset: Dataset) -> Split:
        found = super().split(dataset)
        dataset.parts["test"].item[:] = 0
        return found


class Twice(Cut):
    def split(self, dataset: Dataset) -> Split:
        found = super().split(dataset)
        return replace(found, valid=found.test)


class Brief(Cut):
    """Its histories lack the first item of each user."""

    def split(self, dataset: Dataset) -> Split:
        found = super().split(dataset)
        history = found.train.where(found.train.position > 0)
        users = np.arange(found.train.n_users)
        return replace(found, valid=None, test=Cases.of(users, history, found.test.targets))


class Telling(Cut):
    def split(self, dataset: Dataset) -> Split:
        found = super().split(dataset)
        users = np.arange(found.train.n_users)
        whole = dataset.interactions
        return replace(found, valid=None, test=Cases.of(users, whole, found.test.targets))


class Unsorted(Cut):
    def split(self, dataset: Dataset) -> Split:
        found = LeaveOneOut().split(dataset)
        candidates = found.test.queries.candidates
        assert candidates is not None
        asked = replace(found.test.queries, candidates=candidates[:, ::-1].copy())
        return replace(found, test=replace(found.test, queries=asked))


class Whispering(Cut):
    """The users of its items include those who must be found."""

    def split(self, dataset: Dataset) -> Split:
        found = super().split(dataset)
        rows = dataset.interactions
        order = np.argsort(rows.item, kind="stable")
        of = Interactions(rows.item[order], rows.user[order], rows.n_items, rows.n_users, False)
        asked = replace(found.test.queries, item_users=of)
        return replace(found, test=replace(found.test, queries=asked))


PROTOCOLS = [
    (Cut, set()),
    (Leaky, {"asks_nothing_that_was_trained_on", "history_holds_all_of_training"}),
    (Fickle, {"splits_the_same_twice"}),
    (Careless, {"leaves_the_dataset_as_it_was"}),
    (Twice, {"asks_no_item_of_a_user_twice"}),
    (Brief, {"history_holds_all_of_training"}),
    (
        Telling,
        {
            "queries_give_no_target_away",
            "known_targets_rank_first",
            "random_scores_hit_as_often_as_chance",
            "constant_scores_gain_nothing",
            "splits_the_same_twice",
        },
    ),
    (Unsorted, {"queries_give_no_target_away"}),
    (Whispering, {"queries_give_no_target_away"}),
]


def failed(protocol: Cut) -> set[str]:
    """Return the names of the checks that a protocol fails."""
    found = set()
    for check in protocol_checks():
        try:
            check(protocol)
        except AssertionError:
            found.add(check.name)
    return found


@pytest.mark.parametrize(("protocol", "names"), PROTOCOLS, ids=[p.__name__ for p, _ in PROTOCOLS])
def test_a_protocol_fails_the_checks_of_its_fault_and_no_other(
    protocol: type[Cut], names: set[str]
) -> None:
    assert failed(protocol()) == names


def test_all_failures_of_a_protocol_are_listed() -> None:
    with pytest.raises(AssertionError, match=r"(?s)Leaky fails 2 of 9 checks:\n  asks_nothing_.*"):
        check_protocol(Leaky)
