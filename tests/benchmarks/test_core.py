"""The core at ML-20M's shape: ranking against topk alone, an epoch against its matrix products.

Run by itself, on an idle machine, each in a process of its own for its peak of memory::

    pytest -o addopts= tests/benchmarks/test_core.py -s -k ranking
    pytest -o addopts= tests/benchmarks/test_core.py -s -k epoch
    pytest -o addopts= tests/benchmarks/test_core.py -s -k candidates
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from repro.interactions import Interactions, from_rows
from repro.models.mult_vae import MultVAE
from repro.models.neumf import NeuMF
from repro.split import Cases, Queries
from repro.training.progress import Progress
from repro.training.ranking import rank

N_USERS, N_ITEMS, PER_USER = 116_677, 20_108, 73
CPU = torch.device("cpu")
STEPS = 12
"""Batches of an epoch's 234 that are timed."""


def generated(n_users: int, per_user: int, n_items: int, seed: int = 0) -> Interactions:
    rng = np.random.default_rng(seed)
    item = (n_items * rng.random(n_users * per_user) ** 3).astype(np.int64)
    user = np.repeat(np.arange(n_users), per_user)
    return from_rows(user, item, n_users, n_items, True).distinct()


def seconds(task: Callable[[], Any], rounds: int = 3) -> float:
    """Return the best of some times."""
    best = np.inf
    for _ in range(rounds):
        began = time.perf_counter()
        task()
        best = min(best, time.perf_counter() - began)
    return float(best)


def told(line: str) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"\n{line}; peak {peak:.1f} GB")  # noqa: T201


class Given:
    """Scores that are there already."""

    def __init__(self, scores: Tensor) -> None:
        self.scores = scores
        self.at = 0

    def score(self, queries: Queries) -> Tensor:
        begin, self.at = self.at, self.at + len(queries)
        return self.scores[begin : self.at]


def test_ranking_10_000_users_against_topk_alone() -> None:
    n_users = 10_000
    scores = torch.randn(n_users, N_ITEMS)
    history, targets = generated(n_users, 58, N_ITEMS), generated(n_users, 15, N_ITEMS, 1)
    cases = Cases.of(np.full(n_users, -1), history, targets)
    scores = scores[: len(cases)]
    ours = seconds(lambda: rank(Given(scores), cases, "given"))
    alone = seconds(lambda: [part.topk(100, dim=1) for part in scores.split(1024)])
    told(f"ranking {ours:.2f} s, topk alone {alone:.2f} s: {ours / alone:.2f} times")
    assert ours < 1.5 * alone


class Few(Progress):
    """A run that is over after some batches."""

    def __init__(self) -> None:
        super().__init__(0, CPU)
        self.began = 0.0
        self.steps = -1  # the first is not timed

    def log(self, **losses: Any) -> None:
        self.steps += 1
        if self.steps == 0:
            self.began = time.perf_counter()
        if self.steps == STEPS:
            raise TimeoutError


def test_an_epoch_of_mult_vae_against_its_matrix_products() -> None:
    model = MultVAE(n_epochs=1)
    train = generated(N_USERS, PER_USER, N_ITEMS)  # all users, for the peak of memory
    progress = Few()

    def products() -> None:
        b, hidden = model.batch_size, model.hidden_dims[-1]
        h, w, g = torch.randn(b, hidden), torch.randn(N_ITEMS, hidden), torch.randn(b, N_ITEMS)
        for _ in range(STEPS):
            h @ w.T  # the logits; the rest is their gradient
            g @ w
            g.T @ h

    with pytest.raises(TimeoutError):
        next(model.epochs(train, progress))
    ours = time.perf_counter() - progress.began
    alone = seconds(products)
    a_step, whole = ours / STEPS, ours / STEPS * -(-N_USERS // model.batch_size)
    told(
        f"{STEPS} steps {ours:.2f} s, their products {alone:.2f} s: {ours / alone:.2f} times; "
        f"{a_step:.2f} s a step, {whole:.0f} s an epoch"
    )
    assert ours < 1.5 * alone
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20 < 3.0  # GiB


def test_ranking_candidates_of_6_040_users() -> None:
    n_users, n_items = 6_040, 3_706
    train = generated(n_users, 165, n_items)
    rng = np.random.default_rng(0)
    candidates = np.sort(rng.permuted(np.tile(np.arange(n_items), (n_users, 1)), axis=1)[:, :100])
    target = from_rows(np.arange(n_users), candidates[:, 50], n_users, n_items, True)
    cases = Cases(Queries(np.arange(n_users), train, candidates), target)
    model = NeuMF(n_epochs=1, n_pretrain_epochs=0)
    scorer = next(iter(model.epochs(generated(n_users, 5, n_items), Progress(0, CPU))))
    taken = seconds(lambda: rank(scorer, cases, "neumf"))
    told(f"ranking 6,040 x 100 with NeuMF {taken:.2f} s")
    assert taken < 1.0
