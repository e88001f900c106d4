"""What will run, what runs, what has run: `repro status`, `--dry-run`, seeds and old records."""

from __future__ import annotations

import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from builders import Write, papers
from builders.checkpoints import PLACE
from builders.commands import content, json_of, known, repro_
from builders.manifests import BY_HAND, box
from builders.models import breaking, level
from builders.papers import BOTH, OBSTACLES, at, blocked, table
from builders.processes import lock_file
from builders.records import rewrite
from repro import paths
from repro.data import prepare, views
from repro.runs import estimate, locks, plan, records
from repro.runs.asked import Asked
from repro.runs.estimate import Estimate
from repro.runs.plan import Job
from repro.runs.records import Failure
from repro.runs.status import State
from repro.training import checkpoints
from repro.training.checkpoints import Place

HOW = 'if self.how == "silently":\n    return\nyield [1, 2, 3][train.n_users]'
BREAKING = breaking(HOW)

row = partial(papers.row, published=["0.5", "0.5"])


def paper(
    *rows: str,
    dataset: str = "toy/ratings",
    protocol: Any = "random_split",
    groups: Sequence[str] = ("toy", "gone"),
    **more: Any,
) -> str:
    views = papers.view("toy", dataset, protocol) + blocked("gone", dataset, protocol)
    return papers.paper(views, table("1", BOTH, groups=groups, **({"seeds": [0]} | more)), *rows)


@pytest.fixture
def mine(write: Write) -> Callable[..., list[Job]]:
    """Return what writes the paper and returns its jobs."""

    def put(*rows: str, more: str = "", **about: Any) -> list[Job]:
        write("tables/mine.toml", paper(*(rows or [row("POP", "popularity")]), more, **about))
        return plan.plan(Asked(("mine",))).jobs

    return put


Mine = Callable[..., list[Job]]


def told(*arguments: str) -> list[dict[str, Any]]:
    return json_of("status", *arguments)


def rows_of(text: str) -> dict[str, list[str]]:
    """Return the cells of a table in text by the first; cells stand two spaces apart."""
    lines = [re.split(r"\s{2,}", line.rstrip()) for line in text.splitlines()]
    return {cells[0]: cells[1:] for cells in lines if "|" in cells[0]}


def folder(job: Job) -> Path:
    return paths.runs() / job.id


def test_status_shows_how_every_run_stands(mine: Mine) -> None:
    jobs = mine(seeds=[0, 1, 2, 3, 4], more=OBSTACLES)
    repro_("run", "mine", "--seeds", "0")
    (record,) = known()
    lock_file(folder(jobs[1]), phase="train", epoch=3, n_epochs=10, left=125.0)
    records.save_failure(folder(jobs[2]), Failure("no memory\n  use less", "last night", {}))
    checkpoints.save(folder(jobs[3]), b"half way", PLACE)

    text = repro_("status", "mine").stdout
    rows = rows_of(text)
    seed = "mine 1 | POP | Toy | seed"
    assert rows[f"{seed} 0"] == ["done", record.id]
    at = f"process {os.getpid()} on {socket.gethostname()}"
    assert rows[f"{seed} 1"] == ["running", f"train 3/10, {at}", "2 min 05 s"]
    assert rows[f"{seed} 2"] == ["failed", "no memory; use less (last night)", "0 s"]
    assert rows[f"{seed} 3"] == ["missing", "interrupted at epoch 3/10; resumes", "0 s"]
    assert rows[f"{seed} 4"] == ["missing", "0 s"]
    assert rows["mine 1 | POP | Gone"] == ["blocked", "the owner withdrew it"]
    assert rows["mine 1 | Future | Toy"] == ["unrun", "there is no model of_the_future yet"]
    assert rows["mine 1 | Old | Toy"][0] == "quoted"
    counts = "1 done, 1 running, 1 failed, 2 missing, 1 blocked, 1 unrun, 1 quoted"
    assert counts in text.splitlines()


