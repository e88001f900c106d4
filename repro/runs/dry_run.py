"""What would run, what is missing for it, and how much time and disk it takes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from repro import paths
from repro.errors import ReproError
from repro.experiment import Spec
from repro.runs import estimate, records, status
from repro.runs.asked import Asked
from repro.runs.estimate import Estimate
from repro.runs.execute import split_of
from repro.runs.plan import Job, lacking, plan
from repro.runs.records import Records
from repro.runs.settings import How, Settings
from repro.split import SplitSummary
from repro.training import checkpoints

BUSY = 0.5
"""Busy threads per processor; above this a measured time is not that of a run alone."""

MEASURED_SECONDS = 10.0
"""How long a dry run may measure a model, unless the smallest share of its users takes longer."""


@dataclass(frozen=True)
class PlannedRun:
    """A run that was asked for."""

    label: str
    """Paper, table, row, column group, what sets the run apart, and seed."""
    paper: str
    table: str
    """Its printed number."""
    row: str
    group: str
    """The column group's label."""
    seed: int
    record: str | None
    """The id of its record, if there is one: it will not run again."""
    dataset: str
    """Archive and view."""
    protocol: dict[str, Any]
    model: dict[str, Any]
    """Protocol and model, each with every parameter."""
    select: str
    """Which epoch counts."""
    seconds: float | None = None
    """About how long it takes here; null if it has a record, or if that is unknown."""
    at_least: bool = False
    """Whether it takes longer than these seconds: an epoch did not end while it was measured."""
    why_unknown: str = ""
    """Why its time is unknown."""
    memory_bytes: dict[str, int] | None = None
    """About how much memory it takes at its peak, where its model says so: "process", and "device"
    if it trains on a GPU."""
    split: SplitSummary | None = None
    """What it trains on and what it asks; null if that is not known."""


@dataclass(frozen=True)
class LeftOut:
    """A row that is not run."""

    label: str
    verdict: str
    """As in `repro compare`."""
    reason: str
    """Why it is not run."""


@dataclass(frozen=True)
class Folder:
    """A folder that is written to."""

    path: str
    """Where it is."""
    free_bytes: int
    """Free space on its disk."""


@dataclass(frozen=True)
class DryRun:
    """What would run, and what it takes."""

    runs: list[PlannedRun]
    left_out: list[LeftOut]
    """Rows that are not run."""
    to_fetch: dict[str, str]
    """The views that are not in the cache, and where they come from."""
    data: Folder
    """The cache."""
    records: Folder
    """The folder of records."""
    checkpoint_bytes: int
    """Checkpoints take at most so much disk space while the runs last."""
    seconds: float
    """Of all runs whose time is known, one after the other."""
    at_least: bool
    """Whether it takes longer: some time is unknown, or a bound."""
    busy_threads: float
    """Threads of other programs that were busy when it began."""
    processors: int
    """How many the machine has."""

    @property
    def is_busy(self) -> bool:
        """Whether the machine was so busy that a run alone would take less time."""
        return self.busy_threads > BUSY * self.processors


