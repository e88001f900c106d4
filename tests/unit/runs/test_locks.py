"""A run is one process's at a time, and never stays with one that is gone."""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from builders.processes import Talking, dead_process, lock_file, until
from repro.locks import FOLDER, SILENT_SECONDS, BusyError
from repro.runs import locks
from repro.runs.locks import Lock

LABEL = "mine 1 | Mult-VAE | Toy | seed 0"

HOLDING = """
import sys, time
from pathlib import Path
import repro.locks
from repro.runs import locks
repro.locks.BEAT_SECONDS, repro.locks.SILENT_SECONDS = float(sys.argv[2]), float(sys.argv[3])
with locks.held(Path(sys.argv[1]), "its run") as holder:
    print("held", flush=True)
    for line in sys.stdin:
        try:
            holder.tell("train", 1, 9)
            print("told", flush=True)
        except repro.locks.BusyError as error:
            print(error, flush=True)
"""

RACING = """
import sys, time
import repro.locks
from contextlib import ExitStack
from pathlib import Path
from repro.runs import locks
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
        except repro.locks.BusyError:
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
    monkeypatch.setattr("repro.locks.BEAT_SECONDS", 0.05)
    monkeypatch.setattr("repro.locks.SILENT_SECONDS", 1.0)


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


def test_a_lock_says_who_holds_it_and_since_when(folder: Path) -> None:
    assert locks.read(folder) is None
    with locks.held(folder, LABEL):
        lock = locks.read(folder)
        assert lock is not None
        assert (lock.host, lock.pid, lock.label) == (socket.gethostname(), os.getpid(), LABEL)
        assert lock.began == pytest.approx(time.time(), abs=30)
        assert locks.busy(folder, LABEL)


def test_a_second_holder_is_told_which_process_on_which_host_has_it(folder: Path) -> None:
    with Talking(HOLDING, folder, 5, 90) as other:
        assert other.line() == "held"
        with pytest.raises(BusyError) as refused, locks.held(folder, LABEL):
            pass
        assert refused.value.message == (
            f"{LABEL} is being run by process {other.pid} on {socket.gethostname()}"
        )
        assert other.ask() == "told"  # and it is none the worse for it


def test_a_lock_is_released_at_the_end(folder: Path) -> None:
    with locks.held(folder, LABEL):
        pass
    assert list(folder.iterdir()) == []
    assert is_free(folder)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_lock_is_released_on_an_error(folder: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), locks.held(folder, LABEL):
        raise error
    assert list(folder.iterdir()) == []
    assert is_free(folder)


def test_runs_are_locked_one_by_one(folder: Path) -> None:
    with locks.held(folder, LABEL), locks.held(folder.with_name("another"), LABEL):
        assert not is_free(folder)
        assert not is_free(folder.with_name("another"))


def test_the_lock_of_a_killed_process_is_taken_over_at_once(folder: Path) -> None:
    with Talking(HOLDING, folder, 5, 90) as other:
        other.line()
        other.kill()
    assert token(folder)
    assert is_free(folder)


def test_a_killed_process_whose_parent_has_not_noticed_holds_nothing(folder: Path) -> None:
    with Talking(HOLDING, folder, 5, 90) as other:
        other.line()
        other.kill()
        until(lambda: ") Z" in Path(f"/proc/{other.pid}/stat").read_text())
        assert is_free(folder)


def test_a_lock_of_a_process_that_is_there_but_silent_is_taken_over(folder: Path) -> None:
    lock_file(folder, pid=1, age=SILENT_SECONDS + 5)  # its number has gone to another
    assert is_free(folder)
    lock_file(folder, pid=1)
    assert not is_free(folder)


def test_a_lock_of_another_host_stands_while_it_may_still_be_heard_of(folder: Path) -> None:
    lock_file(folder, host="elsewhere", pid=dead_process(), age=SILENT_SECONDS - 5)
    with pytest.raises(BusyError, match="on elsewhere"), locks.held(folder, LABEL):
        pass


def test_a_lock_of_another_host_that_is_silent_is_taken_over(folder: Path) -> None:
    lock_file(folder, host="elsewhere", age=SILENT_SECONDS + 5)
    with locks.held(folder, LABEL):
        assert token(folder) != "f00d"


def test_a_lock_of_another_host_that_beats_is_never_taken_over(
    folder: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as there:
        there.setattr(socket, "gethostname", lambda: "elsewhere")
        abroad = locks.held(folder, LABEL)
        abroad.__enter__()
    try:
        end = time.monotonic() + 2 * 1.0
        while time.monotonic() < end:
            assert not is_free(folder)
            time.sleep(0.05)
    finally:
        abroad.__exit__(None, None, None)
    assert is_free(folder)


def test_a_clock_that_is_wrong_takes_nothing_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock_file(folder, host="elsewhere")
    monkeypatch.setattr(time, "time", lambda: 4e9)
    assert not is_free(folder)


def test_a_holder_that_slept_too_long_learns_that_another_has_its_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("repro.locks.SILENT_SECONDS", 0.3)
    with Talking(HOLDING, folder, 0.6, 0.3) as sleeper:  # as if asleep between its beats
        sleeper.line()
        until(lambda: is_held_by_none(folder))
        monkeypatch.setattr("repro.locks.BEAT_SECONDS", 0.02)
        with locks.held(folder, LABEL):
            mine = token(folder)
            assert mine != "f00d"
            until(lambda: "told" not in sleeper.ask())
            said = sleeper.ask()
            assert "another process has taken over its run" in said
            assert sleeper.end() == 0  # it gives back nothing that is not its own
            for _ in range(10):
                time.sleep(0.02)
                assert token(folder) == mine
    assert list(folder.iterdir()) == []


def is_held_by_none(folder: Path) -> bool:
    return locks.read(folder) is not None and locks.busy(folder, LABEL) is None


def test_a_holder_whose_lock_was_deleted_stops_too(folder: Path, quick: None) -> None:
    with locks.held(folder, LABEL) as holder:
        holder.file.unlink()

        def told_for_ever() -> None:
            until(lambda: holder.tell("train", 1, 9))

        with pytest.raises(BusyError, match="another process has taken over"):
            told_for_ever()
    assert list(folder.iterdir()) == []


def test_of_many_that_want_a_stale_lock_exactly_one_gets_it(tmp_path: Path) -> None:
    runs, gone = tmp_path / "runs", dead_process()
    for number in range(12):
        lock_file(runs / f"dead{number}", pid=gone)
        lock_file(runs / f"silent{number}", host="elsewhere", age=SILENT_SECONDS + 5)
        (runs / f"fresh{number}").mkdir()
    n_processes = 5
    with ExitStack() as stack:
        racers = [stack.enter_context(Talking(RACING, runs)) for _ in range(n_processes)]
        assert [racer.line() for racer in racers] == ["ready"] * n_processes
        begin = str(time.time() + 0.1)
        for racer in racers:
            racer.tell(begin)
        said = [racer.line().split() for racer in racers]
        won = [name for _, *names in said for name in names]
        assert sorted(won) == sorted(folder.name for folder in runs.iterdir() if folder.is_dir())
        assert sum(int(lost) for lost, *_ in said) == (n_processes - 1) * len(won)
        for racer, (_, *names) in zip(racers, said, strict=True):
            for name in names:
                lock = locks.read(runs / name)
                assert lock is not None
                assert lock.pid == racer.pid
        for racer in racers:
            assert racer.end() == 0
    assert all(list(folder.iterdir()) == [] for folder in runs.iterdir() if folder.is_dir())


def test_the_lock_tells_how_far_the_run_is_and_how_long_it_still_takes(
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


def test_a_lock_is_never_seen_half_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repro.locks.BEAT_SECONDS", 0.0)
    with locks.held(folder, LABEL) as holder:
        for epoch in range(300):
            holder.tell("train", epoch, 300)
            assert locks.read(folder) is not None


def of_version_0_2(folder: Path, age: float = 0.0, **said: object) -> Path:
    """Write a lock as version 0.2 did."""
    lock = lock_file(folder, age, host="elsewhere", **said)
    file = folder / FOLDER / f"{lock.token}.json"
    return file.rename(folder / locks.FILE)


@pytest.mark.parametrize("age", [0.0, 1000.0])
def test_a_run_of_a_process_of_version_0_2_is_left_to_it_while_it_beats(
    folder: Path, age: float
) -> None:
    file = of_version_0_2(folder, age, phase="train", epoch=3, n_epochs=9, pid=77)
    seen = locks.read(folder)
    assert seen is not None
    assert (seen.pid, seen.phase, seen.epoch) == (77, "train", 3)
    assert is_free(folder) == (age > 0)
    assert file.exists() == (age == 0)


def test_a_process_of_version_0_2_sees_who_holds_a_lock(folder: Path) -> None:
    with locks.held(folder, LABEL) as holder:
        content = json.loads((folder / locks.FILE).read_text())
        known = "token host pid label began phase epoch n_epochs left processes"
        assert set(content) == set(known.split())  # it refuses others
        assert content["token"] == holder.lock.token
    assert not (folder / locks.FILE).is_symlink()


def test_a_link_that_a_killed_process_left_is_replaced(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / locks.FILE).symlink_to(f"{FOLDER}/f00d.json")
    assert locks.read(folder) is None
    with locks.held(folder, LABEL) as holder:
        assert (folder / locks.FILE).resolve() == holder.file
