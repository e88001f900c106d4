"""The wheel works away from the checkout: tables, manifests and frozen results come with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install a wheel of a copy of the checkout into a folder; a build leaves files behind."""
    copy, site = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("site")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in ("repro", "tables", "data_manifests"):
        shutil.copytree(ROOT / name, copy / name, symlinks=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--no-index", "--target", str(site), str(copy)], check=True)
    shutil.rmtree(copy)
    return site


def said(site: Path, folder: Path, *command: str) -> str:
    """Return what a program prints that finds the installed package alone."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.slow
def test_an_installed_wheel_works_from_anywhere(site: Path, tmp_path: Path) -> None:
    place = said(site, tmp_path, "-c", "import repro; print(repro.__file__)")
    assert Path(place.strip()).is_relative_to(site)
    compared = said(site, tmp_path, "-m", "repro", "compare", "acvae", "--table", "2")
    assert "| FPMC " in compared
    assert "reference [t]" in compared
    assert "ml-20m" in said(site, tmp_path, "-m", "repro", "list", "datasets")
    assert "done" not in said(site, tmp_path, "-m", "repro", "status", "toy")
    said(site, tmp_path, "-m", "repro", "report", "toy", "--to", "site")
    written = {path.name for path in (tmp_path / "site").iterdir()}
    assert {"index.html", "toy.html", "site.css", "site.js"} <= written


@pytest.mark.slow
def test_a_wheel_holds_every_table_manifest_and_frozen_result(site: Path) -> None:
    for kind in ("tables", "data_manifests"):
        ours = {p.relative_to(ROOT / kind) for p in (ROOT / kind).rglob("*") if p.suffix in DATA}
        there = site / "repro" / "_shipped" / kind
        assert ours == {p.relative_to(there) for p in there.rglob("*") if p.suffix in DATA}


DATA = (".toml", ".csv", ".zip")
