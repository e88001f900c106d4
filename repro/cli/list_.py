"""``repro list``: papers, datasets, models, protocols, metrics and frozen results."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from repro.cli import app
from repro.cli.echo import echo
from repro.cli.options import Json


class Kind(StrEnum):
    """What can be listed."""

    papers = "papers"
    datasets = "datasets"
    models = "models"
    protocols = "protocols"
    metrics = "metrics"
    results = "results"


@app.command("list", epilog="Example: repro list models")
def list_(
    kind: Annotated[Kind, typer.Argument(help="What to list.")] = Kind.papers,
    as_json: Json = False,
) -> None:
    """List papers, datasets, models, protocols, metrics, or the frozen results."""
    from repro.report import lists

    lines = lists.lines(kind.value)
    text = json.dumps([asdict(line) for line in lines], indent=1) if as_json else lists.table(lines)
    echo(text)
