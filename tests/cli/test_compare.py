"""``repro compare``, ``status`` and ``claims`` show what is asked for, and no more."""

from __future__ import annotations

import csv
import json
import os
import pty
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest

from builders.commands import json_of, repro_
from repro import api

SHORT = ["--set", "n_epochs=2"]


@pytest.fixture
def ran() -> None:
    """Run two rows, a shortened one, one with other settings, and a model of one's own choice."""
    for more in (
        ["--row", "POP", "--row", "EASE"],
        ["--row", "Mult-VAE", "--view", "split", *SHORT],
        ["--row", "EASE", "--view", "split", "--set", "l2=9"],
        ["--model", "item_knn", "--view", "split"],
    ):
        repro_("run", "toy", "--table", "1", *more)


def rows(*arguments: str) -> set[tuple[str, str]]:
    return {(cell["row"], cell["group"]) for cell in json_of("compare", "toy", *arguments)}


@pytest.mark.usefixtures("ran")
def test_rows_views_models_and_what_is_mine_are_chosen() -> None:
    given, unknown = "Toy, given split", "Toy, unknown users"
    assert rows("--table", "1", "--row", "pop", "--row", "EASE", "--view", "split") == {
        ("POP", given),
        ("EASE", given),
    }
    mine = rows("--mine")
    assert mine == {
        ("POP", given),
        ("POP", unknown),
        ("EASE", given),
        ("EASE", unknown),
        ("Mult-VAE", given),
        ("ease [l2=9.0]", given),
        ("item_knn", given),
    }
    assert {row for row, _ in rows("--table", "1", "--model", "ease")} == {"EASE", "ease [l2=9.0]"}
    assert rows("--model", "item_knn", "--view", "split") == {("item_knn", given)}
    assert {group for _, group in rows("--table", "1", "--dataset", "toy/split")} == {given}
    assert rows("--mine", "--view", unknown) == {("POP", unknown), ("EASE", unknown)}


@pytest.mark.usefixtures("ran")
def test_every_printed_label_is_accepted_by_row_and_against() -> None:
    text = repro_("compare", "toy", "--table", "1", "--mine").stdout
    labels = set(re.findall(r"^\| (\S.*?) +\| (?:published|yours)", text, re.MULTILINE))
    assert "EASE with l2=9.0 (own)" in labels
    assert (
        "- EASE with l2=9.0 (own): ease \\[l2=9.0] (own)" in text or "ease [l2=9.0] (own)" in text
    )
    assert len(labels) == 5
    for label in labels:
        assert rows("--table", "1", "--row", label), label
        assert repro_("compare", "toy", "--table", "1", "--against", label).stderr == ""
    assert rows("--row", "ease [l2=9.0] (own)") == rows("--row", "EASE with l2=9.0 (own)")


def test_what_is_nowhere_is_an_error_that_suggests() -> None:
    for option, value, said in (
        ("--row", "EASY", "did you mean EASE"),
        ("--view", "splitt", "did you mean split"),
        ("--model", "eas", "did you mean ease"),
        ("--dataset", "toy/splitt", "did you mean toy/split"),
        ("--against", "EASY", "did you mean EASE"),
    ):
        shown = repro_("compare", "toy", option, value, code=1).stderr
        assert said in shown, shown


@pytest.mark.usefixtures("ran")
def test_of_some_rows_nobody_is_said_to_be_ahead() -> None:
    assert "Best of" in repro_("compare", "toy", "--table", "1").stdout
    assert "Best of" not in repro_("compare", "toy", "--table", "1", "--row", "POP").stdout


@pytest.mark.usefixtures("ran")
def test_against_a_row_is_json_and_csv_too() -> None:
    found = json_of("compare", "toy", "--table", "1", "--against", "POP", "--row", "EASE")
    assert {one["row"] for one in found} == {"EASE"}
    assert {one["against"] for one in found} == {"POP"}
    one = next(one for one in found if one["label"] == "NDCG@10")
    cells = {
        c["row"]: c["ours"]
        for c in json_of("compare", "toy", "--table", "1")
        if (c["group"], c["label"]) == (one["group"], "NDCG@10")
    }
    assert one["value"] == pytest.approx(cells["EASE"] - cells["POP"])
    assert one["standard_error"] > 0
    shown = repro_("compare", "toy", "--table", "1", "--against", "POP", "--format", "csv").stdout
    lines = list(csv.DictReader(StringIO(shown)))
    assert {line["against"] for line in lines} == {"POP"}
    assert [float(line["value"]) for line in lines if line["row"] == "EASE"] == [
        one["value"] for one in found
    ]


