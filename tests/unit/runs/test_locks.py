"""A run is one process's at a time, and never stays with one that is gone."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from repro import files
from repro.runs import locks
from repro.runs.locks import BusyError, Lock

LABEL = "mine 1 | Mult-VAE | Toy | seed 0"

HOLDING = """
import sys, time
from pathlib import Path
from repro.runs import locks
locks.BEAT_SECONDS, locks.SILENT_SECONDS = float(sys.argv[2]), float(sys.argv[3])
with locks.held(Path(sys.argv[1]), "its run") as holder:
    print("held", flush=True)
    for line in sys.stdin:
        try:
            holder.tell("train", 1, 9)
            print("told", flush=True)
        except locks.BusyError as error:
            print(error, flush=True)
"""

RACING = """
import sys, time
from contextlib import ExitStack
from pathlib import Path
from repro.runs import locks
import filelock
folders = sorted(Path(sys.argv[1]).iterdir())
print("ready", flush=True)
begin = float(sys.stdin.readline())
won, lost = [], 0
with ExitStack() as all:
    for number, folder in enumerate(folders):
        while time.time() < begin + number * 0.02:
            pass
        try:
            all.enter_context(locks.held(folder, folder.name))
            won.append(folder.name)
        except locks.BusyError:
            lost += 1
    print(lost, *won, flush=True)
    sys.stdin.readline()  # until all have tried
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "0123456789ab"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let locks beat twenty times a second, and be void after a second without."""
    monkeypatch.setattr(locks, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(locks, "SILENT_SECONDS", 1.0)


@contextmanager
def process(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Start a process; it ends with the block."""
    started = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with started:
        try:
            yield started
        finally:
            started.kill()


def line(started: subprocess.Popen[str]) -> str:
    assert started.stdout is not None
    return started.stdout.readline().strip()


def ask(started: subprocess.Popen[str], text: str = "") -> str:
    """Send a line; return the answer."""
    assert started.stdin is not None
    started.stdin.write(f"{text}\n")
    started.stdin.flush()
    return line(started)


