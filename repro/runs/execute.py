"""Run an experiment, from data to record; resume where an earlier attempt was interrupted."""

from __future__ import annotations

import datetime
import json
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from repro.data import views
from repro.data.tell import Silent
from repro.errors import ReproError, UnsupportedError, of_the_system
from repro.experiment import Need, Spec, canonical
from repro.interactions import Dataset
from repro.locks import BusyError
from repro.plugins import MODELS, PROTOCOLS
from repro.protocols import Splitter
from repro.runs import locks, machine, memory, records
from repro.runs.lists import Lists
from repro.runs.locks import Holder
from repro.runs.plan import Job
from repro.runs.provenance import code_version, n_sources, plugins
from repro.runs.records import Failure, Record
from repro.runs.settings import Report, Settings
from repro.split import Split
from repro.training import checkpoints
from repro.training.fit import fit, untrained
from repro.training.outcome import Outcome
from repro.training.progress import Progress
from repro.training.ranking import Ranking


def attempt(
    job: Job,
    settings: Settings,
    report: Report | None = None,
    say: Callable[[str], None] | None = None,
) -> Record | ReproError:
    """Run an experiment; return its record, or the error that ended it, which is saved too.

    Parameters
    ----------
    job : Job
        The experiment; its view must be in the cache.
    settings : Settings
        Where and how.
    report, say : callable, optional
        Called after every epoch, and with messages for the user.
    """
    try:
        with locks.held(settings.runs / job.id, job.label) as lock:
            try:
                return _run(job, settings, lock, report, say)
            except BusyError:
                raise
            except Exception as error:  # a model's bug, no memory: the other runs must not suffer
                return _saved(error, settings.runs / job.id, lock)
    except ReproError as error:  # most often a BusyError, which is no failure: it runs elsewhere
        return error
    except OSError as error:  # the lock cannot be taken; the other runs must not suffer
        if obstacle := of_the_system(error):
            return obstacle
        raise


def _saved(error: Exception, folder: Path, lock: Holder) -> ReproError:
    """Save why a run failed, and return it as an error for the user; not if the run was lost."""
    lock.check()
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, ReproError):
        obstacle = error
    else:
        what = memory.shortage(error) or f"{type(error).__name__}: {error}"
        obstacle = ReproError(what, f"the traceback is in {folder / records.FAILURE}")
    when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    refused = isinstance(obstacle, UnsupportedError)
    obstacle.traceback = trace
    kept = "" if obstacle is error else trace
    failure = Failure(str(obstacle), when, code_version(), kept, refused)
    file = records.save_failure(folder, failure)
    try:
        lock.check()
    except BusyError:  # lost while it was being written
        file.unlink(missing_ok=True)
        raise
    return obstacle


def run(
    job: Job,
    settings: Settings,
    report: Report | None = None,
    say: Callable[[str], None] | None = None,
) -> Record:
    """Run one experiment end to end and write its record, unless another process has done so.

    Parameters
    ----------
    job, settings, report, say
        As in `attempt`.

    Raises
    ------
    BusyError
        If another process is running it, or took it over while this one was asleep.
    """
    with locks.held(settings.runs / job.id, job.label) as lock:
        return _run(job, settings, lock, report, say)


def _run(
    job: Job,
    settings: Settings,
    lock: Holder,
    report: Report | None,
    say: Callable[[str], None] | None,
) -> Record:
    """Run one experiment whose lock is held."""

    def told(phase: str, epoch: int, n: int) -> None:
        lock.tell(phase, epoch, n)
        if report:
            report(phase, epoch, n)

    job = job.located()
    known = _known(job, settings)
    if known and _counts(known, settings) and job.is_done_by(known):
        return known
    if known:  # another table asked for other metrics; keep them
        job = replace(job, metrics=tuple(dict.fromkeys([*job.metrics, *known.results])))
        lists = Need.of("lists")
        if known.holds(lists) and lists not in job.needs:
            job = replace(job, needs=(*job.needs, lists))
    _forget_checkpoints(settings.runs / job.id, settings)
    record, outcome = _trained(job, settings, told, lock.check, say)
    ranking = outcome.ranking
    assert ranking is not None, "`_trained` has made sure"
    embeddings = {name: rows.numpy() for name, rows in outcome.embeddings.items()}
    each = {at: hits for at, hits in outcome.hits_at.items() if at != outcome.epoch}
    return records.save(
        settings.runs,
        record,
        ranking.hits,
        ranking.n_targets,
        embeddings,
        lock.check,
        each=each,
        lists=_lists(job, ranking),
    )


