"""Runs on a Ray cluster."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from repro.data import prepare
from repro.data.tell import Silent
from repro.errors import ReproError
from repro.runs.engines import POLL_SECONDS, Ended, Ending, own_cores, plain, waiting_for
from repro.runs.execute import attempt
from repro.runs.plan import Job
from repro.runs.settings import Settings


class Ray:
    """On a Ray cluster: a task for each run, which Ray starts again if its machine dies.

    All machines must share the storage of the folder of runs, and best that of the data cache, too;
    else each machine fetches its own data. `repro` must be installed on all.

    Parameters
    ----------
    address : str
        "ray://host:port" of a cluster's client server; empty: that of ``RAY_ADDRESS``, else a
        cluster on this machine alone.
    per_gpu : int
        How many runs share a GPU.
    settings : Settings
        How; a run asks for `threads` cores of a machine, with 0 for one.
    say : callable, optional
        Called with a message when runs are waited for at an interrupt.
    """

    def __init__(
        self,
        address: str,
        per_gpu: int,
        settings: Settings,
        say: Callable[[str], None] | None = None,
    ) -> None:
        try:
            import ray
        except ImportError as error:
            raise ReproError("Ray is not installed", 'pip install "repro-tables[ray]"') from error
        self._ray = ray
        self._say = say or (lambda text: None)
        settings = replace(settings, runs=settings.runs.resolve(), threads=settings.threads or 1)
        try:
            _connect(ray, address)
        except Exception as error:  # Ray has many; another Python version is one cause
            at = address or os.environ.get("RAY_ADDRESS") or "this machine"
            raise ReproError(f"cannot connect to Ray at {at}: {error}") from error
        on_gpu = settings.device.startswith("cuda") or (
            settings.device == "auto" and ray.cluster_resources().get("GPU", 0) > 0
        )
        own = {
            k: v for k, v in os.environ.items() if k in ("REPRO_HOME", "REPRO_PATH", "REPRO_MIRROR")
        }
        task = ray.remote(
            num_cpus=settings.threads,
            num_gpus=1 / per_gpu if on_gpu else 0,
            max_retries=RETRIES,
        )(_remote)
        self._task: Any = lambda job: task.remote(job, settings, own)
        self._running: dict[Any, Job] = {}

    def has_room(self) -> bool:
        """Return True: Ray queues what has no room yet."""
        return True

    def start(self, job: Job) -> None:
        """Hand a job to the cluster."""
        self._running[self._task(job)] = job

    def wait(self) -> list[Ended]:
        """Return what the tasks that have ended returned, or how they died."""
        ready, _ = self._ray.wait(list(self._running), timeout=POLL_SECONDS)
        ended: list[Ended] = []
        for task in ready:
            job = self._running.pop(task)
            try:
                ended.append((job, *self._ray.get(task)))
            except self._ray.exceptions.RayError as error:
                lost = ReproError(
                    f"the cluster did not return this run: {error}",
                    f"it was tried {RETRIES + 1} times if a machine died; run again: it resumes if "
                    "it has a checkpoint",
                )
                ended.append((job, lost, []))
        return ended

    def active(self) -> list[Job]:
        """Return the jobs that the cluster has."""
        return list(self._running.values())

    def stop(self) -> None:
        """Cancel what has not begun, wait for the checkpoints of the rest, and disconnect.

        At an interrupt the rest is killed.
        """
        tasks = list(self._running)
        try:
            for task in tasks:
                self._ray.cancel(task, force=False)  # a worker hears it as Ctrl-C
            if tasks:
                self._say(waiting_for(len(tasks)))
                self._ray.wait(tasks, num_returns=len(tasks))
        except KeyboardInterrupt:
            for task in tasks:
                self._ray.cancel(task, force=True)
            raise
        finally:
            self._ray.shutdown()


def _connect(ray: Any, address: str) -> None:
    """Connect to a cluster, or make one that has the cores which this process may use."""
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address or os.environ.get("RAY_ADDRESS"):
        ray.init(address=address or None, **quiet)
        return
    try:
        ray.init(num_cpus=own_cores(), **quiet)
    except ValueError:  # `ray start` has made one here, which has its own number of cores
        ray.init(**quiet)


RETRIES = 3
"""How often a run is started again after its machine died."""


def _remote(job: Job, settings: Settings, environment: dict[str, str]) -> tuple[Ending, list[str]]:
    """Run a job on a machine of the cluster; return its outcome and its messages."""
    os.environ |= environment
    said: list[str] = []
    try:
        prepare.prepare(job.experiment.dataset, Silent())
    except ReproError as error:
        return plain(error), said
    return plain(attempt(job, settings, None, said.append)), said
