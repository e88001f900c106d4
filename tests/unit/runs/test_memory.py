"""Memory: what models say that they need, what is free, and what a run says without enough."""

from __future__ import annotations

import errno
import json
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from builders import Write
from builders.commands import known, repro_
from builders.papers import paper, row, table, view
from repro import paths
from repro.errors import ReproError
from repro.interactions import Interactions
from repro.model import Memory
from repro.models.ease import EASE
from repro.models.item_knn import ItemKNN
from repro.models.slim import SLIM
from repro.runs import memory
from repro.runs.asked import Asked
from repro.runs.execute import attempt
from repro.runs.plan import plan
from repro.runs.settings import Settings

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def sized(n_users: int, n_items: int) -> Interactions:
    nothing = np.zeros(0, dtype=np.int32)
    return Interactions(nothing, nothing, n_users, n_items, ordered=False)


PEAK = """
import json, resource, sys
import numpy as np, torch
from pathlib import Path
from repro.interactions import from_rows
from repro.plugins import MODELS
from repro.runs import machine
from repro.training.progress import Progress

name, n_items, params = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
rng, n = np.random.default_rng(0), 60_000
item = (rng.random(n) ** 2.5 * n_items).astype(int)
pairs = np.unique(rng.integers(2000, size=n) * n_items + item)
train = from_rows(pairs // n_items, pairs % n_items, 2000, n_items, ordered=False)
model, cpu = MODELS.load(name)(**params), machine.chosen_device("cpu", 1)
machine.forget_peak(cpu)
status = Path("/proc/self/status").read_text().splitlines()
before = 1024 * int(next(line.split()[1] for line in status if line.startswith("VmRSS:")))
for _ in model.epochs(train, Progress(0, cpu)):
    pass
print(machine.peak(cpu)["process"] - before, max(model.memory(train)))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="no peaks here")
@pytest.mark.parametrize(
    ("name", "n_items", "params"),
    [
        ("ease", 5000, {}),
        ("ease", 9000, {}),
        ("slim", 5000, {"n_sweeps": 1}),
        ("slim", 9000, {"n_sweeps": 1, "block_size": 256}),
        ("item_knn", 5000, {}),
        ("item_knn", 20000, {}),
    ],
)
def test_what_a_model_says_is_near_its_peak(
    name: str, n_items: int, params: dict[str, Any]
) -> None:
    command = [sys.executable, "-c", PEAK, name, str(n_items), json.dumps(params)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak, said = map(int, done.stdout.split())
    assert 0.65 * peak < said < 1.35 * peak  # it varies with what else the machine does


LISTS = """
import resource, sys
import numpy as np
from pathlib import Path
from repro.interactions import from_rows
from repro.plugins import MODELS
from repro.runs import machine
from repro.training.progress import Progress

class EnoughError(Exception): ...

class Begun(Progress):
    def log(self, **losses):
        raise EnoughError

name, n_users, longest = sys.argv[1], int(sys.argv[2]), 3000
user = np.concatenate([np.repeat(np.arange(n_users), 6), np.zeros(longest - 6, int)])
item = np.random.default_rng(0).integers(longest, size=len(user))
train = from_rows(user, item, n_users, longest, ordered=True)
model, cpu = MODELS.load(name)(n_epochs=1), machine.chosen_device("cpu", 1)
machine.forget_peak(cpu)
status = Path("/proc/self/status").read_text().splitlines()
before = 1024 * int(next(line.split()[1] for line in status if line.startswith("VmRSS:")))
try:
    list(model.epochs(train, Begun(0, cpu)))
except EnoughError:
    print(machine.peak(cpu)["process"] - before, max(model.memory(train)))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="no peaks here")
@pytest.mark.parametrize("n_users", [20_000, 60_000])
@pytest.mark.parametrize("name", ["acvae", "bert4rec", "caser", "gru4rec_plus", "svae"])
def test_what_a_model_of_lists_says_is_near_its_peak(name: str, n_users: int) -> None:
    command = [sys.executable, "-c", LISTS, name, str(n_users)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak, said = map(int, done.stdout.split())
    assert 0.7 * peak < said < 1.3 * peak


def test_the_need_grows_with_the_items() -> None:
    assert max(EASE().memory(sized(3000, 39_104))) == pytest.approx(36.7e9, rel=0.01)
    assert max(SLIM().memory(sized(3000, 39_104))) > 4 * 39_104**2
    small, large = (max(ItemKNN().memory(sized(10, n))) for n in (20_000, 40_000))
    assert large == 2 * small


def wants(n_bytes: int, device: int = 0) -> Any:
    """Return a model that says it needs so much."""
    named = {"memory": lambda self, train: Memory(n_bytes, device)}
    return type("Wanting", (), named)()


def test_a_model_that_needs_more_than_is_free_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free", lambda: 5_000_000_000)
    memory.check(wants(5_000_000_000), "m", sized(1, 1), CPU)
    with pytest.raises(ReproError) as error:
        memory.check(wants(1, 12_200_000_000), "m", sized(3000, 39_104), CPU)
    assert error.value.message == (
        "m needs about 12.2 GB of memory for 39,104 items and 3,000 users with up to 1 of them, "
        "and only 5.0 GB are free"
    )
    assert "--no-memory-check" in error.value.hint


def test_on_a_gpu_both_memories_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free", lambda: 100)
    monkeypatch.setattr("repro.runs.machine.free_on", lambda device: 200)
    memory.check(wants(100, 200), "m", sized(1, 1), GPU)
    with pytest.raises(ReproError, match="of memory for"):
        memory.check(wants(101, 200), "m", sized(1, 1), GPU)
    with pytest.raises(ReproError, match="of memory on cuda for"):
        memory.check(wants(100, 201), "m", sized(1, 1), GPU)


def test_what_says_nothing_or_cannot_be_known_is_not_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "free", lambda: 0)
    field = SimpleNamespace(memory=3)  # a hyper-parameter of that name
    memory.check(field, "m", sized(1, 1), CPU)
    monkeypatch.setattr(memory, "free", lambda: None)
    memory.check(wants(10**18), "m", sized(1, 1), CPU)