def until(true: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


def put(folder: Path, age: float = 0.0, **said: object) -> Lock:
    """Write a lock of another process, last heard of so many seconds ago."""
    about = Lock("f00d", socket.gethostname(), os.getpid(), "its run", time.time() - 1000)
    about = replace(about, processes=locks.processes())
    lock = replace(about, **said)  # type: ignore[arg-type]
    files.write_json(folder / locks.FILE, asdict(lock))
    heard = time.time() - age
    os.utime(folder / locks.FILE, (heard, heard))
    return lock


def dead() -> int:
    """Return the id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as ended:
        pass
    return ended.pid


def is_free(folder: Path) -> bool:
    try:
        with locks.held(folder, LABEL):
            return True
    except BusyError:
        return False


def token(folder: Path) -> str:
    lock = locks.read(folder)
    assert lock is not None
    return lock.token


def test_a_claim_says_who_holds_it_and_since_when(folder: Path) -> None:
    assert locks.read(folder) is None
    with locks.held(folder, LABEL):
        lock = locks.read(folder)
        assert lock is not None
        assert (lock.host, lock.pid, lock.label) == (socket.gethostname(), os.getpid(), LABEL)
        assert lock.began == pytest.approx(time.time(), abs=30)
        assert lock.is_held(folder)


def test_a_second_holder_is_told_which_process_on_which_host_has_it(folder: Path) -> None:
    with process(HOLDING, folder, 5, 90) as other:
        assert line(other) == "held"
        with pytest.raises(BusyError) as refused, locks.held(folder, LABEL):
            pass
        assert refused.value.message == (
            f"{LABEL} is being run by process {other.pid} on {socket.gethostname()}"
        )
        assert ask(other) == "told"  # and it is none the worse for it


def test_a_claim_is_given_back_at_the_end(folder: Path) -> None:
    with locks.held(folder, LABEL):
        pass
    assert list(folder.iterdir()) == []
    assert is_free(folder)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_claim_is_given_back_on_an_error(folder: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), locks.held(folder, LABEL):
        raise error
    assert list(folder.iterdir()) == []
    assert is_free(folder)


def test_runs_are_claimed_one_by_one(folder: Path) -> None:
    with locks.held(folder, LABEL), locks.held(folder.with_name("another"), LABEL):
        assert not is_free(folder)
        assert not is_free(folder.with_name("another"))


def test_the_claim_of_a_killed_process_is_taken_over_at_once(folder: Path) -> None:
    with process(HOLDING, folder, 5, 90) as other:
        line(other)
        other.kill()
    assert token(folder)
    assert is_free(folder)


def test_a_killed_process_whose_parent_has_not_noticed_holds_nothing(folder: Path) -> None:
    with process(HOLDING, folder, 5, 90) as other:
        line(other)
        other.kill()
        until(lambda: ") Z" in Path(f"/proc/{other.pid}/stat").read_text())
        assert is_free(folder)


def test_a_claim_of_a_process_that_is_there_but_silent_is_taken_over(folder: Path) -> None:
    put(folder, pid=1, age=locks.SILENT_SECONDS + 5)  # its number has gone to another
    assert is_free(folder)
    put(folder, pid=1)
    assert not is_free(folder)


def test_a_claim_of_another_host_stands_while_it_may_still_be_heard_of(folder: Path) -> None:
    put(folder, host="elsewhere", pid=dead(), age=locks.SILENT_SECONDS - 5)
    with pytest.raises(BusyError, match="on elsewhere"), locks.held(folder, LABEL):
        pass


def test_a_claim_of_another_host_that_is_silent_is_taken_over(folder: Path) -> None:
    put(folder, host="elsewhere", age=locks.SILENT_SECONDS + 5)
    with locks.held(folder, LABEL):
        assert token(folder) != "f00d"


def test_a_claim_of_another_host_that_beats_is_never_taken_over(
    folder: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as there:
        there.setattr(socket, "gethostname", lambda: "elsewhere")
        abroad = locks.held(folder, LABEL)
        abroad.__enter__()
    try:
        end = time.monotonic() + 2 * locks.SILENT_SECONDS
        while time.monotonic() < end:
            assert not is_free(folder)
            time.sleep(0.05)
    finally:
        abroad.__exit__(None, None, None)
    assert is_free(folder)


def test_a_clock_that_is_wrong_takes_nothing_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder, host="elsewhere")
    monkeypatch.setattr(time, "time", lambda: 4e9)
    assert not is_free(folder)


def test_a_holder_that_slept_too_long_learns_that_another_has_its_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "SILENT_SECONDS", 0.3)
    with process(HOLDING, folder, 0.6, 0.3) as sleeper:  # as if asleep between its beats
        line(sleeper)
        until(lambda: is_held_by_none(folder))
        monkeypatch.setattr(locks, "BEAT_SECONDS", 0.02)
        with locks.held(folder, LABEL):
            mine = token(folder)
            assert mine != "f00d"
            until(lambda: "told" not in ask(sleeper))
            said = ask(sleeper)
            assert "another process has taken over its run" in said
            assert sleeper.stdin is not None
            sleeper.stdin.close()
            assert sleeper.wait(20) == 0  # it gives back nothing that is not its own
            for _ in range(10):
                time.sleep(0.02)
                assert token(folder) == mine
    assert list(folder.iterdir()) == []


def is_held_by_none(folder: Path) -> bool:
    lock = locks.read(folder)
    return lock is not None and not lock.is_held(folder)


def test_a_holder_whose_claim_was_deleted_stops_too(folder: Path, quick: None) -> None:
    with locks.held(folder, LABEL) as holder:
        (folder / locks.FILE).unlink()

        def told_for_ever() -> None:
            until(lambda: holder.tell("train", 1, 9))

        with pytest.raises(BusyError, match="another process has taken over"):
            told_for_ever()
    assert list(folder.iterdir()) == []


def test_of_many_that_want_a_stale_claim_exactly_one_gets_it(tmp_path: Path) -> None:
    runs, gone = tmp_path / "runs", dead()
    for number in range(12):
        put(runs / f"dead{number}", pid=gone)
        put(runs / f"silent{number}", host="elsewhere", age=locks.SILENT_SECONDS + 5)
        (runs / f"fresh{number}").mkdir()
    n_processes = 5
    with (
        process(RACING, runs) as a,
        process(RACING, runs) as b,
        process(RACING, runs) as c,
        process(RACING, runs) as d,
        process(RACING, runs) as e,
    ):
        racers = [a, b, c, d, e]
        assert [line(racer) for racer in racers] == ["ready"] * n_processes
        begin = str(time.time() + 0.1)
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write(f"{begin}\n")
            racer.stdin.flush()
        said = [line(racer).split() for racer in racers]
        won = [name for _, *names in said for name in names]
        assert sorted(won) == sorted(folder.name for folder in runs.iterdir() if folder.is_dir())
        assert sum(int(lost) for lost, *_ in said) == (n_processes - 1) * len(won)
        for racer, (_, *names) in zip(racers, said, strict=True):
            for name in names:
                lock = locks.read(runs / name)
                assert lock is not None
                assert lock.pid == racer.pid
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.close()
            assert racer.wait(20) == 0
    assert all(list(folder.iterdir()) == [] for folder in runs.iterdir() if folder.is_dir())


def test_the_claim_tells_how_far_the_run_is_and_how_long_it_still_takes(
    folder: Path, quick: None
) -> None:
    def heard(phase: str, epoch: int) -> Lock:
        def is_there() -> bool:
            lock = locks.read(folder)
            return lock is not None and (lock.phase, lock.epoch) == (phase, epoch)

        until(is_there)
        lock = locks.read(folder)
        assert lock is not None
        return lock

    with locks.held(folder, LABEL) as holder:
        begun = locks.read(folder)
        assert begun is not None
        assert (begun.phase, begun.epoch, begun.n_epochs, begun.left) == ("", 0, 0, None)

        holder.tell("pretrain", 4, 10)
        first = heard("pretrain", 4)
        assert (first.n_epochs, first.left) == (10, None)  # of one epoch no pace is known

        began = time.monotonic()
        time.sleep(0.2)
        holder.tell("pretrain", 6, 10)
        took = time.monotonic() - began
        second = heard("pretrain", 6)
        assert second.left is not None
        assert 0.4 <= second.left <= 2 * (took + 1.0)  # two epochs took 0.2 s, four are left

        holder.tell("train", 1, 5)
        assert heard("train", 1).left is None  # another phase, another pace
        holder.tell("train", 5, 5)
        assert heard("train", 5).left == 0
        assert replace(heard("train", 5), phase="", epoch=0, n_epochs=0, left=None) == begun


def test_a_claim_is_never_seen_half_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "BEAT_SECONDS", 0.0)
    with locks.held(folder, LABEL) as holder:
        for epoch in range(300):
            holder.tell("train", epoch, 300)
            json.loads((folder / locks.FILE).read_text())
