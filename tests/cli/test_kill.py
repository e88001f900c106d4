"""A run that is cut off goes on from its checkpoint and ends with the same numbers, to the bit."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import pytest
import torch

from builders.commands import json_of, known, repro_
from builders.papers import paper, row, table, view
from builders.processes import Talking
from builders.records import timeless
from repro import paths
from repro.runs import locks
from repro.runs.records import Record
from repro.training import checkpoints

N_EPOCHS = 50

PARAMS = {
    "hidden_dims": [32],
    "latent_dim": 8,
    "batch_size": 80,
    "anneal_steps": 1000,
    "n_epochs": N_EPOCHS,
}
PAPER = paper(
    view("toy", "toy/ratings", "random_split"),
    table(select="valid:ndcg@10", every=2),
    row("Mult-VAE", "mult_vae", params=PARAMS),
)

LONG = {
    "recvae": {"n_epochs": 30, "hidden_dim": 24, "latent_dim": 8, "batch_size": 80},
    "neumf": {"n_epochs": 12, "n_pretrain_epochs": 10, "gmf_dim": 4, "mlp_dims": [8, 4]},
    "slim": {"block_size": 4},
    "bpr": {"n_epochs": 60},
    "gru4rec_plus": {"n_epochs": 8, "hidden_dim": 16},
    "cfgan": {"n_epochs": 60},
    "wmf": {"n_epochs": 60, "latent_dim": 16},
}
"""Trainings that take a second or more on toy data."""

MANY = paper(
    view("toy", "toy/ratings", "random_split"),
    table(select="valid:ndcg@10"),
    *(row(name, name, params=params) for name, params in LONG.items()),
)

NURSERY = """
import json, os, signal, sys, threading, time
from pathlib import Path
import torch._dynamo
import repro.runs.engines, repro.training.progress
from repro.cli import main

for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if not child:
        break
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
else:
    os._exit(0)

def newest():
    there = Path(os.environ["REPRO_RUNS"]).glob(f"*/{asked['signs']}")
    return max((file.name for file in there), default="")

def cut_off():
    seen = newest()
    for _ in range(asked["n"]):
        while newest() == seen:
            time.sleep(0.001)
        seen = newest()
    time.sleep(asked["delay"])
    os.kill(os.getpid(), asked["by"])

begun, log = [], repro.training.progress.Progress.log

def cut_off_in_the_first_step(run, **losses):
    log(run, **losses)
    if run.epoch == asked["epoch"] and not begun:
        begun.append(run.epoch)
        for _ in range(asked["times"]):
            os.kill(os.getpid(), asked["by"])
            time.sleep(0.01)

for descriptor, name in enumerate([os.devnull, os.devnull, asked["messages"]]):
    os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), descriptor)
signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored where this began
os.environ.update(asked["environment"])
sys.argv = ["repro", "run", *asked["rows"]]
repro.training.progress.CHECKPOINT_SECONDS = asked["checkpoint_seconds"]
if asked["epoch"] is None:
    threading.Thread(target=cut_off, daemon=True).start()
else:
    repro.training.progress.Progress.log = cut_off_in_the_first_step
