"""``repro runs``: what was run, when, how long, with what result; and removal."""

from __future__ import annotations

import json

import pytest

from builders.commands import json_of, known, repro_
from repro import paths
from repro.runs import locks, removal


@pytest.fixture(autouse=True)
def ran() -> None:
    repro_("run", "toy", "--table", "1", "--row", "POP", "--view", "split", "--seeds", "0,1")
    repro_("run", "toy", "--table", "1", "--row", "EASE", "--view", "split", "--set", "l2=9")
    repro_("run", "toy", "--table", "1", "--row", "EASE", "--view", "split", "--smoke")


def test_a_record_is_told_by_row_time_result_and_seed() -> None:
    found = json_of("runs")
    assert {run["id"] for run in found} == {record.id for record in known()}
    assert [run["began"] for run in found] == sorted((r["began"] for r in found), reverse=True)
    by_id = {record.id: record for record in known()}
    for run in found:
        record = by_id[run["id"]]
        assert (run["paper"], run["table"], run["group"]) == ("toy", "1", "Toy, given split")
        assert run["seed"] == record.experiment.seed
        assert run["seconds"] == record.seconds
        assert run["results"]["ndcg@10"] == record.results["ndcg@10"].value
    rows = {run["row"] for run in found}
    assert rows == {"POP", "EASE with l2=9.0 (own)", "EASE"}
    (smoke,) = (run for run in found if run["smoke"])
    assert smoke["row"] == "EASE"


def test_a_line_holds_all_seeds_or_each_record() -> None:
    text = repro_("runs", "--row", "POP").stdout
    (line,) = (line for line in text.splitlines() if line.startswith("POP"))
    assert "0, 1" in line
    assert " each " in line
    assert "2 records" in text
    each = repro_("runs", "--row", "POP", "--each").stdout
    assert sum(line.startswith("POP") for line in each.splitlines()) == 2
    assert "EASE (toy, Table 1) (smoke)" in repro_("runs", "--smoke").stdout


@pytest.mark.parametrize(
    ("asked", "n"),
    [
        (["toy"], 4),
        (["--table", "I"], 4),
        (["--row", "EASE with l2=9.0 (own)"], 1),
        (["--row", "ease"], 1),
        (["--model", "ease"], 2),
        (["--view", "split", "--no-smoke"], 3),
        (["--dataset", "toy"], 4),
        (["--smoke"], 1),
    ],
)
def test_records_are_chosen(asked: list[str], n: int) -> None:
    assert len(json_of("runs", *asked)) == n


def test_what_no_record_has_is_an_error() -> None:
    assert "no record fits" in repro_("runs", "dave", code=1).stderr
    assert "did you mean EASE" in repro_("runs", "--row", "EASY", code=1).stderr
    assert "no record is called 'zz'" in repro_("runs", "--run", "zz", code=1).stderr


def test_records_are_removed_with_all_beside_them_once_one_agrees() -> None:
    first = json_of("runs", "--row", "POP")[0]["id"]
    kept = repro_("runs", "--run", first, "--remove", code=1)  # nobody answers
    assert "Remove 1 record?" in kept.stdout
    assert (paths.runs() / first).is_dir()
    assert "removed 1 of 1 record" in repro_("runs", "--run", first[:6], "--remove", "--yes").stdout
    assert not (paths.runs() / first).exists()
    assert first not in {record.id for record in known()}
    assert "needs to know which" in repro_("runs", "--remove", "--yes", code=1).stderr
    assert len(known()) == 3
    assert repro_("status", "toy", "--table", "1", "--row", "POP", "--view", "split", "--json")


def test_a_record_that_is_being_run_stays() -> None:
    first = known()[0].id
    with locks.held(paths.runs() / first, "another"):
        shown = repro_("runs", "--run", first, "--remove", "--yes", code=1)
    assert "stays: " in shown.stderr
    assert first in {record.id for record in known()}


def test_what_is_left_after_a_crash_never_vouches(monkeypatch: pytest.MonkeyPatch) -> None:
    first = known()[0].id
    monkeypatch.setattr(removal, "_delete", lambda path: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        removal.remove(paths.runs(), [first])
    assert (paths.runs() / first / "hits.npz").exists()
    assert first not in {record.id for record in known()}


def test_an_empty_folder_has_no_records() -> None:
    repro_("runs", "toy", "--remove", "--yes")
    assert repro_("runs").stdout == "no records\n"
    assert json.loads(repro_("runs", "--json").stdout) == []
