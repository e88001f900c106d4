"""``repro claims``: what the papers say of their numbers, judged on print and on our runs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from repro.cli import app
from repro.cli.echo import echo
from repro.cli.options import Json, Papers, Records


@app.command(epilog="Example: repro claims dave --table 4")
def claims(
    papers: Papers = None,
    table: Annotated[
        str | None, typer.Option(help="Only claims that rest on this table, or on 'figure 3'.")
    ] = None,
    as_json: Json = False,
    runs: Records = None,
) -> None:
    """Judge the papers' claims, on the printed numbers and on your own or the frozen ones."""
    from repro import api

    found = api.claims(*papers or [], table=table, runs=runs)
    text = json.dumps([asdict(one) for one in found], indent=1) if as_json else str(found)
    echo(text)