def put(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(f"{content}\n")


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the root of a system with 1,000 kB available and without limits."""
    monkeypatch.setattr(memory, "PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "CGROUP", tmp_path / "cgroup")
    unlimited = resource.RLIM_INFINITY
    monkeypatch.setattr(resource, "getrlimit", lambda _: (unlimited, unlimited))
    put(tmp_path / "proc", meminfo="MemTotal: 9000 kB\nMemAvailable:    1000 kB")
    return tmp_path


def test_what_the_system_has_is_free(system: Path) -> None:
    assert memory.free() == 1_024_000
    (system / "proc" / "meminfo").unlink()
    assert memory.free() is None


@pytest.mark.parametrize(
    ("line", "folder", "names"),
    [
        ("0::/job/step", "", ("memory__max", "memory__current", "inactive_file")),
        (
            "4:memory:/job/step",
            "memory",
            ("memory__limit_in_bytes", "memory__usage_in_bytes", "total_inactive_file"),
        ),
    ],
    ids=["v2", "v1"],
)
def test_limits_of_control_groups_count_up_to_the_root(
    system: Path, line: str, folder: str, names: tuple[str, str, str]
) -> None:
    most, used, cached = names
    put(system / "proc" / "self", cgroup=f"7:cpu:/job\n{line}")
    root = system / "cgroup" / folder
    group = {used: 300_000, "memory__stat": f"anon 1\n{cached} 50000"}
    put(root / "job", **{most: 700_000}, **group)
    assert memory.free() == 700_000 - 300_000 + 50_000
    put(root / "job" / "step", **{most: 320_000}, **group)
    assert memory.free() == 70_000
    put(root / "job" / "step", **{most: "max"}, **group)
    assert memory.free() == 450_000
    put(root, **{most: 310_000}, **group)  # all that a container sees of its own group
    assert memory.free() == 60_000


def test_a_limit_on_addresses_counts(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = resource.getpagesize()
    monkeypatch.setattr(resource, "getrlimit", lambda _: (30 * page, -1))
    put(system / "proc" / "self", statm="10 5 0 0")
    assert memory.free() == 20 * page


NUMPY = "Unable to allocate 11.6 GiB for an array with shape (39104, 39104) and data type float64"
TORCH = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 12168000000 bytes."
CUDA = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 10 GiB"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MemoryError(NUMPY), "out of memory: 12.5 GB more could not be allocated; 5.0 GB are free"),
        (RuntimeError(TORCH), "out of memory: 12.2 GB more could not be allocated; 5.0 GB are"),
        (torch.OutOfMemoryError(CUDA), "out of memory: 2.1 GB more could not be allocated"),
        (MemoryError(), "out of memory: an allocation failed; 5.0 GB are free now"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out of memory: an allocation failed"),
        (RuntimeError("shapes do not match"), None),
        (OSError(errno.ENOSPC, "No space left"), None),
    ],
)
def test_an_allocation_that_failed_is_said_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str | None
) -> None:
    monkeypatch.setattr(memory, "free", lambda: 5_000_000_000)
    found = memory.shortage(error)
    assert (found or "").startswith(sentence or "")
    assert (found is None) == (sentence is None)


def test_an_allocation_that_fails_in_a_run_is_no_raw_error(
    monkeypatch: pytest.MonkeyPatch, write: Write
) -> None:
    text = paper(view("toy", "toy/ratings", "random_split"), table(), row("POP", "popularity"))
    write("tables/mine.toml", text)
    repro_("fetch", "toy")
    (job,) = plan(Asked(("mine",))).jobs

    def fit(*_: object, **__: object) -> None:
        torch.empty(2**60, dtype=torch.uint8)

    monkeypatch.setattr("repro.runs.execute.fit", fit)
    outcome = attempt(job, Settings(paths.runs(), "cpu"))
    assert isinstance(outcome, ReproError)
    assert outcome.message.startswith("out of memory: 1,152,921,504.6 GB more could not be")


def test_a_run_without_memory_is_refused_alone_and_a_dry_run_says_so(
    monkeypatch: pytest.MonkeyPatch, write: Write
) -> None:
    rows = row("EASE", "ease"), row("POP", "popularity")
    write("tables/mine.toml", paper(view("toy", "toy/ratings", "random_split"), table(), *rows))
    repro_("fetch", "toy")
    monkeypatch.setattr(memory, "free", lambda: 1000)
    why = "ease needs about 1 MB of memory for"
    told = repro_("run", "mine", "--dry-run").stdout
    assert f"time unknown: {why}" in told
    assert "memory: about 1 MB for the process" in told
    ease, pop = json.loads(repro_("run", "mine", "--dry-run", "--json").stdout)["runs"]
    assert ease["memory_bytes"].keys() == {"process"}
    assert ease["memory_bytes"]["process"] > 1000
    assert pop["memory_bytes"] is None
    ran = repro_("run", "mine", code=4).stderr
    assert why in ran
    assert "1 finished, 0 refused, 1 failed" in ran
    repro_("run", "mine", "--no-memory-check")
    assert len(known()) == 2