main()
"""
"""Imports torch once; then every process is there at once. Each sends itself the signal that cuts
it off: under a load that keeps the test from its turn, one sent from here would come too late."""


class Nursery(Talking):
    """Starts `repro run mine` in processes of their own."""

    def __init__(self) -> None:
        super().__init__(NURSERY)

    def cut_off(
        self,
        by: signal.Signals,
        n: int,
        delay: float,
        often: float,
        signs: str = "checkpoint-*.pt",
        epoch: int | None = None,
        times: int = 1,
        rows: Sequence[str] = ("mine",),
    ) -> str:
        """Start the run and cut it off, unless it was quicker; return its messages.

        Parameters
        ----------
        by : Signals
            With what.
        n : int
            How many new files must come first.
        delay : float
            Seconds from the last of them to the cut.
        often : float
            Seconds between checkpoints.
        signs : str
            Which files count.
        epoch : int, optional
            Cut it off in the first step of this epoch, from 0, instead.
        times : int
            How often the signal is sent then.
        rows : sequence of str
            What is run.
        """
        messages = paths.runs().with_name("messages")
        messages.unlink(missing_ok=True)
        asked = {
            "environment": {k: v for k, v in os.environ.items() if k.startswith("REPRO_")},
            "messages": str(messages),
            "checkpoint_seconds": often,
            "by": by,
            "n": n,
            "delay": delay,
            "signs": signs,
            "epoch": epoch,
            "times": times,
            "rows": rows,
        }
        code = int(self.ask(json.dumps(asked)))
        said = messages.read_text()
        assert "Traceback" not in said
        due = {signal.SIGINT: 130, signal.SIGTERM: 143}.get(by, -by)
        if rows != ("mine",) and known():  # its record was written before the signal came
            assert code in (0, due, -by), said
            return said
        assert code == due, said
        assert ("finished runs are recorded" in said) == (by != signal.SIGKILL)
        assert known() == []
        return said


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.end()


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a user's folder, with the table and the data."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "tables").mkdir()
    (folder / "tables" / "mine.toml").write_text(PAPER)
    (folder / "tables" / "many.toml").write_text(MANY)
    return folder


@pytest.fixture(autouse=True)
def environment(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPRO_PATH", str(user))
    monkeypatch.setenv("REPRO_HOME", str(user / "home"))


def run_to_the_end(runs: Path) -> tuple[Record, str]:
    """Run in this process; return the record and the messages."""
    result = repro_("run", "mine", "--runs", str(runs))
    (record,) = known(runs)
    return record, result.stderr


def folder_of_the_run() -> Path:
    (folder,) = {file.parent for file in paths.runs().glob("*/checkpoint-*.pt")}
    return folder


@pytest.fixture(scope="module")
def whole(user: Path) -> Record:
    """Return the record of a run that nothing cut off."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPRO_PATH", str(user))
        patch.setenv("REPRO_HOME", str(user / "home"))
        return run_to_the_end(user / "runs")[0]


def check_same_numbers(resumed: Record, whole: Record) -> None:
    assert len(whole.attempts) == 1
    assert timeless(resumed) == timeless(whole)
    assert len(whole.curve) == N_EPOCHS


SIGNALS = pytest.mark.parametrize(
    "by", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=["kill", "int", "term"]
)


@SIGNALS
def test_a_run_that_is_cut_off_repeats_no_epoch_that_a_checkpoint_holds(
    nursery: Nursery, whole: Record, by: signal.Signals
) -> None:
    nursery.cut_off(by, n=5, delay=0.0, often=0.0)
    folder = folder_of_the_run()
    there = checkpoints.present(folder)
    saved = torch.load(BytesIO(checkpoints.read(there[0])[1]), weights_only=True)
    if by != signal.SIGKILL:
        assert sorted(folder.iterdir()) == sorted(there)  # the lock was released

    resumed, _ = run_to_the_end(paths.runs())
    began = json.loads(saved["outcome"])["curve"]
    assert resumed.curve[: len(began)] == began  # even the times
    assert len(resumed.attempts) == 2
    check_same_numbers(resumed, whole)
    assert checkpoints.present(folder) == []


@SIGNALS
@pytest.mark.slow
def test_a_run_that_is_cut_off_thrice_in_mid_epoch_ends_with_the_same_numbers(
    nursery: Nursery, whole: Record, by: signal.Signals
) -> None:
    draw = random.Random(by)
    for _ in range(3):
        nursery.cut_off(by, n=1, delay=draw.uniform(0, 0.04), often=0.03)
    resumed, _ = run_to_the_end(paths.runs())
    began = [start["began"] for start in resumed.attempts]
    assert len(began) == 4
    assert began == sorted(began)
    assert resumed.began == began[-1]
    assert resumed.seconds == pytest.approx(sum(e["seconds"] for e in resumed.curve), abs=0.001)
    check_same_numbers(resumed, whole)


