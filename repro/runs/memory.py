"""Memory: what a model says that it needs, what is free, and an allocation that failed in words."""

from __future__ import annotations

import errno
import re
import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.errors import ReproError, size
from repro.interactions import Interactions
from repro.model import Memory

if TYPE_CHECKING:
    import torch

PROC, CGROUP = Path("/proc"), Path("/sys/fs/cgroup")

LIMITS = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""Names of a control group's files, of version 2 and 1: its limit, its use, and of that the part
in "memory.stat" that is copies of files, which the system gives up at need."""

ANYWAY = "--no-memory-check tries it anyway"


def needed(model: Any, train: Interactions) -> Memory | None:
    """Return how much memory a model says that its training takes; None if it says nothing."""
    if not callable(getattr(type(model), "memory", None)):
        return None
    return Memory(*model.memory(train))


def check(model: Any, name: str, train: Interactions, device: torch.device) -> None:
    """Check that the memory is free which a model says that it needs.

    Raises
    ------
    ReproError
        If it is not.
    """
    from repro.runs.machine import free_on  # loads torch

    need = needed(model, train)
    if need is None:
        return
    on_gpu = device.type == "cuda"
    _compare(name, train, need.process if on_gpu else max(need), free(), "")
    if on_gpu:
        _compare(name, train, need.device, free_on(device), f" on {device}")


def _compare(name: str, train: Interactions, n_bytes: int, there: int | None, on: str) -> None:
    if there is not None and n_bytes > there:
        raise ReproError(
            f"{name} needs about {size(n_bytes)} of memory{on} for {train.n_items:,} items and "
            f"{train.n_users:,} users with up to {train.longest:,} of them, and only {size(there)} "
            "are free",
            f"use a machine, or a limit, with more; or fewer --jobs, or a smaller view; {ANYWAY}",
        )


def free() -> int | None:
    """Return how many bytes this process may still take; None where that is unknown.

    The least counts of: what the system has, what each control group around this process may still
    take, and what is left of the limit on its addresses (``ulimit -v``).
    """
    return min(_bounds(), default=None)


def _bounds() -> Iterator[int]:
    with suppress(OSError, ValueError):  # not Linux
        yield 1024 * _number(PROC / "meminfo", "MemAvailable:")
    for folder in _groups():
        for limit, use, cached in LIMITS:
            with suppress(OSError, ValueError):  # no such file, or its limit is "max"
                most = int((folder / limit).read_text())
                used = int((folder / use).read_text())
                yield max(0, most - used + _number(folder / "memory.stat", cached))
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    if most != resource.RLIM_INFINITY:
        with suppress(OSError, ValueError):
            pages = int((PROC / "self" / "statm").read_text().split()[0])
            yield max(0, most - pages * resource.getpagesize())


def _groups() -> Iterator[Path]:
    """Yield the folders of this process's control groups that may limit memory, up to the roots.

    In a container the path in /proc may be the host's: then only the root is there.
    """
    with suppress(OSError):
        for line in (PROC / "self" / "cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers in ("", "memory"):
                root = CGROUP / controllers
                own = root / path.lstrip("/")
                yield from (at for at in [own, *own.parents] if at.is_relative_to(root))


def _number(file: Path, name: str) -> int:
    """Return the number behind a name in a file of lines such as "MemAvailable: 12 kB"."""
    for line in file.read_text().splitlines():
        key, _, rest = line.partition(" ")
        if key == name:
            return int(rest.split()[0])
    raise ValueError(f"{file} has no {name}")


def shortage(error: Exception) -> str | None:
    """Return the sentence for an allocation that failed; None for any other error."""
    text = str(error)
    ours = (
        isinstance(error, MemoryError)
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or (isinstance(error, RuntimeError) and re.search(r"allocate memory|out of memory", text))
    )
    if not ours:
        return None
    asked = re.search(r"(?:allocate|allocated) ([\d.]+) (bytes|[KMGT]iB)", text)
    what = "an allocation failed"
    if asked:
        units = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
        what = f"{size(round(float(asked[1]) * units[asked[2]]))} more could not be allocated"
    there = free()
    on_gpu = "CUDA" in text or there is None
    return f"out of memory: {what}" + ("" if on_gpu else f"; {size(there or 0)} are free now")
