"""Where experiments run: one after the other here, side by side in processes, or on a Ray cluster.

An engine takes jobs and returns their outcomes. `run_all` has what all engines share: a run that
another process is running is left to it, and checked again later; one that fails stops no other.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from repro.errors import ReproError, UnsupportedError, of_the_system
from repro.locks import BusyError
from repro.runs import locks
from repro.runs.plan import Job
from repro.runs.records import Record
from repro.runs.settings import Report, Settings

Ending = Record | ReproError

Ended = tuple[Job, Ending, list[str]]
"""A job, its outcome, and messages for the user that have not been shown yet."""

POLL_SECONDS = 1.0
PATIENCE_SECONDS = 0.2
"""A process that has not ended so long after it was told to is in an epoch."""
AGAIN_SECONDS = 3.0
"""After how long a run that another process is running is checked again."""


class Watch(Protocol):
    """Receives the progress of runs."""

    def begin(self, label: str) -> Report:
        """Note that a run begins; return what receives its epochs."""

    def end(self, job: Job, outcome: Ending) -> None:
        """Note the outcome of a run."""

    def say(self, text: str) -> None:
        """Receive a message for the user."""


class Engine(Protocol):
    """Runs jobs."""

    def has_room(self) -> bool:
        """Return whether another job can be started."""

    def start(self, job: Job) -> None:
        """Start a job."""

    def wait(self) -> list[Ended]:
        """Return the jobs that have ended, after a while even if none has."""

    def active(self) -> list[Job]:
        """Return the jobs that were started and have not been returned."""

    def stop(self) -> None:
        """End the jobs that still run."""


@dataclass
class Done:
    """The outcomes of many jobs."""

    finished: list[Record] = field(default_factory=list)
    failed: list[tuple[Job, ReproError]] = field(default_factory=list)
    refused: list[tuple[Job, UnsupportedError]] = field(default_factory=list)
    """Models under protocols that they cannot serve: a fact, not a failure."""


def run_all(jobs: list[Job], engine: Engine, settings: Settings, watch: Watch) -> Done:
    """Run experiments; one that fails does not stop the others.

    Parameters
    ----------
    jobs : list of Job
        What to run; their views must be in the cache.
    engine : Engine
        Where.
    settings : Settings
        How; the same settings as the engine's.
    watch : Watch
        Receives the progress.
    """
    done = Done()
    waiting = deque(jobs)
    elsewhere: dict[str, tuple[float, Job]] = {}
    told: set[str] = set()
    reports: dict[str, Report] = {}

    def is_elsewhere(job: Job, error: BusyError) -> None:
        if job.label not in told:
            watch.say(f"{error.message}; waiting for it")
            told.add(job.label)
        elsewhere[job.label] = (time.monotonic() + AGAIN_SECONDS, job)

    try:
        while waiting or elsewhere or engine.active():
            for label, (when, job) in list(elsewhere.items()):
                if when <= time.monotonic():
                    waiting.append(job)
                    del elsewhere[label]
            while waiting and engine.has_room():
                job = waiting.popleft()
                if busy := locks.busy(settings.runs / job.id, job.label):
                    is_elsewhere(job, busy)
                else:
                    engine.start(job)
            for job, outcome, said in engine.wait():
                for text in said:
                    watch.say(text)
                if isinstance(outcome, BusyError):
                    is_elsewhere(job, outcome)
                    continue
                if isinstance(outcome, UnsupportedError):
                    done.refused.append((job, outcome))
                elif isinstance(outcome, ReproError):
                    done.failed.append((job, outcome))
                else:
                    done.finished.append(outcome)
                reports.pop(job.label, None)
                watch.end(job, outcome)
            _follow(engine, settings, watch, reports)
            if elsewhere and not waiting and not engine.active():
                time.sleep(POLL_SECONDS)
    finally:
        engine.stop()
    return done


def _follow(engine: Engine, settings: Settings, watch: Watch, reports: dict[str, Report]) -> None:
    """Report how far the runs in other processes are, from their locks."""
    for job in engine.active():
        lock = None
        with contextlib.suppress(ReproError):  # a damaged lock says nothing
            lock = locks.read(settings.runs / job.id)
        if lock and lock.n_epochs:
            if job.label not in reports:
                reports[job.label] = watch.begin(job.label)
            reports[job.label](lock.phase, lock.epoch, lock.n_epochs)


class Here:
    """One after the other, in this process."""

    def __init__(self, settings: Settings, watch: Watch) -> None:
        self._settings = settings
        self._watch = watch
        self._jobs: list[Job] = []

    def has_room(self) -> bool:
        """Return whether another job can be started."""
        return not self._jobs

    def start(self, job: Job) -> None:
        """Note the job; it runs in `wait`."""
        self._jobs.append(job)

    def wait(self) -> list[Ended]:
        """Run the job that was started, and return its outcome."""
        from repro.runs.execute import attempt  # torch is loaded when a run starts

        jobs, self._jobs = self._jobs, []
        told = self._watch
        return [
            (job, attempt(job, self._settings, told.begin(job.label), told.say), []) for job in jobs
        ]

    def active(self) -> list[Job]:
        """Return the job that was started."""
        return list(self._jobs)

    def stop(self) -> None:
        """Do nothing: no job runs outside `wait`."""


class Processes:
    """Side by side on this machine, a process for each run.

    Each has its share of the CPU's cores. They share a GPU; several GPUs are assigned in turn.

    Parameters
    ----------
    n : int
        How many at once.
    settings : Settings
        How; with `threads` 0 the cores are divided.
    say : callable, optional
        Called with a message when processes are waited for at an interrupt.
    """

    def __init__(
        self, n: int, settings: Settings, say: Callable[[str], None] | None = None
    ) -> None:
        self._say = say or (lambda text: None)
        threads = settings.threads or max(1, own_cores() // n)
        self._settings = replace(settings, threads=threads)
        self._context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
        self._free = list(range(n))
        self._running: dict[Connection, tuple[Job, Any, int]] = {}

    def has_room(self) -> bool:
        """Return whether another process may be started."""
        return bool(self._free)

    def start(self, job: Job) -> None:
        """Start a process."""
        place = self._free.pop(0)
        ours, theirs = self._context.Pipe(duplex=False)
        settings = replace(self._settings, device=_dealt(self._settings.device, place))
        arguments = (job, settings, theirs, os.getpid())
        process = self._context.Process(target=_work, args=arguments, daemon=True)
        here = signal.signal(signal.SIGINT, signal.SIG_IGN)  # only this process ends on Ctrl-C
        try:
            process.start()
        finally:
            signal.signal(signal.SIGINT, here)
        theirs.close()
        self._running[ours] = (job, process, place)

    def wait(self) -> list[Ended]:
        """Return what the processes that have ended sent, or how they died."""
        ended = []
        for pipe in wait(list(self._running), POLL_SECONDS):
            assert isinstance(pipe, Connection)
            job, process, place = self._running.pop(pipe)
            try:
                outcome, said = pipe.recv()
            except (EOFError, OSError):  # killed before it sent its outcome, or meanwhile
                process.join()
                outcome, said = _died(process.exitcode), []
            process.join()
            pipe.close()
            self._free.append(place)
            ended.append((job, outcome, said))
        return ended

    def active(self) -> list[Job]:
        """Return the jobs whose processes run."""
        return [job for job, _, _ in self._running.values()]

    def stop(self) -> None:
        """Let the processes finish their epochs and write checkpoints; at an interrupt kill them.

        One that is not in an epoch, such as while it reads its data, ends at once.
        """
        processes = [process for _, process, _ in self._running.values()]
        try:
            for process in processes:
                process.terminate()
            for process in processes:
                process.join(PATIENCE_SECONDS)
            if busy := sum(process.is_alive() for process in processes):
                self._say(waiting_for(busy))
            for process in processes:
                process.join()
        except KeyboardInterrupt:
            for process in processes:
                process.kill()
                process.join()
            raise


def waiting_for(n: int) -> str:
    """Return the message while n runs elsewhere finish their epochs after an interrupt."""
    runs = "the run that is" if n == 1 else f"the {n} runs that are"
    return f"waiting for {runs} in an epoch to write a checkpoint; Ctrl-C again ends at once"


def own_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _dealt(device: str, place: int) -> str:
    """Return the device for the n-th process: GPUs are assigned in turn."""
    import torch

    if device == "cpu" or not torch.cuda.is_available():
        return device
    return f"cuda:{place % torch.cuda.device_count()}"


def _work(job: Job, settings: Settings, out: Connection, parent: int) -> None:
    """Run a job in its own process, and send its outcome and its messages."""
    from repro.runs.execute import attempt

    def report(phase: str, epoch: int, n: int) -> None:
        if os.getppid() != parent:  # killed: nobody waits, and a later start resumes
            os._exit(1)

    report("", 0, 0)
    said: list[str] = []
    try:
        outcome = attempt(job, settings, report, said.append)
    except OSError as error:  # not even the failure could be written
        why = of_the_system(error)
        if why is None:
            raise
        outcome = why
    with contextlib.suppress(BrokenPipeError):  # the parent was killed this moment
        out.send((plain(outcome), said))


def plain(outcome: Ending) -> Ending:
    """Return an outcome that another process can read: it may not know a plug-in's own error."""
    for kind in (BusyError, UnsupportedError, ReproError):
        if isinstance(outcome, kind):
            told = kind(outcome.message, outcome.hint)
            told.traceback = outcome.traceback
            return told
    return outcome


def _died(code: int) -> ReproError:
    how = (
        f"was killed by {signal.Signals(-code).name}"
        if code < 0
        else f"ended with exit code {code}"
    )
    hint = "it may have run out of memory: try fewer --jobs; " if code == -signal.SIGKILL else ""
    return ReproError(
        f"the process of this run {how}", f"{hint}run again: it resumes if it has a checkpoint"
    )
