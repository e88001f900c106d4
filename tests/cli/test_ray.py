"""Runs on a Ray cluster that loses a machine: none is lost, none is done twice."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from builders import Write
from builders.commands import check_same_as_alone, json_of, known, repro_
from builders.papers import paper, row, table, view
from builders.processes import until
from repro import paths
from repro.cli import app
from repro.runs import ray_cluster

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="no Ray")

N_EPOCHS = 20

MODEL = '''
"""Mult-VAE, slowly while a file says so; writes down that it was trained."""

import time
from dataclasses import dataclass
from pathlib import Path

import repro.training.progress
from repro.models.mult_vae import MultVAE

repro.training.progress.CHECKPOINT_SECONDS = 0.0
HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Steady:
    """Score as Mult-VAE does."""

    name: str = ""
    n_epochs: int = 20
    latent_dim: int = 4
    batch_size: int = 80
    hidden_dims: tuple[int, ...] = (8,)

    def epochs(self, train, run):
        with (HERE / "trained").open("a") as file:
            file.write(self.name + "\\n")
        settings = {k: v for k, v in vars(self).items() if k != "name"}
        for epoch, net in enumerate(MultVAE(**settings).epochs(train, run)):
            yield net
            while (HERE / "slow").exists() and epoch > 5 and self.name != "A":
                time.sleep(0.01)


MODEL = Steady
'''

CLUSTER = """
import json, os, signal, subprocess, sys, time
from pathlib import Path
from ray.cluster_utils import Cluster

user, runs = Path(os.environ["REPRO_PATH"]), Path(os.environ["REPRO_RUNS"])

def until(true):
    deadline = time.monotonic() + 200
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        assert driver.poll() is None, "the driver has ended"
        time.sleep(0.02)

quick = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 200,
         "health_check_timeout_ms": 2000, "health_check_failure_threshold": 5}
cluster = Cluster(initialize_head=True, head_node_args={
    "num_cpus": 0, "include_dashboard": False, "_system_config": quick})
os.environ["RAY_ADDRESS"] = cluster.address
driver = subprocess.Popen([sys.executable, "-m", "repro", "run", "mine", "--engine", "ray"])
try:
    doomed = cluster.add_node(num_cpus=2, include_dashboard=False)
    until(lambda: list(runs.glob("*/record.json")))
    until(lambda: len(list(runs.glob("*/checkpoint-000006.pt"))) == 2)
    print(json.dumps(sorted(file.parent.name for file in runs.glob("*/checkpoint-000006.pt"))))
    workers = {json.loads(file.read_text())["pid"] for file in runs.glob("*/lock.json")}
    cluster.remove_node(doomed, allow_graceful=False)
    for pid in workers:  # else they outlive it for a moment, go on, and are given more to do
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    (user / "models" / "slow").unlink()
    cluster.add_node(num_cpus=2, include_dashboard=False)
    sys.exit(driver.wait(200))
finally:
    driver.kill()
    cluster.shutdown()
"""


@pytest.fixture
def user(write: Write, monkeypatch: pytest.MonkeyPatch) -> Path:
    # put back, whatever the plug-in says
    monkeypatch.setattr("repro.training.progress.CHECKPOINT_SECONDS", 0.0)
    write("models/steady.py", MODEL)
    toy, head = view("toy", "toy/ratings", "random_split"), table(select="valid:ndcg@10")
    rows = (row(name, "steady", params={"name": name}) for name in "ABCD")
    return write("tables/mine.toml", paper(toy, head, *rows)).parent.parent


@pytest.fixture
def ray_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder for Ray's own files; what it has started ends with the test."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_enable_metrics_collection", "0")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as short:
        monkeypatch.setenv("RAY_TMPDIR", short)  # a socket's path must be short
        yield Path(short)
        for pid in started_with(f"RAY_TMPDIR={short}"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def started_with(setting: str) -> list[int]:
    """Return the processes that have a setting in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if setting.encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return [pid for pid in found if pid != os.getpid()]


def process(*arguments: str) -> tuple[str, str]:
    """Run a program; return its output and messages."""
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-5000:]}"
    return done.stdout, done.stderr


@needs_ray
@pytest.mark.slow
def test_a_cluster_that_loses_a_machine_loses_no_run_and_does_none_twice(
    user: Path, ray_folder: Path
) -> None:
    (user / "models" / "slow").touch()
    said, messages = process("-c", CLUSTER)
    cut_off = json.loads(said.splitlines()[0])
    assert len(cut_off) == 2
    assert "4 finished, 0 refused, 0 failed" in messages
    found = {record.id: record for record in known()}
    assert len(found) == 4
    for id, record in found.items():
        assert len(record.attempts) == (2 if id in cut_off else 1)
        assert [entry["epoch"] for entry in record.curve] == list(range(1, N_EPOCHS + 1))
    names = [found[id].experiment.model.params["name"] for id in cut_off]
    assert "A" not in names  # it was finished before the kill
    trained = (user / "models" / "trained").read_text().split()
    assert sorted(trained) == sorted([*"ABCD", *names])
    assert not list(paths.runs().glob("*/lock.json"))
    assert not list(paths.runs().glob("*/failure.json"))
    check_same_as_alone("mine")


