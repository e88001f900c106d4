"""kill -9 at any moment: the same command again ends as if nothing had happened.

A hundred commands are killed at moments that a seed draws from their whole life. Most are forked
from a process that has torch already, so that a moment falls into the command's own work and not
into an import; some are processes of their own, killed in their first seconds.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from builders import Write, manifests
from builders.archives import packed
from builders.commands import repro_
from builders.papers import BOTH, paper, row, table, view
from builders.processes import Talking
from builders.records import timeless
from builders.server import Serving, give
from builders.toml import section
from repro import paths
from repro.data import views
from repro.files import read_json
from repro.runs import records
from repro.runs.leftovers import leftovers

NURSERY = """
import json, multiprocessing, os, signal, sys, threading, time
import torch._dynamo
import repro.runs.engines, repro.runs.execute, repro.training.progress
from repro.cli import main
from repro.papers import library

forked = multiprocessing.get_context("fork")
multiprocessing.get_context = lambda method=None: forked  # a spawned one imports torch: seconds
repro.training.progress.CHECKPOINT_SECONDS = 0.02
for name in library.papers():
    library.load(name)

def killed(moment, group):
    time.sleep(moment)
    (os.killpg if group else os.kill)(os.getpid(), signal.SIGKILL)

for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if not child:
        break
    began = time.monotonic()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(code, time.monotonic() - began, flush=True)
else:
    os._exit(0)

os.setsid()
for descriptor, name in enumerate([os.devnull, os.devnull, asked["messages"]]):
    os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), descriptor)
os.environ.update(asked["environment"])
sys.argv = ["repro", *asked["command"]]
if asked["moment"] is not None:
    args = asked["moment"], asked["group"]
    threading.Thread(target=killed, args=args, daemon=True).start()
main()
"""

PARAMS = {
    "hidden_dims": [32],
    "latent_dim": 8,
    "batch_size": 80,
    "anneal_steps": 1000,
    "n_epochs": 12,
}
MINE = paper(
    view("toy", "toy/ratings", "random_split"),
    table("1", BOTH, select="valid:ndcg@10"),
    row("Mult-VAE", "mult_vae", ["0.5", "0.5"], params=PARAMS),
    row("POP", "popularity", ["0.5", "0.5"]),
)
ROWS = "".join(f"{u},{i}\n" for u in range(600) for i in range(u % 9, 999, 9)).encode()
HEAD = section("archive", title="Box", license="none", source="a test", manual="write to them")


class Nursery(Talking):
    """Starts commands in processes of their own, and has them killed."""

    def __init__(self) -> None:
        super().__init__(NURSERY)

    def run(self, *command: str, moment: float | None = None, group: bool = False) -> Ended:
        """Run a command; kill it, or its whole group of processes, after so many seconds."""
        messages = place() / "messages"
        messages.unlink(missing_ok=True)
        asked = {
            "environment": {k: v for k, v in os.environ.items() if k.startswith("REPRO_")},
            "command": command,
            "messages": str(messages),
            "moment": moment,
            "group": group,
        }
        code, seconds = self.ask(json.dumps(asked)).split()
        return Ended(int(code), float(seconds), messages.read_text())


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    seconds: float
    messages: str


def place() -> Path:
    """Return the folder in which a test's commands work."""
    return paths.home().parent


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.end()


@dataclass(frozen=True)
class Crash:
    """A command that is killed."""

    command: tuple[str, ...]
    prepare: Callable[[Serving], None]
    """Sets everything up, except what the command makes."""
    result: Callable[[], Any]
    """Returns what the command is for, without what a clock decides."""
    kills: int
    alone: int = 0
    """How many of the kills are of a process of its own."""


def paper_of_ones_own(server: Serving) -> None:
    put("user/tables/mine.toml", MINE.encode())


def finished(server: Serving) -> None:
    """Prepare finished runs."""
    paper_of_ones_own(server)
    repro_("run", "mine")


def reported(server: Serving) -> None:
    """Prepare finished runs, and a report from before they were."""
    paper_of_ones_own(server)
    repro_("report", "mine", "--to", str(place() / "site"))
    repro_("run", "mine")


def from_a_folder(server: Serving) -> None:
    """Prepare a zip in a folder."""
    member = f'path = "in/rows.csv"\ncontainer = "box.zip"\n{manifests.sha256(ROWS)}'
    put("user/data_manifests/box.toml", manifests.box(member, head=HEAD).encode())
    put("from/box.zip", packed("zip", {"readme": b"x", "in/rows.csv": ROWS}))


def from_a_server(server: Serving) -> None:
    """Prepare a download that takes a while."""
    url = server.at("/rows.csv", give(ROWS, etag='"one"', drip=(1 << 14, 0.01)))
    text = manifests.box(f'url = "{url}"\n{manifests.stating(ROWS)}')
    put("user/data_manifests/box.toml", text.encode())


