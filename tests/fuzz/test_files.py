"""Damaged files of every kind: no traceback, no hang, no silent wrong number.

`PYTHONPATH=tests python tests/fuzz/test_files.py` makes all tries, and prints for each kind of file
how many there were and how many survived, as Markdown; and on stderr what did not survive. With
`--write` it writes that into the page on reliability; with KIND and N it repeats a single try.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import manifests
from builders.archives import packed
from builders.commands import repro_
from builders.fuzz import Fault, Kind, Lane, Seen
from builders.models import level
from builders.mutations import (
    ARRAY,
    ARRAYS,
    BYTES,
    CHECKPOINT,
    CODE,
    CSV,
    JSON,
    TEXT,
    TGZ,
    TOML,
    ZIP,
    other_number,
)
from builders.papers import BOTH, paper, row, table, view
from builders.records import timeless
from builders.server import Serving, give
from builders.toml import section, toml
from repro import paths
from repro.data import download
from repro.runs import batch, records
from repro.runs.asked import Asked
from repro.runs.batch import Quiet
from repro.runs.plan import plan
from repro.runs.records import Failure, Record
from repro.runs.settings import How, Report
from repro.training import progress

PAGE = Path(__file__).parents[2] / "repro" / "runs" / "README.md"
NUMBERS = ["0.50", "0.5"]
NET = {"hidden_dims": [8], "latent_dim": 4, "n_epochs": 6}
MINE = paper(
    view("toy", "toy/split"),
    table("1", BOTH),
    row("POP", "popularity", NUMBERS, note="a note"),
    row("EASE", "ease", NUMBERS),
    row("Own", "own", NUMBERS),
    table("2"),
    row("Mult-VAE", "mult_vae", table="2", params=NET),
)
OWN = level("""

    def embeddings(self):
        return {"users": torch.ones(240, 2), "items": torch.ones(100, 2)}
""")
PROTOCOL = '''"""A protocol of a test."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Halves:
    """Hold nothing out."""

    share: float = 0.5

    def split(self, data):
        return None


