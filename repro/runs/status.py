"""The state of planned runs: which have a record, run now or lack their data, and time left."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.errors import ReproError
from repro.experiment import Experiment, canonical, loops
from repro.runs import locks, records
from repro.runs.plan import Job, Plan
from repro.runs.records import Damaged, Record
from repro.training import checkpoints


def finished(jobs: Iterable[Job], every: Iterable[Record]) -> dict[str, str]:
    """Return the ids of the records that jobs have already, by the jobs' labels.

    Parameters
    ----------
    jobs : iterable of Job
        A job without a digest, whose view is not in the cache, has no record.
    every : iterable of Record
        All there are.
    """
    known = {record.id: record for record in every}
    older = {_made_from(r.digest, r.experiment): r for r in known.values()}
    found = {}
    for job in jobs:
        record = known.get(job.experiment.id(job.digest)) or older.get(
            _made_from(job.digest, job.experiment)
        )
        if record and job.is_done_by(record):
            found[job.label] = record.id
    return found


def _made_from(digest: str, experiment: Experiment) -> tuple[str, int, str]:
    """Return what a run was made from, even if its id is of an earlier version."""
    return digest, experiment.seed, experiment.seedless


@dataclass(frozen=True)
class State:
    """The state of a run."""

    label: str
    """Paper, table, row, column group, what sets the run apart, and seed."""
    kind: str
    """"done", "running", "failed", "refused", "damaged", "missing", "no data", or why it is left
    out."""
    paper: str = ""
    table: str = ""
    row: str = ""
    group: str = ""
    """`paper` to `group`: the row that the run is for; empty for what is left out."""
    seed: int | None = None
    """Null for what is left out."""
    id: str = ""
    """Of the run; empty while its view is not in the cache."""
    phase: str = ""
    epoch: int = 0
    """How many epochs of the phase are done."""
    n_epochs: int = 0
    """`phase` to `n_epochs`: of a run in progress, or of the checkpoint that a run resumes from."""
    host: str = ""
    pid: int = 0
    """`host` and `pid`: of a run in progress."""
    resumes: bool = False
    """Whether a run without a record has a checkpoint that it resumes from."""
    reason: str = ""
    """Why a run failed, was refused or is left out, what it lacks, or how its record is damaged."""
    left: float | None = None
    """Seconds that the rest takes: at the run's pace, or as records of similar runs took."""

    @property
    def is_begun(self) -> bool:
        """Whether something of it was run here, to its end or not."""
        return self.kind in ("done", "running", "failed", "refused", "damaged") or self.resumes

    @property
    def detail(self) -> str:
        """The record's id, the epoch or the reason, for people."""
        if self.kind == "running":
            at = f"{self.phase} {self.epoch}/{self.n_epochs}" if self.n_epochs else "begun"
            return f"{at}, process {self.pid} on {self.host}"
        if self.resumes:
            phase = "" if self.phase == "train" else f"{self.phase} "
            return f"interrupted at {phase}epoch {self.epoch}/{self.n_epochs}; resumes"
        return self.id if self.kind == "done" else self.reason


def states(plan: Plan, runs: Path) -> list[State]:
    """Return the state of every run of a plan, of the rows that are not run, of damaged records."""
    every = records.load_all(runs)
    damaged = {one.id: one for one in every.damaged}
    jobs = plan.located()
    done, spent = finished(jobs, every), _seconds_per_epoch(every)
    found = []
    for job in jobs:
        place = vars(job.place) if job.place else {}
        about = {"label": job.label, "seed": job.experiment.seed, **place}
        if not job.digest:
            found.append(
                State(kind="no data", reason=f"repro fetch {job.experiment.dataset}", **about)
            )
        elif job.label in done:
            found.append(State(kind="done", id=done[job.label], **about))
        else:
            state = _unfinished(job, runs / job.id, spent, damaged.pop(job.id, None))
            found.append(State(id=job.id, **about, **state))
    left_out = plan.left_out.items()
    found += [State(label, kind, reason=why) for label, (kind, why) in left_out]
    others = [State(str(d.folder), "damaged", id=d.id, reason=d.reason) for d in damaged.values()]
    return found + others


Spent = dict[tuple[str, ...], list[float]]
"""Seconds per epoch of each record, by what runs that take about as long have in common."""


def _seconds_per_epoch(every: Iterable[Record]) -> Spent:
    spent: Spent = {}
    for record in every:
        if not record.experiment.smoke:
            epochs = sum(loops(record.experiment.model.params).values()) or 1
            for key in _alike(record.experiment):
                spent.setdefault(key, []).append(record.seconds / epochs)
    return spent


def _alike(experiment: Experiment) -> list[tuple[str, ...]]:
    """Return what runs that take about as long have in common, the nearest ones first."""
    model = experiment.model
    return [
        (experiment.dataset, model.name, canonical(model.params)),
        (experiment.dataset, model.name),
    ]


def _unfinished(job: Job, folder: Path, spent: Spent, damaged: Damaged | None) -> dict[str, Any]:
    """Return the state of a run without a record, as fields of `State`."""
    try:
        found = locks.find(folder)
        lock = found.content() if found else None
        failure = records.failure(folder)
    except (ReproError, OSError) as error:  # of this run alone; the others have their states
        return {"kind": "damaged", "reason": str(error)}
    if found and lock and found.is_held():
        told = {key: getattr(lock, key) for key in ("phase", "epoch", "n_epochs", "host", "pid")}
        return {"kind": "running", "left": lock.left, **told}
    if damaged:
        return {"kind": "damaged", "reason": f"{damaged.reason}; {damaged.error.hint}"}
    alike = next((spent[key] for key in _alike(job.experiment) if key in spent), None)
    epochs = sum(loops(job.experiment.model.params).values()) or 1
    left = epochs * statistics.median(alike) if alike else None
    if failure and failure.refused:
        return {"kind": "refused", "reason": failure.message}
    if failure:
        return {"kind": "failed", "reason": f"{failure.message} ({failure.when})", "left": left}
    if place := checkpoints.reached(folder):
        at = {"phase": place.phase, "epoch": place.epoch, "n_epochs": place.n_epochs}
        return {"kind": "missing", "resumes": True, "left": left, **at}
    return {"kind": "missing", "left": left}
