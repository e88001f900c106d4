"""Progress on stderr: bars with time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

LINE_SECONDS = 30.0
"""How often a plain line tells of a run that goes on."""


class Bytes(AbstractContextManager["Bytes"]):
    """Progress of files: how much, how fast, how long still."""

    def __init__(self) -> None:
        self._bar = _bar(DownloadColumn(), TransferSpeedColumn())
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bytes:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def __call__(self, name: str, done: int, total: int | None) -> None:
        """Tell how much of a file has arrived."""
        if name not in self._tasks:
            self._tasks[name] = self._bar.add_task(name, total=total)
        self._bar.update(self._tasks[name], completed=done)


class Runs(AbstractContextManager["Runs"]):
    """Progress of many runs: each by its epochs, all together with the time left."""

    def __init__(self, total: int) -> None:
        self._bar = _bar(MofNCompleteColumn(), TimeElapsedColumn())
        self._all = self._bar.add_task(f"{total} runs", total=total)
        self._one: TaskID | None = None
        self._total = total
        self._count = 0
        self._began = self._told = time.monotonic()

    def __enter__(self) -> Runs:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def begin(self, label: str) -> Any:
        """Begin a run; return what is told of its epochs."""
        self._count += 1
        self._told = time.monotonic()
        if not self._bar.disable:
            self._one = self._bar.add_task(label, total=None)
        seen: dict[str, tuple[float, int]] = {}  # when a phase was first told of, at which epoch

        def report(phase: str, epoch: int, n: int) -> None:
            began, first = seen.setdefault(phase, (time.monotonic(), epoch))
            if self._one is not None:
                self._bar.update(
                    self._one, completed=epoch, total=n, description=f"{label} ({phase})"
                )
            elif time.monotonic() - self._told > LINE_SECONDS:
                self._told = time.monotonic()
                left = (self._told - began) / max(1, epoch - first) * (n - epoch)
                typer.echo(f"  {label}: {phase} {epoch}/{n}, {_duration(left)} left", err=True)

        return report

    def end(self, label: str, outcome: str) -> None:
        """End a run, and say what became of it."""
        if self._one is not None:
            self._bar.remove_task(self._one)
            self._one = None
        self._bar.advance(self._all)
        spent = time.monotonic() - self._began
        left = spent / self._count * (self._total - self._count)
        line = f"[{self._count}/{self._total}] {label}: {outcome}"
        if self._count < self._total:
            line += f"; about {_duration(left)} left"
        self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)


def _bar(*columns: Any) -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *columns,
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
