"""The run in progress: its clock, its losses, its curve, and its checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from repro.model import Stateful
from repro.training import checkpoints, resume
from repro.training.outcome import Outcome

CHECKPOINT_SECONDS = 60.0
"""At most so much work is lost when a run is interrupted, or one epoch if that is longer."""


class Progress:
    """The run in progress, as a model sees it (`repro.model.Run`), and its checkpoint.

    Parameters
    ----------
    seed : int
        Seeds `rng` and torch.
    device : torch.device
        Where to train.
    folder : Path, optional
        The folder of checkpoints; if it holds one, training resumes from it.
    report : callable, optional
        Called after every epoch with the phase, the epoch from 1, and the phase's epochs.
    attempt : mapping, optional
        A description of this start, such as the code that runs; kept in the checkpoint.
    say : callable, optional
        Called with a message if a checkpoint cannot be read.
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
        self._saved = resume.newest(folder, say or (lambda text: None)) if folder else None
        if self._saved:
            self.outcome = resume.outcome_of(self._saved)
        self.outcome.attempts += [attempt] if attempt else []
        self._began = self._written = time.monotonic()

    def begin_anew(self) -> None:
        """Forget what the checkpoint held, but not the description of this start."""
        self._saved = None
        self.outcome = Outcome(attempts=self.outcome.attempts[-1:])

    def phase(self, name: str) -> None:
        """Begin a phase; forget the best epoch, unless the checkpoint is of this phase or later."""
        self._phase = name
        if self._saved is None or self._saved["loop"] <= self._loop:
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
        """Count n epochs from 0; begin after the last one that the checkpoint holds."""
        self._loop += 1
        first = 0
        if self._saved and self._loop < self._saved["loop"]:
            return  # this loop was over when the checkpoint was written
        if self._saved and self._loop == self._saved["loop"]:
            resume.restore(self._saved, state, self, self._folder)
            first = self._saved["epoch"] + 1
        for epoch in range(first, n):
            self.epoch, self.final = epoch, epoch == n - 1
            yield epoch
            self.close_epoch()
            over, self._over = self.final or self._over, False
            self._report(self._phase, epoch + 1, n)
            waited = time.monotonic() - self._written
            if self._folder and (over or waited > CHECKPOINT_SECONDS):
                self.epoch = n - 1 if over else epoch
                self.settle()
                content = self._packed(state)
                self._may_write()
                checkpoints.save(self._folder, content)
                self._written = time.monotonic()
            if over:
                return

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

    def _packed(self, state: dict[str, Stateful]) -> bytes:
        """Return the bytes of a checkpoint."""
        return resume.packed(self.outcome, (self._loop, self.epoch), state, self)
