"""What a split asks is told by `run`, its dry run, `show` and the record; on data of one's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builders import Write
from builders.commands import json_of, repro_
from builders.manifests import HEAD
from builders.papers import paper, row, table, view
from repro import paths
from repro.runs import records

SPLIT = """
[members."train.csv"]
[members."test.csv"]
[read]
train = { member = "train.csv" }
test = { member = "test.csv" }
[views.given]
source = "own"
read = { train = "train", test = "test" }
"""
TRAIN = "1,10\n1,20\n2,10\n3,30\n4,20\n5,40\n6,50\n"
TEST = "1,30\n1,99\n2,10\n7,20\n"

PAPER = paper(
    view("own", "mine/given", label="My data"),
    table(metrics={"HR@2": "hit_rate@2", "Recall@150": "recall@150"}, groups=["own"]),
    row("POP", "popularity", ["0.5", "0.9"], group="own"),
    row("NeuMF", "neumf", ["0.5", "0.9"], group="own", params={"n_epochs": 1}),
)


@pytest.fixture
def own(write: Write, tmp_path: Path) -> Write:
    write("data_manifests/mine.toml", HEAD + 'manual = "own"\n' + SPLIT)
    write("tables/my_paper.toml", PAPER)
    for name, text in {"train.csv": TRAIN, "test.csv": TEST}.items():
        (tmp_path / name).write_text(text)
    repro_("fetch", "mine", "--from", str(tmp_path), "--unverified")
    return write


SAID = [
    "trains on 7 interactions of 6 users with 5 items",
    "test: 3 of 7 users are asked for 4 items; not asked: 4 (not in the test file); users without "
    "a training row: 1; users without a history: 1; targets that no training row has: 1; targets "
    "in the user's own history, never ranked and so misses: 1; ranked "
    "among 4.0 others on average, 2 at least",
]


def test_a_run_says_once_what_is_asked_and_so_do_the_dry_run_the_record_and_show(
    own: Write,
) -> None:
    dry = repro_("run", "my_paper", "--dry-run").output
    assert dry.count(SAID[0]) == 1
    [planned, _] = json_of("run", "my_paper", "--dry-run")["runs"]
    assert planned["split"]["test"]["unknown_targets"] == 1

    said = " ".join(repro_("run", "my_paper").output.split())
    assert [said.count(" ".join(one.split())) for one in SAID] == [1, 1]
    assert "recall@150: the cut-off is as deep as the ranking" in said

    by_model = {one.experiment.model.name: one for one in records.load_all(paths.runs())}
    assert by_model["neumf"].untrained == 1
    assert by_model["popularity"].untrained == 0
    kept = json.loads((by_model["neumf"].path / records.FILE).read_text())["split"]
    assert kept == planned["split"]

    shown = " ".join(repro_("show", "my_paper").output.split())
    assert all(" ".join(one.split()) in shown for one in SAID)
    assert json_of("show", "my_paper")["splits"] == {"own": kept}
    marks = {cell["row"]: cell["marks"] for cell in json_of("compare", "my_paper")}
    assert ("n" in marks["NeuMF"], "n" in marks["POP"]) == (True, False)


def test_nothing_is_shown_before_a_run(own: Write) -> None:
    assert json_of("show", "my_paper")["splits"] == {}
    assert "trains on" not in repro_("show", "my_paper").output


def test_a_run_whose_targets_training_does_not_know_is_refused_before_it_trains(
    own: Write, tmp_path: Path
) -> None:
    for file in (paths.home() / "data" / "mine" / "raw").iterdir():
        file.unlink()
    (tmp_path / "test.csv").write_text("1,98\n2,99\n")
    repro_("fetch", "mine", "--from", str(tmp_path), "--unverified")
    found = repro_("run", "my_paper", "--row", "POP", code=4)
    assert "all 2 targets of the test are items that no training row has" in found.output
