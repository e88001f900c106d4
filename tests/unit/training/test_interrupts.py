"""The first Ctrl-C or SIGTERM waits for the epoch's checkpoint; the second does not."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from repro.training.checkpoints import Place, reached
from repro.training.interrupts import SIGNALS, WAIT, Interrupts
from repro.training.progress import Progress

CPU = torch.device("cpu")


class TermError(Exception):
    """Raised by a handler of SIGTERM."""


def terminate(*_: object) -> None:
    raise TermError


@pytest.fixture(autouse=True)
def handlers() -> Iterator[list[Any]]:
    """Return the handlers that a command line has; check that they are there at the end."""
    theirs = [signal.getsignal(one) for one in SIGNALS]
    ours: list[Any] = [signal.default_int_handler, terminate]
    for one, handler in zip(SIGNALS, ours, strict=True):
        signal.signal(one, handler)
    yield ours
    assert current() == ours
    for one, handler in zip(SIGNALS, theirs, strict=True):
        signal.signal(one, handler)


def current() -> list[Any]:
    return [signal.getsignal(one) for one in SIGNALS]


def progress(folder: Path | None, said: list[str] | None = None) -> Progress:
    return Progress(0, CPU, folder, say=(said if said is not None else []).append)


def train(run: Progress, n: int, act: Callable[[int], None]) -> None:
    """Count epochs as `fit` does, and act in each."""
    with run.interrupts:
        for epoch in run.epochs(n):
            act(epoch)


@pytest.mark.parametrize(
    ("sent", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, TermError)]
)
def test_the_epoch_ends_and_its_checkpoint_is_written_before_the_signal_acts(
    tmp_path: Path, sent: signal.Signals, raised: type[BaseException]
) -> None:
    said: list[str] = []
    done = []

    def act(epoch: int) -> None:
        if epoch == 3:
            signal.raise_signal(sent)
        done.append(epoch)

    with pytest.raises(raised):
        train(progress(tmp_path / "run", said), 9, act)
    assert done == [0, 1, 2, 3]
    assert reached(tmp_path / "run") == Place(0, 4, 9)
    assert said == [WAIT]


def test_the_second_signal_acts_at_once(tmp_path: Path) -> None:
    done = []

    def act(epoch: int) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        done.append(epoch)

    with pytest.raises(TermError):
        train(progress(tmp_path / "run"), 9, act)
    assert done == []
    assert reached(tmp_path / "run") is None


def test_before_the_epochs_and_after_them_a_signal_acts_at_once(tmp_path: Path) -> None:
    run = progress(tmp_path / "run")
    with run.interrupts:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        for _ in run.epochs(2):
            pass
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_without_a_folder_for_a_checkpoint_a_signal_acts_at_once() -> None:
    done = []

    def act(epoch: int) -> None:
        signal.raise_signal(signal.SIGINT)
        done.append(epoch)

    with pytest.raises(KeyboardInterrupt):
        train(progress(None), 2, act)
    assert done == []


def test_a_signal_that_was_held_back_is_not_lost_with_an_error(tmp_path: Path) -> None:
    def act(_: int) -> None:
        signal.raise_signal(signal.SIGINT)
        raise ValueError("diverged")

    with pytest.raises(KeyboardInterrupt) as caught:
        train(progress(tmp_path / "run"), 2, act)
    assert isinstance(caught.value.__context__, ValueError)


def test_after_an_error_the_handlers_are_back_though_the_epochs_are_kept(
    tmp_path: Path, handlers: list[Any]
) -> None:
    run = progress(tmp_path / "run")
    kept = run.epochs(2)

    def diverge() -> None:
        with run.interrupts:
            next(kept)
            assert current() != handlers
            raise ValueError("diverged")

    with pytest.raises(ValueError, match="diverged"):
        diverge()
    assert current() == handlers


def test_two_loops_within_one_another_put_the_first_handlers_back(
    tmp_path: Path, handlers: list[Any]
) -> None:
    outer, inner = progress(tmp_path / "outer"), progress(tmp_path / "inner")
    with outer.interrupts:
        for _ in outer.epochs(1):
            with inner.interrupts:
                for _ in inner.epochs(1):
                    pass
    assert current() == handlers


def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    run = progress(tmp_path / "run")
    with run.interrupts:
        for _ in run.epochs(3):
            signal.raise_signal(signal.SIGINT)
    assert run.epoch == 2
    signal.signal(signal.SIGINT, before)


def test_another_thread_leaves_the_handlers_alone(tmp_path: Path, handlers: list[Any]) -> None:
    seen: list[list[Any]] = []

    def train() -> None:
        run = progress(tmp_path / "run")
        with run.interrupts:
            for _ in run.epochs(1):
                seen.append(current())

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert seen == [handlers]


@pytest.mark.parametrize("error", [OSError("no terminal"), RuntimeError("reentrant call")])
def test_a_message_that_cannot_be_written_does_not_end_the_epoch(error: Exception) -> None:
    def say(_: str) -> None:
        raise error

    interrupts = Interrupts(say)
    interrupts.arm()
    signal.raise_signal(signal.SIGINT)
    assert interrupts.asked == signal.SIGINT
    interrupts.disarm()
    with pytest.raises(KeyboardInterrupt):
        interrupts.deliver()


def test_checkpoints_come_soon_and_then_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("repro.training.progress.time.monotonic", lambda: now[0])
    run = progress(tmp_path / "run")
    written = []
    for _ in run.epochs(400):
        now[0] += 1.0
        if place := reached(tmp_path / "run"):
            written.append(place.epoch)
    first, *_ = found = list(dict.fromkeys(written))
    gaps = [first, *(after - before for before, after in pairwise(found))]
    assert gaps == [6, 11, 21, 41, *[61] * 5]


def test_checkpoints_that_take_long_wait_for_the_longest_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("repro.training.progress.time.monotonic", lambda: now[0])
    packed = "repro.training.progress.resume.packed"

    def slow(*_: object) -> bytes:
        now[0] += 3.0
        return b""

    monkeypatch.setattr(packed, slow)
    run = progress(tmp_path / "run")
    written = []
    for _ in run.epochs(150):
        now[0] += 1.0
        if place := reached(tmp_path / "run"):
            written.append(place.epoch)
    assert list(dict.fromkeys(written)) == [6, 67, 128]


BLOCKED = """
import signal, sys, _thread
from pathlib import Path
import torch
from repro.training.progress import Progress
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
run, done = Progress(0, torch.device("cpu"), Path(sys.argv[1])), []
try:
    with run.interrupts:
        for epoch in run.epochs(9):
            _thread.interrupt_main()
            done.append(epoch)
except KeyboardInterrupt:
    print(done)
"""


def test_a_signal_that_is_blocked_but_simulated_acts_as_in_a_worker_of_ray(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BLOCKED, str(tmp_path / "run")]
    assert subprocess.run(command, capture_output=True, text=True).stdout.strip() == "[0]"


UNHANDLED = """
import signal, sys
from pathlib import Path
import torch
from repro.training.progress import Progress
run = Progress(0, torch.device("cpu"), Path(sys.argv[1]))
with run.interrupts:
    for epoch in run.epochs(9):
        if epoch == 2:
            signal.raise_signal(signal.SIGTERM)
"""


def test_a_process_without_a_handler_is_terminated_after_its_checkpoint(tmp_path: Path) -> None:
    command = [sys.executable, "-c", UNHANDLED, str(tmp_path / "run")]
    assert subprocess.run(command, check=False).returncode == -signal.SIGTERM
    assert reached(tmp_path / "run") == Place(0, 3, 9)
