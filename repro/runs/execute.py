"""Run an experiment, from data to record; go on from where an earlier attempt was cut off."""

from __future__ import annotations

import datetime
import json
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from repro.data import views
from repro.errors import ReproError, UnsupportedError
from repro.experiment import Spec, canonical
from repro.plugins import MODELS, PROTOCOLS
from repro.runs import locks, machine, records, status
from repro.runs.locks import BusyError
from repro.runs.plan import Job
from repro.runs.provenance import code_version, n_sources, plugins
from repro.runs.records import Failure, Record
from repro.split import Split, Splitter
from repro.training import checkpoints
from repro.training.fit import fit
from repro.training.outcome import Outcome
from repro.training.progress import Progress

Report = Callable[[str, int, int], None]
"""Told of every epoch: phase, epoch from 1, epochs of the phase."""


@dataclass(frozen=True)
class Settings:
    """How to run: changes no number, but for device and threads in the last digits."""

    runs: Path
    """The folder of records."""
    device: str = "auto"
    """"auto", "cpu", "cuda" or "cuda:1"."""
    threads: int = 0
    """CPU threads, of torch and of what numpy and scipy multiply with; 0: torch's own choice."""
    deterministic: bool = True
    """On a GPU, only algorithms that give the same bits each time."""
    since: float | None = None
    """Forget records and checkpoints from before this moment, in seconds since 1970."""


def attempt(
    job: Job,
    settings: Settings,
    report: Report | None = None,
    say: Callable[[str], None] | None = None,
) -> Record | ReproError:
    """Run an experiment; return its record, or what came in the way, which is recorded too.

    Parameters
    ----------
    job : Job
        The experiment; its view must be in the cache.
    settings : Settings
        Where and how.
    report, say : callable, optional
        Told of every epoch, and of what the user should know.
    """
    folder = settings.runs / status.run_id(job)
    trace = ""
    try:
        return run(job, settings, report, say)
    except BusyError as error:  # no failure: another process is at it
        return error
    except ReproError as error:
        obstacle = error
    except Exception as error:  # a model's bug, no memory: the other runs must not suffer
        trace = traceback.format_exc()
        obstacle = ReproError(
            f"{type(error).__name__}: {error}", f"the traceback is in {folder / records.FAILURE}"
        )
    when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    refused = isinstance(obstacle, UnsupportedError)
    failure = Failure(str(obstacle), when, code_version(), trace, refused)
    records.save_failure(folder, failure)
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
        As of `attempt`.

    Raises
    ------
    BusyError
        If another process is at it.
    """
    folder = settings.runs / status.run_id(job)
    with locks.held(folder, job.label) as claim:

        def told(phase: str, epoch: int, n: int) -> None:
            claim.tell(phase, epoch, n)
            if report:
                report(phase, epoch, n)

        digest = views.load(job.experiment.dataset).digest
        known = _known(job, settings, digest, folder.name)
        fresh = known and (settings.since is None or _seconds(known.began) >= settings.since)
        if known and fresh and job.is_done_by(known):
            return known
        if known:  # another table asked for other metrics; they are not to be lost
            job = replace(job, metrics=tuple(dict.fromkeys([*job.metrics, *known.results])))
        if settings.since is not None:
            for file in checkpoints.present(folder):
                if file.stat().st_mtime < settings.since:
                    file.unlink()
        record, outcome = _trained(job, settings, told, say)
        claim.check()
        ranking = outcome.ranking
        assert ranking is not None, "the record tells of it"
        embeddings = {name: rows.numpy() for name, rows in outcome.embeddings.items()}
        records.save(settings.runs, record, ranking.hits, ranking.n_targets, embeddings)
        return record


def _known(job: Job, settings: Settings, digest: str, id: str) -> Record | None:
    """Return the record that there is; a damaged one counts as none to who forces the run."""
    try:
        return records.find(settings.runs, digest, job.experiment, id)
    except ReproError:
        if settings.since is None:
            raise
    return None


def _trained(
    job: Job, settings: Settings, report: Report, say: Callable[[str], None] | None
) -> tuple[Record, Outcome]:
    device = machine.chosen_device(settings.device, settings.threads, settings.deterministic)
    began = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
    experiment = job.experiment
    code = code_version() | plugins(experiment)
    data = views.load(experiment.dataset)
    _check_view(experiment.dataset, data.digest)
    split = split_of(job, data.digest)
    id = experiment.id(data.digest)
    now = machine.environment(device)
    start = {"began": began, "device": str(device), "threads": now["threads"], **code}
    machine.forget_peak(device)
    progress = Progress(experiment.seed, device, settings.runs / id, report, start, say)
    if say and n_sources([code, *progress.outcome.attempts]) > 1:
        say(f"{job.label}: the code has changed since its checkpoint; --force begins anew")
    with machine.subnormals_as_zero():
        outcome = fit(
            model_of(job),
            split,
            progress,
            name=experiment.model.name,
            metrics=job.metrics,
            select=experiment.select,
            every=experiment.every,
            patience=experiment.patience,
            patience_from=experiment.patience_from,
            curve=tuple(need.name for need in job.needs if need.kind == "metric"),
        )
    ranking = outcome.ranking
    if ranking is None:
        raise ReproError(f"{experiment.model.name} yielded no scorer", "it needs an epoch at least")
    record = Record(
        id=id,
        experiment=experiment,
        digest=data.digest,
        verified=data.verified,
        code=code,
        environment=now | {"deterministic": settings.deterministic},
        began=began,
        seconds=round(outcome.seconds, 3),
        epoch=outcome.epoch,
        n_users=len(ranking.n_targets),
        tie_size=ranking.tie_size,
        constant=ranking.constant,
        results=outcome.results,
        curve=outcome.curve,
        cases=split.test.digest(),
        attempts=outcome.attempts,
        peak_bytes=machine.peak(device),
        folder=settings.runs / id,
    )
    return record, outcome


def model_of(job: Job) -> Any:
    """Return a job's model, with its hyper-parameters."""
    spec = job.experiment.model
    return MODELS.load(spec.name)(**_arguments(spec))


def _seconds(moment: str) -> float:
    return datetime.datetime.fromisoformat(moment).timestamp()


def split_of(job: Job, digest: str) -> Split:
    """Return what a job's protocol makes of its data, which has a digest."""
    experiment = job.experiment
    return _split(experiment.dataset, digest, canonical(asdict(experiment.protocol)))


@lru_cache  # once a process: what is trained on is what the record's digest says
def _check_view(dataset: str, _digest: str) -> None:
    if fault := views.damage(dataset):
        raise ReproError(fault)


@lru_cache(maxsize=2)  # jobs of one table share it; two, because rows may alternate
def _split(dataset: str, digest: str, protocol: str) -> Split:
    spec = json.loads(protocol)
    splitter: Splitter = PROTOCOLS.load(spec["name"])(**_arguments(Spec(**spec)))
    return splitter.split(views.load(dataset))


def _arguments(spec: Spec) -> dict[str, Any]:
    """Return parameters as a frozen dataclass wants them: tuples for lists."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in spec.params.items()}
