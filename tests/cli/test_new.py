"""`repro new`, and the page that goes from a CSV to a table: as a reader types it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from builders.commands import json_of, known, repro_
from repro.starting import STARTS

PAGE = Path(__file__).parents[2] / "tables" / "OWN.md"
MOST_BYTES = 8_000


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REPRO_PATH", str(tmp_path))
    return tmp_path


def test_a_new_paper_runs_as_it_is_and_agrees_with_its_numbers(own: Path) -> None:
    said = repro_("new", "paper", "mine").stdout
    assert f"wrote {own}/tables/mine.toml" in said
    assert "DAMAGED" not in repro_("check", str(own / "tables" / "mine.toml")).stdout
    repro_("run", "mine")
    cells = json_of("compare", "mine")
    assert [cell["verdict"] for cell in cells] == ["exact"] * 4


def test_a_new_dataset_is_fetched_as_it_is_verified(own: Path) -> None:
    repro_("new", "dataset", "songs")
    said = repro_("fetch", "songs", "--from", str(own / "data_manifests")).output
    assert "UNVERIFIED" not in said
    assert "view songs/ratings" in said
    assert (own / "data_manifests" / "songs.csv").read_text().startswith("userId,")


def test_a_new_model_passes_all_checks_and_runs(own: Path) -> None:
    repro_("new", "model", "mine")
    file = own / "models" / "mine.py"
    assert "15 of 15 checks passed" in repro_("check", str(file)).stdout
    code = file.read_text().partition("@dataclass")[2]
    assert len([line for line in code.splitlines() if line.strip()]) <= 30
    repro_("run", "toy", "--table", "1", "--model", "mine")
    assert {record.experiment.model.name for record in known()} == {"mine"}


def test_a_new_paper_is_about_the_dataset_that_is_named(own: Path) -> None:
    repro_("new", "paper", "mine", "--dataset", "toy/split")
    assert 'dataset  = "toy/split"' in (own / "tables" / "mine.toml").read_text()
    assert "is for a paper" in repro_("new", "model", "b", "--dataset", "a/b", code=1).stderr


@pytest.mark.parametrize("kind", STARTS)
def test_nothing_is_overwritten(own: Path, kind: str) -> None:
    repro_("new", kind, "mine")
    before = {file: file.read_bytes() for file in own.rglob("*.*")}
    said = repro_("new", kind, "mine", code=1).stderr
    assert f"there is a {kind} called 'mine' already" in said
    other = own / "other"
    repro_("new", kind, "yours", "--to", str(other))
    assert "exists already" in repro_("new", kind, "yours", "--to", str(other), code=1).stderr
    assert {file: file.read_bytes() for file in before} == before


@pytest.mark.parametrize(
    ("kind", "name"), [("model", "ease"), ("paper", "dave"), ("dataset", "toy")]
)
def test_a_name_that_is_shipped_is_refused(own: Path, kind: str, name: str) -> None:
    said = repro_("new", kind, name, code=1).stderr
    assert f"there is a {kind} called '{name}' already" in said
    assert not list(own.iterdir())


@pytest.mark.parametrize("name", ["../x", "a/b", "", "a b", ".x", "x.y", "ä"])
def test_a_name_that_cannot_be_a_files_is_refused(own: Path, name: str) -> None:
    assert "cannot be a name" in repro_("new", "model", name, code=1).stderr
    assert not list(own.iterdir())


def test_without_a_folder_of_ones_own_the_variable_to_set_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = repro_("new", "paper", "mine").stdout
    assert f"export REPRO_PATH={tmp_path}" in said
    assert (tmp_path / "tables" / "mine.toml").exists()


def test_the_page_is_as_short_as_readme() -> None:
    assert len(PAGE.read_bytes()) < MOST_BYTES


@pytest.mark.slow
def test_the_commands_of_the_page_do_what_it_says(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    (tmp_path / "bin").mkdir()
    shim = tmp_path / "bin" / "repro"
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m repro "$@"\n')
    shim.chmod(0o755)
    script = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    environment = os.environ | {"PATH": f"{shim.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-e", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    output = [" ".join(line.split()) for line in (done.stdout + done.stderr).splitlines()]
    shown = "\n".join(re.findall(r"```text\n(.*?)```", text, re.DOTALL))
    for line in shown.splitlines():
        assert any(" ".join(line.split()) in one for one in output), line
