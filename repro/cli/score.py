"""``repro score``: rank what another framework recommends."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from repro.cli import app
from repro.cli.echo import echo
from repro.cli.export import View
from repro.cli.options import Json


class Missing(StrEnum):
    """What is done about test users and ranks that a file lacks."""

    refuse = "refuse"
    zero = "zero"


@app.command(epilog='Example: repro score dave --table 4 --name "My model" scores.csv')
def score(
    paper: Annotated[str, typer.Argument(help="A paper.")],
    file: Annotated[
        Path,
        typer.Argument(help="A TREC run; CSV or Parquet of user, item, score; or NPZ of scores."),
    ],
    table: Annotated[str, typer.Option(help="The table, by its printed number.")],
    name: Annotated[str, typer.Option(help="What to call the model.")],
    view: View = "",
    seed: Annotated[int, typer.Option(min=0, help="The seed that it was trained with.")] = 0,
    export: Annotated[
        Path | None,
        typer.Option(help="The export it was trained on; by default the one beside the file."),
    ] = None,
    missing: Annotated[
        Missing, typer.Option(help="Test users and ranks that the file lacks: refuse, or misses.")
    ] = Missing.refuse,
    force: Annotated[
        bool, typer.Option(help="Replace a record of this name that is of another file.")
    ] = False,
    as_json: Json = False,
    runs: Annotated[Path | None, typer.Option(help="Folder of records.", file_okay=False)] = None,
) -> None:
    """Rank and record what a model of another framework recommends, beside the published rows."""
    from repro import api
    from repro.report import scored

    found = api.score(
        paper,
        table,
        file,
        name=name,
        view=view,
        seed=seed,
        export=export,
        missing=missing.value,
        force=force,
        runs=runs,
    )
    if as_json:
        echo(json.dumps(asdict(scored.as_json(found)), indent=1))
        return
    echo(scored.scored(found))
    echo(f"beside the published rows: repro compare {paper} --table {table}", err=True)
