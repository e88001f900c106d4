"""How planned runs stand: what has a record, what runs now, what lacks its data, and time left."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.data import views
from repro.errors import ReproError
from repro.experiment import canonical, loops
from repro.runs import locks, records
from repro.runs.plan import Job, Plan
from repro.runs.records import Record
from repro.training import checkpoints


def run_id(job: Job) -> str:
    """Return the id of a job's run; its view must be in the cache."""
    known = views.prepared(job.experiment.dataset)
    if known is None:
        raise ReproError(f"{job.experiment.dataset} is not in the cache", "repro fetch it first")
    return job.experiment.id(known.digest)


def finished(jobs: Iterable[Job], every: Iterable[Record]) -> dict[str, str]:
    """Return the ids of the records that jobs need not run for again, by the jobs' labels.

    Parameters
    ----------
    jobs : iterable of Job
        One whose data is not here has no record.
    every : iterable of Record
        All there are.
    """
    jobs = list(jobs)
    digests = _digests(jobs)
    known = {record.id: record for record in every}
    older = {(record.digest, record.experiment.key()): record for record in known.values()}
    found = {}
    for job in jobs:
        experiment, digest = job.experiment, digests.get(job.experiment.dataset, "")
        record = known.get(experiment.id(digest)) or older.get((digest, experiment.key()))
        if record and job.is_done_by(record):
            found[job.label] = record.id
    return found


def _digests(jobs: Iterable[Job]) -> dict[str, str]:
    """Return the digests of the jobs' views, as far as they are in the cache."""
    datasets = dict.fromkeys(job.experiment.dataset for job in jobs)
    return {name: view.digest for name in datasets if (view := views.prepared(name))}


@dataclass(frozen=True)
class State:
    """How a run stands."""

    label: str
    kind: str
    """"done", "running", "failed", "refused", "missing", "no data", or why it is left out."""
    detail: str
    """The record's id, the epoch, the reason."""
    left: float | None = None
    """Seconds that the rest takes, as its pace or the records of its like say, per epoch."""


def states(plan: Plan, runs: Path) -> list[State]:
    """Return how every run of a plan stands, then the rows that give none."""
    every = list(records.load_all(runs))
    spent: dict[tuple[str, ...], list[float]] = {}
    for record in every:
        if not record.experiment.smoke:
            model = record.experiment.model
            epochs = sum(loops(model.params).values()) or 1
            for key in _alike(record.experiment.dataset, model.name, model.params):
                spent.setdefault(key, []).append(record.seconds / epochs)
    done, digests = finished(plan.jobs, every), _digests(plan.jobs)
    found = []
    for job in plan.jobs:
        dataset = job.experiment.dataset
        if dataset not in digests:
            found.append(State(job.label, "no data", f"repro fetch {dataset}"))
        elif job.label in done:
            found.append(State(job.label, "done", done[job.label]))
        else:
            found.append(_state(job, runs / job.experiment.id(digests[dataset]), spent))
    return found + [State(label, *why) for label, why in plan.left_out.items()]


def _alike(dataset: str, model: str, params: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return what runs that take about as long have in common, the nearest ones first."""
    return [(dataset, model, canonical(params)), (dataset, model)]


def _state(job: Job, folder: Path, spent: dict[tuple[str, ...], list[float]]) -> State:
    """Return how a run without a record stands."""
    claim = locks.read(folder)
    if claim and claim.is_held(folder):
        at = f"{claim.phase} {claim.epoch}/{claim.n_epochs}" if claim.n_epochs else "begun"
        return State(job.label, "running", f"{at}, process {claim.pid} on {claim.host}", claim.left)
    model = job.experiment.model
    keys = _alike(job.experiment.dataset, model.name, model.params)
    alike = next((spent[key] for key in keys if key in spent), None)
    epochs = sum(loops(model.params).values()) or 1
    left = epochs * statistics.median(alike) if alike else None
    failure = records.failure(folder)
    if failure and failure.refused:
        return State(job.label, "refused", failure.message)
    if failure:
        return State(job.label, "failed", f"{failure.message} ({failure.when})", left)
    begun = "cut off; it goes on from its checkpoint" if checkpoints.present(folder) else ""
    return State(job.label, "missing", begun, left)
