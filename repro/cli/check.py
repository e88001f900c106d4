"""``repro check``: verify data, records, frozen results, and one's own files."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from repro.cli import app
from repro.cli.echo import echo
from repro.cli.options import Json, Records


@app.command(epilog="Example: repro check toy runs tables/mine.toml")
def check(
    what: Annotated[
        list[str] | None,
        typer.Argument(help="What to verify; everything that is there, if nothing is named."),
    ] = None,
    runs: Records = None,
    as_json: Json = False,
) -> None:
    """Verify data, records, frozen results, tables, manifests, models and protocols.

    WHAT is a dataset or view, a paper (its table file and frozen results), the id or folder of a
    record, a folder of records or of files of your own, or a file: frozen results (.csv), a table
    or manifest (.toml), a model or protocol (.py, which is run). The results of records are
    recomputed from their hits. Nothing is changed. The exit code is 1 if anything is damaged.
    """
    from repro.api.runs import checked
    from repro.report import descriptions

    found = []
    for one in checked(*what or [], runs=runs):
        found.append(one)
        if not as_json:
            echo(descriptions.verified(one))
    if as_json:
        echo(json.dumps([asdict(one) for one in found], indent=1))
    else:
        echo(descriptions.verified_in_all(found))
    if any(one.damaged for one in found):
        raise typer.Exit(1)
