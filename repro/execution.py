"""Run experiments: one from data to record, or many one after the other."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import platform
import subprocess
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import repro
from repro import records
from repro.data import views
from repro.errors import ReproError, UnsupportedError
from repro.experiment import MODELS, PROTOCOLS, Spec, canonical
from repro.paths import write_atomically
from repro.planning import Job
from repro.records import Record
from repro.split import Split, Splitter
from repro.training import Progress, fit

Report = Callable[[str, int, int], None]
"""Told of every epoch: phase, epoch from 1, epochs of the phase."""


@dataclass
class Done:
    """What became of many jobs."""

    finished: list[Record] = field(default_factory=list)
    failed: list[tuple[Job, ReproError]] = field(default_factory=list)
    refused: list[tuple[Job, UnsupportedError]] = field(default_factory=list)
    """Models under protocols that they cannot serve: a fact, not a failure."""


def run(
    job: Job,
    runs: Path,
    device: torch.device,
    report: Report | None = None,
    *,
    afresh: bool = False,
) -> Record:
    """Run one experiment end to end and write its record; go on from its checkpoint, if any.

    Parameters
    ----------
    job : Job
        The experiment; its view must be in the cache.
    runs : Path
        The folder of records.
    device : torch.device
        Where to train and rank.
    report : callable, optional
        Told of every epoch.
    afresh : bool
        Forget the checkpoint.
    """
    began = datetime.datetime.now(datetime.UTC)
    code = code_version() | _user_code(job)
    experiment = job.experiment
    data = views.load(experiment.dataset)
    split = _split(experiment.dataset, data.digest, canonical(asdict(experiment.protocol)))
    id = experiment.id(data.digest)
    model = MODELS.load(experiment.model.name)(**_arguments(experiment.model))
    checkpoint = runs / id / records.CHECKPOINT
    if afresh:
        checkpoint.unlink(missing_ok=True)
    attempt = {"began": began.isoformat(timespec="seconds"), "device": str(device), **code}
    progress = Progress(experiment.seed, device, checkpoint, report, attempt)
    outcome = fit(
        model,
        split,
        progress,
        name=experiment.model.name,
        metrics=job.metrics,
        select=experiment.select,
        every=experiment.every,
        patience=experiment.patience,
    )
    ranking = outcome.ranking
    assert ranking is not None, f"{experiment.model.name} yielded no scorer"
    record = Record(
        id=id,
        experiment=experiment.as_json(),
        digest=data.digest,
        verified=data.verified,
        code=code,
        environment=environment(device),
        began=began.isoformat(timespec="seconds"),
        seconds=round(outcome.seconds, 3),
        epoch=outcome.epoch,
        n_users=len(ranking.n_targets),
        tie_size=ranking.tie_size,
        constant=ranking.constant,
        results=outcome.results,
        curve=outcome.curve,
        cases=split.test.digest(),
        attempts=outcome.attempts,
        folder=runs / id,
    )
    records.save(runs, record, ranking.hits, ranking.n_targets)
    return record


def run_all(
    jobs: list[Job],
    runs: Path,
    device: torch.device,
    *,
    began: Callable[[Job], Report],
    ended: Callable[[Job, Record | ReproError], None],
    afresh: bool = False,
) -> Done:
    """Run experiments one after the other; one that fails does not stop the others.

    Parameters
    ----------
    jobs : list of Job
        What to run.
    runs : Path
        The folder of records.
    device : torch.device
        Where.
    began : callable
        Told of each job as it begins; returns what is told of its epochs.
    ended : callable
        Told of each job's record, or of its error.
    afresh : bool
        Begin at the first epoch even where a checkpoint is.
    """
    done = Done()
    for job in jobs:
        report = began(job)
        try:
            record = run(job, runs, device, report, afresh=afresh)
        except UnsupportedError as error:
            done.refused.append((job, error))
            ended(job, error)
        except ReproError as error:
            done.failed.append((job, error))
            ended(job, error)
        except Exception as error:  # a model's bug, no memory: the other runs must not suffer
            name = f"{job.experiment.model.name}-{job.experiment.id('')}.log"
            log = runs / "failures" / name
            write_atomically(log, traceback.format_exc().encode())
            failure = ReproError(f"{type(error).__name__}: {error}", f"the traceback is in {log}")
            done.failed.append((job, failure))
            ended(job, failure)
        else:
            done.finished.append(record)
            ended(job, record)
    return done


def chosen_device(name: str, threads: int = 0) -> torch.device:
    """Return the device for "auto", "cpu" or "cuda".

    Parameters
    ----------
    name : str
        What was asked for.
    threads : int
        How many CPU threads torch may use; 0: its own choice.

    Raises
    ------
    ReproError
        If CUDA is asked for and not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ReproError("no CUDA device is available", "use --device cpu")
    if threads:
        torch.set_num_threads(threads)
    return torch.device(name)


@lru_cache(maxsize=2)  # jobs of one table share it; two, because rows may alternate
def _split(dataset: str, digest: str, protocol: str) -> Split:
    spec = json.loads(protocol)
    splitter: Splitter = PROTOCOLS.load(spec["name"])(**_arguments(Spec(**spec)))
    return splitter.split(views.load(dataset))


def _arguments(spec: Spec) -> dict[str, Any]:
    """Return parameters as a frozen dataclass wants them: tuples for lists."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in spec.params.items()}


@lru_cache(maxsize=1)  # what was loaded when the first run began, not what is edited meanwhile
def code_version() -> dict[str, Any]:
    """Return version and sha256 of the sources; in a checkout the commit, and if it is dirty."""
    package = Path(repro.__file__).parent
    root = package.parent
    sources = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        sources.update(f"{path.relative_to(package)}\n".encode() + path.read_bytes())
    version: dict[str, Any] = {"version": repro.__version__, "sources": sources.hexdigest()}
    if (root / ".git").exists():
        commit = _git(root, "rev-parse", "HEAD")
        if commit:
            version |= {"commit": commit, "dirty": bool(_git(root, "status", "--porcelain"))}
    return version


def _user_code(job: Job) -> dict[str, Any]:
    """Return the sha256 of each plug-in of the run that is not ours."""
    entries = (
        MODELS.entry(job.experiment.model.name),
        PROTOCOLS.entry(job.experiment.protocol.name),
    )
    ours = Path(repro.__file__).parent
    return {
        entry.path.name: hashlib.sha256(entry.path.read_bytes()).hexdigest()
        for entry in entries
        if not entry.path.is_relative_to(ours)
    }


def _git(root: Path, *arguments: str) -> str:
    try:
        asked = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:  # no git on this machine
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""


def environment(device: torch.device) -> dict[str, Any]:
    """Return library versions and hardware."""
    return {
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("torch", "numpy", "scipy", "pandas")},
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "cuda": torch.version.cuda if device.type == "cuda" else None,
    }


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