def dry_run(
    asked: Asked,
    how: How,
    begin: Callable[[PlannedRun], None] | None = None,
    end: Callable[[PlannedRun], None] | None = None,
) -> DryRun:
    """Return what would run, with its record if there is one; data, disk and time.

    Parameters
    ----------
    asked, how
        As in `repro.runs.batch.run`.
    begin, end : callable, optional
        Called with every run before it is measured, and once its time is known.
    """
    planned = plan(asked)
    jobs, missing = planned.located(), lacking(planned)
    every = Records() if how.force else records.load_all(how.runs)
    done, damaged = status.finished(jobs, every), {one.id: one.reason for one in every.damaged}
    todo = [job for job in jobs if job.label not in done]
    clock = _Clock(how.settings(todo), missing, how.force)
    busy_threads, processors = estimate.load()
    runs = []
    for job in jobs:
        run = clock.split(_planned(job, done.get(job.label)), job, every)
        fault = damaged.get(job.id) if damaged and job.digest else None
        if begin:
            begin(run)
        if fault:
            runs.append(replace(run, why_unknown=f"its record is damaged: {fault}"))
        else:
            runs.append(run if run.record else clock.measured(run, job))
        if end:
            end(runs[-1])
    known = clock.known
    most = max((one.checkpoint for one in known), default=0)
    return DryRun(
        runs=runs,
        left_out=[LeftOut(label, *reason) for label, reason in planned.left_out.items()],
        to_fetch=missing,
        data=_folder(paths.home()),
        records=_folder(how.runs),
        checkpoint_bytes=3 * most * min(how.jobs, len(todo)),
        seconds=sum(one.seconds for one in known),
        at_least=len(known) < len(todo) or not all(one.ended for one in known),
        busy_threads=busy_threads,
        processors=processors,
    )


class _Clock:
    """Estimates how long runs take; seeds and tables share what was measured."""

    def __init__(self, settings: Settings, missing: dict[str, str], force: bool) -> None:
        self.known: list[Estimate] = []
        self._settings, self._missing, self._force = settings, missing, force
        self._measured: dict[tuple[str, int, int], Estimate | str] = {}
        self._memory: dict[str, dict[str, int] | None] = {}

    def split(self, run: PlannedRun, job: Job, every: Records) -> PlannedRun:
        """Return a run with what it asks: its record tells, or the data if that is in the cache."""
        if run.record:
            [known] = [one.split for one in every if one.id == run.record] or [None]
            return replace(run, split=known)
        if job.experiment.dataset in self._missing:
            return run
        with suppress(ReproError):  # `measure` comes here, too, and says what is wrong
            return replace(run, split=split_of(job).summary)
        return run

    def time(self, job: Job) -> Estimate | str:
        """Return how long a job takes, or why that is unknown."""
        if job.experiment.dataset in self._missing:
            return "its data is not in the cache"
        place = None if self._force else checkpoints.reached(self._settings.runs / job.id)
        behind = (place.loop, place.epoch) if place else (0, 0)
        key = (job.experiment.seedless, *behind)
        if key not in self._measured:
            self._measured[key] = estimate.measure(job, self._settings, MEASURED_SECONDS, behind)
        found = self._measured[key]
        if isinstance(found, Estimate):
            self.known.append(found)
        return found

    def memory(self, job: Job) -> dict[str, int] | None:
        """Return how much memory a job takes, by place; None if its model does not say."""
        key = job.experiment.seedless
        if key not in self._memory and job.experiment.dataset not in self._missing:
            self._memory[key] = estimate.memory_of(job, self._settings)
        return self._memory.get(key)

    def measured(self, run: PlannedRun, job: Job) -> PlannedRun:
        """Return a run with the time that its job takes."""
        found = self.time(job)
        run = replace(run, memory_bytes=self.memory(job))
        if isinstance(found, str):
            return replace(run, why_unknown=found)
        return replace(run, seconds=found.seconds, at_least=not found.ended)


def _planned(job: Job, record: str | None) -> PlannedRun:
    assert job.place is not None, "a plan says which row its jobs are for"
    return PlannedRun(
        label=job.label,
        **vars(job.place),
        seed=job.experiment.seed,
        record=record,
        dataset=job.experiment.dataset,
        protocol=_named(job.experiment.protocol),
        model=_named(job.experiment.model),
        select=job.experiment.select,
    )


def _named(plugin: Spec) -> dict[str, Any]:
    return {"name": plugin.name, "params": dict(plugin.params)}


def _folder(path: Path) -> Folder:
    """Return a folder with the free space on its disk, whether or not it exists yet."""
    there = next(at for at in [path.absolute(), *path.absolute().parents] if at.exists())
    return Folder(str(path), shutil.disk_usage(there).free)