@pytest.mark.usefixtures("ran")
def test_beside_a_number_stands_its_command_where_it_is_asked_for() -> None:
    assert "repro run" not in repro_("compare", "toy", "--table", "1").stdout
    text = repro_("compare", "toy", "--table", "1", "--mine", "--commands").stdout
    assert "repro run toy --table 1 --view split --model ease --set l2=9.0" in text
    assert "repro run toy --table 1 --view split --row Mult-VAE --set n_epochs=2" in text


def on_a_terminal(width: int, *arguments: str) -> str:
    """Return what a command prints in a window of a width."""
    here, there = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(width), "TERM": "xterm-256color"}
    environment.pop("NO_COLOR", None)
    program = [sys.executable, "-m", "repro", *arguments]
    running = subprocess.Popen(program, stdout=there, stderr=there, env=environment)
    os.close(there)
    found = b""
    while True:
        try:
            part = os.read(here, 1 << 16)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        found += part
    os.close(here)
    assert running.wait() == 0, found
    return found.decode().replace("\r\n", "\n")


@pytest.mark.slow
@pytest.mark.usefixtures("ran")
def test_a_terminal_gets_a_coloured_table_and_a_pipe_markdown() -> None:
    text = on_a_terminal(60, "compare", "toy", "--table", "1")
    assert "\x1b[32m" in text  # exact
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert plain.startswith("Cells")
    assert max(map(len, plain.splitlines())) <= 60
    assert repro_("compare", "toy", "--table", "1").stdout.startswith("### toy, Table 1")
    assert on_a_terminal(60, "compare", "toy", "--format", "text").startswith("toy, Table 1")
    shown = repro_("compare", "toy", "--table", "1", "--format", "terminal").stdout
    assert shown.startswith("Cells")
    assert "\x1b" not in shown


def test_status_shows_what_is_asked_for(own_folders: Path) -> None:
    repro_("run", "toy", "--table", "1", "--row", "POP")
    repro_("run", "toy", "--table", "1", "--model", "ease", "--set", "l2=9", "--view", "split")
    states = json_of("status", "toy", "--table", "1", "--row", "pop", "--view", "split")
    assert [(s["row"], s["kind"]) for s in states] == [("POP", "done")]
    assert {s["table"] for s in json_of("status", "toy", "--table", "1")} == {"1"}
    mine = json_of("status", "toy", "--mine")
    assert {s["kind"] for s in mine} == {"done"}
    assert [s["row"] for s in mine] == ["POP", "POP", "ease [l2=9.0]"]
    named = json_of("status", "toy", "--mine", "--row", "EASE with l2=9.0 (own)")
    assert [s["row"] for s in named] == ["ease [l2=9.0]"]
    assert "no row is called" in repro_("status", "toy", "--row", "EASY", code=1).stderr


def test_claims_are_chosen_by_row_view_and_what_was_run() -> None:
    every = api.claims("dave", table="4")
    of_row = api.claims("dave", table="4", rows="DAVE-adv")
    assert {one.id for one in of_row} == {"several-modes-are-the-cause", "above-its-variants"}
    assert len(of_row) < len(every)
    assert {one.id for one in api.claims("dave", views="ml100k")} >= {one.id for one in every}
    assert api.claims("dave", mine=True) == []
    shown = repro_("claims", "dave", "--row", "DAVE-adv", "--table", "4").stdout
    assert "2 claims" in shown
    assert (
        "no claim rests on 'nobody'" in repro_("claims", "dave", "--row", "nobody", code=1).stderr
    )


def test_run_and_explain_accept_the_label_of_an_added_row() -> None:
    plan = repro_("run", "mvae", "--table", "2", "--row", "EASE (added)", "--dry-run").stdout
    assert "mvae II | EASE | Movielens1M" in plan
    assert repro_("explain", "mvae", "--table", "2", "--row", "EASE (added)").stdout


def test_json_of_nothing_is_an_empty_list() -> None:
    assert json.loads(repro_("compare", "toy", "--mine", "--json").stdout) == []
