"""Processes that tests start, wait for and kill, and what they leave."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

import pytest

from repro import files
from repro.locks import FOLDER, processes
from repro.runs.locks import Lock


class Talking(subprocess.Popen[str]):
    """A process of some code that is asked, and answers, line by line; it ends with its block."""

    def __init__(self, code: str, *arguments: object) -> None:
        super().__init__(
            [sys.executable, "-c", code, *map(str, arguments)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        assert self.stdout is not None
        return self.stdout.readline().strip()

    def tell(self, text: str) -> None:
        assert self.stdin is not None
        self.stdin.write(f"{text}\n")
        self.stdin.flush()

    def ask(self, text: str = "") -> str:
        """Send a line; return the answer."""
        self.tell(text)
        return self.line()

    def end(self) -> int:
        """Have it read no more; return its exit code."""
        self.communicate(timeout=60)
        return self.returncode

    def __exit__(self, *error: Any) -> None:
        self.kill()
        super().__exit__(*error)


def script(code: str, *arguments: object, seconds: float = 590.0) -> str:
    """Run some code, which may use the builders, to its end; return what it printed.

    What it started goes with it, even what is stopped.
    """
    places = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    with subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            said, messages = process.communicate(timeout=seconds)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, messages
    return said


class Told(Protocol):
    """A process whose messages tell what went wrong."""

    @property
    def messages(self) -> str: ...


def until(true: Callable[[], object], *started: Told, seconds: float = 60.0) -> None:
    """Wait for something; after so many seconds fail, with the messages of these processes."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            pytest.fail("\n".join(["it never came true", *(one.messages for one in started)]))
        time.sleep(0.005)


def dead_process() -> int:
    """Return the id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as ended:
        return ended.pid


def taken_over(folder: Path) -> Lock:
    """Have a process take over from who holds the lock, which has slept too long."""
    for file in (folder / FOLDER).iterdir():
        file.unlink()
    return lock_file(folder)


def lock_file(folder: Path, age: float = 0.0, **said: object) -> Lock:
    """Write a lock as if a process here held it, last heard of so many seconds ago."""
    about = Lock("f00d", socket.gethostname(), os.getpid(), "its run", time.time() - 1000)
    about = replace(about, processes=processes())
    lock = replace(about, **said)  # type: ignore[arg-type]
    file = folder / FOLDER / f"{lock.token}.json"
    files.write_json(file, asdict(lock))
    heard = time.time() - age
    os.utime(file, (heard, heard))
    return lock
