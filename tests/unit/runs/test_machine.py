"""The machine as a run sets it up."""

from __future__ import annotations

import platform
import resource
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from repro.data.prepare import prepare
from repro.runs import execute, machine
from repro.runs.asked import Asked
from repro.runs.machine import chosen_device
from repro.runs.plan import plan
from repro.runs.settings import Settings


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Give back the threads that the other tests had."""
    before = torch.get_num_threads()
    with threadpool_limits():
        yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("n", [1, 2])
def test_what_numpy_and_scipy_multiply_with_has_as_many_threads_as_torch(n: int) -> None:
    chosen_device("cpu", threads=n)
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    assert any("scipy" in pool["filepath"] for pool in pools)
    assert {pool["num_threads"] for pool in pools} == {torch.get_num_threads()} == {n}


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_memory_that_an_update_frees_serves_the_next() -> None:
    def faults() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

    chosen_device("cpu")
    numbers, counted = 12 * 2**20, [faults()]
    for _ in range(40):  # aligned blocks find their places after some
        torch.ones(numbers)
        counted.append(faults())
    pages = 4 * numbers / resource.getpagesize()
    assert counted[-1] - counted[-5] < pages  # of four tensors


@pytest.mark.skipif(not torch.set_flush_denormal(False), reason="another kind of processor")
def test_numbers_too_small_to_be_normal_are_zero_while_a_model_trains(
    own_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, found = torch.tensor(1e-30), []

    class SeenError(Exception): ...

    def fit(*_: object, **__: object) -> None:
        found.append(float(small * 1e-10))
        raise SeenError

    monkeypatch.setattr(execute, "fit", fit)
    job = plan(Asked(("toy",), table="1", rows=("POP",), seeds=(0,))).jobs[0]
    prepare(job.experiment.dataset)
    with pytest.raises(SeenError):
        execute.run(job, Settings(own_folders / "runs", "cpu"))
    assert found == [0.0]
    assert float(small * 1e-10) > 0.0


@pytest.mark.parametrize(("system", "n_bytes"), [("linux", 7 * 1024), ("darwin", 7)])
def test_the_peak_is_told_in_bytes_though_systems_count_in_different_units(
    monkeypatch: pytest.MonkeyPatch, system: str, n_bytes: int
) -> None:
    monkeypatch.setattr(machine, "sys", SimpleNamespace(platform=system))
    monkeypatch.setattr(machine, "Path", lambda _: Path("/nowhere"))  # no /proc to read it from
    monkeypatch.setattr(resource, "getrusage", lambda _: SimpleNamespace(ru_maxrss=7))
    machine.forget_peak(torch.device("cpu"))
    assert machine.peak(torch.device("cpu")) == {"process": n_bytes}
