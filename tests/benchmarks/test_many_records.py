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


def took(*arguments: str) -> tuple[float, int]:
    """Return the best of five processor times of a command, and its peak of memory in bytes."""
    code = (
        "import io, resource, sys, contextlib; from repro.cli import app\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    app(sys.argv[1:], standalone_mode=False)\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)"
    )
    found = []
    for _ in range(5):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
        )
        seconds, memory = done.stdout.split()
        found.append((float(seconds), int(memory)))
    return min(found)


@pytest.mark.parametrize("command", ["compare", "status", "run toy"])
def test_a_command_on_thousands_of_records(
    runs: Path, command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REPRO_RUNS", str(runs))
    if command == "run toy":
        repro_("run", "toy")
    none = tmp_path / "none"
    none.mkdir()
    os.environ["REPRO_RUNS"] = str(none)
    alone, _ = took("compare" if command == "run toy" else command)
    os.environ["REPRO_RUNS"] = str(runs)
    took(command)  # writes the index
    seconds, memory = took(command)
    print(f"\n{command}: {seconds:.2f} s, {memory / 1e6:.0f} MB; without records {alone:.2f} s")  # noqa: T201
    assert memory < MOST_MEMORY
    assert seconds < max(MOST_SECONDS, 2.0 * alone)  # the second: of a slow machine
