"""The checks of a protocol: random, perfect and constant scores get what they deserve; no leaks.

Every check splits `toy_dataset`, and examines the cases of validation and test.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repro.interactions import IntArray
from repro.models.popularity import Popularity
from repro.protocols import Splitter
from repro.split import Cases, Queries, Split
from repro.testing.checks import Check, Checks, require, require_equal
from repro.testing.quick import ready_protocol
from repro.testing.toys import toy_dataset
from repro.training.progress import Progress
from repro.training.ranking import rank

_CHECKS: Checks[Splitter] = Checks(ready_protocol)


def protocol_checks() -> list[Check[Splitter]]:
    """Return the checks of a protocol, for pytest to parametrize: ``ids=str`` shows their names."""
    return list(_CHECKS)


def check_protocol(protocol: Splitter | type[Any] | str, *, skip: Iterable[str] = ()) -> None:
    """Put a protocol through all checks.

    Parameters
    ----------
    protocol : Splitter, class or str
        An instance; or a class or the name of a plug-in's file, of which `quick_protocol` makes an
        instance.
    skip : iterable of str
        The names of checks that it need not pass.

    Raises
    ------
    AssertionError
        If the protocol fails some; the message lists each with its sentence and the reason.
    ReproError
        If there is no such plug-in or check.
    """
    _CHECKS.run(protocol, tuple(skip))


@dataclass
class Known:
    """Known scores, handed out in the order of the queries; good for one ranking of all."""

    scores: Tensor
    """Float, shape (U, I)."""
    done: int = 0

    def score(self, queries: Queries) -> Tensor:
        """Return the scores of the next queries."""
        scores = self.scores[self.done : self.done + len(queries)]
        self.done += len(queries)
        if queries.candidates is None:
            return scores.clone()
        return scores.gather(1, torch.from_numpy(queries.candidates.astype(np.int64)))


def noise(cases: Cases, seed: int) -> Known:
    """Return random scores."""
    shape = len(cases), cases.targets.n_items
    return Known(torch.rand(shape, generator=torch.Generator().manual_seed(seed)))


def rankable(cases: Cases) -> IntArray:
    """Return how many items each query ranks."""
    if cases.queries.candidates is not None:
        return (cases.queries.candidates >= 0).sum(axis=1)
    return cases.targets.n_items - cases.queries.history.distinct().counts


def _made(protocol: Splitter) -> Split:
    return protocol.split(toy_dataset())


def _parts(split: Split) -> dict[str, Cases]:
    return {"test": split.test} | ({"valid": split.valid} if split.valid is not None else {})


def _popularity(split: Split) -> IntArray:
    [scorer] = Popularity().epochs(split.train, Progress(0, torch.device("cpu")))
    return np.packbits(rank(scorer, split.test).hits)


def _pairs(cases: Cases) -> list[tuple[Any, int]]:
    """Return user and item of every target; an unknown user is identified by the history."""
    user = [
        user if user >= 0 else tuple(cases.queries.history[row].tolist())
        for row, user in enumerate(cases.queries.user.tolist())
    ]
    targets = cases.targets
    return [(user[row], int(item)) for row, item in zip(targets.user, targets.item, strict=True)]


def _chance(cases: Cases) -> tuple[float, float]:
    """Return the expected hit rate at 10 of a random order, and its standard error."""
    from scipy.stats import hypergeom

    n, t = rankable(cases), cases.targets.counts
    expected = float((1 - hypergeom.pmf(0, n, t, np.minimum(10, n))).mean())
    return expected, (expected * (1 - expected) / len(cases)) ** 0.5


@_CHECKS.says("Random scores find a target as often as chance says.")
def _random_scores_hit_as_often_as_chance(protocol: Splitter) -> None:
    test = _made(protocol).test
    expected, of_one = _chance(test)
    rates = [rank(noise(test, seed), test).value("hit_rate@10") for seed in range(20)]
    error = of_one / 20**0.5
    found = float(np.mean(rates))
    within = abs(found - expected) <= 4 * error
    require(
        bool(within), f"the hit rate at 10 is {found:.4f}, not {expected:.4f} ± {4 * error:.4f}"
    )


@_CHECKS.says("Scores that know the targets rank them first.")
def _known_targets_rank_first(protocol: Splitter) -> None:
    for name, cases in _parts(_made(protocol)).items():
        found = rank(Known(torch.from_numpy(cases.targets.matrix().toarray())), cases)
        require(found.value("hit_rate@10") == 1.0, f"{name}: a user's targets cannot be found")
        ndcg = found.value("ndcg@10")
        require(abs(ndcg - 1.0) <= 1e-6, f"{name}: NDCG@10 is {ndcg:.6f}, not 1")
        require(found.constant == 0.0, f"{name}: a user has targets only, and nothing to rank")


@_CHECKS.says("Constant scores are reported, and gain nothing.")
def _constant_scores_gain_nothing(protocol: Splitter) -> None:
    for name, cases in _parts(_made(protocol)).items():
        shape = len(cases), cases.targets.n_items
        found = rank(Known(torch.ones(shape)), cases)
        require(found.constant == 1.0, f"{name}: {found.constant:.0%} are reported")
        if cases.queries.candidates is not None:
            before = found.hits[:, : int(rankable(cases).min()) - 1]
            require(not before.any(), f"{name}: a target comes before a candidate of its score")
        else:  # a random order: as good as chance
            chance, error = _chance(cases)
            off = abs(found.value("hit_rate@10") - chance)
            require(off <= 4 * error, f"{name}: the hit rate at 10 is {off:.4f} away from chance")


@_CHECKS.says("The same dataset gives the same split, and popularity the same hits in it.")
def _splits_the_same_twice(protocol: Splitter) -> None:
    one, other = _made(protocol), _made(protocol)
    require_equal(one.train, other.train, "the training interactions")
    for name, cases in {"valid": (one.valid, other.valid), "test": (one.test, other.test)}.items():
        first, second = (each and each.digest() for each in cases)
        require(first == second, f"the {name} cases differ between two splits")
    found = _popularity(one)
    np.testing.assert_array_equal(found, _popularity(other), "popularity's hits")
    require(bool(found.any()), "popularity finds nothing")


@_CHECKS.says("No target was trained on.")
def _asks_nothing_that_was_trained_on(protocol: Splitter) -> None:
    split = _made(protocol)
    trained = [set(split.train[user].tolist()) for user in range(split.train.n_users)]
    for name, cases in _parts(split).items():
        for row, user in enumerate(cases.queries.user):
            targets = set(cases.targets[row].tolist())
            if user >= 0:
                both = sorted(targets & trained[user])
                require(not both, f"{name}: items {both} of user {user} are in training, too")
            else:
                whole = targets | set(cases.queries.history[row].tolist())
                require(whole not in trained, f"{name}: an unknown user's items are in training")


@_CHECKS.says("No user has the same target twice, in validation and test together.")
def _asks_no_item_of_a_user_twice(protocol: Splitter) -> None:
    asked = [pair for cases in _parts(_made(protocol)).values() for pair in _pairs(cases)]
    require(len(asked) > 0, "there are no targets")
    n_twice = len(asked) - len(set(asked))
    require(n_twice == 0, f"{n_twice} of {len(asked)} targets are repeated")


_ASKED = {"user", "history", "candidates", "item_users", "original", "case"}
"""All that a query may hold."""


@_CHECKS.says("The queries give no target away, and list candidates in ascending order.")
def _queries_give_no_target_away(protocol: Splitter) -> None:
    for name, cases in _parts(_made(protocol)).items():
        queries = cases.queries
        more = sorted(set(vars(queries)) - _ASKED)
        require(not more, f"{name}: the queries hold {more}")
        for row, user in enumerate(queries.user):
            targets = cases.targets[row]
            seen = np.isin(targets, queries.history[row]).any()
            require(not seen, f"{name}: the history of row {row} holds a target")
            if queries.item_users is not None and user >= 0:
                among = any(user in queries.item_users[item] for item in targets)
                require(not among, f"{name}: `item_users` holds a target of user {user}")
        if queries.candidates is not None:
            listed = np.where(queries.candidates < 0, np.iinfo(np.int32).max, queries.candidates)
            ascends = (np.diff(listed.astype(np.int64), axis=1) >= 0).all()
            require(bool(ascends), f"{name}: candidates do not ascend, padding last")


@_CHECKS.says("The history of a known user holds all of the user's training items.")
def _history_holds_all_of_training(protocol: Splitter) -> None:
    split = _made(protocol)
    for name, cases in _parts(split).items():
        for row, user in enumerate(cases.queries.user):
            if user >= 0:
                history = set(cases.queries.history[row].tolist())
                lacks = sorted(set(split.train[user].tolist()) - history)
                require(not lacks, f"{name}: the history of user {user} lacks items {lacks}")


@_CHECKS.says("Splitting changes nothing in the dataset.")
def _leaves_the_dataset_as_it_was(protocol: Splitter) -> None:
    before, dataset = toy_dataset(), toy_dataset()
    protocol.split(dataset)
    require_equal(dataset.interactions, before.interactions, "the interactions")
    for name, rows in before.parts.items():
        require_equal(dataset.parts[name], rows, f"the part {name}")
