"""Epochs of JCA, JoVA and MVAE at Yelp's shape, and their memory at Pinterest's.

Run by itself on an idle machine of two cores, each in a process of its own for its peak of memory;
the epochs take about three minutes, an epoch of MVAE of them one::

    pytest -o addopts= tests/benchmarks/test_two_sided.py -s -k "yelp and jca"
    pytest -o addopts= tests/benchmarks/test_two_sided.py -s -k "yelp and mvae"
    pytest -o addopts= tests/benchmarks/test_two_sided.py -s -k "pinterest and mvae"

The interactions are generated. The bounds are for an epoch without its look at the test users.
Threads are what `REPRO_BENCHMARK_THREADS` says, 2 by default. At Pinterest's shape only some blocks
of an epoch's 259 are trained on, and one batch of users is scored.
"""

from __future__ import annotations

import os
import resource
import time
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch

from repro.interactions import Interactions, from_rows
from repro.nn.blocks import Blocks
from repro.plugins import MODELS
from repro.split import Queries
from repro.training.progress import Progress

CPU = torch.device("cpu")
BOUNDS = {"jca": 12.0, "mvae": 60.0}
"""Seconds of an epoch at Yelp's shape."""
MOST_BYTES = 4 * 2**30
"""At Pinterest's shape."""
FEW_BLOCKS = 3


@pytest.fixture(autouse=True)
def threads() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(int(os.environ.get("REPRO_BENCHMARK_THREADS", "2")))
    yield
    torch.set_num_threads(before)


def generated(n_users: int, n_items: int, n: int) -> Interactions:
    """Return distinct pairs of which few items and few users have many."""
    rng = np.random.default_rng(0)
    user = (n_users * rng.random(n) ** 1.5).astype(np.int64)
    item = (n_items * rng.random(n) ** 2).astype(np.int64)
    return from_rows(user, item, n_users, n_items, ordered=False).distinct()


def told(line: str) -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"\n{line}; peak {peak / 2**30:.2f} GiB")  # noqa: T201
    return peak


@pytest.mark.parametrize("name", ["jca", "jova", "mvae"])
def test_an_epoch_at_yelps_shape(name: str) -> None:
    train = generated(12_704, 9_244, 260_000)
    epochs = MODELS.load(name)(n_epochs=2).epochs(train, Progress(0, CPU))
    began, used = time.perf_counter(), time.process_time()
    next(epochs)
    first = time.perf_counter() - began
    began, used = time.perf_counter(), time.process_time()
    scorer = next(epochs)
    wall, used = time.perf_counter() - began, time.process_time() - used
    told(
        f"{name}, {len(train):,} pairs: {wall:.1f} s an epoch ({used:.1f} s of processor time), "
        f"{first:.1f} s the first one with what comes before"
    )
    users = np.arange(2000)
    began = time.perf_counter()
    scorer.score(Queries(users, train.rows(users)))
    told(f"{name}: {time.perf_counter() - began:.1f} s to score 2,000 users")
    assert wall <= BOUNDS.get(name, np.inf)


@pytest.mark.parametrize("name", ["jca", "jova", "mvae"])
def test_memory_at_pinterests_shape(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    train = generated(55_187, 9_911, 1_230_000)
    shuffled = Blocks.shuffled

    def few(self: Blocks) -> Any:
        users, items = shuffled(self)
        return users[:1], items[:FEW_BLOCKS]

    model = MODELS.load(name)(n_epochs=1)
    if name == "mvae":
        monkeypatch.setattr(Blocks, "shuffled", few)  # its pairs are not looked up
    else:
        whole = Blocks.__iter__
        monkeypatch.setattr(Blocks, "__iter__", lambda self: islice(whole(self), FEW_BLOCKS))
    epochs = model.epochs(train, Progress(0, CPU))
    began = time.perf_counter()
    scorer = next(epochs)
    told(f"{name}, {len(train):,} pairs: {time.perf_counter() - began:.1f} s for 3 of 259 blocks")
    users = np.arange(2**25 // 9_911)
    began = time.perf_counter()
    scorer.score(Queries(users, train.rows(users)))
    peak = told(f"{name}: {time.perf_counter() - began:.1f} s to score {len(users):,} users")
    assert peak < MOST_BYTES