def _lists(job: Job, ranking: Ranking) -> Lists | None:
    """Return what was recommended, if it is kept."""
    if ranking.items is None:
        return None
    split = split_of(job)
    popularity = np.bincount(split.train.item, minlength=split.train.n_items)
    activity = split.test.queries.history.counts
    return Lists(ranking.items, popularity, split.train.n_users, activity)


def _known(job: Job, settings: Settings) -> Record | None:
    """Return the record, if there is one; in a forced run a damaged one counts as none."""
    try:
        return records.find(settings.runs, job.digest, job.experiment)
    except ReproError:
        if settings.since is None:
            raise
    return None


def _counts(known: Record, settings: Settings) -> bool:
    """Return whether a record counts: for a forced run, only one from after its beginning."""
    began = datetime.datetime.fromisoformat(known.began).timestamp()
    return settings.since is None or began >= settings.since


def _forget_checkpoints(folder: Path, settings: Settings) -> None:
    """Delete the checkpoints from before a forced run began."""
    if settings.since is not None:
        for file in checkpoints.present(folder):
            if file.lstat().st_mtime < settings.since:  # a link may lead to itself
                checkpoints.delete(file)


def _trained(
    job: Job,
    settings: Settings,
    report: Report,
    may_write: Callable[[], None],
    say: Callable[[str], None] | None,
) -> tuple[Record, Outcome]:
    """Train a job's model; return the record, and what is saved with it."""
    device = machine.chosen_device(settings.device, settings.threads, settings.deterministic)
    experiment, folder = job.experiment, settings.runs / job.id
    code = code_version() | plugins(experiment)
    data = dataset_of(job)
    split = split_of(job)
    model = model_of(job)
    if settings.memory_check:
        memory.check(model, experiment.model.name, split.train, device)
    environment = machine.environment(device) | {"deterministic": settings.deterministic}
    began = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
    start = {"began": began, "device": str(device), "threads": environment["threads"], **code}
    machine.forget_peak(device)
    progress = Progress(experiment.seed, device, folder, report, start, say, may_write)
    if say and n_sources([code, *progress.outcome.attempts]) > 1:
        say(f"{job.label}: the code has changed since its checkpoint; --force starts over")
    with machine.subnormals_as_zero():
        outcome = fit(
            model,
            split,
            progress,
            name=experiment.model.name,
            metrics=job.metrics,
            select=experiment.select,
            every=experiment.every,
            patience=experiment.patience,
            patience_from=experiment.patience_from,
            curve=tuple(need.name for need in job.needs if need.kind == "metric"),
            keep_lists=Need.of("lists") in job.needs,
        )
    ranking = outcome.ranking
    if ranking is None:
        raise ReproError(f"{experiment.model.name} yielded no scorer", "it needs one epoch or more")
    record = Record(
        id=job.id,
        experiment=experiment,
        digest=data.digest,
        verified=job.verified,
        code=code,
        environment=environment,
        began=began,
        seconds=round(outcome.seconds, 3),
        epoch=outcome.epoch,
        n_users=len(ranking.n_targets),
        tie_size=ranking.tie_size,
        constant=ranking.constant,
        results=outcome.results,
        curve=outcome.curve,
        cases=split.test.digest(),
        split=split.summary,
        untrained=untrained(model, split),
        attempts=outcome.attempts,
        peak_bytes=machine.peak(device),
        folder=folder,
    )
    return record, outcome


def model_of(job: Job) -> Any:
    """Return a job's model, with its hyper-parameters."""
    spec = job.experiment.model
    return MODELS.load(spec.name)(**spec.arguments())


def dataset_of(job: Job) -> Dataset:
    """Return a job's view.

    Raises
    ------
    ReproError
        If it is damaged, or is not the one that the job was planned for.
    """
    job = job.located()
    return _dataset(job.experiment.dataset, job.digest)


def split_of(job: Job) -> Split:
    """Return the split of a job's view by its protocol."""
    protocol = job.experiment.protocol
    arguments = canonical(protocol.params)
    return _split(dataset_of(job), protocol.name, arguments)


@lru_cache(maxsize=2)  # checked once per process: the digest is that of the data trained on
def _dataset(dataset: str, digest: str) -> Dataset:
    found = views.load(dataset, Silent())
    if found.digest != digest:
        raise ReproError(f"{dataset} has been built again since this run was planned", "run again")
    if fault := views.damage(dataset):
        raise ReproError(fault)
    return found


@lru_cache(maxsize=2)  # jobs of one table share it; two, because rows may alternate
def _split(data: Dataset, protocol: str, params: str) -> Split:
    spec = Spec(protocol, json.loads(params))
    splitter: Splitter = PROTOCOLS.load(protocol)(**spec.arguments())
    return splitter.split(data)