def test_status_reads_back_from_json(mine: Mine) -> None:
    mine(seeds=[0, 1], more=OBSTACLES)
    repro_("run", "mine", "--seeds", "1")
    (record,) = known()
    found = told("mine")
    assert all(entry.keys() == {one.name for one in fields(State)} for entry in found)
    assert [(entry["kind"], State(**entry).detail) for entry in found] == [
        ("missing", ""),
        ("done", record.id),
        ("blocked", "the owner withdrew it"),
        ("unrun", "there is no model of_the_future yet"),
        ("quoted", "quoted from an older paper, without a recipe"),
    ]
    assert [entry["left"] for entry in found] == [record.seconds, None, None, None, None]


def test_status_names_the_command_that_brings_the_data_and_it_does(mine: Mine) -> None:
    mine()
    (entry,) = told("mine")
    assert entry["kind"] == "no data"
    command = entry["reason"].split()
    assert command[0] == "repro"
    assert "1 no data" in repro_("status", "mine").stdout
    repro_(*command[1:])
    assert [entry["kind"] for entry in told("mine")] == ["missing"]


def test_status_tells_why_a_run_failed_until_it_succeeds(mine: Mine, write: Write) -> None:
    write("models/breaking.py", BREAKING)
    mine(row("Breaking", "breaking"))
    repro_("run", "mine", code=4)
    (entry,) = told("mine")
    assert entry["kind"] == "failed"
    assert "the wheels came off" in entry["reason"]
    assert "put them on again" in entry["reason"]
    assert "1 failed" in repro_("status", "mine").stdout


def test_a_run_that_succeeds_forgets_that_it_failed(mine: Mine) -> None:
    (job,) = mine()
    prepare.prepare("toy/ratings")
    records.save_failure(folder(job), Failure("no memory", "last night", {}))
    repro_("run", "mine")
    assert [entry["kind"] for entry in told("mine")] == ["done"]
    assert records.failure(folder(job)) is None


def test_the_time_left_adds_up_and_says_of_how_many_nothing_is_known(mine: Mine) -> None:
    mine(row("POP", "popularity"), row("EASE", "ease"), seeds=[0, 1, 2])
    repro_("run", "mine", "--row", "POP", "--seeds", "0")
    (file,) = paths.runs().glob(f"*/{records.FILE}")
    rewrite(file.parent, seconds=100.0)
    text = repro_("status", "mine").stdout
    rows = rows_of(text)
    assert rows["mine 1 | POP | Toy | seed 1"] == ["missing", "1 min 40 s"]
    assert rows["mine 1 | EASE | Toy | seed 1"] == ["missing"]
    assert "about 3 min 20 s left" in text
    assert "unknown for 3" in text


def test_a_run_that_the_model_refuses_is_not_shown_as_still_to_do(mine: Mine, write: Write) -> None:
    unknown_users = {"name": "strong_generalization", "heldout_users": 40}
    write("tables/mine.toml", paper(row("BPR", "bpr"), protocol=unknown_users))
    assert "1 refused" in repro_("run", "mine").stderr
    assert [entry["kind"] for entry in told("mine")] != ["missing"]


def test_the_id_of_a_record_is_shown_to_the_letter(mine: Mine) -> None:
    prepare.prepare("toy/ratings")
    (job,) = mine()
    known_view = views.prepared("toy/ratings")
    assert known_view is not None
    ids = (
        (seed, replace(job.experiment, seed=seed).id(known_view.digest)) for seed in range(100_000)
    )
    seed, id = next((s, id) for s, id in ids if re.fullmatch(r"\d{10}e\d|\d{9}e\d\d", id))
    mine(seeds=[seed])
    repro_("run", "mine")
    assert id in repro_("status", "mine").stdout


def test_status_of_one_paper_of_all_and_of_none(mine: Mine) -> None:
    mine()
    assert {entry["label"].split()[0] for entry in told("mine", "toy")} == {"mine", "toy"}
    papers = {entry["label"].split()[0] for entry in told()}
    assert {"sevae", "acvae", "toy", "mine"} <= papers
    result = repro_("status", "mime", code=1)
    assert "no paper is called 'mime'\n  did you mean mine?" in result.stderr
    assert result.stdout == ""


