"""Jobs and what becomes of them: none stops another, and none is given up that is only busy."""

from __future__ import annotations

import multiprocessing
import os
import signal
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from builders.checkpoints import PLACE
from builders.processes import taken_over
from builders.records import record
from repro import paths
from repro.data import prepare
from repro.errors import ReproError, UnsupportedError
from repro.locks import BusyError
from repro.runs import engines, execute, locks, plan, provenance, records
from repro.runs.asked import Asked
from repro.runs.engines import Done, Ended, Here, Processes, run_all
from repro.runs.locks import Lock
from repro.runs.plan import Job
from repro.runs.ray_cluster import Ray
from repro.runs.records import Record
from repro.runs.settings import Settings
from repro.training import checkpoints, outcome

Outcome = Record | ReproError


def job(label: str) -> Job:
    (made,) = plan.plan(Asked(("toy",), table="1", rows=("POP",), views=("split",))).jobs
    return Job(made.experiment, made.metrics, label)


def recorded(label: str) -> Record:
    return record(job("").experiment, id=label)


class Scripted:
    """Takes so many jobs at once; one ends at every look, the next outcome on its list."""

    def __init__(self, room: int = 2, **outcomes: Sequence[Outcome | BaseException]) -> None:
        self.outcomes = {label: deque(list_) for label, list_ in outcomes.items()}
        self.room = room
        self.running: deque[Job] = deque()
        self.most = 0
        self.started: list[str] = []
        self.stopped = 0

    def has_room(self) -> bool:
        return len(self.running) < self.room

    def start(self, job: Job) -> None:
        self.running.append(job)
        self.started.append(job.label)
        self.most = max(self.most, len(self.running))

    def wait(self) -> list[Ended]:
        if not self.running:
            return []
        ended = self.running.popleft()
        outcome = self.outcomes[ended.label].popleft()
        if isinstance(outcome, BaseException) and not isinstance(outcome, ReproError):
            raise outcome
        return [(ended, outcome, [])]

    def active(self) -> list[Job]:
        return list(self.running)

    def stop(self) -> None:
        self.stopped += 1


class Heard:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[tuple[str, str]] = []
        self.said: list[str] = []
        self.epochs: list[tuple[str, str, int, int]] = []

    def begin(self, label: str) -> Callable[[str, int, int], None]:
        self.begun.append(label)
        return lambda phase, epoch, n: self.epochs.append((label, phase, epoch, n))

    def end(self, job: Job, outcome: Outcome) -> None:
        self.ended.append((job.label, getattr(outcome, "message", "done")))

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(engines, "AGAIN_SECONDS", 0.02)


@pytest.fixture
def settings() -> Settings:
    return Settings(paths.runs(), device="cpu", threads=1)


def ran(engine: Scripted, labels: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Done, Heard]:
    """Run jobs whose runs' ids are their labels."""
    monkeypatch.setattr(plan.Job, "id", property(lambda job: job.label))
    heard = Heard()
    done = run_all([job(label) for label in labels], engine, Settings(paths.runs()), heard)
    return done, heard


def test_every_job_is_run_once_and_never_more_than_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = Scripted(room=2, **{label: [recorded(label)] for label in "abcde"})
    done, heard = ran(engine, "abcde", monkeypatch)
    assert [found.id for found in done.finished] == list("abcde")
    assert engine.started == list("abcde")
    assert engine.most == 2
    assert engine.stopped == 1
    assert heard.ended == [(label, "done") for label in "abcde"]


def test_one_that_fails_or_is_refused_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Scripted(
        a=[ReproError("broken")], b=[UnsupportedError("cannot serve")], c=[recorded("c")]
    )
    done, heard = ran(engine, "abc", monkeypatch)
    assert [(one.label, error.message) for one, error in done.failed] == [("a", "broken")]
    assert [(one.label, error.message) for one, error in done.refused] == [("b", "cannot serve")]
    assert [found.id for found in done.finished] == ["c"]
    assert heard.ended == [("a", "broken"), ("b", "cannot serve"), ("c", "done")]


def test_a_busy_one_is_said_once_and_looked_at_again_until_it_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    busy = BusyError("a is being run by process 7 on there")
    engine = Scripted(room=1, a=[busy, busy, busy, recorded("a")], b=[recorded("b")])
    done, heard = ran(engine, "ab", monkeypatch)
    assert [found.id for found in done.finished] == ["b", "a"]  # the others do not wait for it
    assert heard.said == ["a is being run by process 7 on there; waiting for it"]
    assert heard.ended == [("b", "done"), ("a", "done")]
    assert engine.started == ["a", "b", "a", "a", "a"]


