"""Runs side by side, and beside those of other processes: nothing lost, nothing done twice."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from builders import Write
from builders.commands import check_same_as_alone, json_of, known, repro_
from builders.papers import paper, row, table, view
from builders.processes import Talking, until
from builders.records import timeless
from repro import paths
from repro.runs import locks
from repro.runs.locks import Lock
from repro.runs.records import Record
from repro.runs.status import State
from repro.training import checkpoints

N_EPOCHS = 30

STEADY = '''
"""Adds up what it draws; slowly while a file says so, and writes down that it was trained."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch

import repro.training.progress

# Here, and in the processes that are started from here.
repro.training.progress.CHECKPOINT_SECONDS = 0.0
HERE = Path(__file__).parent


class Sum:
    def __init__(self, n_items):
        self.values = torch.zeros(n_items)

    def state_dict(self):
        return {"values": self.values}

    def load_state_dict(self, state):
        self.values = state["values"]

    def score(self, queries):
        return self.values.repeat(len(queries), 1)


@dataclass(frozen=True, kw_only=True)
class Steady:
    """Score by a sum of draws."""

    name: str = ""
    n_epochs: int = 30

    def epochs(self, train, run):
        with (HERE / "trained").open("a") as file:
            file.write(self.name + "\\n")
        total = Sum(train.n_items)
        for epoch in run.epochs(self.n_epochs, total=total):
            if (HERE / "slow").exists():
                time.sleep(0.05 if epoch < 8 else 0.5)  # nobody sees the end of it by chance
            total.values = total.values + torch.rand(train.n_items) - run.rng.random()
            run.log(loss=total.values.mean())
            yield total


MODEL = Steady
'''

BREAKING = '''
"""A model that breaks off while a file says so."""

from dataclasses import dataclass
from pathlib import Path

import torch

from repro.errors import ReproError


class OwnError(ReproError):
    """Known to this file alone."""


@dataclass(frozen=True, kw_only=True)
class Breaking:
    """Give every item the score of its number."""

    how: str = "politely"

    def epochs(self, train, run):
        if (Path(__file__).parent / "broken").exists():
            if self.how == "politely":
                raise OwnError("the wheels came off", "put them on again")
            raise ValueError("negative dimensions are not allowed")
        yield self

    def score(self, queries):
        return torch.arange(float(queries.history.n_items)).repeat(len(queries), 1)