def test_a_run_that_is_killed_before_its_first_checkpoint_begins_anew(
    nursery: Nursery, whole: Record
) -> None:
    nursery.cut_off(signal.SIGKILL, n=1, delay=0.05, often=60, signs=locks.FILE)
    resumed, _ = run_to_the_end(paths.runs())
    assert len(resumed.attempts) == 1  # of the first nothing was left
    check_same_numbers(resumed, whole)


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM], ids=["int", "term"])
def test_a_run_that_is_interrupted_before_its_first_checkpoint_resumes_where_it_was(
    nursery: Nursery, whole: Record, by: signal.Signals
) -> None:
    said = nursery.cut_off(by, n=0, delay=0, often=60, epoch=6)
    assert "finishing this epoch to write a checkpoint; Ctrl-C again ends at once" in said
    (state,) = json_of("status", "mine")
    assert (state["kind"], state["resumes"]) == ("missing", True)
    assert (state["phase"], state["epoch"], state["n_epochs"]) == ("train", 7, N_EPOCHS)
    assert f"interrupted at epoch 7/{N_EPOCHS}; resumes" in repro_("status", "mine").stdout
    resumed, _ = run_to_the_end(paths.runs())
    assert len(resumed.attempts) == 2
    check_same_numbers(resumed, whole)


def test_a_second_ctrl_c_ends_at_once_and_says_the_truth(nursery: Nursery, whole: Record) -> None:
    said = nursery.cut_off(signal.SIGINT, n=0, delay=0, often=60, epoch=6, times=2)
    assert "resumes those that have a checkpoint and begins the others anew" in said
    (state,) = json_of("status", "mine")
    assert not state["resumes"]
    resumed, _ = run_to_the_end(paths.runs())
    assert len(resumed.attempts) == 1
    check_same_numbers(resumed, whole)


AT_THE_END = """
import atexit, signal, sys
from repro.cli import main
atexit.register(lambda: signal.raise_signal(signal.SIGTERM))
sys.argv = ["repro", "list", "models"]
main()
"""


def test_a_signal_while_python_ends_prints_no_traceback() -> None:
    done = subprocess.run([sys.executable, "-c", AT_THE_END], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (-signal.SIGTERM, "")
    assert "ease" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_signals_at_random_moments_of_the_first_seconds_leave_the_same_numbers(
    nursery: Nursery, user: Path, name: str
) -> None:
    rows = ("many", "--row", name)
    repro_("run", *rows, "--runs", str(user / "many"))
    alone = {one.id: one for one in known(user / "many")}
    draw, reached = random.Random(name), 0
    for _ in range(5):
        by, delay = draw.choice([signal.SIGINT, signal.SIGTERM]), draw.uniform(0.0, 1.2)
        nursery.cut_off(by, n=1, delay=delay, often=60, signs=locks.FILE, rows=rows)
        if known():
            break
        (state,) = (one for one in json_of("status", "many") if f" | {name} | " in one["label"])
        assert state["epoch"] >= reached or state["phase"] != "train"  # nothing is lost again
        reached = state["epoch"] if state["phase"] == "train" else 0
    repro_("run", *rows)
    (record,) = known()
    assert timeless(record) == timeless(alone[record.id])


def test_a_checkpoint_of_another_seed_is_refused_and_training_begins_anew(
    nursery: Nursery, whole: Record
) -> None:
    nursery.cut_off(signal.SIGKILL, n=2, delay=0.0, often=0.0, rows=("mine", "--seeds", "1"))
    theirs = folder_of_the_run()
    ours = theirs.with_name(whole.id)
    theirs.rename(ours)
    resumed, messages = run_to_the_end(paths.runs())
    assert f"it is of run {theirs.name}; expected {ours.name}" in messages
    assert len(resumed.attempts) == 1
    check_same_numbers(resumed, whole)


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_checkpoint_that_is_damaged_after_the_kill_is_named_and_the_older_gone_on_from(
    nursery: Nursery, whole: Record, damage: str
) -> None:
    nursery.cut_off(signal.SIGKILL, n=3, delay=0.01, often=0.02)
    folder = folder_of_the_run()
    last, older = checkpoints.present(folder)[:2]
    saved = torch.load(BytesIO(checkpoints.read(older)[1]), weights_only=True)
    content = bytearray(last.read_bytes())
    if damage == "cut":
        del content[len(content) // 3 :]
    else:
        content[len(content) // 2] ^= 1
    last.write_bytes(content)

    resumed, messages = run_to_the_end(paths.runs())
    assert f"the checkpoint {last} cannot be used" in messages
    began = json.loads(saved["outcome"])["curve"]
    assert resumed.curve[: len(began)] == began  # the older one's epochs were not repeated
    assert len(resumed.attempts) == 2
    check_same_numbers(resumed, whole)
    assert not list(folder.glob("checkpoint-*"))
