"""A file is damaged, commands are typed, and what they say is judged.

Everything runs in this process: a try takes a tenth of a second. `Kind` says which file is damaged,
how, and which commands then read it; `Lane` makes the tries. A try survives if

- no command ends with an exception or an exit code that is not documented, or tells of a traceback;
- all commands end in time;
- nothing but printable characters is printed;
- every number and verdict is that of the undamaged file, or the messages name what is damaged.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from typer.testing import CliRunner

from builders.mutations import Mutation, in_place, removed
from repro.cli import app
from repro.errors import EXIT_CODES, ReproError

SECONDS = 10.0
"""A try that takes longer hangs."""
ROOM = 4 << 30
"""Bytes that a try may reserve beyond what the process has."""


class HangsError(BaseException):
    """A try takes too long; nothing that catches exceptions catches this."""


@dataclass
class Seen:
    """What some commands printed."""

    said: str = ""
    """Messages, in which a fault may be named."""
    numbers: list[Any] = field(default_factory=list)
    """What must not change."""
    faults: list[str] = field(default_factory=list)
    """What must not happen."""

    def type(self, *command: str, numbers: bool = False) -> str:
        """Type a command; return what it prints, which counts as numbers if it succeeds."""
        result = CliRunner().invoke(app, list(command))
        if isinstance(error := result.exception, Exception) and not isinstance(error, SystemExit):
            self.faults.append(f"traceback: {_place(error)}")
        elif result.exit_code not in EXIT_CODES:
            self.faults.append(f"exit code {result.exit_code}")
        if "Traceback (most" in result.output or "the traceback is in" in result.output:
            self.faults.append(f"traceback, told: {_told(result.output)}")
        if not all(one == "\n" or one.isprintable() for one in result.output):
            self.faults.append("a control character is printed")
        self.said += result.stderr
        if numbers:
            self.numbers.append(result.stdout if result.exit_code == 0 else None)
        else:
            self.said += result.stdout
        return result.stdout


def _place(error: BaseException) -> str:
    """Return an exception's type and the last place of this package that it came through."""
    own = [f for f in traceback.extract_tb(error.__traceback__) if "/repro/" in f.filename]
    at = f"{Path(own[-1].filename).name}:{own[-1].name}" if own else "?"
    return f"{type(error).__name__} in {at}"


def _told(output: str) -> str:
    return next((line for line in output.split("\n") if "Error" in line), "")[-120:]


@dataclass(frozen=True)
class Kind:
    """A kind of file, how it is damaged, and who reads it."""

    name: str
    """As the table of results calls it."""
    file: str
    """Which file, as patterns under the folder of `made`, with spaces between; one is drawn."""
    mutations: Sequence[Mutation]
    tries: int
    made: Callable[[], Path]
    """Returns a folder that holds all that commands need; made once."""
    read: Callable[[Seen], None]
    """Types the commands."""
    names: tuple[str, ...] = ()
    """A message that holds one of these, or the file's name, names the fault."""
    compares: bool = True
    """Whether numbers must stay; not where the file is the user's own and may say anything."""

    def files(self, folder: Path) -> list[Path]:
        """Return the files in a folder that may be damaged."""
        found = [path for pattern in self.file.split() for path in folder.glob(pattern)]
        return sorted(path for path in found if path.is_file())


@dataclass(frozen=True)
class Fault:
    """A try that did not survive."""

    kind: str
    n: int
    how: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind} {self.n} ({self.how}): {self.what}"


class Lane:
    """Makes the tries of one kind, in a folder whose path `place` commands find set up."""

    def __init__(self, kind: Kind, place: Path) -> None:
        self._kind = kind
        self._place = place
        self._template = kind.made()
        self._reset()
        with _limits():
            self._undamaged = self._look()
        assert not self._undamaged.faults, self._undamaged.faults
        if kind.compares:
            assert self._undamaged.numbers, f"{kind.name}: nothing to compare"
            assert None not in self._undamaged.numbers, self._undamaged.said

    def attempt(self, n: int) -> Fault | None:
        """Make a try by its number; return how it failed."""
        draw = Random(f"{self._kind.name}/{n}")
        file, content = self._whole(draw)
        if draw.random() < 0.04:
            how = in_place(file, draw)
        else:
            mutation = draw.choice(self._kind.mutations)
            how = mutation.__name__
            file.write_bytes(mutation(content, draw))
        what = self._wrong_with(file)
        return Fault(self._kind.name, n, how, what) if what else None

    def wrong_with(self, content: bytes) -> str:
        """Return what is wrong if a file has this content, or ""."""
        file, _ = self._whole(Random(0))
        file.write_bytes(content)
        return self._wrong_with(file)

    def _whole(self, draw: Random) -> tuple[Path, bytes]:
        """Put everything back; return the file to damage, and its content."""
        self._reset()
        file = draw.choice(self._kind.files(self._place))
        return file, file.read_bytes()

    def _wrong_with(self, file: Path) -> str:
        try:
            with _limits():
                return self._judged(file, self._look())
        except HangsError as hang:
            return f"hangs in {_place(hang)}"
        finally:
            removed(file)

    def _reset(self) -> None:
        """Put everything back, and have this process forget what it has read."""
        shutil.rmtree(self._place, ignore_errors=True)
        shutil.copytree(self._template, self._place, symlinks=True)
        for name, module in list(sys.modules.items()):
            if name.startswith(("repro.runs", "repro.data.views")):
                for one in vars(module).values():
                    if hasattr(one, "cache_clear"):
                        one.cache_clear()

    def _look(self) -> Seen:
        seen = Seen()
        try:
            self._kind.read(seen)
        except ReproError as error:
            seen.said += str(error)
        except Exception as error:
            seen.faults.append(f"traceback: {_place(error)}")
        return seen

    def _judged(self, file: Path, seen: Seen) -> str:
        """Return what is wrong with what was seen."""
        if seen.faults:
            return seen.faults[0]
        if not self._kind.compares or seen.numbers == self._undamaged.numbers:
            return ""
        gone = not os.path.lexists(file)  # then it is no damage that its numbers are missing
        if gone and all(map(_only_fewer, seen.numbers, self._undamaged.numbers)):
            return ""
        named = any(one in seen.said for one in (file.name, file.parent.name, *self._kind.names))
        return "" if named else f"a silent difference; said: {seen.said[-200:]!r}"


def _only_fewer(text: str | None, undamaged: str | None) -> bool:
    """Return whether a text has no number that the undamaged one lacks."""
    return _numbers(text) <= _numbers(undamaged)


def _numbers(text: str | None) -> set[str]:
    return set(re.findall(r"\d+\.\d+", text or ""))


@contextmanager
def _limits() -> Iterator[None]:
    """Bound the time and the memory of a block."""

    def over(*_: object) -> None:
        raise HangsError

    before = signal.signal(signal.SIGALRM, over)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM, hard))
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGALRM, before)