def test_looking_again_at_a_busy_one_is_not_done_without_a_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engines, "AGAIN_SECONDS", 0.1)
    began = time.monotonic()
    ran(Scripted(a=[BusyError("busy"), BusyError("busy"), recorded("a")]), "a", monkeypatch)
    assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_the_engine_is_stopped_whatever_happens(
    monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    engine = Scripted(a=[error()], b=[recorded("b")])
    with pytest.raises(error):
        ran(engine, "ab", monkeypatch)
    assert engine.stopped == 1


def test_how_far_runs_elsewhere_are_is_told_from_their_locks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = iter([Lock("", "", 1, "a", 0.0), *(_lock(epoch) for epoch in (1, 2))])
    monkeypatch.setattr(locks, "read", lambda folder: next(said, None))

    class Slow(Scripted):
        looks = 0

        def wait(self) -> list[Ended]:
            self.looks += 1
            return super().wait() if self.looks > 3 else []

    _, heard = ran(Slow(a=[recorded("a")]), "a", monkeypatch)
    assert heard.begun == ["a"]
    assert heard.epochs == [("a", "train", 1, 9), ("a", "train", 2, 9)]


def _lock(epoch: int) -> Lock:
    return replace(Lock("", "", 1, "a", 0.0), phase="train", epoch=epoch, n_epochs=9)


@pytest.fixture
def toy(settings: Settings) -> Job:
    """Return a job whose data is there."""
    prepare.prepare("toy/split")
    return job("mine")


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the labels of the jobs that were trained."""
    labels: list[str] = []
    train = execute._trained

    def noted(job: Job, *rest: Any) -> tuple[Record, outcome.Outcome]:
        labels.append(job.label)
        return train(job, *rest)

    monkeypatch.setattr(execute, "_trained", noted)
    return labels


def test_a_run_that_another_process_finishes_meanwhile_is_not_done_twice(
    toy: Job, settings: Settings, trained: list[str]
) -> None:
    other = locks.held(settings.runs / toy.id, "mine")
    other.__enter__()

    class Meanwhile(Heard):
        def say(self, text: str) -> None:
            super().say(text)
            other.__exit__(None, None, None)
            execute.run(toy, settings)

    heard = Meanwhile()
    done = run_all([toy], Here(settings, heard), settings, heard)
    assert [found.id for found in done.finished] == [toy.id]
    assert trained == ["mine"]
    assert len(heard.said) == 1
    assert "waiting for it" in heard.said[0]


def test_what_has_a_record_is_not_trained_again(
    toy: Job, settings: Settings, trained: list[str]
) -> None:
    first = execute.run(toy, settings)
    assert execute.run(toy, settings) == first
    assert trained == ["mine"]


def test_what_was_made_after_a_moment_is_not_forgotten_with_what_was_made_before(
    toy: Job, settings: Settings, trained: list[str]
) -> None:
    before = execute.run(toy, settings)
    while not 0.1 < time.time() % 1 < 0.4:  # so that all that follows is within a second
        time.sleep(0.01)
    since = Settings(settings.runs, "cpu", 1, since=time.time())
    again = execute.run(toy, since)
    assert trained == ["mine", "mine"]
    assert again.results == before.results
    assert execute.run(toy, since) == again
    assert trained == ["mine", "mine"]


def test_a_run_that_was_taken_over_in_training_leaves_no_record(
    toy: Job, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = execute._trained
    folder = settings.runs / toy.id

    def asleep(*rest: Any) -> tuple[Record, outcome.Outcome]:
        found = train(*rest)
        taken_over(folder)
        return found

    monkeypatch.setattr(execute, "_trained", asleep)
    with pytest.raises(BusyError, match="another process has taken over mine"):
        execute.run(toy, settings)
    assert not records.exists(settings.runs, folder.name)
    there = locks.read(folder)
    assert there is not None
    assert there.token == "f00d"


@pytest.mark.parametrize(("since", "kept"), [(None, [2, 1]), (1000.0, [2]), (1001.0, [])])
def test_checkpoints_from_before_a_moment_are_forgotten_and_no_others(
    toy: Job,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    since: float | None,
    kept: list[int],
) -> None:
    folder = settings.runs / toy.id
    for number in (1, 2):
        checkpoints.save(folder, bytes([number]), PLACE)
        os.utime(checkpoints.present(folder)[0], (998.0 + number, 998.0 + number))
    monkeypatch.setattr(execute, "_trained", raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        execute.run(toy, replace(settings, since=since))
    assert [checkpoints.read(file)[1][0] for file in checkpoints.present(folder)] == kept


def test_a_damaged_record_is_replaced_when_the_run_is_forced(
    toy: Job, settings: Settings, trained: list[str]
) -> None:
    made = execute.run(toy, settings)
    file = settings.runs / made.id / records.FILE
    file.write_text("{")
    with pytest.raises(ReproError, match="is damaged"):
        execute.run(toy, settings)
    forced = replace(settings, since=time.time())
    assert execute.run(toy, forced).results == made.results
    assert records.load(file.parent).results == made.results


def test_a_run_says_that_its_code_has_changed_since_its_checkpoint(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("repro.training.progress.CHECKPOINT_SECONDS", -1.0)
    asked = Asked(("toy",), table="1", rows=("Mult-VAE",), seeds=(0,), smoke=True)
    job = plan.plan(asked).jobs[0]
    prepare.prepare(job.experiment.dataset)

    def cut(phase: str, epoch: int, n: int) -> None:
        if epoch == n:
            raise KeyboardInterrupt

    version = provenance.code_version()
    with pytest.raises(KeyboardInterrupt):
        execute.run(job, settings, cut)
    monkeypatch.setattr(execute, "code_version", lambda: version | {"sources": "other"})
    said: list[str] = []
    record = execute.run(job, settings, say=said.append)
    assert said == [f"{job.label}: the code has changed since its checkpoint; --force starts over"]
    assert record.dirty


def raising(error: BaseException) -> Callable[..., Record]:
    def raise_it(*_: Any) -> Record:
        raise error

    return raise_it


def test_an_attempt_that_fails_says_why_and_leaves_no_lock(
    toy: Job, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execute, "_trained", raising(MemoryError("no room")))
    outcome = execute.attempt(toy, settings)
    assert isinstance(outcome, ReproError)
    folder = settings.runs / toy.id
    assert str(folder / records.FAILURE) in outcome.hint
    failure = records.failure(folder)
    assert failure is not None
    assert "out of memory" in failure.message
    assert "MemoryError: no room" in failure.traceback
    assert [file.name for file in folder.iterdir()] == [records.FAILURE]


def test_a_refusal_is_noted_as_one(
    toy: Job, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = UnsupportedError("cannot serve")
    monkeypatch.setattr(execute, "_trained", raising(error))
    assert execute.attempt(toy, settings) is error
    failure = records.failure(settings.runs / toy.id)
    assert failure is not None
    assert failure.refused
    assert failure.message == "cannot serve"
    assert failure.traceback == ""


def test_that_another_process_is_at_it_is_no_failure(
    toy: Job, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = BusyError("busy")
    monkeypatch.setattr(execute, "_trained", raising(error))
    assert execute.attempt(toy, settings) is error
    assert list((settings.runs / toy.id).iterdir()) == []


def test_an_interrupt_is_no_failure(
    toy: Job, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execute, "_trained", raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        execute.attempt(toy, settings)
    assert list((settings.runs / toy.id).iterdir()) == []


@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        (-signal.SIGKILL, "killed by SIGKILL", "it may have run out of memory: try fewer --jobs"),
        (-signal.SIGSEGV, "killed by SIGSEGV", ""),
        (1, "ended with exit code 1", ""),
    ],
)
def test_how_a_process_died_is_said(code: int, message: str, hint: str) -> None:
    error = engines._died(code)
    assert message in error.message
    assert error.hint.startswith(hint)
    assert error.hint.endswith("run again: it resumes if it has a checkpoint")
    assert ("memory" in error.hint) == bool(hint)


@pytest.mark.parametrize(
    "sent", [b"", b"\0\0", struct.pack("!i", 100), struct.pack("!i", 9) + b"x"]
)
def test_a_process_that_is_killed_before_all_is_sent_fails_its_run_alone(sent: bytes) -> None:
    engine = Processes(1, Settings(Path()))
    ours, theirs = multiprocessing.Pipe(duplex=False)
    os.write(theirs.fileno(), sent)
    theirs.close()
    killed = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    killed.kill()
    killed.communicate()
    process = SimpleNamespace(join=lambda: None, exitcode=killed.returncode)
    engine._running[ours] = (job("a"), process, engine._free.pop())
    ((ended, outcome, said),) = engine.wait()
    assert (ended.label, said, engine.active()) == ("a", [], [])
    assert isinstance(outcome, ReproError)
    assert "killed by SIGKILL" in outcome.message
    assert engine.has_room()


@pytest.mark.parametrize(("cores", "n", "threads"), [(8, 2, 4), (8, 3, 2), (2, 4, 1)])
def test_the_cores_are_shared_out(
    monkeypatch: pytest.MonkeyPatch, cores: int, n: int, threads: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert Processes(n, Settings(Path()))._settings.threads == threads
    assert Processes(n, Settings(Path(), threads=3))._settings.threads == 3


def test_gpus_are_dealt_round(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [engines._dealt("auto", place) for place in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert engines._dealt("cpu", 1) == "cpu"


def test_without_ray_its_engine_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ReproError, match="Ray is not installed") as error:
        Ray("", 1, settings)
    assert error.value.hint == 'pip install "repro-tables[ray]"'
