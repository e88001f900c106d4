"""Run an experiment, from data to record; go on from where an earlier attempt was cut off."""

from __future__ import annotations

import ctypes
import datetime
import hashlib
import json
import os
import platform
import resource
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits

import repro
from repro import checkpoints, claims, planning, records
from repro.claims import BusyError
from repro.data import views
from repro.errors import ReproError, UnsupportedError
from repro.experiment import MODELS, PROTOCOLS, Spec, canonical
from repro.planning import Job
from repro.records import Failure, Record
from repro.split import Split, Splitter
from repro.training import Outcome, Progress, fit

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
    folder = settings.runs / planning.run_id(job)
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
    folder = settings.runs / planning.run_id(job)
    with claims.held(folder, job.label) as claim:

        def told(phase: str, epoch: int, n: int) -> None:
            claim.tell(phase, epoch, n)
            if report:
                report(phase, epoch, n)

        digest = views.load(job.experiment.dataset).digest
        known = records.find(settings.runs, digest, job.experiment.as_json(), folder.name)
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


def _trained(
    job: Job, settings: Settings, report: Report, say: Callable[[str], None] | None
) -> tuple[Record, Outcome]:
    device = chosen_device(settings)
    began = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
    code = code_version() | _user_code(job)
    experiment = job.experiment
    data = views.load(experiment.dataset)
    _check_view(experiment.dataset, data.digest)
    split = split_of(job, data.digest)
    id = experiment.id(data.digest)
    start = {"began": began, "device": str(device), **code}
    _forget_peak(device)
    progress = Progress(experiment.seed, device, settings.runs / id, report, start, say)
    with subnormals_as_zero():
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
        )
    ranking = outcome.ranking
    if ranking is None:
        raise ReproError(f"{experiment.model.name} yielded no scorer", "it needs an epoch at least")
    record = Record(
        id=id,
        experiment=experiment.as_json(),
        digest=data.digest,
        verified=data.verified,
        code=code,
        environment=environment(device) | {"deterministic": settings.deterministic},
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
        peak_bytes=_peak(device),
        folder=settings.runs / id,
    )
    return record, outcome


def model_of(job: Job) -> Any:
    """Return a job's model, with its hyper-parameters."""
    spec = job.experiment.model
    return MODELS.load(spec.name)(**_arguments(spec))


def _seconds(moment: str) -> float:
    return datetime.datetime.fromisoformat(moment).timestamp()


def chosen_device(settings: Settings) -> torch.device:
    """Return the device to run on, and set torch up for it.

    Raises
    ------
    ReproError
        If CUDA is asked for and not there.
    """
    name = settings.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda"):
        if not torch.cuda.is_available():
            raise ReproError("no CUDA device is available", "use --device cpu")
        # cuBLAS reads this when it starts: with it, the same sums in the same order.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(settings.deterministic)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    # What numpy and scipy multiply with has threads of its own, whose number moves last digits.
    import scipy.linalg  # noqa: F401 - loads it, so that there is something to limit

    threadpool_limits(torch.get_num_threads(), user_api="blas")
    keep_freed_memory()
    return torch.device(name)


@contextmanager
def subnormals_as_zero() -> Iterator[None]:
    """Let the CPU take numbers below 1.2e-38 for 0, as far as it can.

    With them an x86 multiplies far more slowly, and a VampPrior's gradients are full of them: those
    of the components that are far from a user. An epoch of H+Vamp (Gated) on MovieLens-1M takes 12
    s; with them the first 41 took 66 s each. The threads that torch begins meanwhile do as the one
    that begins them.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def keep_freed_memory() -> None:
    """Let the memory that an update frees serve the next one.

    glibc gives blocks of more than 32 MiB back to the system at once, and the end of its heap now
    and then; asked for again, every page of them is a fault. On 20,000 items these take a third of
    an update of CDAE.
    """
    trim_threshold, mmap_threshold = -1, -3  # as malloc.h numbers them
    with suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        mallopt(mmap_threshold, 2**28)
        mallopt(trim_threshold, 2**31 - 1)


def _forget_peak(device: torch.device) -> None:
    """Begin to measure the most memory from here on, where the system can."""
    with suppress(OSError):  # there is no such file, or it may not be written
        Path("/proc/self/clear_refs").write_text("5")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _peak(device: torch.device) -> dict[str, int]:
    """Return the most memory that was held, in bytes, by the process and on the device."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    peaks = [1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    unit = 1 if sys.platform == "darwin" else 1024
    found = {"process": (peaks or [unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss])[0]}
    if device.type == "cuda":
        found["device"] = torch.cuda.max_memory_allocated(device)
    return found


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
            changed = _git(root, "status", "--porcelain", "--", package.name)
            version |= {"commit": commit, "dirty": bool(changed)}
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
        **{
            name: metadata.version(name)
            for name in ("torch", "numpy", "scipy", "pandas", "pyarrow")
        },
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
