from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from repro.errors import UnsupportedError
from repro.interactions import Interactions
from repro.model import Scorer
from repro.plugins import MODELS
from repro.split import Queries, Split
from repro.training.progress import Progress
from repro.training.ranking import rank

CPU = torch.device("cpu")

QUICK: dict[str, Any] = {
    "n_epochs": 10,
    "learning_rate": 0.01,
    "batch_size": 32,
    "anneal_steps": 1000,
    "embedding_dim": 16,
    "hidden_dim": 32,
    "hidden_dims": (32,),
    "dense_dim": 16,
    "latent_dim": 16,
    "gmf_dim": 8,
    "mlp_dims": (16, 8),
    "test_latent": "mean",
    "generator_hidden_dims": (32,),
    "generator_learning_rate": 0.005,
    "generator_batch_size": 16,
    "generator_steps": 10,
    "discriminator_hidden_dims": (32,),
    "discriminator_learning_rate": 0.002,
    "discriminator_batch_size": 16,
    "zr_weight": 0.1,
    "negative_power": 0.0,
}
"""Hyper-parameters by name, for the models that have them."""

OWN: dict[str, dict[str, Any]] = {
    "acae": {
        "n_pretrain_epochs": 40,
        "optimizer": "adam",
        "learning_rate": 0.02,
        "l2": 0.0,
        "decoder_adversarial_weight": 1.0,
    },
    "acvae": {"n_epochs": 20},
    "apr": {"n_pretrain_epochs": 10, "learning_rate": 0.05},
    "avb": {"n_epochs": 40, "decoder_dims": (), "discriminator_dims": (16,), "n_noises": 4},
    "bert4rec": {"embedding_dim": 32},
    "cdae": {"learning_rate": 0.1, "batch_size": 4},
    "cvae_gan": {"n_epochs": 40, "kl_weight": 0.1, "likelihood": "bernoulli"},
    "dave": {"batch_size": 128},
    "fawmf": {"learning_rate": 0.1, "n_epochs": 60},
    "jca": {"block_size": 60, "n_epochs": 20},
    "jova": {"block_size": 60, "n_epochs": 20, "learning_rate": 0.02},
    "mvae": {"block_size": 40, "n_epochs": 20, "rank": 8, "anneal_steps": 0},
    "ract": {"n_actor_epochs": 10, "n_critic_epochs": 2, "n_joint_epochs": 2},
    "slim": {"l1": 0.1, "block_size": 50},
    "vaegan": {"n_epochs": 40, "discriminator_dims": (16,), "n_noises": 4},
    "wmf": {"latent_dim": 8, "l2": 1.0},
}
"""What one model needs otherwise, to learn a taste in so few updates."""

every_model = pytest.mark.parametrize("name", MODELS.names())


def model(name: str, **given: object) -> Any:
    known = {field.name for field in MODELS.entry(name).fields}
    quick = {
        key: value for key, value in (QUICK | OWN.get(name, {}) | given).items() if key in known
    }
    return MODELS.load(name)(**quick)


def last(name: str, train: Interactions, progress: Progress, **given: object) -> Scorer:
    *_, scorer = model(name, **given).epochs(train, progress)
    return scorer


def without_history(scores: Tensor, queries: Queries) -> Tensor:
    masked = scores.clone()
    masked[queries.history.user, queries.history.item] = -torch.inf
    return masked


@pytest.fixture(scope="module")
def known(split: Callable[..., Split]) -> Split:
    return split("random_split")


@pytest.fixture(scope="module")
def queries(known: Split) -> Queries:
    return known.test.queries


@pytest.fixture(scope="module")
def trained(known: Split) -> Callable[[str], Scorer]:
    """Return a model trained on the toy data, always the same one."""
    return cache(lambda name: last(name, known.train, Progress(1, CPU)))


@pytest.mark.parametrize("name", sorted(set(MODELS.names()) - {"random"}))
def test_a_model_learns_more_than_chance_knows(
    known: Split, trained: Callable[[str], Scorer], name: str
) -> None:
    found, chance = (rank(trained(which), known.test, which) for which in (name, "random"))
    assert found.value("ndcg@10") > 3 * chance.value("ndcg@10")
    assert found.constant == 0.0


@pytest.mark.parametrize("name", sorted(set(MODELS.names()) - {"random", "popularity"}))
def test_a_model_tells_one_taste_from_the_other(
    queries: Queries, trained: Callable[[str], Scorer], name: str
) -> None:
    best = without_history(trained(name).score(queries), queries).topk(20).indices
    own = best % 2 == torch.from_numpy(queries.user)[:, None] % 2
    assert own.float().mean() > 0.75


