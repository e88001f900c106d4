"""`repro claims`, and what `repro compare` and a notebook say of them."""

from __future__ import annotations

import subprocess
import sys

import pytest

import repro
from builders import Write, papers
from builders.commands import json_of, repro_
from builders.papers import table, view
from repro.errors import ReproError


@pytest.fixture
def mine(write: Write) -> None:
    rows = papers.row("A", "ease", ["0.5"]) + papers.row("B", "random", ["0.4"])
    made = papers.claim("a-above-b", tables=["1"], pairs=[["A", "B"]])
    made += papers.claim("a-drawing", "untestable", reason="a drawing")
    write("tables/mine.toml", papers.paper(view(), table(), rows, made))


@pytest.mark.usefixtures("mine")
def test_a_users_own_claims_are_judged_before_and_after_a_run() -> None:
    before, drawing = json_of("claims", "mine")
    assert (before["printed"]["verdict"], before["ours"]["verdict"]) == ("holds", "not run")
    assert drawing["ours"]["verdict"] == "untestable"
    repro_("run", "mine")
    after = json_of("claims", "mine")[0]["ours"]
    assert (after["verdict"], after["compared"][0]["paired"]) == ("holds", True)
    shown = repro_("claims", "mine").stdout
    assert "2 claims. On print: holds 1, untestable 1. On our runs: holds 1, untestable 1." in shown
    assert "A minus B" in " ".join(shown.split())


@pytest.mark.usefixtures("mine")
def test_a_comparison_names_the_claims_of_its_table() -> None:
    shown = repro_("compare", "mine").stdout
    assert "- a-above-b: on print holds, on ours not run" in shown
    assert "a-drawing" not in shown


@pytest.mark.usefixtures("mine")
def test_only_the_claims_of_a_table() -> None:
    assert [one["id"] for one in json_of("claims", "mine", "--table", "1")] == ["a-above-b"]
    wrong = repro_("claims", "mine", "--table", "7", code=1).stderr
    assert "no table is called '7'" in wrong


def test_a_paper_without_claims_says_so() -> None:
    assert repro_("claims", "toy").stdout == "no claims\n"


@pytest.mark.usefixtures("mine")
def test_a_notebook_has_them_too() -> None:
    frame = repro.claims("mine").to_frame()
    assert frame[["id", "printed", "ours"]].values.tolist() == [
        ["a-above-b", "holds", "not run"],
        ["a-drawing", "untestable", "untestable"],
    ]
    with pytest.raises(ReproError, match="no paper is called"):
        repro.claims("mein")


def test_judging_loads_neither_torch_nor_pandas() -> None:
    program = (
        "import sys; from repro.cli import app; "
        "app(['claims', 'dave'], standalone_mode=False); "
        "sys.exit(bool({'torch', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0
