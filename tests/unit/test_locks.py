"""A lock is one process's at a time, whatever stops, dies, or is lacking on the disk."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.processes import dead_process, lock_file, script
from builders.server import Heard
from repro import locks
from repro.data import cache
from repro.errors import ReproError
from repro.locks import FOLDER, SILENT_SECONDS, BusyError
from repro.runs import locks as run_locks
from repro.runs.leftovers import delete, leftovers

AT_EVERY_STEP = """
import contextlib, os, signal, sys, time
from pathlib import Path
from repro.runs import locks
beats = sys.modules.get("repro.locks", locks)
beats.BEAT_SECONDS = 0.02

runs, by = Path(sys.argv[1]), int(sys.argv[2])
gone = os.fork() or os._exit(0)
os.waitpid(gone, 0)

def held(folder):
    try:
        with locks.held(folder, "a run") as holder:
            holder.tell("train", 1, 9)
            time.sleep(0.05)
        return "held"
    except Exception as error:
        return str(error)

with locks.held(runs / "warm", "once, so that no child need import"):
    locks.read(runs / "warm")
for step in range(1, 200):
    folder, other = runs / f"stopped{step}", runs / f"other{step}"
    with contextlib.suppress(ImportError):
        from builders.processes import dead_process, lock_file
        lock_file(folder, pid=gone)
    child = os.fork()
    if not child:
        done = 0
        def count(event, arguments):
            global done
            if event.startswith(("os.", "open", "shutil.")) and str(runs) in str(arguments):
                done += 1
                if done == step:
                    os.kill(os.getpid(), by)
        sys.addaudithook(count)
        said = held(folder)
        os._exit(0 if said == "held" or "being run" in said else 1)
    _, how = os.waitpid(child, os.WUNTRACED)
    if os.WIFEXITED(how):
        assert os.WEXITSTATUS(how) == 0
        break
    if by == signal.SIGSTOP:
        assert held(other) == "held"
        locks.read(folder)  # as `status` does
        said = held(folder)
        assert said == "held" or f"process {child} on" in said, said
        os.kill(child, signal.SIGCONT)
        _, how = os.waitpid(child, 0)
        assert how == 0, (step, how)
    assert held(folder) == "held", step
print(step, flush=True)
"""
"""Runs in a process of its own, which a lock that waits would hang: at the n-th file operation a
child is stopped, or killed, while it takes over a void lock, tells, beats and releases."""

RACING = """
import os, random, sys
from pathlib import Path
from repro.runs import locks
folder, rounds = Path(sys.argv[1]), int(sys.argv[2])

def once(dies):
    try:
        with locks.held(folder, "a run"):
            inside = os.open(folder.parent / "inside", os.O_CREAT | os.O_EXCL)
            os.sched_yield()
            os.unlink(folder.parent / "inside")
            if dies:
                os._exit(0)  # like a kill: the lock stays, void
        return 0
    except locks.BusyError:
        return 1
    except BaseException as error:
        print(repr(error), flush=True)
        return 2

def child(work):
    pid = os.fork()
    if not pid:
        os._exit(work())
    return pid