MODEL = Breaking
'''

NURSERY = """
import json, os, signal, sys
import repro.runs.locks, repro.runs.engines
from repro.cli import main

for line in sys.stdin:
    asked = json.loads(line)
    if isinstance(asked, int):
        pid, status = os.waitpid(asked, os.WNOHANG)
        print(json.dumps(os.waitstatus_to_exitcode(status) if pid else None), flush=True)
        continue
    child = os.fork()
    if not child:
        break
    print(child, flush=True)
else:
    os._exit(0)

os.setsid()
for descriptor, name in enumerate([os.devnull, asked["output"], asked["messages"]]):
    os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), descriptor)
signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored where this began
os.environ.update(asked["environment"])
sys.argv = ["repro", *asked["command"]]
exec(asked["first"])
main()
"""
"""Imports torch once; then every process is there at once."""


@dataclass
class Started:
    """A process, in a group of its own with all that it starts."""

    pid: int
    folder: Path
    _nursery: Nursery

    @property
    def messages(self) -> str:
        file = self.folder / "messages"
        return file.read_text() if file.exists() else ""

    def code(self) -> int | None:
        """Return the exit code, or the signal that ended it, negative; None while it runs."""
        return json.loads(self._nursery.ask(str(self.pid)))

    def wait(self) -> int:
        codes: list[int | None] = [None]

        def has_ended() -> bool:
            codes[0] = self.code()
            return codes[0] is not None

        until(has_ended, self)
        assert codes[0] is not None
        return codes[0]

    def send(self, by: signal.Signals) -> None:
        os.kill(self.pid, by)

    def send_to_all(self, by: signal.Signals) -> None:
        """Send a signal to the process and to those it has started, as a terminal does."""
        os.killpg(self.pid, by)


class Nursery(Talking):
    """Starts `repro` in processes of their own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(NURSERY)
        self._folder = folder
        self._started: list[int] = []

    def start(self, *command: str, first: str = "") -> Started:
        """Start a process, with some code that it runs first."""
        folder = self._folder / str(len(self._started))
        folder.mkdir()
        asked = {
            "command": command,
            "environment": {k: v for k, v in os.environ.items() if k.startswith("REPRO_")},
            "output": str(folder / "output"),
            "messages": str(folder / "messages"),
            "first": first,
        }
        pid = json.loads(self.ask(json.dumps(asked)))
        self._started.append(pid)
        return Started(pid, folder, self)

    def end_all(self) -> None:
        for pid in self._started:
            try:
                os.killpg(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


@pytest.fixture(scope="module")
def all_started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    made = Nursery(tmp_path_factory.mktemp("started"))
    yield made
    made.end()


@pytest.fixture
def nursery(all_started: Nursery) -> Iterator[Nursery]:
    yield all_started
    all_started.end_all()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@dataclass(frozen=True)
class User:
    """A user's folder with the plug-ins, and what they do."""

    write: Write
    models: Path

    def writes(self, *rows: str, over: str = view()) -> None:
        """Write the table."""
        self.write("tables/mine.toml", paper(over, table(), *rows))

    def steady(self, names: str) -> None:
        """Write a table with a row for each letter."""
        self.writes(*(row(name, "steady", params={"name": name}) for name in names))

    def says(self, word: str, so: bool = True) -> None:
        """Be slow, or broken, from now on; or no more."""
        file = self.models / word
        file.touch() if so else file.unlink()

    def trained(self) -> str:
        """Return the letters of the trainings that have begun."""
        file = self.models / "trained"
        return "".join(sorted(file.read_text().split())) if file.exists() else ""


@pytest.fixture
def user(write: Write, home: Path, monkeypatch: pytest.MonkeyPatch) -> User:
    monkeypatch.setenv("REPRO_HOME", str(home))
    # put back, whatever a plug-in says
    monkeypatch.setattr("repro.training.progress.CHECKPOINT_SECONDS", 0.0)
    write("models/breaking.py", BREAKING)
    return User(write, write("models/steady.py", STEADY).parent)


def epochs_of(record: Record) -> list[int]:
    return [entry["epoch"] for entry in record.curve]


def under_way(least: int = 1) -> dict[str, Lock]:
    """Return the locks of the runs that have so many checkpoints, by label's row."""
    found = {}
    for folder in {file.parent for file in paths.runs().glob("*/checkpoint-*.pt")}:
        lock = locks.read(folder)
        if lock and checkpoints.present(folder)[0].name >= f"checkpoint-{least:06}.pt":
            found[lock.label.split(" | ")[1]] = lock
    return found


def is_gone(pid: int) -> bool:
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.slow
def test_side_by_side_gives_the_same_results_as_one_after_the_other(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPRO_HOME", str(home))
    command = ["toy", "--table", "1", "--row", "Mult-VAE", "--set", "n_epochs=5"]
    ran = repro_("run", *command, "--jobs", "2")
    assert "2 finished, 0 refused, 0 failed" in ran.stderr
    assert {record.environment["threads"] for record in known()} == {1}
    check_same_as_alone(*command)


def test_a_process_that_is_killed_fails_alone_and_its_run_goes_on_later(user: User) -> None:
    user.steady("AB")
    user.says("slow")
    killed: list[str] = []

    def kill() -> None:
        until(lambda: "A" in under_way(3))
        os.kill(under_way()["A"].pid, signal.SIGKILL)
        killed.append("A")
        user.says("slow", False)

    killer = threading.Thread(target=kill)
    killer.start()
    ran = repro_("run", "mine", "--jobs", "2", code=4)
    killer.join()
    assert killed == ["A"]
    assert "mine 1 | A | Toy | seed 0: FAILED: the process of this run was killed by SIGKILL" in (
        ran.stderr
    )
    assert "run again: it resumes if it has a checkpoint" in ran.stderr
    assert "1 finished, 0 refused, 1 failed" in ran.stderr
    assert [record.experiment.model.params["name"] for record in by_name()] == ["B"]

    again = repro_("run", "mine")
    assert "1 to run, 1 have a record already" in again.stderr
    assert [len(record.attempts) for record in by_name()] == [2, 1]
    assert user.trained() == "AAB"
    check_same_as_alone("mine")


def by_name() -> list[Record]:
    return sorted(known(), key=lambda record: record.experiment.model.params["name"])


def start(nursery: Nursery, user: User, names: str) -> tuple[Started, dict[str, Lock]]:
    """Start runs in processes of their own; return once all are under way."""
    user.steady(names)
    user.says("slow")
    started = nursery.start("run", "mine", "--jobs", "2")
    until(lambda: len(under_way(2)) == len(names), started)
    return started, under_way()


def check_goes_on(user: User, trained: str) -> None:
    """Run to the end, at once; and find what was begun gone on with."""
    user.says("slow", False)
    began = time.monotonic()
    ran = repro_("run", "mine")
    assert time.monotonic() - began < 30
    assert "waiting" not in ran.stderr
    for record in known():
        assert len(record.attempts) == 2
        assert epochs_of(record) == list(range(1, N_EPOCHS + 1))
    assert user.trained() == trained
    check_same_as_alone("mine")


@pytest.mark.slow
def test_killing_the_parent_ends_its_processes_and_a_later_run_goes_on(
    nursery: Nursery, user: User
) -> None:
    started, held = start(nursery, user, "AB")
    assert started.pid not in {lock.pid for lock in held.values()}
    started.send(signal.SIGKILL)
    assert started.wait() == -signal.SIGKILL
    until(lambda: all(is_gone(lock.pid) for lock in held.values()), started, seconds=5)
    check_goes_on(user, "AABB")


@pytest.mark.parametrize(("by", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_all_processes_and_the_next_run_goes_on_at_once(
    nursery: Nursery, user: User, by: signal.Signals, code: int
) -> None:
    started, held = start(nursery, user, "A")
    if by == signal.SIGINT:
        started.send_to_all(by)  # as Ctrl-C does
    else:
        started.send(by)
    assert started.wait() == code, started.messages
    assert all(is_gone(lock.pid) for lock in held.values())
    assert "finished runs are recorded" in started.messages
    assert "Traceback" not in started.messages
    assert "FAILED" not in started.messages
    assert not list(paths.runs().glob("*/failure.json"))
    check_goes_on(user, "AA")


PATIENT = """
import time
from dataclasses import dataclass
from pathlib import Path

import torch

HERE = Path(__file__).parent


class Sum(torch.nn.Module):
    def __init__(self, n_items):
        super().__init__()
        self.register_buffer("values", torch.zeros(n_items))

    def score(self, queries):
        return self.values.repeat(len(queries), 1)


@dataclass(frozen=True, kw_only=True)
class Patient:
    name: str = ""
    n_epochs: int = 9

    def epochs(self, train, run):
        total = Sum(train.n_items)
        for epoch in run.epochs(self.n_epochs, total=total):
            (HERE / f"{self.name} {epoch}").touch()
            while epoch == 4 and (HERE / "stuck").exists():
                time.sleep(0.02)
            total.values += torch.rand(train.n_items)
            yield total


MODEL = Patient
"""
"""Stays in its fifth epoch while a file says so; it takes no checkpoint of its own accord."""


def stuck(nursery: Nursery, user: User) -> Started:
    """Start two runs side by side; return once both are in their fifth epoch."""
    user.write("models/patient.py", PATIENT)
    user.writes(*(row(name, "patient", params={"name": name}) for name in "AB"))
    user.says("stuck")
    slow = "import repro.training.progress; repro.training.progress.CHECKPOINT_SECONDS = 60.0"
    started = nursery.start("run", "mine", "--jobs", "2", first=slow)
    until(lambda: all((user.models / f"{name} 4").exists() for name in "AB"), started)
    return started


def test_ctrl_c_lets_the_processes_finish_their_epochs_and_write_checkpoints(
    nursery: Nursery, user: User
) -> None:
    started = stuck(nursery, user)
    started.send_to_all(signal.SIGINT)
    waits = "waiting for the 2 runs that are in an epoch to write a checkpoint"
    until(lambda: waits in started.messages, started)
    assert started.code() is None
    user.says("stuck", False)
    assert started.wait() == 130, started.messages
    assert "Traceback" not in started.messages
    assert [state["epoch"] for state in json_of("status", "mine")] == [5, 5]
    repro_("run", "mine")
    assert [len(record.attempts) for record in known()] == [2, 2]
    check_same_as_alone("mine")


def test_a_second_ctrl_c_kills_the_processes(nursery: Nursery, user: User) -> None:
    started = stuck(nursery, user)
    held = [locks.read(folder) for folder in paths.runs().iterdir() if folder.is_dir()]
    started.send_to_all(signal.SIGINT)
    until(lambda: "Ctrl-C again ends at once" in started.messages, started)
    started.send_to_all(signal.SIGINT)
    assert started.wait() == 130, started.messages
    assert [lock is not None and is_gone(lock.pid) for lock in held] == [True, True]
    assert not any(state["resumes"] for state in json_of("status", "mine"))


def test_processes_that_still_start_leave_ctrl_c_to_their_parent(
    nursery: Nursery, user: User
) -> None:
    user.steady("A")
    started = nursery.start("run", "mine", "--jobs", "2")
    until(lambda: importing(started.pid), started)
    for pid in importing(started.pid):
        os.kill(pid, signal.SIGINT)  # Ctrl-C is sent to all; the parent may be slower
    time.sleep(0.3)
    started.send(signal.SIGINT)
    assert started.wait() == 130, started.messages
    assert "finished runs are recorded" in started.messages
    assert "Traceback" not in started.messages
    assert "FAILED" not in started.messages


def importing(pid: int) -> list[int]:
    """Return the processes that were started from one and have begun to import."""
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            begun = "pydantic_core" in Path(f"/proc/{child}/maps").read_text()
            if begun and b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(int(child))
    return found


@pytest.mark.slow
def test_two_at_once_share_the_runs_and_train_none_twice(nursery: Nursery, user: User) -> None:
    user.steady("ABCD")
    user.says("slow")
    both = [nursery.start("run", "mine") for _ in range(2)]
    until(lambda: len(under_way(2)) >= 1, *both)
    until(lambda: any("waiting for it" in one.messages for one in both), *both)
    user.says("slow", False)
    assert [one.wait() for one in both] == [0, 0], [one.messages for one in both]
    assert user.trained() == "ABCD"
    assert [len(record.attempts) for record in known()] == [1] * 4
    for one in both:
        assert "4 finished, 0 refused, 0 failed" in one.messages
    said = "\n".join(one.messages for one in both)
    holder = {str(one.pid) for one in both}
    assert any(f"is being run by process {pid} on " in said for pid in holder)
    assert all(one.messages.count("waiting for it") <= 4 for one in both)  # once a run
    check_same_as_alone("mine")


@pytest.mark.slow
def test_one_that_waits_takes_over_what_a_killed_one_had(nursery: Nursery, user: User) -> None:
    user.steady("A")
    user.says("slow")
    first = nursery.start("run", "mine")
    until(lambda: under_way(2), first)
    second = nursery.start("run", "mine")
    until(lambda: f"is being run by process {first.pid} on" in second.messages, second)
    first.send(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    user.says("slow", False)
    assert second.wait() == 0, second.messages
    (record,) = known()
    assert len(record.attempts) == 2
    assert epochs_of(record) == list(range(1, N_EPOCHS + 1))
    check_same_as_alone("mine")


TOGETHER = """
import time
time.sleep(1.05 - time.time() % 1)  # what begins within the second in which it was asked for
from pathlib import Path
from repro.runs import engines
run_all = engines.run_all
def after_all_have_been_asked(*arguments):
    Path({folder!r}, str(os.getpid())).touch()
    while len(list(Path({folder!r}).iterdir())) < 2:
        time.sleep(0.001)
    return run_all(*arguments)
engines.run_all = after_all_have_been_asked
"""


@pytest.mark.slow
def test_force_that_is_asked_for_twice_at_once_runs_once(
    nursery: Nursery, user: User, tmp_path: Path
) -> None:
    user.steady("AB")
    repro_("run", "mine")
    before = [timeless(record) for record in known()]
    assert user.trained() == "AB"
    first = TOGETHER.format(folder=str(tmp_path))
    both = [nursery.start("run", "mine", "--force", first=first) for _ in range(2)]
    assert [one.wait() for one in both] == [0, 0], [one.messages for one in both]
    assert user.trained() == "AABB"
    for one in both:
        assert "2 to run, 0 have a record already" in one.messages
        assert "2 finished, 0 refused, 0 failed" in one.messages
    assert [timeless(record) for record in known()] == before
    assert [len(record.attempts) for record in known()] == [1, 1]


def test_force_begins_anew_where_an_older_run_was_cut_off(nursery: Nursery, user: User) -> None:
    user.steady("A")
    user.says("slow")
    older = nursery.start("run", "mine")
    until(lambda: under_way(2), older)
    older.send(signal.SIGKILL)
    older.wait()
    user.says("slow", False)
    repro_("run", "mine", "--force")
    (record,) = known()
    assert len(record.attempts) == 1
    assert epochs_of(record) == list(range(1, N_EPOCHS + 1))


def test_status_tells_how_far_a_run_of_another_process_is(nursery: Nursery, user: User) -> None:
    user.steady("AB")
    user.says("slow")
    began = time.monotonic()
    started = nursery.start("run", "mine", first="repro.locks.BEAT_SECONDS = 0.05")

    def told() -> list[dict[str, Any]]:
        return json_of("status", "mine")

    until(lambda: under_way(3), started)
    until(lambda: told()[0]["left"] is not None, started)
    running, missing = told()
    assert running["label"] == "mine 1 | A | Toy | seed 0"
    assert running["kind"] == "running"
    assert (running["phase"], running["n_epochs"]) == ("train", N_EPOCHS)
    assert running["pid"] == started.pid
    assert 0 < running["left"] < N_EPOCHS * (time.monotonic() - began)
    assert (missing["kind"], missing["left"]) == ("missing", None)
    assert "1 running, 1 missing" in repro_("status", "mine").stdout

    started.send(signal.SIGKILL)
    started.wait()
    cut, _ = told()
    assert cut["kind"] == "missing"
    assert cut["resumes"]
    user.says("slow", False)
    repro_("run", "mine")
    assert {state["kind"] for state in told()} == {"done"}


def states() -> list[tuple[str, str]]:
    found = json_of("status", "mine")
    return [(state["kind"], State(**state).detail) for state in found]


def test_a_failure_is_shown_until_a_later_run_succeeds(user: User) -> None:
    user.writes(row("A", "breaking"), row("B", "breaking", params={"how": "suddenly"}))
    user.says("broken")
    ran = repro_("run", "mine", code=4)
    assert "0 finished, 0 refused, 2 failed" in ran.stderr
    (kind_a, why_a), (kind_b, why_b) = states()
    assert (kind_a, kind_b) == ("failed", "failed")
    assert "the wheels came off" in why_a
    assert "ValueError: negative dimensions are not allowed" in why_b
    assert "2 failed" in repro_("status", "mine").stdout
    assert len(list(paths.runs().glob("*/failure.json"))) == 2
    assert not list(paths.runs().glob("*/lock.json"))

    user.says("broken", False)
    repro_("run", "mine")
    assert [kind for kind, _ in states()] == ["done", "done"]
    assert not list(paths.runs().glob("*/failure.json"))


def test_an_error_of_a_model_of_ones_own_is_told_from_its_process_too(
    user: User, capfd: pytest.CaptureFixture[str]
) -> None:
    user.writes(row("A", "breaking"))
    user.says("broken")
    ran = repro_("run", "mine", "--jobs", "2", code=4)
    assert "FAILED: the wheels came off\n  put them on again" in ran.stderr
    assert "Traceback" not in capfd.readouterr().err
    ((kind, why),) = states()
    assert kind == "failed"
    assert "the wheels came off" in why


def test_a_model_that_is_refused_has_not_failed(user: User) -> None:
    strangers = {"name": "strong_generalization", "heldout_users": 40}
    over = view("toy", "toy/ratings", strangers)
    user.writes(row("BPR", "bpr", params={"n_epochs": 2}), over=over)
    assert "0 finished, 1 refused, 0 failed" in repro_("run", "mine").stderr
    assert not list(paths.runs().glob("*/lock.json"))
    ((kind, why),) = states()
    assert kind == "refused"
    assert "bpr knows only the users of its training data" in why
    assert "failed" not in repro_("status", "mine").stdout


def test_fewer_than_one_at_a_time_is_not_understood(user: User) -> None:
    user.steady("A")
    assert "--jobs" in repro_("run", "mine", "--jobs", "0", code=2).stderr
