"""What deterministic algorithms cost on a GPU: an epoch of some models with them and without.

Run by itself, where there is a GPU::

    pytest -o addopts= tests/benchmarks/test_determinism.py --benchmark-group-by=param:name
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from repro.interactions import Interactions, from_rows
from repro.plugins import MODELS
from repro.training.progress import Progress

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture(scope="module")
def ml_1m() -> Interactions:
    """Return interactions of MovieLens 1M's shape."""
    rng = np.random.default_rng(0)
    n_users, n_items, n = 6_040, 3_706, 1_000_209
    item = (n_items * rng.random(n) ** 2).astype(np.int64)
    return from_rows(rng.integers(n_users, size=n), item, n_users, n_items, True).distinct()


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("name", ["bpr", "mult_vae", "neumf", "svae"])
def test_an_epoch(benchmark: Any, ml_1m: Interactions, name: str, deterministic: bool) -> None:
    torch.use_deterministic_algorithms(deterministic)

    def epochs() -> Iterator[object]:
        model = MODELS.load(name)(n_epochs=6)
        yield from model.epochs(ml_1m, Progress(0, torch.device("cuda")))

    trained = epochs()
    next(trained)  # loads what is loaded once

    def epoch() -> None:
        next(trained)
        torch.cuda.synchronize()

    benchmark.pedantic(epoch, rounds=3)