def test_status_looks_where_the_records_are(mine: Mine, tmp_path: Path) -> None:
    mine()
    repro_("run", "mine", "--runs", str(tmp_path / "elsewhere"))
    assert [entry["kind"] for entry in told("mine")] == ["missing"]
    assert [e["kind"] for e in told("mine", "--runs", str(tmp_path / "elsewhere"))] == ["done"]


def test_status_of_a_damaged_record_names_it(mine: Mine) -> None:
    mine()
    repro_("run", "mine")
    (file,) = paths.runs().glob(f"*/{records.FILE}")
    file.write_text("{")
    (state,) = json_of("status", "mine")
    assert (state["kind"], state["id"]) == ("damaged", file.parent.name)
    assert state["reason"].startswith(f"{file} is damaged: ")
    assert "delete its folder" in state["reason"]
    assert "1 damaged" in repro_("status", "mine").stdout


READING = """
import sys
from repro.cli import app
app({}, standalone_mode=False)
sys.exit('torch' in sys.modules)
"""


@pytest.mark.parametrize("command", ["status", "freeze mine"])
def test_what_only_reads_starts_without_torch_and_at_once(mine: Mine, command: str) -> None:
    jobs = mine(seeds=[0, 1, 2, 3])
    repro_("run", "mine", "--seeds", "0")
    lock_file(folder(jobs[1]))
    records.save_failure(folder(jobs[2]), Failure("no memory", "last night", {}))

    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before = spent()
    program = READING.format(command.split())
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert spent() - before < 3


def test_a_record_tells_memory_and_determinism(mine: Mine) -> None:
    mine(seeds=[0, 1])
    repro_("run", "mine", "--seeds", "0", "--device", "cpu")
    repro_("run", "mine", "--seeds", "1", "--device", "cpu", "--no-deterministic")
    by_seed = {record.experiment.seed: record for record in known()}
    assert by_seed[0].environment["deterministic"] is True
    assert by_seed[1].environment["deterministic"] is False
    for record in by_seed.values():
        assert record.peak_bytes.keys() == {"process"}
        assert 10e6 < record.peak_bytes["process"] < 1e12


def test_what_an_older_version_has_run_is_not_run_again(mine: Mine, write: Write) -> None:
    write("models/level.py", level())
    mine(row("Level", "level"))
    repro_("run", "mine")
    (older,) = known()
    write("models/level.py", level("tilt: float = 0.0"))
    (job,) = mine(row("Level", "level"))
    assert job.id != older.id
    assert "0 to run, 1 have a record already" in repro_("run", "mine").stderr
    assert [record.id for record in known()] == [older.id]
    assert [(e["kind"], e["id"]) for e in told("mine")] == [("done", older.id)]
    assert f"done {older.id}" in repro_("run", "mine", "--dry-run").stdout
    cells = json_of("compare", "mine")
    assert {tuple(cell["runs"]) for cell in cells} == {(older.id,)}


def test_what_one_table_measured_is_not_lost_when_another_asks_for_more(
    mine: Mine, write: Write
) -> None:
    text = paper(row("POP", "popularity", published=["0.123"] * 2), select="test:each")
    second = text[text.index("[tables.1]") :].replace("tables.1", "tables.2")
    second = second.replace("ndcg@10", "mrr@10").replace("NDCG", "MRR")
    write("tables/mine.toml", text + second)
    repro_("run", "mine", "--table", "1")
    repro_("run", "mine", "--table", "2")
    assert "0 to run" in repro_("run", "mine", "--table", "1").stderr
    cells = json_of("compare", "mine")
    assert [cell["label"] for cell in cells if cell["ours"] is None] == []


# Seeds


def planned(*arguments: str) -> list[int]:
    """Return the seeds of the runs that a dry run tells of."""
    told = repro_("run", "mine", *arguments, "--dry-run").stdout
    return [int(seed) for seed in re.findall(r"\| seed (\d+)$", told, re.MULTILINE)]


