"""Damaged records: every command names them; none shows them as what they are not."""

from __future__ import annotations

import csv
import errno
import json
import os
import re
import shutil
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import repro
from builders import Write
from builders.commands import json_of, known, repro_
from builders.papers import BOTH, figure, line, paper, row, table, view
from repro import paths
from repro.cli import app
from repro.runs import records

PAPER = paper(
    view(label="Toy, split"),
    table("1", BOTH, seeds=[0, 1]),
    row("POP", "popularity", ["0.50", "0.5"]),
    row("Random", "random", ["0.50", "0.5"]),
    figure("2", "bars"),
    line("2", "EASE", "ease"),
)


@pytest.fixture(autouse=True)
def mine(write: Write) -> Path:
    return write("tables/mine.toml", PAPER)


def edit(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content, indent=1))


def higher(content: dict[str, Any]) -> None:
    content["results"]["ndcg@10"]["value"] = 0.5


def of(model: str, seed: int = 0) -> Path:
    """Return the file of a run's record."""
    runs = {(r.experiment.model.name, r.experiment.seed): r.id for r in known()}
    return paths.runs() / runs[model, seed] / "record.json"


def cells(*arguments: str) -> list[dict[str, Any]]:
    return json_of("compare", "mine", *arguments)


def pop(*arguments: str) -> list[dict[str, Any]]:
    return [cell for cell in cells(*arguments) if cell["row"] == "POP"]


def test_an_edit_that_makes_a_result_exact_is_shown_as_damage_and_not_as_exact() -> None:
    repro_("run", "mine", "--seeds", "0")
    file = of("popularity")
    edit(file, higher)
    for cell in pop():
        assert (cell["verdict"], cell["ours"], cell["runs"]) == ("damaged", None, [])
        assert cell["reason"].startswith(f"{file} is damaged: its content does not fit its seal")
    others = [cell for cell in cells() if cell["row"] == "Random"]
    assert all(cell["ours"] is not None for cell in others)
    assert f"damaged: {file}" in repro_("compare", "mine").stderr
    repro_("compare", "mine", "--strict", code=1)


@pytest.mark.parametrize("form", ["markdown", "text", "csv"])
def test_every_form_of_a_comparison_shows_the_damage(form: str) -> None:
    repro_("run", "mine", "--seeds", "0")
    file = of("popularity")
    file.write_text("{\n\n")
    shown = repro_("compare", "mine", "--format", form).stdout
    assert str(file) in shown
    if form == "csv":
        rows = list(csv.DictReader(StringIO(shown)))
        assert [r["verdict"] for r in rows if r["row"] == "POP"] == ["damaged"] * 2
        assert all(None not in r and None not in r.values() for r in rows)
    else:
        assert "published (damaged)" in shown
        assert "- damaged: there is a record, but it cannot be used" in shown
        assert "unrun" not in shown
    if form == "markdown":
        grid = [text for text in shown.splitlines() if text.startswith("|")]
        assert len({len(re.findall(r"(?<!\\)\|", text)) for text in grid}) == 1


def test_the_other_seeds_of_a_row_count_and_the_row_is_marked() -> None:
    repro_("run", "mine", "--row", "Random")
    value = next(r.results["ndcg@10"].value for r in known() if r.experiment.seed == 1)
    edit(of("random", 0), higher)
    first = next(cell for cell in cells() if cell["row"] == "Random")
    assert (first["ours"], first["seeds"], first["planned"]) == (value, 1, 2)
    assert "x" in first["marks"]
    assert "[x] a record of this row is damaged" in repro_("compare", "mine").stdout


def test_a_damaged_record_is_found_by_its_id_though_nothing_of_it_can_be_read() -> None:
    repro_("run", "mine", "--seeds", "0", "--row", "POP")
    file = of("popularity")
    file.unlink()
    file.symlink_to(file)
    assert {cell["verdict"] for cell in pop()} == {"damaged"}
    repro_("run", "mine", "--row", "Random")
    shutil.rmtree(paths.home())  # the digest is that of other records of the data
    assert {cell["verdict"] for cell in pop()} == {"damaged"}


