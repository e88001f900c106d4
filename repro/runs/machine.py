"""The machine under a run: its device, threads and memory, and what a record says of it."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_info, threadpool_limits

from repro.errors import ReproError


def chosen_device(name: str, threads: int = 0, deterministic: bool = True) -> torch.device:
    """Return the device to run on, and set torch up for it.

    Parameters
    ----------
    name : str
        "auto", "cpu", "cuda" or "cuda:1".
    threads : int
        CPU threads, of torch and of the BLAS of numpy and scipy; 0: torch's own choice.
    deterministic : bool
        Whether a GPU may use only algorithms that give the same bits each time.

    Raises
    ------
    ReproError
        If CUDA is asked for and not available.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise ReproError(f"no device is called '{name}'", "available: auto, cpu, cuda, cuda:1")
    if name.startswith("cuda"):
        if not torch.cuda.is_available():
            raise ReproError("no CUDA device is available", "use --device cpu")
        # cuBLAS reads this when it starts: with it, the same sums in the same order.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(deterministic)
    if threads:
        torch.set_num_threads(threads)
    # The BLAS of numpy and scipy has threads of its own, whose number changes last digits.
    import scipy.linalg  # noqa: F401 - loads it, so that there is something to limit

    threadpool_limits(torch.get_num_threads(), user_api="blas")
    keep_freed_memory()
    return torch.device(name)


@contextmanager
def restored() -> Iterator[None]:
    """Give threads and determinism back, when the block ends, what they had when it began.

    So one run does not decide for the next one in the process, such as a notebook's.
    """
    import scipy.linalg  # noqa: F401 - loads the BLAS

    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    pools = [one for one in threadpool_info() if one["user_api"] == "blas"]
    of_blas = {one["prefix"]: one["num_threads"] for one in pools}
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        threadpool_limits(of_blas)
        if torch.are_deterministic_algorithms_enabled() != deterministic:
            with suppress(AttributeError, ImportError):  # Ctrl-C while torch imported its compiler
                torch.use_deterministic_algorithms(deterministic)


@contextmanager
def subnormals_as_zero() -> Iterator[None]:
    """Let the CPU treat numbers below 1.2e-38 as 0, as far as it can.

    An x86 multiplies them far more slowly, and a VampPrior's gradients are full of them: those of
    the components that are far from a user. An epoch of H+Vamp (Gated) on MovieLens-1M takes 12 s;
    with them the first 41 took 66 s each. Threads that torch starts meanwhile inherit the setting.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def keep_freed_memory() -> None:
    """Let the memory that an update frees serve the next one.

    glibc returns blocks of more than 32 MiB to the system at once, and the end of its heap now and
    then; when they are needed again, every page of them is a fault. On 20,000 items these faults
    take a third of an update of CDAE.
    """
    trim_threshold, mmap_threshold = -1, -3  # as malloc.h numbers them
    with suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        mallopt(mmap_threshold, 2**28)
        mallopt(trim_threshold, 2**31 - 1)


def free_on(device: torch.device) -> int:
    """Return how many bytes of a GPU this process may still take."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def forget_peak(device: torch.device) -> None:
    """Measure the peak of memory from here on, where the system can."""
    with suppress(OSError):  # there is no such file, or it may not be written
        Path("/proc/self/clear_refs").write_text("5")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak(device: torch.device) -> dict[str, int]:
    """Return the most memory that was held, in bytes, by the process and on the device."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    peaks = [1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    unit = 1 if sys.platform == "darwin" else 1024
    found = {"process": (peaks or [unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss])[0]}
    if device.type == "cuda":
        found["device"] = torch.cuda.max_memory_allocated(device)
    return found


def environment(device: torch.device) -> dict[str, Any]:
    """Return library versions and hardware."""
    return {
        "python": platform.python_version(),
        **{
            name: metadata.version(name)
            for name in ("torch", "numpy", "scipy", "pandas", "pyarrow")
        },
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "cuda": torch.version.cuda if device.type == "cuda" else None,
    }


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
