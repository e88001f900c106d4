"""The checks of a model: it learns, scores every query, and repeats and resumes to the same bits.

Every check trains on `toy_split`. A training that several checks share is done once.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import lru_cache, wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar, cast
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from repro.errors import UnsupportedError
from repro.interactions import Interactions
from repro.model import Model, Scorer
from repro.models.random import Random
from repro.split import Queries
from repro.testing.checks import Check, Checks, require, require_equal
from repro.testing.quick import ready_model
from repro.testing.toys import N_ITEMS, N_USERS, toy_split
from repro.training.progress import Progress
from repro.training.ranking import rank, scored

CPU = torch.device("cpu")

OTHERWISE = (
    f"if it needs other hyper-parameters to learn from {N_USERS} users and {N_ITEMS} items, "
    "check an instance that has them"
)

_CHECKS: Checks[Model] = Checks(ready_model)


def model_checks() -> list[Check[Model]]:
    """Return the checks of a model, for pytest to parametrize: ``ids=str`` shows their names."""
    return list(_CHECKS)


def check_model(model: Model | type[Any] | str, *, skip: Iterable[str] = ()) -> None:
    """Put a model through all checks.

    Parameters
    ----------
    model : Model, class or str
        An instance; or a class or the name of a plug-in's file, of which `quick_model` makes an
        instance.
    skip : iterable of str
        The names of checks that it need not pass, as popularity need not tell tastes apart.

    Raises
    ------
    AssertionError
        If the model fails some; the message lists each with its sentence and the reason.
    ReproError
        If there is no such plug-in or check.
    """
    _CHECKS.run(model, tuple(skip))


@dataclass(frozen=True)
class Trained:
    """The result of a training."""

    scorer: Scorer
    given: Interactions
    """The interactions that it was given, as they are now."""


Result = TypeVar("Result")


def _once(function: Callable[[Model], Result]) -> Callable[[Model], Result]:
    """Remember what a function returns for a model, unless the model cannot be hashed."""
    remembered = lru_cache(maxsize=64)(function)

    @wraps(function)
    def found(model: Model) -> Result:
        try:
            hash(model)
        except TypeError:
            return function(model)
        return remembered(cast("Hashable", model))

    return found


def _last(model: Model, train: Interactions, progress: Progress) -> Scorer:
    """Train, and return the last scorer."""
    scorer = None
    for scorer in model.epochs(train, progress):  # noqa: B007 - the last one counts
        pass
    if scorer is None:
        raise AssertionError("its training yields no scorer")
    return scorer


def _short(model: Model, n_epochs: int = 3) -> Model:
    """Return the model with few epochs, if it has `n_epochs`."""
    counted = is_dataclass(model) and "n_epochs" in {field.name for field in fields(model)}
    return replace(model, n_epochs=n_epochs) if counted else model  # type: ignore[type-var]


@_once
def _trained(model: Model) -> Trained:
    train = toy_split().train
    return Trained(_last(model, train, Progress(1, CPU)), train)


@_once
def _undisturbed(model: Model) -> Tensor:
    """Return the scores after a short training that nothing interrupts."""
    return scored(_last(_short(model), toy_split().train, Progress(3, CPU)), _queries())


def _queries() -> Queries:
    return toy_split().test.queries


def _without_history(scores: Tensor, queries: Queries) -> Tensor:
    masked = scores.clone()
    masked[queries.history.user, queries.history.item] = -torch.inf
    return masked


def _complete(scores: Tensor, queries: Queries) -> None:
    """Require a finite score of every item for every query."""
    shape = len(queries), queries.history.n_items
    require(
        tuple(scores.shape) == shape, f"the scores have shape {tuple(scores.shape)}, not {shape}"
    )
    require(scores.is_floating_point(), f"the scores are {scores.dtype}, not floating-point")
    n_bad = int((~scores.isfinite()).sum())
    require(n_bad == 0, f"{n_bad} of {scores.numel()} scores are not finite")


def _same(scores: Tensor, expected: Tensor) -> None:
    """Require the same bits."""
    assert_close(scores, expected, rtol=0, atol=0)


@_CHECKS.says("Its ranking of held-out items is more than three times as good as chance.")
def _learns_more_than_chance(model: Model) -> None:
    test = toy_split().test
    found, chance = (rank(_trained(which).scorer, test) for which in (model, Random()))
    ours, theirs = (one.value("ndcg@10") for one in (found, chance))
    require(ours > 3 * theirs, f"NDCG@10 is {ours:.3f}, of chance {theirs:.3f}; {OTHERWISE}")
    require(found.constant == 0.0, f"{found.constant:.0%} of users get one score for all items")


@_CHECKS.says("More than three quarters of the items that it ranks first match the user's taste.")
def _tells_one_taste_from_the_other(model: Model) -> None:
    queries = _queries()
    scores = scored(_trained(model).scorer, queries)
    best = _without_history(scores, queries).topk(20).indices
    own = (best % 2 == torch.from_numpy(queries.user)[:, None] % 2).float().mean()
    require(bool(own > 0.75), f"{own:.0%} of the first 20 do; {OTHERWISE}")


@_CHECKS.says("Every item has a finite score for every query.")
def _scores_every_item_with_a_finite_number(model: Model) -> None:
    queries = _queries()
    _complete(scored(_trained(model).scorer, queries), queries)


@_CHECKS.says("Candidates have the scores that they have among all items.")
def _scores_candidates_as_among_all_items(model: Model) -> None:
    queries, scorer = _queries(), _trained(model).scorer
    rng = np.random.default_rng(0)
    candidates = rng.integers(queries.history.n_items, size=(len(queries), 7), dtype=np.int32)
    asked = Queries(queries.user, queries.history, candidates)
    expected = scored(scorer, queries).gather(1, torch.from_numpy(candidates).long())
    assert_close(scored(scorer, asked), expected)


@_CHECKS.says("Neither the order nor the number of queries changes a score.")
def _scores_each_query_by_itself(model: Model) -> None:
    queries, scorer = _queries(), _trained(model).scorer
    expected = scored(scorer, queries)
    order = np.random.default_rng(0).permutation(len(queries))
    for users in np.split(order, [1, 5, 50]):
        assert_close(scored(scorer, queries.rows(users)), expected[torch.from_numpy(users)])


@_CHECKS.says("Scoring changes neither the queries nor the scorer, in training mode or not.")
def _scoring_changes_nothing(model: Model) -> None:
    queries, scorer = _queries(), _trained(model).scorer
    modules = list(scorer.modules()) if isinstance(scorer, nn.Module) else []
    modes = [module.training for module in modules]
    expected = scored(scorer, queries).clone()
    try:
        for mode in (True, True, False, False):
            for module in modules:
                module.training = mode
            scores = scored(scorer, queries)
            require(not scores.requires_grad, "the scores require gradients")
            _same(scores, expected)
            changed = {module.training for module in modules} - {mode}
            require(not changed, f"a module's training mode was {mode}, and is {not mode} now")
    finally:
        for module, before in zip(modules, modes, strict=True):
            module.training = before
    require_equal(queries.history, _queries().history, "the histories")
    np.testing.assert_array_equal(queries.user, _queries().user, "the queries' users changed")


@_CHECKS.says("The scores are the caller's to overwrite.")
def _gives_its_scores_away(model: Model) -> None:
    queries, scorer = _queries(), _trained(model).scorer
    scores = scored(scorer, queries).detach()
    before = scores.clone()
    scores.fill_(torch.nan)
    _same(scored(scorer, queries), before)


@_CHECKS.says("The same seed gives the same scores.")
def _repeats_with_the_same_scores(model: Model) -> None:
    again = _last(_short(model), toy_split().train, Progress(3, CPU))
    _same(scored(again, _queries()), _undisturbed(model))


class _Cut(BaseException):
    """Ends a training from outside, as Ctrl-C does."""


@_CHECKS.says("A run that is interrupted and resumed ends with the same scores.")
def _resumes_with_the_same_scores(model: Model) -> None:
    def cut(_phase: str, epoch: int, _n: int) -> None:
        if epoch == 2:
            raise _Cut

    said: list[str] = []
    train = toy_split().train
    every_epoch = mock.patch("repro.training.progress.CHECKPOINT_SECONDS", -1.0)
    with TemporaryDirectory() as name, every_epoch:
        folder = Path(name)
        try:  # a model of one epoch is not interrupted
            scorer = _last(_short(model), train, Progress(3, CPU, folder, cut))
        except _Cut:
            resumed = Progress(3, CPU, folder, say=said.append)
            scorer = _last(_short(model), train, resumed)
    require(not said, "; ".join(said))
    _same(scored(scorer, _queries()), _undisturbed(model))


@_CHECKS.says("Scoring after each epoch changes nothing in the training.")
def _trains_the_same_when_scored_between_epochs(model: Model) -> None:
    scores = None
    for scorer in _short(model).epochs(toy_split().train, Progress(3, CPU)):
        with torch.random.fork_rng(devices=[]):  # as `repro.training.fit` does
            scores = scored(scorer, _queries())
    require(scores is not None, "its training yields no scorer")
    assert_close(scores, _undisturbed(model), rtol=0, atol=0)


@_CHECKS.says("A deep copy of a scorer keeps its scores while the training continues.")
def _survives_a_deep_copy(model: Model) -> None:
    kept, expected = None, torch.empty(0)
    for scorer in _short(model, 2).epochs(toy_split().train, Progress(3, CPU)):
        if kept is None:
            kept = copy.deepcopy(scorer)
            expected = scored(scorer, _queries()).clone()
    require(kept is not None, "its training yields no scorer")
    _same(scored(cast("Scorer", kept), _queries()), expected)


@_CHECKS.says("Training changes nothing in its data.")
def _leaves_its_data_as_they_were(model: Model) -> None:
    require_equal(_trained(model).given, toy_split().train, "the training interactions")


@_CHECKS.says("Users unknown to training are scored, or refused if KNOWN_USERS_ONLY says so.")
def _scores_unknown_users_or_refuses_them(model: Model) -> None:
    queries, scorer = _queries(), _trained(model).scorer
    strangers = Queries(np.full(len(queries), -1), queries.history)
    known_only = bool(getattr(model, "KNOWN_USERS_ONLY", False))
    try:
        scores = scored(scorer, strangers)
    except UnsupportedError as error:
        require(known_only, f"refused, but KNOWN_USERS_ONLY is not True: {error.message}")
        require("user" in error.message, f"the error does not mention users: {error.message}")
        return
    require(not known_only, "KNOWN_USERS_ONLY is True, but scoring raises no UnsupportedError")
    _complete(scores, queries)


@_CHECKS.says("A user without history gets finite scores, and the other users' do not change.")
def _scores_a_user_without_history(model: Model) -> None:
    queries, scorer = _queries(), _trained(model).scorer
    nobody = queries.history.where(queries.history.user > 0)
    scores = scored(scorer, Queries(queries.user, nobody))
    _complete(scores, queries)
    assert_close(scores[1:], scored(scorer, queries)[1:])


@_CHECKS.says(
    "Rows not ordered in time are trained on, or refused with an error that mentions time."
)
def _trains_on_unordered_rows_or_refuses_them(model: Model) -> None:
    unordered = replace(toy_split().train, ordered=False)
    try:
        scorer = _last(_short(model, 1), unordered, Progress(1, CPU))
    except UnsupportedError as error:
        require("time" in error.message, f"the error does not mention time: {error.message}")
        return
    _complete(scored(scorer, _queries()), _queries())
