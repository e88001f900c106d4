"""A cache and a folder of records that may only be read: what is there is shown and run on."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from builders import disk
from builders.commands import content, known, repro_
from repro import paths

POP = ("run", "toy", "--table", "1", "--row", "POP", "--view", "split")


@pytest.fixture
def full(own_folders: Path) -> Path:
    """Return the folder of a full cache and of a finished run."""
    repro_("fetch", "toy")
    repro_(*POP)
    return own_folders


READING = [
    "list papers",
    "list datasets",
    "show toy",
    "status toy",
    "compare toy",
    "compare toy --json",
    "fetch toy",
    "fetch toy/split",
    "fetch --check toy",
    "run toy --table 1 --row POP --view split",
    "clean",
]


@pytest.mark.parametrize("command", READING)
def test_what_reads_needs_no_folder_to_write_in(full: Path, command: str) -> None:
    before = content(full)
    free = repro_(*command.split()).stdout
    with disk.read_only(full / "home", full / "runs"):
        assert repro_(*command.split()).stdout == free
    assert content(full) == before


def test_runs_start_from_a_cache_that_is_read_only(
    full: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with disk.read_only(full / "home"):
        monkeypatch.setenv("REPRO_RUNS", str(full / "others"))
        repro_(*POP)
        monkeypatch.setenv("REPRO_RUNS", str(full / "runs"))
    assert len(known(full / "others")) == 1
    (mine,), (theirs,) = known(full / "others"), known(full / "runs")
    assert mine.results == theirs.results


@pytest.mark.parametrize(
    ("command", "folder", "variable"),
    [
        ("run toy --table 1 --row EASE --view split", "runs", "REPRO_RUNS"),
        ("run toy --table 1 --row EASE --view split --jobs 2", "runs", "REPRO_RUNS"),
        ("fetch ncf-ml-1m --from .", "home/data/ncf-ml-1m", "REPRO_HOME"),
    ],
)
def test_what_must_write_says_where_it_cannot_and_what_to_set(
    full: Path, command: str, folder: str, variable: str
) -> None:
    with disk.read_only(full / "home", full / "runs"):
        told = repro_(*command.split(), code=1).stderr
    assert told.count("error: ") == 1
    assert f"no file can be written in {full / folder}: " in told
    assert variable in told


def test_a_home_that_is_a_file_is_told(own_folders: Path) -> None:
    (own_folders / "home").write_text("")
    told = repro_(*POP, code=1).stderr
    assert f"no file can be written in {own_folders / 'home' / 'data' / 'toy'}" in told
    assert "REPRO_HOME" in told


@pytest.mark.slow
@pytest.mark.parametrize("mask", [0o077, 0o007, 0o022])
def test_files_obey_the_umask(own_folders: Path, mask: int) -> None:
    command = [sys.executable, "-m", "repro", *POP, "--threads", "1"]
    subprocess.run(command, check=True, umask=mask, env=os.environ, capture_output=True)
    made = [path for at in (paths.home(), paths.runs()) for path in at.rglob("*")]
    assert len(made) > 10
    for path in made:
        assert not stat.S_IMODE(path.stat().st_mode) & mask, path
