"""``repro beyond``: coverage, popularity, novelty and long tail of what is recommended."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from repro.cli import app
from repro.cli.echo import echo
from repro.cli.options import Json, Records


@app.command(epilog="Example: repro beyond mvae --table II --k 5")
def beyond(
    paper: Annotated[str, typer.Argument(help="A paper.")],
    table: Annotated[str, typer.Option(help="The table, by its printed number.")],
    k: Annotated[int, typer.Option(help="Count the first so many ranks.")] = 10,
    as_json: Json = False,
    runs: Records = None,
) -> None:
    """Show what rows recommend and whom they serve, of runs with --keep lists."""
    from repro import api

    found = api.beyond(paper, table, k=k, runs=runs)
    text = json.dumps([asdict(one) for one in found], indent=1) if as_json else str(found)
    echo(text)
