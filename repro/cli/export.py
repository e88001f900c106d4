"""``repro export``: a split for another framework."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from repro.cli import app
from repro.cli.echo import echo
from repro.cli.options import Json


class Format(StrEnum):
    """How a split is written."""

    csv = "csv"
    parquet = "parquet"
    npz = "npz"
    recbole = "recbole"
    trec = "trec"


View = Annotated[
    str, typer.Option(help="A dataset or column group; may be left out where there is one.")
]


@app.command(epilog="Example: repro export dave --table 4 --to ml-100k --format npz")
def export(
    paper: Annotated[str, typer.Argument(help="A paper.")],
    table: Annotated[str, typer.Option(help="The table, by its printed number.")],
    to: Annotated[Path, typer.Option(help="A folder, new or empty.", file_okay=False)],
    form: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.csv,
    view: View = "",
    as_json: Json = False,
) -> None:
    """Write a table's split for another framework: training, test, candidates, ids."""
    from repro import api
    from repro.report import scored

    found = api.export(paper, table, to, form.value, view=view)
    echo(json.dumps(asdict(found.about), indent=1) if as_json else scored.exported(found))