def test_a_damaged_record_that_tells_what_it_ran_is_found_without_the_data() -> None:
    repro_("run", "mine", "--seeds", "1", "--row", "POP")
    edit(of("popularity", 1), higher)
    shutil.rmtree(paths.home())
    assert {cell["verdict"] for cell in pop()} == {"damaged"}


def test_a_record_of_a_later_version_is_not_shown_as_unrun() -> None:
    repro_("run", "mine", "--seeds", "0", "--row", "POP")
    edit(of("popularity"), lambda content: content.update(format=99))
    assert {cell["verdict"] for cell in pop()} == {"damaged"}
    assert "written by a later version of repro" in pop()[0]["reason"]
    assert "later version" in repro_("status", "mine").stdout.replace("\n", " ")


def test_hits_of_another_model_are_no_tie() -> None:
    repro_("run", "mine", "--seeds", "0")
    shutil.copy(of("popularity").with_name("hits.npz"), of("random").with_name("hits.npz"))
    told = repro_("compare", "mine", "--against", "POP")
    assert f"{of('random').with_name('hits.npz')} is not the file" in told.stderr
    assert "minus POP" not in told.stdout
    checked = repro_("check", of("random").parent.name, code=1).stdout
    assert "DAMAGED" in checked


def test_status_names_damaged_records_of_its_runs_and_others() -> None:
    repro_("run", "mine")
    file = of("popularity", 1)
    edit(file, higher)
    (paths.runs() / "stray").mkdir()
    (paths.runs() / "stray" / "record.json").write_text("{")
    found = {state["id"]: state for state in json_of("status", "mine")}
    assert found[file.parent.name]["kind"] == found["stray"]["kind"] == "damaged"
    assert found[file.parent.name]["label"].startswith("mine 1 | POP")
    assert "--force" in found[file.parent.name]["reason"]
    assert "2 damaged" in repro_("status", "mine").stdout


def test_run_leaves_a_damaged_record_alone_names_it_and_goes_on() -> None:
    repro_("run", "mine", "--row", "POP")
    file = of("popularity", 0)
    edit(file, higher)
    was = file.read_bytes()
    told = repro_("run", "mine", code=4).stderr
    assert "2 to run, 1 have a record already, 0 without data, 1 with a damaged record" in told
    assert f"damaged: {file} is damaged" in told
    assert "delete its folder and run again, or run with --force" in told
    assert "2 finished" in told
    assert file.read_bytes() == was
    assert not file.with_name("failure.json").exists()
    repro_("run", "mine", "--force", "--row", "POP")
    assert {cell["verdict"] for cell in pop()} != {"damaged"}
    repro_("run", "mine")


def test_a_dry_run_names_a_damaged_record() -> None:
    repro_("run", "mine", "--row", "POP", "--seeds", "0")
    edit(of("popularity"), higher)
    (run,) = json_of("run", "mine", "--row", "POP", "--seeds", "0", "--dry-run")["runs"]
    assert run["record"] is None
    assert "its record is damaged" in run["why_unknown"]


def test_freeze_refuses_results_that_do_not_fit_the_hits(mine: Path) -> None:
    repro_("run", "mine", "--row", "POP", "--seeds", "0")

    def lie(content: dict[str, Any]) -> None:
        higher(content)
        for key in ("seal", "format", "arrays"):  # as if from before there were seals
            content.pop(key, None)
        content["curve"] = []  # which would show it at once

    edit(of("popularity"), lie)
    refused = repro_("freeze", "mine", code=1).stderr
    assert "record.json cannot be frozen: results.ndcg@10.value is 0.5" in refused
    assert not (mine.parent / "reference").exists()


