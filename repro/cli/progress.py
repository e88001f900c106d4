"""Progress on stderr: bars with time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column
from rich.text import Text

from repro.cli.echo import echo
from repro.errors import ReproError
from repro.report import splits
from repro.report.runs import duration
from repro.report.runs import outcome as described
from repro.text import in_lines, one_line

if TYPE_CHECKING:
    from repro.runs.plan import Job
    from repro.runs.records import Record

LINE_SECONDS = 30.0
"""How often a plain line reports progress."""


class _Bars:
    """Bars that are shown while a block of code runs, and messages above them."""

    def __init__(self, *columns: ProgressColumn) -> None:
        console = Console(stderr=True)
        name = Column(ratio=3, no_wrap=True, overflow="ellipsis")  # gives way to the numbers
        self._bar = Progress(
            TextColumn("{task.description}", markup=False, table_column=name),
            BarColumn(bar_width=None, table_column=Column(ratio=1)),
            *columns,
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
            expand=True,
        )

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def say(self, text: str) -> None:
        """Show a message."""
        self._bar.console.print(Text(in_lines(text)), soft_wrap=True)  # a Text has no markup


class Files(_Bars):
    """Progress of files: size, speed and time left; and messages."""

    def __init__(self) -> None:
        super().__init__(DownloadColumn(), TransferSpeedColumn())
        self._tasks: dict[str, TaskID] = {}
        self._begun: dict[str, tuple[float, int]] = {}
        self._told = time.monotonic()

    def bytes(self, name: str, done: int, total: int | None) -> None:
        """Show how much of a file has arrived."""
        if not self._bar.disable:
            if name not in self._tasks:
                self._tasks[name] = self._bar.add_task(one_line(name), total=total)
            self._bar.update(self._tasks[name], completed=done, total=total)
            return
        now = time.monotonic()
        began, first = self._begun.setdefault(name, (now, done))
        if now - self._told > LINE_SECONDS:
            self._told = now
            speed = (done - first) / max(now - began, 1e-9)
            line = f"{one_line(name)}: {done / 1e6:,.1f} MB at {speed / 1e6:,.1f} MB/s"
            if total and speed:
                line += f", {done / total:.0%}, {duration((total - done) / speed)} left"
            echo(line, err=True)


class _Count(MofNCompleteColumn):
    """Epochs done, of all; nothing while their number is not known."""

    def render(self, task: Task) -> Text:
        """Return the numbers of a bar."""
        return Text() if task.total is None else super().render(task)


class Runs(_Bars):
    """Progress of many runs: each by its epochs, all together with the time left."""

    def __init__(self, total: int) -> None:
        super().__init__(_Count(), TimeElapsedColumn())
        self._all = self._bar.add_task(f"{total} runs", total=total)
        self._each: dict[str, TaskID] = {}
        self._splits: set[str] = set()
        self._total = total
        self._count = 0
        self._began = self._told = time.monotonic()

    def begin(self, label: str) -> Callable[[str, int, int], None]:
        """Begin a run; return the function that reports its epochs."""
        if not self._bar.disable and label not in self._each:
            self._each[label] = self._bar.add_task(one_line(label), total=None)
        seen: dict[str, tuple[float, int]] = {}  # when a phase was first reported, at which epoch

        def report(phase: str, epoch: int, n: int) -> None:
            began, first = seen.setdefault(phase, (time.monotonic(), epoch))
            if label in self._each:
                described = one_line(f"{label} ({phase})")
                self._bar.update(self._each[label], completed=epoch, total=n, description=described)
            elif time.monotonic() - self._told > LINE_SECONDS:
                self._told = time.monotonic()
                line = one_line(f"  {label}: {phase} {epoch}/{n}")
                if epoch > first:
                    left = (self._told - began) / (epoch - first) * (n - epoch)
                    line += f", {duration(left)} left"
                echo(line, err=True)

        return report

    def end(self, job: Job, outcome: Record | ReproError) -> None:
        """End a run, and show its outcome."""
        if job.label in self._each:
            self._bar.remove_task(self._each.pop(job.label))
        self._tell_split(job, outcome)
        self._count += 1
        self._bar.advance(self._all)
        spent = time.monotonic() - self._began
        left = spent / self._count * (self._total - self._count)
        line = f"[{self._count}/{self._total}] {one_line(job.label)}: {described(outcome)}"
        if self._count < self._total:
            line += f"; about {duration(left)} left"
        self.say(line)

    def _tell_split(self, job: Job, outcome: Record | ReproError) -> None:
        """Show what a column group asks, once: all its rows are asked the same."""
        if isinstance(outcome, ReproError) or outcome.split is None or job.experiment.smoke:
            return
        text = splits.text(outcome.split, job.metrics).replace("\n", "\n  ")
        said = f"{one_line(job.place.group if job.place else job.experiment.dataset)} {text}"
        if said not in self._splits:
            self._splits.add(said)
            self.say(said)


class Terminal:
    """Shows the progress of a batch: messages and bars on stderr."""

    def say(self, text: str) -> None:
        """Show a message."""
        echo(in_lines(text), err=True)

    def files(self) -> Files:
        """Return the progress of files that are fetched."""
        return Files()

    def runs(self, n: int) -> Runs:
        """Return the progress of n runs."""
        return Runs(n)