@pytest.mark.parametrize(
    ("given", "seeds"),
    [
        ("0..4", [0, 1, 2, 3, 4]),
        ("0,2..3", [0, 2, 3]),
        ("7", [7]),
        ("2..2", [2]),
        ("3,1,2", [3, 1, 2]),
        ("1,0..2", [1, 0, 2]),
        (" 1, 2 .. 3", [1, 2, 3]),
    ],
)
def test_seeds_are_numbers_and_ranges(mine: Mine, given: str, seeds: list[int]) -> None:
    mine(seeds=[8, 9])
    assert planned("--seeds", given) == seeds


def test_the_seeds_of_a_table_are_run_unless_others_are_asked_for(mine: Mine) -> None:
    mine(seeds=[8, 9])
    assert planned() == [8, 9]
    assert planned("--seeds", "") == [8, 9]
    assert planned("--smoke") == [8]


@pytest.mark.parametrize("given", ["a", "1..", "..3", "3..1", "1...3", "1.5", "0..1..2", "-1", ","])
def test_seeds_that_are_none_are_an_error_that_shows_how(mine: Mine, given: str) -> None:
    mine()
    result = repro_("run", "mine", f"--seeds={given}", "--dry-run", code=1)
    assert f"--seeds '{given}'" in result.stderr
    assert "0..4" in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_several_seeds_are_compared_by_mean_spread_and_error_over_users(mine: Mine) -> None:
    mine(row("Random", "random"), seeds=[0, 1, 2])

    def cell() -> dict[str, Any]:
        cells = json_of("compare", "mine")
        return next(c for c in cells if c["label"] == "NDCG@10" and c["row"] == "Random")

    repro_("run", "mine", "--seeds", "1")
    assert (cell()["seeds"], cell()["planned"], cell()["spread"]) == (1, 3, None)
    assert "**yours** (1 of 3 seeds)" in repro_("compare", "mine").stdout

    repro_("run", "mine")
    values = [record.results["ndcg@10"] for record in known()]
    mean = sum(v.value for v in values) / 3
    assert cell()["seeds"] == 3
    assert cell()["ours"] == pytest.approx(mean)
    assert cell()["spread"] == pytest.approx(
        (sum((v.value - mean) ** 2 for v in values) / 2) ** 0.5
    )
    error = sum(v.standard_error or 0 for v in values) / 3
    assert cell()["standard_error"] == pytest.approx(error)

    text = repro_("compare", "mine").stdout
    assert "**yours** (3 seeds)" in text
    assert f"{mean:.2f} ± {cell()['spread']:.2f}" in text
    assert re.search(rf"s\.e\. over users *\| *{error:.2f} ", text)
    head, line = repro_("compare", "mine", "--format", "csv").stdout.splitlines()[:2]
    assert dict(zip(head.split(","), line.split(","), strict=False))["standard_error"] == repr(
        cell()["standard_error"]
    )


# Dry runs


def times(told: str) -> list[str]:
    """Return the times of the runs to come, as told."""
    return re.findall(r"^ {19}((?:about|more than) .*)$", told, re.MULTILINE)


def in_all(told: str) -> str:
    (found,) = re.findall(r"^in all +(.*)$", told, re.MULTILINE)
    return found


def test_a_dry_run_tells_what_is_done_what_would_run_and_what_is_left_out(mine: Mine) -> None:
    mine(seeds=[0, 1, 2], more=OBSTACLES)
    repro_("run", "mine", "--seeds", "1")
    (record,) = known()
    told = repro_("run", "mine", "--dry-run").stdout
    firsts = [line for line in told.splitlines() if re.match(r"(done|to run|left out)", line)]
    assert [" ".join(line.split()) for line in firsts] == [
        "to run mine 1 | POP | Toy | seed 0",
        f"done {record.id} mine 1 | POP | Toy | seed 1",
        "to run mine 1 | POP | Toy | seed 2",
        "left out mine 1 | POP | Gone: blocked: the owner withdrew it",
        "left out mine 1 | Future | Toy: unrun: there is no model of_the_future yet",
        "left out mine 1 | Old | Toy: quoted: quoted from an older paper, without a recipe",
    ]
    assert len(times(told)) == 2
    assert in_all(told).startswith("about ")


