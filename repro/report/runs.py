"""Runs as text: their states, and what would run."""

from __future__ import annotations

from collections import Counter
from math import isfinite
from typing import TYPE_CHECKING

from tabulate import tabulate

from repro.errors import ReproError, UnsupportedError, size
from repro.experiment import Spec
from repro.report import splits
from repro.text import one_line

if TYPE_CHECKING:  # measuring loads torch, and progress bars need only `duration`
    from repro.runs.dry_run import DryRun, PlannedRun
    from repro.runs.records import Record
    from repro.runs.status import State


def duration(seconds: float) -> str:
    """Return seconds for people: "2 h 05 min", "3 min 10 s"."""
    if not isfinite(seconds):  # a damaged lock can say anything
        return "an unknown time"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def outcome(found: Record | ReproError) -> str:
    """Return the outcome of a run, in a line."""
    if isinstance(found, UnsupportedError):
        return f"refused: {one_line(found.message)}"
    if isinstance(found, ReproError):
        return f"FAILED: {found}"
    first = ", ".join(f"{k} {v.value:.4f}" for k, v in list(found.results.items())[:3])
    if found.constant:
        first += f"; CONSTANT scores for {found.constant:.0%} of the users"
    return one_line(f"{first} ({found.seconds:.0f} s, {found.id})")


def states(found: list[State]) -> str:
    """Return the states of runs as a table, with their counts and the time left below."""
    rows = []
    for one in found:
        shown = map(one_line, (one.label, one.kind, one.detail.replace("\n  ", "; ")))
        rows.append([*shown, "" if one.left is None else duration(one.left)])
    head, widths = ["run", "state", "", "time left"], [None, None, 60, None]
    grid = tabulate(rows, head, tablefmt="simple", disable_numparse=True, maxcolwidths=widths)
    counts = Counter(state.kind for state in found)
    parts = [grid, "", ", ".join(f"{n} {kind}" for kind, n in counts.items())]
    left = [state.left for state in found if state.left is not None]
    unknown = sum(state.kind == "missing" and state.left is None for state in found)
    if left:
        rest = f"; unknown for {unknown}" if unknown else ""
        total = duration(sum(left))
        parts.append(f"about {total} left, one after the other, going by the records so far{rest}")
    return "\n".join(parts)


def _line(what: str, text: str) -> str:
    return f"{what:<18} {one_line(text)}"


def planned(run: PlannedRun) -> str:
    """Return a run that was asked for: its row, data, protocol and model."""
    lines = [
        _line(f"done {run.record}" if run.record else "to run", run.label),
        _line("", f"{run.dataset}, {Spec(**run.protocol).title()}"),
        _line("", f"{Spec(**run.model).title()}, select {run.select}"),
    ]
    return "\n".join(lines)


def asked(run: PlannedRun) -> str:
    """Return what a run that has no record asks; "" if that is not known."""
    known = [] if run.record or run.split is None else splits.text(run.split).splitlines()
    return "\n".join(_line("", line) for line in known)


def time_of(run: PlannedRun) -> str:
    """Return how long a run takes that has no record, and how much memory if that is known."""
    if run.seconds is None:
        lines = [f"time unknown: {run.why_unknown}"]
    else:
        lines = [f"{'more than' if run.at_least else 'about'} {duration(run.seconds)}"]
    if run.memory_bytes:
        each = (f"{size(n)} for the {what}" for what, n in run.memory_bytes.items())
        lines.append(f"memory: about {', '.join(each)}")
    return "\n".join(_line("", line) for line in lines)


def dry_run(found: DryRun) -> str:
    """Return the lines below the runs: what is left out or missing, disk, and total time."""
    lines = [
        _line("left out", f"{one.label}: {one.verdict}: {one.reason}") for one in found.left_out
    ]
    lines += [_line("to fetch", f"{dataset}: {how}") for dataset, how in found.to_fetch.items()]
    for name, folder in {"data": found.data, "records": found.records}.items():
        free = folder.free_bytes / 1e9
        lines.append(_line("disk", f"{free:,.0f} GB free for {name} in {folder.path}"))
    bound = "more than" if found.at_least else "about"
    measured = any(run.seconds is not None for run in found.runs)
    if measured and found.is_busy:
        why = f"{found.busy_threads:.1f} other threads were busy on {found.processors} processors"
        rest = "all times are measured at that pace; a run alone takes less, maybe far less"
        lines.append(_line("busy machine", f"{why}, and {rest}"))
    if measured:
        size = f"{found.checkpoint_bytes / 1e6:,.0f} MB for checkpoints while it runs"
        lines.append(_line("disk", f"{bound} {size}"))
    total = f"{bound} {duration(found.seconds)} here, one after the other"
    return "\n".join([*lines, _line("in all", total)])
