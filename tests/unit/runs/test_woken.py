"""A process that slept until another took its run writes nothing more, and has not failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders.processes import script

WOKEN = """
import collections, os, signal, sys
from pathlib import Path
import torch
from builders.records import timeless
from repro.data import prepare
from repro.errors import ReproError
from repro.files import unfinished
from repro.runs import execute, plan, records
from repro.runs.asked import Asked
from repro.runs.settings import Settings
import repro.training.progress

runs, fails, every = Path(sys.argv[1]), sys.argv[2] == "fails", int(sys.argv[3])
torch.set_num_threads(1)
repro.training.progress.CHECKPOINT_SECONDS = -1.0
job, *_ = plan.plan(Asked(("toy",), table="1", rows=("Mult-VAE",), seeds=(0,), smoke=True)).jobs
prepare.prepare(job.experiment.dataset)
job = job.located()
whole = execute.run(job, Settings(runs / "whole", "cpu", 1))
ends = collections.Counter()

def broken(phase, epoch, n):
    if epoch == n:
        raise ValueError("the wheels came off")

def child(settings, stop):
    "Run, and stop at a file operation; its number, or what became of the run, is the exit code."
    done = 0
    def count(event, arguments):
        nonlocal done
        if event.startswith(("os.", "open")) and str(settings.runs) in str(arguments):
            done += 1
            if done == stop:
                os.kill(os.getpid(), signal.SIGSTOP)
    sys.addaudithook(count)
    outcome = execute.attempt(job, settings, broken if fails else None)
    if not stop:
        return done
    if isinstance(outcome, ReproError):
        return 1 if type(outcome).__name__ == "BusyError" else 2
    return 0

def forked(*arguments):
    pid = os.fork()
    if not pid:
        code = 3
        try:
            code = child(*arguments)
        finally:
            os._exit(code)
    return pid, os.waitpid(pid, os.WUNTRACED)[1]

n_steps = os.waitstatus_to_exitcode(forked(Settings(runs / "counted", "cpu", 1), 0)[1])
for step in range(1, n_steps, every):
    settings = Settings(runs / str(step), "cpu", 1)
    folder = settings.runs / job.id
    pid, how = forked(settings, step)
    assert os.WIFSTOPPED(how), (step, how)
    for lock in (*folder.glob("lock.json"), *folder.glob("lock/*")):
        os.utime(lock, (1, 1))
    other = execute.run(job, settings)
    there = {file: file.read_bytes() for file in (folder / records.FILE, folder / records.HITS)}
    os.kill(pid, signal.SIGCONT)
    end = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    saved = [failure.read_text() for failure in folder.glob("fail*")]
    assert end in (0, 1) or (fails and end == 2), (step, end, saved)  # 2: it fell asleep after all
    ends[end] += 1
    left = {file.name for file in folder.iterdir() if not file.match("checkpoint-*")}
    assert left == {records.FILE, records.HITS}, (step, left)
    assert timeless(records.load(folder)) == timeless(whole), step
    if fails:
        assert all(file.read_bytes() == there[file] for file in there), step
assert ends[2] < 8, ends
print(n_steps, ends[1], flush=True)
"""


@pytest.mark.parametrize("how", ["runs", "fails"])
@pytest.mark.parametrize(
    "every", [pytest.param(13, id="some"), pytest.param(1, id="every", marks=pytest.mark.slow)]
)
def test_at_whatever_step_it_fell_asleep_the_others_record_is_whole_and_it_is_busy(
    tmp_path: Path, how: str, every: int
) -> None:
    n_steps, n_busy = map(int, script(WOKEN, tmp_path, how, every).split())
    assert n_steps > 25
    assert n_busy > n_steps // every // 2, "at most steps it must have lost the run"
