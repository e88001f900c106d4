"""Run a selection: plan, prepare data, skip what has a record, run the rest."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

from repro import files
from repro.data import prepare, views
from repro.data.tell import Tell
from repro.errors import ReproError
from repro.runs import records, status
from repro.runs.asked import Asked
from repro.runs.engines import Done, Ending, Engine, Here, Processes, Watch, run_all
from repro.runs.plan import Job, Plan, plan
from repro.runs.records import Record, Records
from repro.runs.settings import How, Report, Settings


class Audience(Protocol):
    """Receives the messages and the progress of a batch."""

    def say(self, text: str) -> None:
        """Receive a message for the user."""

    def files(self) -> AbstractContextManager[Tell]:
        """Return what receives the progress of files that are fetched."""

    def runs(self, n: int) -> AbstractContextManager[Watch]:
        """Return what receives the progress of n runs."""


@dataclass(frozen=True)
class Quiet:
    """Shows no progress, and keeps the messages."""

    said: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Receive a message for the user."""
        self.said.append(text)

    def bytes(self, name: str, done: int, total: int | None) -> None:
        """Receive how much of a file has arrived."""

    def begin(self, label: str) -> Report:
        """Note that a run begins; return what receives its epochs."""
        return lambda phase, epoch, n: None

    def end(self, job: Job, outcome: Ending) -> None:
        """Note the outcome of a run."""

    def files(self) -> AbstractContextManager[Tell]:
        """Return what receives the progress of files that are fetched."""
        return nullcontext(self)

    def runs(self, n: int) -> AbstractContextManager[Watch]:
        """Return what receives the progress of n runs."""
        return nullcontext(self)


@dataclass(frozen=True, repr=False)
class Batch:
    """The outcome of a selection of runs."""

    plan: Plan
    known: list[Record]
    """Records that existed already."""
    done: Done = field(default_factory=Done)
    without_data: dict[str, ReproError] = field(default_factory=dict)
    """Views that could not be prepared, and why."""
    messages: tuple[str, ...] = ()
    """What was said, if nobody heard it."""

    def __repr__(self) -> str:
        failed, missing = len(self.done.failed), len(self.without_data)
        n_new, n_known = len(self.done.finished), len(self.known)
        return f"<batch: {n_new} new, {n_known} known, {failed} failed, {missing} without data>"

    @property
    def records(self) -> list[Record]:
        """The records of all selected runs, as far as there are any."""
        return [*self.known, *self.done.finished]

    @property
    def exit_code(self) -> int:
        """4 if a run failed; else the code for missing data; else 0."""
        if self.done.failed:
            return 4
        return min((error.exit_code for error in self.without_data.values()), default=0)


def run(asked: Asked, how: How, audience: Audience) -> Batch:
    """Train and evaluate what has no record yet.

    Parameters
    ----------
    asked : Asked
        Which runs.
    how : How
        Where and how.
    audience : Audience
        Receives messages on data, runs and what is left out, and the progress.

    Raises
    ------
    ReproError
        If something selected does not exist. A run that fails raises nothing: see `Batch`.
    """
    planned = plan(asked)
    for label, reason in planned.left_out.items():
        audience.say(f"left out: {label}: {': '.join(reason)}")
    without_data = _prepare(planned, audience)
    ready = Plan([j for j in planned.jobs if j.experiment.dataset not in without_data]).located()
    every = Records() if how.force else records.load_all(how.runs)
    done = status.finished(ready, every)
    ids = set(done.values())
    known = [record for record in every if record.id in ids]
    todo = [job for job in ready if job.label not in done]
    broken = _damaged(todo, every, audience)
    todo = [job for job in todo if job.label not in {job.label for job, _ in broken}]
    audience.say(
        f"{len(todo)} to run, {len(done)} have a record already, "
        f"{len(planned.jobs) - len(ready)} without data"
        + (f", {len(broken)} with a damaged record" if broken else "")
    )
    if changed := [record.id for record in known if record.outdated]:
        audience.say(
            f"{len(changed)} of these records were made by an earlier version of your own plug-in: "
            f"{', '.join(changed)}; --force runs them again"
        )
    ended = _run(todo, how, audience) if todo else Done()
    ended.failed[:0] = broken
    return Batch(planned, known, ended, without_data)


def _damaged(jobs: list[Job], every: Records, audience: Audience) -> list[tuple[Job, ReproError]]:
    """Name the damaged records; return the jobs that have one, and how it is damaged."""
    for one in every.damaged:
        audience.say(f"damaged: {one.error}")
    faults = {one.id: one.error for one in every.damaged}
    return [(job, faults[job.id]) for job in jobs if faults and job.id in faults]


def _prepare(planned: Plan, audience: Audience) -> dict[str, ReproError]:
    """Bring every view into the cache; return those for which that fails, and why."""
    without_data: dict[str, ReproError] = {}
    for dataset in planned.datasets():
        try:
            with audience.files() as tell:
                prepare.prepare(dataset, tell)
            known = views.prepared(dataset)
            for doubt in known.doubts if known else ():
                audience.say(f"warning: {dataset}: {doubt}")
        except ReproError as error:
            audience.say(f"no data: {dataset}: {error}")
            without_data[dataset] = error
    return without_data


def _run(todo: list[Job], how: How, audience: Audience) -> Done:
    from repro.runs import machine  # loads torch

    settings = how.settings(todo)
    files.need_writable(settings.runs, "name another folder in REPRO_RUNS or --runs")
    with machine.restored():
        if how.engine == "local":
            machine.chosen_device(how.device)  # without one, fail here and not in every run
        with audience.runs(len(todo)) as watch:
            done = run_all(todo, _engine(how, settings, watch), settings, watch)
    audience.say(
        f"{len(done.finished)} finished, {len(done.refused)} refused, {len(done.failed)} failed; "
        f"records in {settings.runs}"
    )
    return done


def _engine(how: How, settings: Settings, watch: Watch) -> Engine:
    if how.engine != "local":
        from repro.runs.ray_cluster import Ray

        watch.say("connecting to Ray")
        return Ray("" if how.engine == "ray" else how.engine, how.jobs, settings, watch.say)
    return Processes(how.jobs, settings, watch.say) if how.jobs > 1 else Here(settings, watch)
