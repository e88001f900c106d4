"""A run that is cut off goes on from its checkpoint and ends with the same numbers, to the bit."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
import torch

from builders.commands import known, repro_
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

for descriptor, name in enumerate([os.devnull, os.devnull, asked["messages"]]):
    os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), descriptor)
signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored where this began
os.environ.update(asked["environment"])
sys.argv = ["repro", "run", "mine"]
repro.training.progress.CHECKPOINT_SECONDS = asked["checkpoint_seconds"]
threading.Thread(target=cut_off, daemon=True).start()
main()
"""
"""Imports torch once; then every process is there at once. Each sends itself the signal that cuts
it off: under a load that keeps the test from its turn, one sent from here would come too late."""


class Nursery(Talking):
    """Starts `repro run mine` in processes of their own."""

    def __init__(self) -> None:
        super().__init__(NURSERY)

    def cut_off(
        self, by: signal.Signals, n: int, delay: float, often: float, signs: str = "checkpoint-*.pt"
    ) -> str:
        """Start the run and cut it off; return its messages.

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
        }
        code = int(self.ask(json.dumps(asked)))
        said = messages.read_text()
        assert code == {signal.SIGINT: 130, signal.SIGTERM: 143}.get(by, -by), said
        assert "Traceback" not in said
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
