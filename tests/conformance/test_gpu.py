"""On a GPU: every model trains there, and gives the same bits each time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from repro import planning
from repro.errors import UnsupportedError
from repro.execution import Settings, attempt
from repro.experiment import MODELS
from repro.planning import Asked
from repro.records import Record

pytestmark = pytest.mark.gpu

EVERY = Asked(("toy",), every_model=True, smoke=True)


def made(name: str, runs: Path, device: str) -> list[Record]:
    """Return the records of a model's smoke runs under the protocols that it can serve."""
    jobs = [job for job in planning.plan(EVERY).jobs if job.experiment.model.name == name]
    for dataset in {job.experiment.dataset for job in jobs}:
        planning.prepare(dataset)
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
