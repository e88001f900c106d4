"""`repro freeze` of a table that counts the data: the counts stay where the data are gone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from builders import Write
from builders.commands import json_of, repro_
from builders.papers import paper, row, table, view
from repro import paths

PAPER = paper(
    view(label="Toy"),
    table("1", {"Users": "users", "Sparsity": "sparsity"}, kind="statistics"),
    row("Toy", None, ["400", "90.1%"]),
)


def cells() -> dict[str, dict[str, Any]]:
    return {cell["label"]: cell for cell in json_of("compare", "mine", "--table", "1")}


@pytest.fixture
def file(write: Write) -> Path:
    """Prepare the data, freeze what they count, and delete them; return the file."""
    path = write("tables/mine.toml", PAPER).parent / "reference" / "counts" / "mine.csv"
    repro_("fetch", "toy")
    repro_("freeze", "mine")
    return path


def forget() -> None:
    shutil.rmtree(paths.home() / "data" / "toy")


def test_frozen_counts_are_shown_and_judged_without_the_data(file: Path) -> None:
    before = cells()
    assert before["Users"]["ours"] == before["Users"]["reference"]
    forget()
    after = cells()
    for label, cell in after.items():
        assert cell["ours"] is None
        assert cell["reference"] == before[label]["ours"]
        assert cell["reference_verdict"] == before[label]["verdict"]


def test_an_edited_count_is_refused_and_named(file: Path) -> None:
    forget()
    users = cells()["Users"]["reference"]
    file.write_text(file.read_text().replace(f"{users}", f"{users + 1}"))
    assert "line 3" in repro_("compare", "mine", code=1).stderr
    assert "DAMAGED" in repro_("check", "mine", code=1).stdout


def test_a_count_of_another_view_is_not_shown(file: Path, write: Write) -> None:
    forget()
    write("tables/mine.toml", PAPER.replace("toy/split", "toy/ratings"))
    assert {cell["reference"] for cell in cells().values()} == {None}
