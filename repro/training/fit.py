"""Fit: run a model's epochs, evaluate, and keep the epoch that `select` names.

The test cases are ranked at every evaluation, and the best epoch's hits are kept, not a copy of its
scorer: so there is no second copy of a large network, and a checkpoint need not hold a scorer.
Selection still sees only what `select` names. A protocol's further cases, 25 under DAVE's noise,
would take longer than an epoch: where there are some, the best scorer is copied, and they are
ranked at the end, or before a checkpoint.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
import torch

from repro.errors import ReproError, UnsupportedError
from repro.experiment import Selection
from repro.metrics import Result, depth
from repro.model import Composite, Embedding, Model, Scorer
from repro.split import Split
from repro.training.outcome import Outcome
from repro.training.progress import Progress
from repro.training.ranking import Ranking, rank
from repro.training.selection import BestEpoch


def fit(
    model: Model,
    split: Split,
    progress: Progress,
    *,
    name: str,
    metrics: tuple[str, ...],
    select: str = "last",
    every: int = 1,
    patience: int | None = None,
    patience_from: int = 0,
    curve: tuple[str, ...] = (),
    keep_scorer: bool = False,
    keep_lists: bool = False,
) -> Outcome:
    """Train a model, and return its test metrics at the epoch that `select` names.

    Parameters
    ----------
    model : Model
        Hyper-parameters.
    split : Split
        Training interactions, and the cases of validation and test.
    progress : Progress
        The run.
    name : str
        The model's name, for messages.
    metrics : tuple of str
        What the results and the curve report, such as "ndcg@100".
    select, every, patience, patience_from
        As in `repro.experiment.Experiment`.
    curve : tuple of str
        Metrics that every evaluation must include, for a figure; a checkpoint without them is not
        used.
    keep_scorer : bool
        Keep a copy of the scorer of the epoch that counts; a checkpoint does not hold it.
    keep_lists : bool
        Keep the ranked items of the epoch that counts; a checkpoint without them is not used.

    Raises
    ------
    UnsupportedError
        If the model cannot serve the split.
    ReproError
        If `select` needs validation cases and the protocol has none, if no case can be answered
        from what was trained on, or training diverged.
    """
    rule = Selection.of(select)
    if rule.cases == "valid" and split.valid is None:
        raise ReproError(
            f"select = '{select}' needs validation cases, and this protocol holds out none",
            "select = 'last', or give the protocol a validation part",
        )
    check_cases(split, rule)
    check_users(model, split, name)
    ranking = progress.outcome.ranking
    if keep_lists and ranking is not None and ranking.items is None:
        progress.begin_anew()
    metrics = _followed(progress, metrics, curve, rule)
    wanted = (*metrics, rule.metric) if rule.metric else metrics
    with progress.interrupts:
        for scorer in epochs_of(model, split, progress, name):
            if progress.epoch % every and not progress.final:
                continue
            best = BestEpoch(rule, progress.outcome, patience, patience_from)
            test, progress.look = _look(scorer, split, name, wanted, keep_lists)
            if best.looked(progress.look, progress.epoch + 1):
                _keep(scorer, split, test, progress, name, metrics)
                if keep_scorer:
                    progress.outcome.scorer = None  # a second copy must not stand beside the third
                    progress.outcome.scorer = copy.deepcopy(scorer) if rule.metric else scorer
                best.keep(test, progress.look, metrics)
            if best.is_over:
                progress.end_phase()
    if progress.look:  # the model does not count its epochs
        progress.close_epoch()
    progress.settle()
    return progress.outcome


def epochs_of(model: Model, split: Split, progress: Progress, name: str) -> Iterable[Scorer]:
    """Return a model's epochs; ReproError if it has none to go through."""
    epochs = model.epochs(split.train, progress) if hasattr(model, "epochs") else None
    if not isinstance(epochs, Iterable):
        raise ReproError(
            f"{name} has no epochs(self, train, run) that yields a scorer after each epoch",
            "repro new model NAME writes one to begin with",
        )
    return epochs


def _followed(
    progress: Progress, metrics: tuple[str, ...], curve: tuple[str, ...], rule: Selection
) -> tuple[str, ...]:
    """Return the metrics of every evaluation: those asked for, and those of earlier attempts.

    A checkpoint is discarded if it lacks a metric of the curve, or with "test:each" any metric: the
    beginning of that metric's curve, or its best epoch, cannot be recovered. So is one that keeps
    fewer ranks than a metric needs.
    """
    known = progress.outcome.followed
    deeper = depth([*metrics, *curve]) > depth(known)
    if deeper or {*curve, *(metrics if rule.each else ())} - set(known):
        progress.begin_anew()
    outcome = progress.outcome
    followed = tuple(dict.fromkeys([*metrics, *curve, *outcome.followed]))
    outcome.followed = list(followed)
    if outcome.ranking is not None:
        for metric in [name for name in followed if name not in outcome.results]:
            value, error = outcome.ranking.value(metric), outcome.ranking.standard_error(metric)
            outcome.results[metric] = Result(value, error, outcome.epoch)
    return followed


