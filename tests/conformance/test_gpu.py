"""On a GPU: every model trains there, gives the same bits each time, and some never wait for it."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from repro.data import prepare
from repro.errors import UnsupportedError
from repro.interactions import from_rows
from repro.plugins import MODELS
from repro.runs import plan
from repro.runs.asked import Asked
from repro.runs.execute import attempt
from repro.runs.machine import chosen_device
from repro.runs.records import Record
from repro.runs.settings import Settings
from repro.training.progress import Progress

pytestmark = pytest.mark.gpu

EVERY = Asked(("toy",), every_model=True, smoke=True)
NEVER_WAITING = ("acvae", "avb", "cvae_gan", "se_vae", "mult_vae", "svae", "vaegan")
"""Models whose updates ask the GPU for nothing; an epoch may, once, as `UserRows` does."""


def made(name: str, runs: Path, device: str) -> list[Record]:
    """Return the records of a model's smoke runs under the protocols that it can serve."""
    jobs = [job for job in plan.plan(EVERY).jobs if job.experiment.model.name == name]
    for dataset in {job.experiment.dataset for job in jobs}:
        prepare.prepare(dataset)
    outcomes = [attempt(job, Settings(runs, device)) for job in jobs]
    assert all(isinstance(one, Record | UnsupportedError) for one in outcomes), outcomes
    return [one for one in outcomes if isinstance(one, Record)]


@pytest.mark.parametrize("name", MODELS.names())
def test_a_model_gives_the_same_bits_each_time(tmp_path: Path, name: str) -> None:
    first, second = made(name, tmp_path / "first", "cuda"), made(name, tmp_path / "second", "cuda")
    assert first
    for one, other in zip(first, second, strict=True):
        assert one.environment["device"] == torch.cuda.get_device_name()
        assert one.environment["deterministic"]
        assert one.peak_bytes["device"] > 0
        assert one.results == other.results
        assert [entry["losses"] for entry in one.curve] == [e["losses"] for e in other.curve]
        for ours, theirs in zip(one.hits(), other.hits(), strict=True):
            assert ours.tolist() == theirs.tolist()


def waits(name: str, n_users: int, device: torch.device) -> int:
    """Return how often the host waits for the GPU in an epoch, not the first, of batches of 4."""
    rng = np.random.default_rng(0)
    item = rng.permuted(np.tile(np.arange(60), (n_users, 1)), axis=1)[:, :12].ravel()
    train = from_rows(np.repeat(np.arange(n_users), 12), item, n_users, 60, ordered=True)
    epochs = MODELS.load(name)(n_epochs=2, batch_size=4).epochs(train, Progress(0, device))
    next(epochs)  # loads what is loaded once
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            next(epochs)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing CUDA operation" in str(one.message) for one in caught)


@pytest.mark.parametrize("name", NEVER_WAITING)
def test_an_epoch_of_more_updates_waits_for_the_gpu_no_more_often(name: str) -> None:
    device = chosen_device("cuda")
    few, many = waits(name, 8, device), waits(name, 80, device)
    assert few > 0  # its losses are read at the end
    assert many == few
