"""Five thousand records: what a command takes more than with none, and its memory.

Run by itself, on an idle machine::

    pytest -o addopts= tests/benchmarks/test_many_records.py -s
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from builders.commands import repro_
from builders.records import many

N = 5_000
MOST_SECONDS = 1.5
MOST_MEMORY = 150_000_000


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    many(folder, N)
    return folder


def took(runs: Path, command: str) -> tuple[float, int]:
    """Return the best of five processor times of a command, and its peak of memory in bytes."""
    code = (
        "import contextlib, io, re, resource, sys; from repro.cli import app\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    app(sys.argv[1:], standalone_mode=False)\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "peak = re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1]\n"
        "print(used.ru_utime + used.ru_stime, int(peak) * 1024)"
    )  # ru_maxrss would count the process that this one was forked from
    asked = [sys.executable, "-c", code, *command.split()]
    found = []
    for _ in range(5):
        environment = {**os.environ, "REPRO_RUNS": str(runs)}
        done = subprocess.run(asked, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        seconds, memory = done.stdout.split()
        found.append((float(seconds), int(memory)))
    return min(found)


@pytest.mark.parametrize("command", ["compare", "status", "run toy"])
def test_a_command_on_thousands_of_records(runs: Path, command: str, tmp_path: Path) -> None:
    if command == "run toy":
        repro_("run", "toy", "--runs", str(runs))
        repro_("run", "toy", "--runs", str(tmp_path))
    alone, _ = took(tmp_path, command)
    took(runs, command)  # writes the index
    seconds, memory = took(runs, command)
    print(f"\n{command}: {seconds:.2f} s, {memory / 1e6:.0f} MB; of few records {alone:.2f} s")  # noqa: T201
    assert memory < MOST_MEMORY
    assert seconds < max(MOST_SECONDS, 2.0 * alone)  # the second: of a slow machine