def _keep(
    scorer: Scorer,
    split: Split,
    test: Ranking,
    progress: Progress,
    name: str,
    metrics: tuple[str, ...],
) -> None:
    """Keep what the record says of the best epoch so far, which is the current one."""
    outcome = progress.outcome
    outcome.ranking, outcome.epoch = test, progress.epoch + 1
    progress.look |= _parts(scorer, split, metrics)
    if split.others:
        for entry in outcome.curve:  # a checkpoint may have been written in between
            for key in split.others:
                entry.pop(key, None)
        kept = copy.deepcopy(scorer)  # the training continues
        progress.later(partial(_others, kept, split, name, metrics, progress.seed))
    outcome.embeddings = _embeddings(scorer)


def check_users(model: Model, split: Split, name: str) -> None:
    """Raise UnsupportedError if a model, here under its name, cannot score a split's users."""
    known_only = getattr(model, "KNOWN_USERS_ONLY", False)
    if known_only and (split.test.queries.user < 0).any():
        raise UnsupportedError(
            f"{name} knows only the users of its training data, and this protocol asks for others",
            "choose a model that scores from a history",
        )
    if untrained(model, split) == len(split.test):
        raise UnsupportedError(
            f"{name} has a vector for each user, and no test user has a training row to train it",
            "choose a model that scores from a history",
        )


def untrained(model: Model, split: Split) -> int:
    """Return how many test users a model scores from vectors of which no row has been trained."""
    own = getattr(model, "KNOWN_USERS_ONLY", False) or getattr(model, "USER_VECTORS", False)
    user = split.test.queries.user
    return int((split.train.counts[user[user >= 0]] == 0).sum()) if own else 0


def check_cases(split: Split, rule: Selection) -> None:
    """Raise ReproError if nothing that was trained on tells anything of the cases that count."""
    asked = {"test": split.summary.test}
    if rule.cases == "valid" and split.summary.valid:
        asked["validation"] = split.summary.valid
    for kind, cases in asked.items():
        if not cases.users:
            why = ", ".join(f"{n:,} ({reason})" for reason, n in cases.dropped.items())
            raise ReproError(
                f"no user has a target; {kind} users who are not asked: {why or 'none'}",
                "check the minimum counts of the protocol, and the steps of the view",
            )
        if cases.unknown_targets == cases.targets:
            raise ReproError(
                f"all {cases.targets:,} targets of the {kind} are items that no training row has",
                "are the items of both files numbered alike?",
            )
        if cases.without_history == cases.without_training == cases.users:
            raise ReproError(
                f"none of the {cases.users:,} {kind} users has a training row, or a history",
                "are the users of both files numbered alike?",
            )


def _embeddings(scorer: Scorer) -> dict[str, torch.Tensor]:
    """Return copies of the scorer's embeddings of users and items, if it has any."""
    # Looked up on its type: the instance may have a submodule of that name.
    if not callable(getattr(type(scorer), "embeddings", None)):
        return {}
    assert isinstance(scorer, Embedding)
    with torch.random.fork_rng():
        return {name: rows.detach().cpu().clone() for name, rows in scorer.embeddings().items()}


def _parts(scorer: Scorer, split: Split, metrics: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Return the metrics of a model's parts."""
    if not callable(getattr(type(scorer), "parts", None)):
        return {}
    assert isinstance(scorer, Composite)
    with torch.random.fork_rng():
        rankings = {
            key: rank(part, split.test, key, depth=depth(metrics))
            for key, part in scorer.parts().items()
        }
    return {key: {name: r.value(name) for name in metrics} for key, r in rankings.items()}


def _others(
    scorer: Scorer, split: Split, name: str, metrics: tuple[str, ...], seed: int
) -> dict[str, dict[str, float]]:
    """Return the metrics of the further cases, each the mean over its draws."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # when they are ranked depends on the clock
        rankings = {
            key: [rank(scorer, one, name, depth=depth(metrics)) for one in cases]
            for key, cases in split.others.items()
        }
    return {
        key: {metric: float(np.mean([r.value(metric) for r in found])) for metric in metrics}
        for key, found in rankings.items()
    }


def _look(
    scorer: Scorer, split: Split, name: str, wanted: tuple[str, ...], keep_lists: bool
) -> tuple[Ranking, dict[str, Any]]:
    """Return the ranking of the test cases, and the metrics of all cases for the curve."""
    metrics = dict.fromkeys(wanted)
    kept = depth(wanted)
    with torch.random.fork_rng():  # a scorer that samples must not change the training to come
        test = rank(scorer, split.test, name, keep_items=keep_lists, depth=kept)
        look = {"test": {metric: test.value(metric) for metric in metrics}}
        if split.valid:
            valid = rank(scorer, split.valid, name, depth=kept)
            look["valid"] = {metric: valid.value(metric) for metric in metrics}
    return test, look