@every_model
def test_every_item_is_scored_for_every_query_with_a_finite_number(
    queries: Queries, trained: Callable[[str], Scorer], name: str
) -> None:
    scores = trained(name).score(queries)
    assert scores.shape == (len(queries), queries.history.n_items)
    assert scores.is_floating_point()
    assert bool(scores.isfinite().all())


@every_model
def test_candidates_score_what_they_score_among_all_items(
    queries: Queries, trained: Callable[[str], Scorer], name: str
) -> None:
    rng = np.random.default_rng(0)
    candidates = rng.integers(queries.history.n_items, size=(len(queries), 7), dtype=np.int32)
    asked = Queries(queries.user, queries.history, candidates)
    expected = trained(name).score(queries).gather(1, torch.from_numpy(candidates).long())
    assert_close(trained(name).score(asked), expected)


@every_model
def test_neither_the_order_nor_the_number_of_queries_changes_a_score(
    queries: Queries, trained: Callable[[str], Scorer], name: str
) -> None:
    expected = trained(name).score(queries)
    order = np.random.default_rng(0).permutation(len(queries))
    for users in np.split(order, [1, 5, 50]):
        assert_close(trained(name).score(queries.rows(users)), expected[torch.from_numpy(users)])


@every_model
@pytest.mark.parametrize("training_mode", [True, False])
def test_scoring_changes_nothing_and_its_result_is_the_callers(
    queries: Queries, trained: Callable[[str], Scorer], name: str, training_mode: bool
) -> None:
    scorer = trained(name)
    modules = list(scorer.modules()) if isinstance(scorer, nn.Module) else []
    for module in modules:
        module.training = training_mode
    scores = scorer.score(queries)
    before = scores.clone()
    scores.fill_(torch.nan)
    assert_close(scorer.score(queries), before, rtol=0, atol=0)
    assert not before.requires_grad
    assert {module.training for module in modules} <= {training_mode}


@every_model
def test_the_same_seed_gives_the_same_scores(known: Split, queries: Queries, name: str) -> None:
    def scores(seed: int) -> Tensor:
        return last(name, known.train, Progress(seed, CPU), n_epochs=2).score(queries)

    assert_close(scores(3), scores(3), rtol=0, atol=0)


@every_model
def test_a_run_that_was_cut_off_ends_with_the_same_scores(
    known: Split, queries: Queries, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("repro.training.progress.CHECKPOINT_SECONDS", -1.0)

    def cut_off(phase: str, epoch: int, n: int) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    def scores(progress: Progress) -> Tensor:
        return last(name, known.train, progress, n_epochs=3).score(queries)

    with contextlib.suppress(KeyboardInterrupt):
        scores(Progress(3, CPU, tmp_path, cut_off))
    assert_close(scores(Progress(3, CPU, tmp_path)), scores(Progress(3, CPU)), rtol=0, atol=0)


@every_model
def test_users_unknown_to_training_are_scored_or_refused(
    queries: Queries, trained: Callable[[str], Scorer], name: str
) -> None:
    strangers = Queries(np.full(len(queries), -1), queries.history)
    if getattr(MODELS.load(name), "KNOWN_USERS_ONLY", False):
        with pytest.raises(UnsupportedError, match="knows only users of its training data"):
            trained(name).score(strangers)
    else:
        scores = trained(name).score(strangers)
        assert scores.shape == (len(queries), queries.history.n_items)
        assert bool(scores.isfinite().all())


@every_model
def test_a_stranger_without_history_does_not_break_the_others(
    queries: Queries, trained: Callable[[str], Scorer], name: str
) -> None:
    nobody = queries.history.where(queries.history.user > 0)
    scores = trained(name).score(Queries(queries.user, nobody))
    assert bool(scores.isfinite().all())
    assert_close(scores[1:], trained(name).score(queries)[1:])


@every_model
def test_rows_without_order_in_time_are_trained_on_or_refused(
    known: Split, queries: Queries, name: str
) -> None:
    unordered, refusal, finite = replace(known.train, ordered=False), "", False
    try:
        scores = last(name, unordered, Progress(1, CPU), n_epochs=1).score(queries)
        finite = bool(scores.isfinite().all())
    except UnsupportedError as error:
        refusal = error.message
    assert finite or "order of time" in refusal