def code(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def racer(seed):
    draw = random.Random(seed)
    dies = [draw.random() < 0.5 for _ in range(rounds)]
    ends = [code(child(lambda: once(one))) for one in dies]
    return 2 if 2 in ends else 0 if 0 in ends else 1

with locks.held(folder.with_name("warm"), "once, so that no child need import"):
    locks.read(folder.with_name("warm"))
racers = [child(lambda: racer(number)) for number in range(8)]
print(*map(code, racers))
"""


@pytest.mark.parametrize("by", ["STOP", "KILL"])
def test_a_process_that_is_stopped_or_killed_at_any_step_holds_up_nobody(
    tmp_path: Path, by: str
) -> None:
    steps = script(AT_EVERY_STEP, tmp_path, {"STOP": 19, "KILL": 9}[by])
    assert 12 <= int(steps) < 199
    for file in tmp_path.rglob("*"):
        os.utime(file, (1, 1), follow_symlinks=False)
    delete(leftovers(tmp_path), tmp_path)
    assert [path for path in tmp_path.glob("*/*") if path.is_file() or path.is_symlink()] == []
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    "rounds", [pytest.param(15, id="few"), pytest.param(400, id="many", marks=pytest.mark.slow)]
)
def test_of_eight_processes_that_want_a_lock_again_and_again_never_two_have_it(
    tmp_path: Path, rounds: int
) -> None:
    lock_file(tmp_path / "run", pid=dead_process())
    said = script(RACING, tmp_path / "run", rounds)
    assert set(said.split()) <= {"0", "1"}, said
    assert said.split().count("0") > 4, "most must have had it"


class Taker(threading.Thread):
    """Takes and releases a lock, a file operation at a time, whenever it is told to."""

    def __init__(self, folder: Path, inside: list[str]) -> None:
        super().__init__(daemon=True)
        self.over = False
        self._folder, self._inside = folder, inside
        self._go, self._rests = threading.Semaphore(0), threading.Semaphore(0)

    def pause(self) -> None:
        self._rests.release()
        self._go.acquire()

    def step(self) -> None:
        if not self.over:
            self._go.release()
            assert self._rests.acquire(timeout=30)

    def run(self) -> None:
        self._go.acquire()
        try:
            with locks.held(locks.Holder(self._folder, locks.Lock.here(self.name))) as holder:
                holder.check()
                self._inside.append(self.name)
                self.pause()
                assert self._inside == [self.name]
                self._inside.clear()
        except BusyError:
            pass
        except AssertionError:
            self._inside.append("two at once")
        self.over = True
        self._rests.release()


def a_step_at_a_time(of: Callable[..., Any]) -> Callable[..., Any]:
    def stepped(*arguments: Any, **options: Any) -> Any:
        here = threading.current_thread()
        if isinstance(here, Taker):
            here.pause()
        return of(*arguments, **options)

    return stepped


GONE = dead_process()


@given(st.lists(st.integers(0, 2), max_size=60))
@settings(deadline=None, max_examples=60)
def test_in_whatever_order_three_take_a_void_lock_never_two_have_it(
    tmp_path_factory: pytest.TempPathFactory, order: list[int]
) -> None:
    folder, inside = tmp_path_factory.mktemp("runs"), list[str]()
    lock_file(folder, pid=GONE)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("rename", "unlink", "rmdir", "mkdir", "iterdir"):
            patch.setattr(Path, name, a_step_at_a_time(getattr(Path, name)))
        takers = [Taker(folder, inside) for _ in range(3)]
        for taker in takers:
            taker.start()
        for number in order:
            takers[number].step()
        while not all(taker.over for taker in takers):
            for taker in takers:
                taker.step()
    assert inside == []
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("code", ["ENOSYS", "ENOLCK", "EOPNOTSUPP", "EPERM"])
def test_a_disk_without_flock_and_hard_links_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(getattr(errno, code), code)

    monkeypatch.setattr(fcntl, "flock", refused)
    monkeypatch.setattr(fcntl, "lockf", refused)
    monkeypatch.setattr(os, "link", refused)
    monkeypatch.setattr(os, "symlink", refused)
    folder = tmp_path / "runs" / "0123456789ab"
    lock_file(folder, pid=dead_process())
    (folder.parent / ".locks.lock").touch()  # left by version 0.2
    with run_locks.held(folder, "a run") as holder:
        holder.tell("train", 1, 9)
        with pytest.raises(BusyError), run_locks.held(folder, "a run"):
            pass
    assert list(folder.iterdir()) == []
    cache.folder("box").mkdir(parents=True)
    (cache.folder("box") / ".lock").touch()
    with cache.locked("box", Heard()):
        assert cache.is_busy("box")
    assert not cache.is_busy("box")
    leftovers(folder.parent)


@pytest.mark.parametrize("answers", ["twice", "not over a folder"])
def test_what_a_file_server_answers_to_a_rename_may_be_odd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: str
) -> None:
    rename = Path.rename

    def odd(self: Path, to: Path) -> Path:
        if answers == "twice":
            rename(self, to)
            raise FileNotFoundError(errno.ENOENT, "it has been renamed already", str(self))
        if to.exists():
            raise PermissionError(errno.EACCES, "there is a folder", str(to))
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", odd)
    (tmp_path / FOLDER).mkdir()
    lock_file(tmp_path, pid=dead_process())
    with held(tmp_path), pytest.raises(BusyError), held(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def held(folder: Path) -> Any:
    return locks.held(locks.Holder(folder, locks.Lock.here("a box")))


def is_free(folder: Path) -> bool:
    try:
        with held(folder):
            return True
    except BusyError:
        return False


@pytest.mark.parametrize(
    ("age", "counts"),
    [
        (-3600.0, False),  # the clock was set back: its holder would have written it since
        (-SILENT_SECONDS - 5, False),
        (-5.0, True),  # the clocks of a file server's disks may differ a little
        (SILENT_SECONDS - 5, True),
        (SILENT_SECONDS + 5, False),
    ],
)
@pytest.mark.parametrize("content", [None, "", '{"token": "f0', '{"pid": -1}', "[" * 9999])
def test_a_lock_counts_by_its_age_even_if_it_is_damaged(
    tmp_path: Path, age: float, counts: bool, content: str | None
) -> None:
    lock = lock_file(tmp_path, host="elsewhere")
    file = tmp_path / FOLDER / f"{lock.token}.json"
    if content is not None:
        file.write_text(content)
    os.utime(file, (time.time() - age,) * 2)
    assert is_free(tmp_path) != counts


def test_who_holds_it_is_told_or_which_file_cannot_be_read(tmp_path: Path) -> None:
    lock = lock_file(tmp_path, host="elsewhere", pid=77)
    with pytest.raises(BusyError, match="a box is in use by process 77 on elsewhere"):
        held(tmp_path).__enter__()
    file = tmp_path / FOLDER / f"{lock.token}.json"
    file.write_text("")
    with pytest.raises(BusyError, match=f"cannot be read: {file}"):
        held(tmp_path).__enter__()


def test_something_else_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "notes").touch()
    with pytest.raises(ReproError, match=f"cannot lock {tmp_path}.*not empty"):
        held(tmp_path).__enter__()
    assert [file.name for file in tmp_path.rglob("*")] == [FOLDER, "notes"]


def test_an_error_of_a_process_that_has_lost_its_lock_is_not_its_own(tmp_path: Path) -> None:
    def lose() -> None:
        with held(tmp_path) as holder:
            holder.file.unlink()
            raise FileNotFoundError("somebody has tidied up")

    with pytest.raises(BusyError, match="taken over a box"):
        lose()
