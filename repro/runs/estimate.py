"""Estimate how long a run takes on this machine: time two epochs of every loop, and an evaluation.

That is done on ever more of the users, while time allows, and extrapolated in a straight line: what
does not depend on the users does not grow with them. Where an epoch on all users takes too long,
its first steps show if it is slower than on the line, as where blocks have whole columns.
"""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from repro.errors import ReproError
from repro.model import Scorer, Stateful
from repro.runs import memory
from repro.runs.execute import model_of, split_of
from repro.runs.machine import chosen_device
from repro.runs.plan import Job
from repro.runs.settings import Settings
from repro.split import Cases, Split
from repro.training.fit import check_cases, check_users
from repro.training.progress import Progress
from repro.training.ranking import rank

SHARES = (1 / 512, 1 / 64, 1 / 8, 1.0)
"""Shares of the users that a model trains on; the first to its end, the others if time allows."""

LONG = 1 / 8
"""Share of the time allowed; a longer epoch is run only once: little of it is one-time work."""

LOOK = 1 / 16
"""Share of the time allowed that evaluating ever more test cases may take."""

BETTER = 0.4
"""Share of the evaluations that are better than all before, so that a model's parts are ranked,
too; the mean of twelve runs of DAVE's Table 4."""


class _Enough(Exception):  # noqa: N818 - it is no error
    """The time is up."""