def put(name: str, content: bytes) -> None:
    (place() / name).parent.mkdir(parents=True, exist_ok=True)
    (place() / name).write_bytes(content)


def recorded() -> Any:
    found = [records.load(file.parent) for file in sorted(paths.runs().glob("*/record.json"))]
    same = ("verified", "n_users", "tie_size", "constant")
    return [
        (timeless(one), [getattr(one, name) for name in same], hits(one.id).read_bytes())
        for one in found
    ]


def hits(id: str) -> Path:
    return paths.runs() / id / records.HITS


def cached() -> Any:
    folder = paths.home() / "data" / "box"
    view = views.folder("box/all")
    files = [folder / "raw" / "rows.csv", *sorted(view.iterdir())]
    receipt = read_json(folder / "raw" / "receipt.json")
    for one in receipt.values():
        del one["source"]  # of a file whose receipt was not yet written: "found in the cache"
    return receipt, [(file.name, file.read_bytes()) for file in files]


def frozen() -> Any:
    return (place() / "user" / "tables" / "reference" / "mine.csv").read_bytes()


def written() -> Any:
    """Return the report, which lies alone: nothing half-written is beside it."""
    beside = [path.name for path in place().iterdir() if "site" in path.name]
    pages = sorted(path for path in (place() / "site").rglob("*") if path.is_file())
    return beside, [(page.name, page.read_bytes()) for page in pages]


CRASHES = {
    "run": Crash(("run", "mine"), paper_of_ones_own, recorded, 36, alone=4),
    "run --jobs 2": Crash(("run", "mine", "--jobs", "2"), paper_of_ones_own, recorded, 20, alone=2),
    "fetch, a server": Crash(("fetch", "box"), from_a_server, cached, 16, alone=1),
    "fetch, a zip": Crash(("fetch", "box", "--from", "from"), from_a_folder, cached, 14, alone=1),
    "freeze": Crash(("freeze", "mine"), finished, frozen, 14),
    "report": Crash(("report", "mine", "--to", "site"), reported, written, 10),
}


def files() -> set[Path]:
    """Return all files that a command may leave, but for locks that lie there for good."""
    found = [path for at in ("runs", "home", "user") for path in (place() / at).rglob("*")]
    return {path for path in found if path.is_file() and path.suffix != ".lock"}


def placed(crash: Crash) -> tuple[str, ...]:
    """Return the command with paths as they are in this place."""
    return tuple(str(place() / one) if one in ("from", "site") else one for one in crash.command)


@pytest.mark.slow
@pytest.mark.parametrize("name", CRASHES)
def test_a_killed_command_ends_the_second_time_as_if_it_had_not_been_killed(
    nursery: Nursery, name: str, write: Write, server: Serving
) -> None:
    crash, draw = CRASHES[name], Random(name)
    crash.prepare(server)
    template = place().with_name(f"{place().name}-template")
    shutil.copytree(place(), template)
    command = placed(crash)
    whole = nursery.run(*command)
    assert whole.code == 0, whole.messages
    seconds = whole.seconds
    result, wanted = crash.result(), files()
    for n in range(crash.kills):
        moment = draw.uniform(0, 2.5 if n < crash.alone else seconds)
        killed = False
        while not killed:  # by the moment it may have ended: then earlier
            shutil.rmtree(place())
            shutil.copytree(template, place())
            if n < crash.alone:
                killed = alone(command, moment)
            else:
                killed = nursery.run(*command, moment=moment, group=bool(n % 2)).code < 0
            moment /= 1 if killed else 2
        said = f"{name}, kill {n} after {moment:.3f} s"
        again = nursery.run(*command)
        seconds = min(seconds, max(again.seconds, seconds / 2))  # the first may have been slow
        assert again.code == 0, f"{said}: {again.messages}"
        assert "Traceback" not in again.messages, f"{said}: {again.messages}"
        assert crash.result() == result, said
        check_leftovers(wanted, said)


def alone(command: tuple[str, ...], moment: float) -> bool:
    """Kill a process of its own after so many seconds; return whether it was still there."""
    asked = [sys.executable, "-m", "repro", *command]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(asked, **silent) as process:  # type: ignore[call-overload]
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        return process.wait() < 0


def check_leftovers(wanted: set[Path], said: str) -> None:
    """Check that whatever is there besides results is what `repro clean` names."""
    more = files() - wanted
    for path in more:
        os.utime(path, (0, 0))  # what is young may be in use
    named = {one.path for one in leftovers(paths.runs(), unfinished=True)}
    assert not [path for path in more if not named & {path, *path.parents}], said
    assert wanted <= files(), said