PROTOCOL = Halves
'''
ROWS = "".join(f"{u},{(7 * u + step) % 60}\n" for u in range(40) for step in range(10)).encode()
BOXED = paper(
    view("box", "box/all", "random_split"),
    table(groups=["box"]),
    row("POP", "popularity", group="box"),
)
HEAD = section("archive", title="Box", license="none", source="a test", manual="write to them")


class Stopped(Quiet):
    """Interrupts a run in its fourth epoch, and keeps the lock that it has then."""

    def __init__(self) -> None:
        super().__init__()
        self.locks: dict[Path, bytes] = {}

    def begin(self, label: str) -> Report:
        def report(phase: str, epoch: int, n: int) -> None:
            if epoch == 4:
                for folder in paths.runs().iterdir():
                    files = [path for path in folder.rglob("*") if path.is_file()]
                    inside = {path.relative_to(folder): path for path in files}
                    locks = {at: path for at, path in inside.items() if "lock" in str(at)}
                    self.locks |= {at: path.read_bytes() for at, path in locks.items()}
                raise KeyboardInterrupt

        return report


def place() -> Path:
    """Return the folder in which this process makes its tries."""
    found = Path(tempfile.gettempdir()) / f"repro-fuzz-{os.getpid()}"
    os.environ |= {
        "REPRO_HOME": str(found / "home"),
        "REPRO_RUNS": str(found / "runs"),
        "REPRO_PATH": str(found / "user"),
    }
    return found


def template(name: str) -> Path:
    """Keep what lies at the place as a template."""
    kept = place().with_name(f"{place().name}-{name}")
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(place(), kept)
    return kept


def put(name: str, content: str | bytes) -> None:
    file = place() / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)


def begin() -> None:
    shutil.rmtree(place(), ignore_errors=True)
    put("user/tables/mine.toml", MINE)
    put("user/models/own.py", OWN)
    put("user/protocols/halves.py", PROTOCOL)


@cache
def runs() -> Path:
    """Return finished runs, and frozen numbers of them."""
    begin()
    if find_spec("repro.runs.index"):  # else few records have no index
        vars(import_module("repro.runs.index"))["FEWEST"] = 0
    repro_("run", "mine", "--table", "1")
    repro_("freeze", "mine")
    repro_("compare", "mine")  # whatever is kept for speed is there
    return template("runs")


@cache
def cut_off() -> Path:
    """Return a run that was cut off, with checkpoints; and one with a lock and a failure."""
    begin()
    often, progress.CHECKPOINT_SECONDS = progress.CHECKPOINT_SECONDS, 0.0
    stopped = Stopped()
    try:
        batch.run(Asked(papers=("mine",), table="2"), How(paths.runs()), stopped)
    except KeyboardInterrupt:
        pass
    finally:
        progress.CHECKPOINT_SECONDS = often
    (job,) = plan(Asked(papers=("mine",), rows=("POP",))).located()
    for file, content in stopped.locks.items():
        put(f"runs/{job.id}/{file}", content)
    records.save_failure(paths.runs() / job.id, Failure("no", "2024-01-01", {"dirty": False}))
    return template("cut_off")


def box(member: str) -> None:
    shutil.rmtree(place(), ignore_errors=True)
    put("user/data_manifests/box.toml", manifests.box(member, head=HEAD))
    put("user/tables/boxed.toml", BOXED)


@cache
def built() -> Path:
    """Return a dataset of one file that is in the cache, with its view."""
    box(manifests.sha256(ROWS))
    put("from/rows.csv", ROWS)
    repro_("fetch", "box", "--from", str(place() / "from"))
    return template("built")


@cache
def fetched() -> Path:
    """Return the same without its view."""
    whole = built()
    shutil.rmtree(place())
    shutil.copytree(whole, place())
    shutil.rmtree(place() / "home" / "data" / "box" / "views")
    return template("fetched")


def archived(kind: str) -> Path:
    box(f'path = "rows.csv"\ncontainer = "box.{kind}"\n{manifests.sha256(ROWS)}')
    content = packed(kind.replace("tgz", "tar.gz"), {"readme": b"x" * 100, "rows.csv": ROWS})
    put(f"from/box.{kind}", content)
    return template(kind)


@cache
def zipped() -> Path:
    return archived("zip")


@cache
def tarred() -> Path:
    return archived("tgz")


@cache
def serving() -> Serving:
    """Return a server that runs as long as this process."""
    made = Serving()
    threading.Thread(target=made.serve_forever, args=[0.005], daemon=True).start()
    return made


@cache
def partly() -> Path:
    """Return a dataset of which half has been downloaded."""
    download.DELAY_SECONDS = 0.0
    url = serving().at("/rows.csv", give(ROWS, etag='"one"'))
    member = f'url = "{url}"\n{manifests.stating(ROWS)}'
    box(member)
    put("user/data_manifests/box.toml", manifests.box(member))
    put("home/data/box/parts/rows.csv.part", ROWS[:1000])
    put("home/data/box/parts/rows.csv.part.json", json.dumps({"url": url, "validator": '"one"'}))
    return template("partly")


def compared(seen: Seen) -> None:
    seen.type("compare", "mine", "--against", "EASE", "--format", "text", numbers=True)


def stated(seen: Seen) -> None:
    seen.type("status", "mine")
    seen.type("clean", "--yes", "--unfinished")


def recorded() -> list[Record]:
    return [records.load(file.parent) for file in sorted(paths.runs().glob("*/record.json"))]


def embedded(seen: Seen) -> None:
    arrays = {record.id: record.embeddings() for record in recorded()}
    seen.numbers.append(
        [(id, n, np.asarray(a).tobytes()) for id in arrays for n, a in arrays[id].items()]
    )


def resumed(seen: Seen) -> None:
    seen.type("run", "mine", "--table", "2")
    seen.numbers.append([timeless(record) for record in recorded()] or None)


def trained(seen: Seen) -> None:
    seen.type("fetch", "box", "--check")
    seen.type("run", "boxed")
    seen.type("compare", "boxed", "--format", "text", numbers=True)


def brought(seen: Seen, *options: str) -> None:
    """Fetch a dataset; the numbers are its bytes, or None without a receipt for them."""
    seen.type("fetch", "box", *options)
    raw = place() / "home" / "data" / "box" / "raw"
    has = (raw / "receipt.json").exists() and (raw / "rows.csv").is_file()
    seen.numbers.append(
        hashlib.sha256((raw / "rows.csv").read_bytes()).hexdigest() if has else None
    )


def unpacked(seen: Seen) -> None:
    brought(seen, "--from", str(place() / "from"))


def believed(seen: Seen) -> None:
    seen.type("fetch", "box", "--from", str(place() / "from"), "--unverified")


def shown(seen: Seen) -> None:
    for command in ("show", "compare", "status"):
        seen.type(command, "mine")


def described(seen: Seen) -> None:
    seen.type("show", "box")
    seen.type("fetch", "box", "--check")
    seen.type("run", "boxed", "--dry-run")


def plugged(seen: Seen) -> None:
    seen.type("show", "own")
    seen.type("compare", "mine")


def ruled(seen: Seen) -> None:
    seen.type("show", "halves")
    seen.type("list", "protocols")


KINDS = [
    Kind("record.json", "runs/*/record.json", JSON, 300, runs, compared),
    Kind("hits.npz", "runs/*/hits.npz", ARRAYS, 150, runs, compared),
    Kind("embeddings.npz", "runs/*/embeddings.npz", ARRAYS, 100, runs, embedded),
    Kind("index of records", "runs/.index", [*TEXT, other_number], 100, runs, compared),
    Kind("checkpoint", "runs/*/checkpoint-*.pt", CHECKPOINT, 80, cut_off, resumed),
    Kind("lock.json", "runs/*/lock.json runs/*/lock/*", JSON, 100, cut_off, stated, compares=False),
    Kind("failure.json", "runs/*/failure.json", JSON, 100, cut_off, stated, compares=False),
    Kind("frozen numbers", "user/tables/reference/mine.csv", CSV, 150, runs, compared),
    Kind("receipt.json", "home/data/box/raw/receipt.json", JSON, 150, fetched, trained),
    Kind("raw file", "home/data/box/raw/rows.csv", CSV, 80, fetched, trained),
    Kind("view.json", "home/data/box/views/*/view.json", JSON, 120, built, trained, ("box/all",)),
    Kind(
        "array of a view", "home/data/box/views/*/*.npy", ARRAY, 100, built, trained, ("box/all",)
    ),
    Kind("part of a download", "home/data/box/parts/*.part", BYTES, 60, partly, brought),
    Kind("note of a part", "home/data/box/parts/*.json", JSON, 80, partly, brought),
    Kind("zip", "from/box.zip", ZIP, 250, zipped, unpacked),
    Kind("zip, unverified", "from/box.zip", ZIP, 250, zipped, believed, compares=False),
    Kind("tgz", "from/box.tgz", TGZ, 250, tarred, unpacked),
    Kind("tgz, unverified", "from/box.tgz", TGZ, 250, tarred, believed, compares=False),
    Kind("table file", "user/tables/mine.toml", TOML, 300, runs, shown, compares=False),
    Kind("manifest", "user/data_manifests/box.toml", TOML, 250, built, described, compares=False),
    Kind("model file", "user/models/own.py", CODE, 120, runs, plugged, compares=False),
    Kind("protocol file", "user/protocols/halves.py", CODE, 60, runs, ruled, compares=False),
]
BY_NAME = {kind.name: kind for kind in KINDS}

PARTS = ("experiment", "results", "model", "paper", "views", "archive", "tables", "read", "x")
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(PARTS) | st.text(max_size=3), inner, max_size=5)
    ),
    max_leaves=12,
)
"""Whatever JSON and TOML can hold."""


def json_text(value: object) -> str:
    return json.dumps(value)


def toml_text(value: object) -> str:
    """Return a value as TOML, which may have its own rules for it."""
    content = value if isinstance(value, dict) else {"x": value}
    return "".join(f"{json.dumps(key)} = {toml(inner)}\n" for key, inner in content.items())


@pytest.fixture(autouse=True, scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have all tries made in a folder that pytest removes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("fuzz")))
        yield


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what `place` sets put back."""
    for name in ("REPRO_HOME", "REPRO_RUNS", "REPRO_PATH"):
        monkeypatch.setenv(name, "")


def lane(name: str) -> tuple[int, list[Fault]]:
    """Make all tries of a kind; return how many there were, and those that did not survive."""
    place()
    kind = BY_NAME[name]
    if not kind.files(kind.made()):
        return 0, []  # no such file in this version
    made = Lane(kind, place())
    return kind.tries, [fault for n in range(kind.tries) if (fault := made.attempt(n))]


@pytest.mark.slow
@pytest.mark.parametrize("name", BY_NAME)
def test_damage_is_named(name: str) -> None:
    _, faults = lane(name)
    assert not faults, "\n".join(map(str, faults))


FORMS = {
    "record.json": json_text,
    "receipt.json": json_text,
    "lock.json": json_text,
    "failure.json": json_text,
    "view.json": json_text,
    "note of a part": json_text,
    "table file": toml_text,
    "manifest": toml_text,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMS)
def test_any_content_of_the_right_syntax_is_read_or_named(name: str) -> None:
    place()
    made = Lane(BY_NAME[name], place())

    @settings(max_examples=60, deadline=None, derandomize=True, database=None)
    @given(values)
    def check(value: object) -> None:
        assert made.wrong_with(FORMS[name](value).encode()) == ""

    check()


def test_the_lane_makes_two_thousand_tries_and_more() -> None:
    assert sum(kind.tries for kind in KINDS) >= 2000


def main() -> None:
    """Make all tries; print the table, and what did not survive."""
    with tempfile.TemporaryDirectory() as made, ProcessPoolExecutor(os.cpu_count()) as pool:
        tempfile.tempdir = made
        found = dict(zip(BY_NAME, pool.map(lane, BY_NAME), strict=True))
    rows = [(name, n, n - len(faults)) for name, (n, faults) in found.items() if n]
    rows.append(("all", sum(n for _, n, _ in rows), sum(n for _, _, n in rows)))
    lines = ["| file | tries | survived |", "|:--|--:|--:|"]
    lines += [f"| {name} | {n:,} | {survived:,} |" for name, n, survived in rows]
    text = "\n".join([*lines, ""])
    sys.stdout.write(text)
    if "--write" in sys.argv:
        before, begin, rest = PAGE.read_text().partition("<!-- fuzz -->\n")
        PAGE.write_text(
            before + begin + text + "<!-- /fuzz -->" + rest.partition("<!-- /fuzz -->")[2]
        )
    for name, (_, faults) in found.items():
        firsts = {fault.what[:100]: fault for fault in reversed(faults)}
        for what, n in Counter(fault.what[:100] for fault in faults).most_common():
            sys.stderr.write(f"{name}: {n} x {what} (as in try {firsts[what].n})\n")


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["--write"]):
        place()
        one = BY_NAME[sys.argv[1]]
        fault = Lane(one, place()).attempt(int(sys.argv[2]))
        sys.stdout.write(f"{fault or 'it survived'}\n")
    else:
        main()