class _Play(Progress):
    """A run on n of the users that trains two epochs from the middle of every loop.

    The first of them also has the one-time work; the second stands for all others.
    """

    def __init__(
        self, job: Job, split: Split, n: int, device: torch.device, reached: tuple[int, int]
    ) -> None:
        super().__init__(job.experiment.seed, device)
        self.n = n
        self._job, self._split, self._reached = job, split, reached
        self._users = np.arange(n) * split.train.n_users // n  # from all over the data
        self.n_pairs = int(split.train.counts[self._users].sum())
        self.once = self.aside = 0.0  # seconds outside of epochs: the model's; to time evaluations
        self.played = self.all = 0.0  # seconds of epochs: those trained; all that are to come
        self.steps, self.pace = 0, 0.0  # logged in an epoch of the first loop; seconds of each
        self.looks = 0.0  # seconds of all evaluations on all cases
        self.checkpoint = 0  # bytes
        self._n_looks = self._steps = 0
        self._unseen = 1  # evaluations in a loop; one of a scorer outside of all loops

    def run(self, seconds: float, deadline: float) -> None:
        """Train, and stop after a deadline of `time.monotonic`; `seconds` is the time allowed."""
        self._seconds, self._deadline = seconds, deadline
        model, train = model_of(self._job), self._split.train.rows(self._users)
        look: tuple[float, float] | None = None
        began = self._since = self._clock()
        for scorer in model.epochs(train, self):
            ready = self._clock()
            look = self._look(scorer) if look is None else look
            self._n_looks, self._unseen = self._n_looks + self._unseen, 0
            self.aside += self._clock() - ready
        if look is None and not self.outcome.curve:
            raise ReproError("the model has no epoch")
        self.once = self._clock() - began - self.played
        each, once = look or (0.0, 0.0)
        self.looks = self._n_looks * each + once

    def epochs(self, n: int, **state: Stateful) -> Iterator[int]:
        """Count the two of n epochs that are trained."""
        self._loop += 1
        loop, done = self._reached
        to_come = range(done if self._loop == loop else n if self._loop < loop else 0, n)
        every = self._job.experiment.every
        self._unseen = sum(not epoch % every or epoch == n - 1 for epoch in to_come)
        spent: list[float] = []
        first_loop = not self.outcome.curve
        first = max(0, min(n // 2, n - 2))
        for epoch in range(first, min(first + 2, n)):
            if spent and spent[0] > LONG * self._seconds:
                break
            self.epoch, self.final = epoch, epoch == n - 1
            self._steps, self._since = 0, self._clock()
            yield epoch
            self.close_epoch()
            spent.append(self._clock() - self._since)
            if first_loop:
                self.steps, self.pace = self._steps, spent[-1] / max(1, self._steps)
        if to_come:
            self.all += spent[0] + spent[-1] * (len(to_come) - 1)
        self.played += sum(spent)
        size = sum(_bytes(part.state_dict()) for part in state.values())
        self.checkpoint, self._unseen = max(self.checkpoint, size), 1

    def log(self, **losses: Any) -> None:
        """Log losses, as long as there is time."""
        super().log(**losses)
        self._steps += 1
        if time.monotonic() > self._deadline:
            self.pace = self.pace or (self._clock() - self._since) / self._steps
            raise _Enough

    def _clock(self) -> float:
        """Return the model's seconds so far, once the device has done its work."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.monotonic() - self.aside

    def _look(self, scorer: Scorer) -> tuple[float, float]:
        """Return the seconds of an evaluation, and of the one of the further cases, done only once.

        They are estimated from some test cases whose users are known.
        """
        split, experiment = self._split, self._job.experiment
        test, asked = split.test, split.test.queries.user
        row = np.searchsorted(self._users, asked).clip(max=self.n - 1)
        known = np.flatnonzero((asked < 0) | (self._users[row] == asked))
        if not len(known):
            return 0.0, 0.0
        queries = replace(test.queries, user=np.where(asked < 0, -1, row))
        seen = [(0, 0.0)]
        for n in sorted({min(8**k, len(test)) for k in range(8)}):
            if len(seen) > 2 and _line(seen, n) > LOOK * self._seconds:
                break
            some = np.resize(known, n)  # repeated, where they are fewer
            began = time.monotonic()
            rank(scorer, Cases(queries.rows(some), test.targets.rows(some)), experiment.model.name)
            seen.append((n, time.monotonic() - began))
        parts, further = getattr(type(scorer), "parts", None), sum(split.others.values(), ())
        share = 1.0 if not experiment.selection.metric else BETTER
        of_parts = share * len(test) * len(parts(scorer) if callable(parts) else ())
        each, once = len(test) + len(split.valid or ()) + of_parts, sum(map(len, further))
        of_one = _line(seen, len(test)) / len(test)
        return of_one * each, of_one * once


@dataclass(frozen=True)
class Estimate:
    """How long a run will take."""

    seconds: float
    ended: bool
    """Whether enough was measured; else the run takes longer."""
    checkpoint: int
    """Bytes of one of its checkpoints; three are on disk at most, and none when it has ended."""


def load() -> tuple[float, int]:
    """Return how many threads were busy in the last minute, and how many processors there are.

    0 threads if unknown. On a busy machine the threads of a small model wait for each other, which
    makes it many times slower.
    """
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0, os.cpu_count() or 1


def measure(
    job: Job, settings: Settings, seconds: float, reached: tuple[int, int] = (0, 0)
) -> Estimate | str:
    """Return how long a run will take on this machine, or why that is unknown.

    Parameters
    ----------
    job : Job
        The experiment; its view must be in the cache.
    settings : Settings
        Where and how.
    seconds : float
        How long the measurement may take. The smallest share of the users may take longer, and so
        may a step or a fit that cannot be stopped.
    reached : tuple of int
        How far the run is already: the loop of epochs, from 0, and how many of them are done.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # about so few users
            return _measured(job, settings, seconds, reached)
    except ReproError as error:
        return error.message
    except Exception as error:  # a model's bug is for the run to report
        return memory.shortage(error) or f"{type(error).__name__}: {error}"


def memory_of(job: Job, settings: Settings) -> dict[str, int] | None:
    """Return how much memory a run takes: of the "process", and of the "device" if it has its own.

    None if its model does not say, or if the run cannot be planned.

    Parameters
    ----------
    job : Job
        The experiment; its view must be in the cache.
    settings : Settings
        Where and how.
    """
    try:
        device = chosen_device(settings.device, settings.threads, settings.deterministic)
        need = memory.needed(model_of(job), split_of(job).train)
    except Exception:  # `measure` comes here, too, and says what is wrong
        return None
    if need is None or device.type == "cuda":
        return need and need._asdict()
    return {"process": max(need)}


def _measured(job: Job, settings: Settings, seconds: float, reached: tuple[int, int]) -> Estimate:
    device = chosen_device(settings.device, settings.threads, settings.deterministic)
    split = split_of(job)
    model, name = model_of(job), job.experiment.model.name
    check_cases(split, job.experiment.selection)
    check_users(model, split, name)
    if settings.memory_check:
        memory.check(model, name, split.train, device)
    n_users, params = split.train.n_users, job.experiment.model.params
    batch = max((size for key, size in params.items() if key.endswith("batch_size")), default=0)
    per_step = batch or params.get("block_size", n_users)
    plays: list[_Play] = []
    cut: _Play | None = None
    obstacle: Exception | None = None
    began = time.monotonic()
    for n in _shares(n_users, batch):
        play = _Play(job, split, n, device, reached)
        left = began + seconds - time.monotonic()
        left -= _line([(p.n, p.once + p.aside) for p in plays], n)
        fits = left > _line([(p.n, p.played) for p in plays], n, batch)
        in_part = n == n_users and len(plays) > 1 and _steps(play, plays, per_step) > 1
        in_part = in_part and left > 4 * plays[-1].pace  # or too little is measured
        if (plays or obstacle) and not fits and not in_part:
            continue
        try:
            play.run(seconds, began + seconds if plays or obstacle else math.inf)
            plays.append(play)
        except _Enough:
            cut = play
            break
        except Exception as error:  # such as too few users for a model's dimensions
            obstacle = error
    if obstacle and not plays:
        raise obstacle
    full = [p for p in plays if p.n >= batch] or plays  # a shorter step says little
    slower = 1.0
    if cut and len(plays) > 1:
        on_line = _line([(p.n, p.pace * p.steps) for p in full], cut.n, batch)
        seen = cut.pace * (cut.steps or _steps(cut, plays, per_step))
        slower = max(1.0, seen / on_line) if on_line else 1.0
    once = _line([(p.n, p.once) for p in plays], n_users)
    epochs = _line([(p.n, p.all) for p in full], n_users, batch)
    size = _line([(p.n, p.checkpoint) for p in plays], n_users)
    told = len(full) > 1 or full[0].n == n_users or full[0].n >= batch > 0
    return Estimate(once + slower * epochs + plays[-1].looks, told, round(size))


def _shares(n_users: int, batch: int) -> list[int]:
    """Return how many users each share has: whole batches, if that is not far more."""
    found = set()
    for share in SHARES:
        n = max(1, int(share * n_users))
        whole = math.ceil(n / batch) * batch if batch else n
        found.add(min(n_users, whole if whole <= 8 * n else n))
    return sorted(found)


def _line(points: Sequence[tuple[int, float]], x: int, batch: int = 0) -> float:
    """Return the value at x of the line through the last two points, which does not fall.

    With only one point the value is constant; with batches of users the line starts at 0, and the
    point counts as one batch at least.
    """
    if not points:
        return 0.0
    if batch and len(points) == 1:
        points = [(0, 0.0), (max(batch, points[0][0]), points[0][1])]
    *_, (x1, y1), (x2, y2) = [points[0], *points]
    return y2 + max(0.0, y2 - y1) / max(1, x2 - x1) * max(0, x - x2)


def _steps(play: _Play, plays: list[_Play], batch: int) -> float:
    """Return the steps of an epoch that did not end.

    They grow with the batches of users, if they did so in the last two runs that ended; else with
    the pairs.
    """
    one, two = plays[-2:]
    batches = {p: math.ceil(p.n / batch) for p in (one, two, play)}
    by_batch = one.steps * batches[two] == two.steps * batches[one]
    ratio = batches[play] / batches[two] if by_batch else play.n_pairs / two.n_pairs
    return two.steps * ratio


def _bytes(state: Any) -> int:
    """Return the bytes of all tensors in a state, however deep."""
    if isinstance(state, torch.Tensor):
        return state.numel() * state.element_size()
    if isinstance(state, dict):
        return sum(map(_bytes, state.values()))
    return sum(map(_bytes, state)) if isinstance(state, (list, tuple)) else 0
