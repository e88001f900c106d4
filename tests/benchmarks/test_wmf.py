"""A sweep of WMF at a tenth of ML-20M's users, a fit of SLIM at ML-1M's shape, EASE at ML-20M's.

Run by itself on one core, EASE in a process of its own for its peak of memory; ten minutes::

    pytest -o addopts= tests/benchmarks/test_wmf.py -s -k 'not ease'
    pytest -o addopts= tests/benchmarks/test_wmf.py -s -k ease

The interactions are generated, so no data is needed. What is measured is the process's own time, so
that other work on the machine counts for little. All of ML-20M has ten times the users and pairs
and as many items: a sweep costs ten times the solution for the users and ten times the sums of the
items' systems.

On one core of a Xeon with AVX-512 beside two trainings: a tenth of a sweep 1.8 s with 64 dimensions
and 10.6 s with 200, SLIM 73 s, EASE 316 s at a peak of 9.4 GiB.
"""

from __future__ import annotations

import resource
import time
from typing import Any

import numpy as np
import pytest
import torch

from repro.interactions import Interactions, from_rows
from repro.models.ease import EASE
from repro.models.slim import SLIM
from repro.models.wmf import WMF
from repro.training.progress import Progress

CPU = torch.device("cpu")


def generated(n_users: int, n_items: int, per_user: float, skew: float) -> Interactions:
    """Return interactions of a few active users and popular items, and many others."""
    rng = np.random.default_rng(0)
    counts = np.clip(rng.lognormal(np.log(per_user) - 0.5, 1.0, n_users), 5, n_items / 4)
    user = np.repeat(np.arange(n_users), counts.astype(int))
    item = (n_items * rng.random(len(user)) ** skew).astype(np.int64)
    return from_rows(user, item, n_users, n_items, ordered=False).distinct()


@pytest.mark.benchmark(group="a sweep of WMF, ML-20M / 10", timer=time.process_time)
@pytest.mark.parametrize("latent_dim", [64, 200])
def test_a_sweep_of_wmf(benchmark: Any, latent_dim: int) -> None:
    train = generated(11_668, 20_108, 80.0, 3.0)
    epochs = WMF(latent_dim=latent_dim, positive_weight=10.0).epochs(train, Progress(0, CPU))
    benchmark.extra_info["interactions"] = len(train)
    benchmark.pedantic(lambda: next(epochs), rounds=2, warmup_rounds=0)


@pytest.mark.benchmark(group="a fit of SLIM, ML-1M", timer=time.process_time)
def test_a_fit_of_slim(benchmark: Any) -> None:
    train = generated(6_040, 3_706, 180.0, 2.0)
    benchmark.extra_info["interactions"] = len(train)
    fit = SLIM(l1=1.0, l2=50.0)
    benchmark.pedantic(lambda: list(fit.epochs(train, Progress(0, CPU))), rounds=1)


@pytest.mark.benchmark(group="a fit of EASE, ML-20M", timer=time.process_time)
def test_a_fit_of_ease(benchmark: Any) -> None:
    train = generated(116_677, 20_108, 80.0, 3.0)
    benchmark.pedantic(lambda: next(EASE().epochs(train, Progress(0, CPU))), rounds=1)
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # of the whole process
    benchmark.extra_info["GiB"] = peak / 2**30
    assert peak < 10 * 2**30