def test_freeze_and_figure_name_damaged_records(tmp_path: Path) -> None:
    repro_("run", "mine")
    repro_("run", "mine", "--figure", "2")
    file = of("popularity")
    edit(file, higher)
    for command in (["freeze", "mine"], ["figure", "mine", "2", "--to", str(tmp_path)]):
        assert f"damaged: {file} is damaged" in repro_(*command).stderr


def test_a_notebook_is_told_of_damaged_records() -> None:
    repro_("run", "mine", "--seeds", "0")
    file = of("popularity")
    edit(file, higher)
    with pytest.warns(UserWarning, match=f"{file} is damaged"):
        found = repro.records()
    assert [one.id for one in found.damaged] == [file.parent.name]
    assert len(found) == 1
    assert repro.compare("mine").damaged[0].startswith(str(file))


def test_what_is_wrong_with_one_run_hides_the_state_of_no_other(tmp_path: Path) -> None:
    repro_("run", "toy", "--table", "1", "--view", "split", "--row", "POP")
    repro_("run", "toy", "--table", "1", "--view", "split", "--row", "EASE")
    first, second = known()
    (first.path / "record.json").unlink()
    lock = first.path / "lock" / "0123456789abcdef.json"
    lock.parent.mkdir()
    lock.touch()
    os.utime(lock, (0, 0))
    states = json_of("status", "toy")
    assert second.id in {one["id"] for one in states if one["kind"] == "done"}
    (reason,) = (one["reason"] for one in states if one["kind"] == "damaged")
    assert reason.count("is damaged") == 1
    assert str(lock) in reason


@pytest.mark.parametrize("command", ["check", "compare", "freeze"])
def test_a_pipe_in_place_of_hits_is_not_waited_for(write: Write, command: str) -> None:
    write("tables/mine.toml", paper(view(), table("1"), row("POP", "popularity", ["0.1"])))
    repro_("run", "mine")
    file = known()[0].path / records.HITS
    file.unlink()
    os.mkfifo(file)
    told = {
        "check": lambda: repro_("check", str(paths.runs()), code=1),
        "compare": lambda: repro_("compare", "mine"),
        "freeze": lambda: repro_("freeze", "mine", code=1),
    }[command]()
    assert command == "compare" or "hits.npz" in told.output


def test_an_unsealed_record_whose_result_is_not_its_curves_is_damaged() -> None:
    repro_("run", "toy", "--table", "1", "--view", "split", "--row", "EASE")
    (record,) = known()
    plain = json.loads((record.path / "record.json").read_text())
    for key in ("seal", "format", "arrays"):
        del plain[key]
    plain["results"]["ndcg@10"]["value"] -= 0.02
    (record.path / "record.json").write_text(json.dumps(plain))
    reasons = [one["reason"] for one in json_of("status", "toy") if one["kind"] == "damaged"]
    assert len(reasons) == 1
    assert "and the curve has" in reasons[0]


def test_a_lock_that_cannot_be_taken_stops_no_other_run() -> None:
    repro_("run", "toy", "--table", "1", "--view", "split", "--row", "POP")
    (record,) = known()
    shutil.rmtree(record.path)
    record.path.mkdir()
    (record.path / "lock").write_text("hi")
    rows = ("--table", "1", "--view", "split", "--row", "POP", "--row", "EASE")
    told = repro_("run", "toy", *rows, code=4)
    assert "1 finished, 0 refused, 1 failed" in told.stderr


def test_a_record_is_not_lost_where_the_disk_fails() -> None:
    repro_("run", "toy", "--table", "1", "--row", "EASE", "--seeds", "0")
    before = known()

    def failing(_: int) -> None:
        raise OSError(errno.EIO, "input/output error", "a disk")

    with pytest.MonkeyPatch.context() as disk:
        disk.setattr(os, "fsync", failing)
        told = CliRunner().invoke(app, ["run", "toy", "--table", "1", "--row", "EASE", "--force"])
    assert told.exit_code != 0
    assert [one.results for one in known()] == [one.results for one in before]
