"""The run in progress: its clock, its losses, its curve, and its checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from repro.model import Stateful
from repro.training import checkpoints, resume
from repro.training.checkpoints import Place
from repro.training.interrupts import Interrupts
from repro.training.outcome import Outcome

CHECKPOINT_SECONDS = 60.0
"""At most so much work is lost when a run is killed, or one epoch if that is longer."""
FIRST_SECONDS = 5.0
"""The first checkpoint comes so early; each wait is twice the one before, up to the longest."""
COST = 0.03
"""Share of the time that the checkpoints before the longest wait may take."""


class Progress:
    """The run in progress, as a model sees it (`repro.model.Run`), and its checkpoint.

    Parameters
    ----------
    seed : int
        Seeds `rng` and torch.
    device : torch.device
        Where to train.
    folder : Path, optional
        The folder of checkpoints, named after the run; if it holds one, training resumes from it.
    report : callable, optional
        Called after every epoch with the phase, the epoch from 1, and the phase's epochs; and when
        a phase resumes, with the epochs that are done.
    attempt : mapping, optional
        A description of this start, such as the code that runs; kept in the checkpoint.
    say : callable, optional
        Called with a message if a checkpoint cannot be used, or a signal is held back.
    may_write : callable, optional
        Called right before a checkpoint is written; raises if the run is another process's by now.
    """

    def __init__(
        self,
        seed: int,
        device: torch.device,
        folder: Path | None = None,
        report: Callable[[str, int, int], None] | None = None,
        attempt: dict[str, Any] | None = None,
        say: Callable[[str], None] | None = None,
        may_write: Callable[[], None] | None = None,
    ) -> None:
        self.seed = seed
        self.device = device
        self.rng = np.random.default_rng(seed)
        torch.manual_seed(seed)
        self.outcome = Outcome()
        self.epoch = 0
        self.final = True  # a model that does not count its epochs has one
        self.look: dict[str, Any] = {}
        self._phase = "train"
        self._losses: dict[str, list[Any]] = {}
        self._loop = -1
        self._over = False
        self._later: tuple[int, Callable[[], dict[str, Any]]] | None = None
        self._folder = folder
        self._report = report or (lambda phase, epoch, n: None)
        self._may_write = may_write or (lambda: None)
        say = say or (lambda text: None)
        self.interrupts = Interrupts(say)
        """Armed while epochs are counted, if there is a folder for the checkpoint."""
        self._from, self._saved = resume.newest(folder, say) if folder else (None, None)
        if self._saved:
            self.outcome = resume.outcome_of(self._saved)
        self.outcome.attempts += [attempt] if attempt else []
        self._began = self._written = time.monotonic()
        self._wait = FIRST_SECONDS

    def begin_anew(self) -> None:
        """Forget what the checkpoint held, but not the description of this start."""
        self._from = self._saved = None
        self.outcome = Outcome(attempts=self.outcome.attempts[-1:])

    def phase(self, name: str) -> None:
        """Begin a phase; forget the best epoch, unless the checkpoint is of this phase or later."""
        self._phase = name
        if self._from is None or self._from.loop <= self._loop:
            self.outcome.forget()
            self._later = None

    def later(self, work: Callable[[], dict[str, Any]]) -> None:
        """Put work off until the end or the next checkpoint; work of a later epoch replaces it.

        What it returns goes into the curve at the current epoch.
        """
        self._later = len(self.outcome.curve), work

    def settle(self) -> None:
        """Do the work that was put off."""
        if self._later:
            place, work = self._later
            self.outcome.curve[place] |= work()
            self._later = None

    def log(self, **losses: Any) -> None:
        """Log losses; their means over the epoch go into the curve."""
        for name, value in losses.items():
            total = self._losses.setdefault(name, [0.0, 0])
            total[0] = total[0] + (value.detach() if isinstance(value, torch.Tensor) else value)
            total[1] += 1

    def epochs(self, n: int, **state: Stateful) -> Iterator[int]:
        """Count n epochs from 0; begin after the last one that the checkpoint holds.

        A signal that comes meanwhile waits until an epoch is over and its checkpoint written.
        """
        self._loop += 1
        first = 0
        if self._from and self._loop < self._from.loop:
            return  # this loop was over when the checkpoint was written
        if self._from and self._saved and self._loop == self._from.loop:
            resume.restore(self._saved, state, self, self._folder)
            first = self._from.epoch
            if first < n:
                self._report(self._phase, first, n)
        try:
            yield from self._counted(first, n, state)
        finally:
            self.interrupts.disarm()

    def _counted(self, first: int, n: int, state: Mapping[str, Stateful]) -> Iterator[int]:
        for epoch in range(first, n):
            if self._folder:
                self.interrupts.arm()
            self.epoch, self.final = epoch, epoch == n - 1
            yield epoch
            self.close_epoch()
            over, self._over = self.final or self._over, False
            self._report(self._phase, epoch + 1, n)
            waited = time.monotonic() - self._written
            due = waited > min(self._wait, CHECKPOINT_SECONDS)
            due = due or self.interrupts.asked is not None
            if self._folder and (over or due):
                self.epoch = n - 1 if over else epoch
                self._write(self._folder, n, state)
                self.interrupts.deliver()
            if over:
                return

    def _write(self, folder: Path, n: int, state: Mapping[str, Stateful]) -> None:
        """Write a checkpoint, and set the time of the next."""
        began = time.monotonic()
        self.settle()
        place = Place(self._loop, self.epoch + 1, n, self._phase)
        content = resume.packed(self.outcome, state, self)
        self._may_write()
        checkpoints.save(folder, content, place)
        self._written = time.monotonic()
        self._wait = max(2 * self._wait, (self._written - began) / COST)

    def end_phase(self) -> None:
        """Make the current epoch the last of its phase."""
        self._over = True

    def close_epoch(self) -> None:
        """Put the epoch's losses and metrics into the curve."""
        now = time.monotonic()
        means = {name: float(total) / n for name, (total, n) in self._losses.items()}
        means_or_words = {k: v if math.isfinite(v) else str(v) for k, v in means.items()}
        entry = {"phase": self._phase, "epoch": self.epoch + 1, "seconds": now - self._began}
        self.outcome.curve.append({**entry, "losses": means_or_words, **self.look})
        self.outcome.seconds += now - self._began
        self._began = now
        self.look, self._losses = {}, {}