def test_a_dry_run_writes_nothing(mine: Mine) -> None:
    mine(row("BPR", "bpr", params={"n_epochs": 3}), row("POP", "popularity"), more=OBSTACLES)
    repro_("run", "mine", "--row", "POP")
    before = content(paths.home(), paths.runs())
    told = repro_("run", "mine", "--dry-run").stdout
    assert len(times(told)) == 1
    assert content(paths.home(), paths.runs()) == before


def test_a_dry_run_measures_what_is_alike_but_once_and_adds_up(
    mine: Mine, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine(row("POP", "popularity"), row("EASE", "ease"), seeds=[0, 1, 2])
    prepare.prepare("toy/ratings")
    asked: list[str] = []

    def measured(job: Job, *_: object) -> Estimate:
        asked.append(job.experiment.model.name)
        is_ease = asked[-1] == "ease"
        return Estimate(100.0, True, 2_000_000) if is_ease else Estimate(3600.0, False, 0)

    monkeypatch.setattr(estimate, "measure", measured)
    told = repro_("run", "mine", "--dry-run").stdout
    assert asked == ["popularity", "ease"]
    assert times(told) == ["more than 1 h 00 min"] * 3 + ["about 1 min 40 s"] * 3
    assert in_all(told).startswith("more than 3 h 05 min")
    monkeypatch.setattr(estimate, "load", lambda: (3.68, 2))
    told = repro_("run", "mine", "--row", "EASE", "--dry-run").stdout
    assert in_all(told).startswith("about 5 min 00 s")
    assert "busy machine       3.7 other threads were busy on 2 processors, and all" in told
    monkeypatch.setattr(estimate, "load", lambda: (0.9, 2))
    assert "busy machine" not in repro_("run", "mine", "--dry-run").stdout
    assert "about 6 MB for checkpoints" in told
    assert (
        "about 12 MB" in repro_("run", "mine", "--row", "EASE", "--jobs", "2", "--dry-run").stdout
    )


def test_a_dry_run_tells_what_is_left_of_a_run_that_was_cut_off(
    mine: Mine, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine(row("BPR", "bpr"), seeds=[0, 1, 2])
    prepare.prepare("toy/ratings")
    first, second, _ = plan.plan(Asked(("mine",))).jobs
    checkpoints.save(folder(first), b"half way", Place(loop=1, epoch=4, n_epochs=10))
    checkpoints.save(folder(second), b"half way", PLACE)
    checkpoints.present(folder(second))[0].write_bytes(b"not a checkpoint")

    def measured(_job: Job, _how: object, _s: float, reached: tuple[int, int]) -> Estimate:
        return Estimate({(0, 0): 60.0, (1, 4): 20.0}[reached], True, 0)

    monkeypatch.setattr(estimate, "measure", measured)
    told = repro_("run", "mine", "--dry-run").stdout
    assert times(told) == ["about 20 s", "about 1 min 00 s", "about 1 min 00 s"]
    forced = repro_("run", "mine", "--dry-run", "--force").stdout
    assert times(forced) == ["about 1 min 00 s"] * 3
    assert [file.name for file in folder(second).iterdir()] == ["checkpoint-000001.pt"]


def test_runs_under_other_protocols_are_measured_by_themselves(
    mine: Mine, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = at("late", "0.5", "0.5") + papers.view("late", "toy/ratings", "sequential_split")
    text = paper(row("POP", "popularity"), late, groups=["toy", "gone", "late"])
    write("tables/mine.toml", text)
    prepare.prepare("toy/ratings")

    def measured(job: Job, *_: object) -> Estimate:
        seconds = {"random_split": 100.0, "sequential_split": 200.0}
        return Estimate(seconds[job.experiment.protocol.name], True, 0)

    monkeypatch.setattr(estimate, "measure", measured)
    told = repro_("run", "mine", "--dry-run").stdout
    assert times(told) == ["about 1 min 40 s", "about 3 min 20 s"]
    assert in_all(told).startswith("about 5 min 00 s")


def test_a_dry_run_without_data_does_not_say_that_it_takes_no_time(mine: Mine) -> None:
    mine()
    told = repro_("run", "mine", "--dry-run").stdout
    assert "to run" in told
    assert "to fetch           toy/ratings: generated" in told
    assert not in_all(told).startswith("about 0 s")


def test_a_dry_run_of_what_is_done_takes_no_time(mine: Mine) -> None:
    mine()
    repro_("run", "mine")
    told = repro_("run", "mine", "--dry-run").stdout
    assert times(told) == []
    assert in_all(told).startswith("about 0 s")


def test_a_dry_run_of_a_forced_run_tells_what_would_run(mine: Mine) -> None:
    mine()
    repro_("run", "mine")
    told = repro_("run", "mine", "--force", "--dry-run").stdout
    assert told.startswith("to run")
    assert len(times(told)) == 1


def test_a_dry_run_names_data_to_download_with_its_size(mine: Mine, write: Write) -> None:
    member = 'url = "http://127.0.0.1:1/rows.csv"\nbytes = 2500000\n'
    member += f'sha256 = "{"0" * 64}"'
    write("data_manifests/box.toml", box(member))
    mine(dataset="box/all")
    told = repro_("run", "mine", "--dry-run").stdout
    assert re.search(r"^to fetch +box/all: download, 2\.5 MB$", told, re.MULTILINE)
    assert not paths.home().exists()


def test_a_dry_run_names_data_to_get_by_hand(mine: Mine, write: Write) -> None:
    write("data_manifests/box.toml", box(archive=BY_HAND))
    mine(dataset="box/all")
    told = repro_("run", "mine", "--dry-run").stdout
    assert re.search(r"^to fetch +box/all: .*by hand$", told, re.MULTILINE)


def test_a_dry_run_tells_of_data_that_is_only_to_be_built(mine: Mine) -> None:
    mine()
    repro_("fetch", "toy")
    for view in (paths.home() / "data" / "toy" / "views").iterdir():
        shutil.rmtree(view)
    assert (
        "to fetch           toy/ratings: in the cache" in repro_("run", "mine", "--dry-run").stdout
    )


def test_a_dry_run_tells_how_much_room_there_is(mine: Mine, tmp_path: Path) -> None:
    mine()
    elsewhere = tmp_path / "not" / "there"
    told = repro_("run", "mine", "--dry-run", "--runs", str(elsewhere)).stdout
    disk = [line for line in told.splitlines() if " GB free " in line]
    assert len(disk) == 2
    for line, place in zip(disk, (paths.home(), elsewhere), strict=True):
        assert re.search(r" [\d,]+ GB free ", line)
        assert line.endswith(str(place))
    assert not elsewhere.parent.exists()


@pytest.mark.parametrize("how", ["politely", "suddenly", "silently"])
def test_a_model_that_breaks_does_not_stop_a_dry_run(mine: Mine, write: Write, how: str) -> None:
    write("models/breaking.py", BREAKING)
    mine(row("Breaking", "breaking", params={"how": how}), row("POP", "popularity"))
    prepare.prepare("toy/ratings")
    told = repro_("run", "mine", "--dry-run").stdout
    assert "to run             mine 1 | POP | Toy | seed 0" in told
    assert times(told)[-1].startswith("about ")
    assert "disk" in told
    assert not paths.runs().exists()


def test_a_model_that_refuses_a_protocol_does_not_stop_a_dry_run() -> None:
    for view in ("split", "ratings"):
        prepare.prepare(f"toy/{view}")
    command = ["run", "toy", "--table", "1", "--model", "bpr", "--set", "n_epochs=1"]
    told = repro_(*command, "--dry-run").stdout
    assert "Toy, given split" in told
    assert "Toy, unknown users" in told
    assert "in all" in told
    assert "1 finished, 1 refused, 0 failed" in repro_(*command).stderr


def test_a_dry_run_beside_a_run_in_progress_leaves_it_alone(mine: Mine) -> None:
    (job,) = mine()
    prepare.prepare("toy/ratings")
    with locks.held(folder(job), job.label):
        before = content(paths.runs())
        began = time.monotonic()
        assert "to run" in repro_("run", "mine", "--dry-run").stdout
        assert time.monotonic() - began < 10
        assert content(paths.runs()) == before
