"""Commands, typed in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from builders.records import timeless
from repro import paths
from repro.cli import app
from repro.runs import records
from repro.runs.records import Record


def repro_(*arguments: str, code: int = 0) -> Result:
    """Run a command and check its exit code."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
    assert "Traceback" not in result.output
    return result


def json_of(*arguments: str) -> Any:
    return json.loads(repro_(*arguments, "--json").stdout)


def known(runs: Path | None = None) -> list[Record]:
    return list(records.load_all(runs or paths.runs()))


def check_same_as_alone(*command: str) -> None:
    """Compare the records with those of the same runs one after the other, in this process."""
    alone = paths.runs().with_name("alone")
    repro_("run", *command, "--runs", str(alone))
    assert [timeless(record) for record in known()] == [timeless(r) for r in known(alone)]


def content(*folders: Path) -> dict[Path, bytes]:
    found = [file for at in folders for file in at.rglob("*") if file.is_file()]
    return {file: file.read_bytes() for file in found}