@needs_ray
@pytest.mark.slow
def test_without_a_cluster_ray_makes_one_of_this_machine(ray_folder: Path) -> None:
    command = ("toy", "--table", "1", "--row", "POP")
    _, messages = process("-m", "repro", "run", *command, "--engine", "ray")
    assert "2 finished, 0 refused, 0 failed" in messages
    check_same_as_alone(*command)


CORES = """
import sys
from pathlib import Path
import ray
from repro.runs.ray_cluster import Ray
from repro.runs.settings import Settings
Ray("", 1, Settings(Path(sys.argv[1])))
print(ray.cluster_resources()["CPU"])
ray.shutdown()
"""


@needs_ray
@pytest.mark.slow
def test_a_cluster_of_this_machine_has_the_cores_that_the_process_may_use(
    ray_folder: Path, tmp_path: Path
) -> None:
    core = str(min(os.sched_getaffinity(0)))
    command = ["taskset", "-c", core, sys.executable, "-c", CORES, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.stdout.split() == ["1.0"], done.stderr


def test_a_cluster_that_is_there_keeps_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def init(**how: Any) -> None:
        asked.append(how)
        if "num_cpus" in how and not os.environ.get("RAY_ADDRESS"):
            raise ValueError("when connecting to an existing cluster, num_cpus must not be given")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    ray_cluster._connect(SimpleNamespace(init=init), "")
    assert [how.get("num_cpus") for how in asked] == [len(os.sched_getaffinity(0)), None]
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    ray_cluster._connect(SimpleNamespace(init=init), "")
    ray_cluster._connect(SimpleNamespace(init=init), "ray://head:10001")
    assert [how["address"] for how in asked[2:]] == [None, "ray://head:10001"]
    assert not any("num_cpus" in how for how in asked[2:])


@needs_ray
@pytest.mark.slow
def test_ctrl_c_lets_the_runs_of_a_cluster_write_their_checkpoints(
    user: Path, ray_folder: Path
) -> None:
    later = MODEL.replace("CHECKPOINT_SECONDS = 0.0", "CHECKPOINT_SECONDS = 60.0")
    (user / "models" / "steady.py").write_text(later)
    (user / "models" / "slow").touch()
    command = [sys.executable, "-m", "repro", "run", "mine", "--row", "B", "--engine", "ray"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as driver:
        assert driver.stderr is not None
        until(lambda: any(lock_at(file) >= 6 for file in paths.runs().glob("*/lock.json")))
        driver.send_signal(signal.SIGINT)
        said = []
        for line in driver.stderr:
            said.append(line)
            if "waiting for the run that is in an epoch" in line:
                time.sleep(2)  # until the worker has heard of it, or it would train to the end
                (user / "models" / "slow").unlink()
    assert driver.returncode == 130, said
    (state,) = (one for one in json_of("status", "mine") if " | B | " in one["label"])
    assert state["resumes"], said
    assert 6 <= state["epoch"] < N_EPOCHS
    repro_("run", "mine", "--row", "B")
    assert [len(record.attempts) for record in known()] == [2]


def lock_at(file: Path) -> int:
    """Return the epoch that a lock tells."""
    with contextlib.suppress(OSError, ValueError):
        return json.loads(file.read_text())["epoch"]
    return 0


@pytest.mark.parametrize("engine", ["ray", "ray://127.0.0.1:10001"])
def test_without_ray_its_engine_is_an_error_that_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    result = repro_("run", "toy", "--table", "1", "--row", "POP", "--engine", engine, code=1)
    assert 'error: Ray is not installed\n  pip install "repro-tables[ray]"' in result.stderr
    assert not known()


def test_the_address_of_a_cluster_reaches_ray_as_it_was_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []

    class EnoughError(Exception):
        pass

    def init(address: str | None = None, **_: Any) -> None:
        asked.append(address)
        raise EnoughError

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=init))
    for engine in ("ray", "ray://head:10001"):
        CliRunner().invoke(app, ["run", "toy", "--row", "POP", "--engine", engine])
    assert asked == [None, "ray://head:10001"]


@pytest.mark.parametrize("engine", ["rya", "ray:10001", "Ray"])
def test_an_engine_that_does_not_exist_is_an_error_that_names_those_that_do(engine: str) -> None:
    said = repro_("run", "toy", "--engine", engine, code=1).stderr
    assert f"no engine is called '{engine}'\n  available: local; ray; ray://host:port" in said
