"""Where and how to run: one run, and many."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from repro.data import prepare
from repro.errors import ReproError
from repro.runs.plan import Job

Report = Callable[[str, int, int], None]
"""Called after every epoch: phase, epoch from 1, epochs of the phase."""


@dataclass(frozen=True)
class Settings:
    """What one run is given: changes no number, except device and threads in the last digits."""

    runs: Path
    """The folder of records."""
    device: str = "auto"
    """"auto", "cpu", "cuda" or "cuda:1"."""
    threads: int = 0
    """CPU threads, of torch and of the BLAS of numpy and scipy; 0: torch's own choice."""
    deterministic: bool = True
    """On a GPU, only algorithms that give the same bits each time."""
    since: float | None = None
    """Forget records and checkpoints from before this moment, in seconds since 1970."""
    memory_check: bool = True
    """Refuse a run whose model says that it needs more memory than is free."""


@dataclass(frozen=True)
class How:
    """What the user asks for, of all runs: where, with what, and how many side by side."""

    runs: Path
    """The folder of records."""
    device: str = "auto"
    """"auto", "cpu", "cuda" or "cuda:1"."""
    threads: int = 0
    """CPU threads; 0: one on generated data, else torch's own choice."""
    jobs: int = 1
    """Runs side by side; with Ray, how many share a GPU."""
    engine: str = "local"
    """"local", "ray", or "ray://host:port" of a cluster."""
    deterministic: bool = True
    """On a GPU, only algorithms that give the same bits each time."""
    force: bool = False
    """Run again even where there is a record."""
    memory_check: bool = True
    """Refuse a run whose model says that it needs more memory than is free."""

    def __post_init__(self) -> None:
        if self.engine not in ("local", "ray") and not self.engine.startswith("ray://"):
            raise ReproError(
                f"no engine is called '{self.engine}'", "available: local; ray; ray://host:port"
            )

    def settings(self, jobs: list[Job]) -> Settings:
        """Return how to run some jobs; on tiny tensors more threads only wait for each other."""
        tiny = all(prepare.is_generated(job.experiment.dataset) for job in jobs)
        threads = self.threads or (1 if tiny else 0)
        since = time.time() if self.force else None
        how = self.runs, self.device, threads, self.deterministic, since
        return Settings(*how, memory_check=self.memory_check)
