"""Estimate how long a run takes on this machine, from an epoch and a look at it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from repro.data import views
from repro.errors import ReproError
from repro.evaluation import rank
from repro.execution import Settings, chosen_device, model_of, split_of
from repro.model import Stateful
from repro.planning import Job
from repro.training import Progress

MEASURED_SHARES = (1.0, 1 / 8, 1 / 64, 1 / 512)
"""Of the users, of which one epoch is tried, until one is short enough."""


class _Enough(Exception):  # noqa: N818 - it is no error
    """A measured step is over."""


class _Stopwatch(Progress):
    """A run that stops after its first epoch, or within it when its time is up."""

    def __init__(self, seed: int, device: torch.device, seconds: float) -> None:
        super().__init__(seed, device)
        self._deadline = time.monotonic() + seconds
        self._state: dict[str, Stateful] = {}

    def epochs(self, n: int, **state: Stateful) -> Iterator[int]:
        self._state = state
        return super().epochs(n, **state)

    def checkpoint_bytes(self) -> int:
        """Return how large the state in a checkpoint of the loop in progress is."""
        return sum(_bytes(part.state_dict()) for part in self._state.values())

    def log(self, **losses: Any) -> None:
        super().log(**losses)
        if time.monotonic() > self._deadline:
            raise _Enough


@dataclass(frozen=True)
class Estimate:
    """How long a run will take."""

    seconds: float
    ended: bool
    """Whether an epoch was seen to its end; else the run takes longer."""
    checkpoint: int
    """Bytes of one of its checkpoints; three lie on disk at most, and none when it has ended."""


def load() -> float:
    """Return how busy this machine was in the last minute: 1 if all processors were; 0 if unknown.

    Threads of a small model that wait for each other on a busy machine make it many times slower.
    """
    return os.getloadavg()[0] / (os.cpu_count() or 1) if hasattr(os, "getloadavg") else 0.0


def measure(job: Job, settings: Settings, seconds: float) -> Estimate | str:
    """Return how long a run will take on this machine, or why that cannot be said.

    It is told from a look, and from the second epoch: the first also loads what is loaded once.

    Parameters
    ----------
    job : Job
        The experiment; its view must be in the cache.
    settings : Settings
        Where and how.
    seconds : float
        How long an epoch may be watched, until its next batch. One that takes longer is tried
        again on ever fewer users, and taken to grow with their number.
    """
    try:
        return _measured(job, settings, seconds)
    except ReproError as error:
        return error.message
    except Exception as error:  # a model's bug is for the run to tell
        return f"{type(error).__name__}: {error}"


def _measured(job: Job, settings: Settings, seconds: float) -> Estimate | str:
    device = chosen_device(settings)
    experiment = job.experiment
    data = views.load(experiment.dataset)
    split = split_of(job, data.digest)
    params = experiment.model.params
    n_epochs = sum(n for key, n in params.items() if key.endswith("epochs") and n) or 1
    n_users = split.train.n_users
    size = 0
    for share in MEASURED_SHARES:
        users = np.arange(max(1, int(share * n_users)))
        watch = _Stopwatch(experiment.seed, device, seconds)
        epochs = iter(model_of(job).epochs(split.train.rows(users), watch))
        began = time.monotonic()
        try:
            scorer = next(epochs, None)
        except _Enough:
            size = size or watch.checkpoint_bytes()
            continue
        if scorer is None:
            return "the model has no epoch"
        spent = time.monotonic() - began
        if n_epochs > 1:
            began = time.monotonic()
            with contextlib.suppress(_Enough):  # then the first has to do
                scorer = next(epochs, None) or scorer
                spent = min(spent, time.monotonic() - began)
        look = 0.0
        if len(users) == n_users:  # else the scorer does not know them all
            began = time.monotonic()
            rank(scorer, split.test, experiment.model.name)
            look = time.monotonic() - began
            look *= 1 + sum(len(draws) for draws in split.others.values())
        epoch = spent * n_users / len(users)
        size = size or watch.checkpoint_bytes()  # of all users, or as near as can be had
        return Estimate(n_epochs * epoch + n_epochs / experiment.every * look, True, size)
    return Estimate(n_epochs * seconds, False, size)


def _bytes(state: Any) -> int:
    """Return the bytes of all tensors in a state, however deep."""
    if isinstance(state, torch.Tensor):
        return state.numel() * state.element_size()
    if isinstance(state, dict):
        return sum(map(_bytes, state.values()))
    return sum(map(_bytes, state)) if isinstance(state, (list, tuple)) else 0
