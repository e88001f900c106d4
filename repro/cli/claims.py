"""``repro claims``: what the papers say of their numbers, judged on print and on our runs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from repro.cli import app
from repro.cli.echo import echo
from repro.cli.options import Json, Mine, Papers, Records, Rows, Views


@app.command(epilog="Example: repro claims dave --table 4")
def claims(
    papers: Papers = None,
    table: Annotated[
        str | None, typer.Option(help="Only claims that rest on this table, or on 'figure 3'.")
    ] = None,
    view: Views = None,
    row: Rows = None,
    mine: Mine = False,
    as_json: Json = False,
    runs: Records = None,
) -> None:
    """Judge the papers' claims, on the printed numbers and on your own or the frozen ones."""
    from repro import api

    found = api.claims(
        *papers or [], table=table, rows=row or (), views=view or (), mine=mine, runs=runs
    )
    text = json.dumps([asdict(one) for one in found], indent=1) if as_json else str(found)
    echo(text)
