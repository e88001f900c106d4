"""``repro audit``: what the printed numbers alone show."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from repro.cli import app
from repro.cli.echo import echo
from repro.cli.options import Json


@app.command(epilog="Example: repro audit dave --table 4")
def audit(
    papers: Annotated[
        list[str] | None,
        typer.Argument(help="Papers, or table files; all papers if none is named."),
    ] = None,
    file: Annotated[
        list[Path] | None, typer.Option(help="A table file of your own; may be repeated.")
    ] = None,
    table: Annotated[
        str | None, typer.Option(help="Only this table, by its printed number.")
    ] = None,
    as_json: Json = False,
    strict: Annotated[
        bool, typer.Option(help="Exit with code 1 if a printed number is impossible.")
    ] = False,
) -> None:
    """Test printed numbers against one another: no run, no data, no model is needed."""
    from repro.auditing.audit import audit_all
    from repro.report import audits

    found = audit_all([*(papers or []), *map(str, file or [])], table)
    if as_json:
        # by_hand holds parts of the table file, which are not dataclasses
        every = [asdict(one) | {"by_hand": [o.model_dump() for o in one.by_hand]} for one in found]
        echo(json.dumps(every, indent=1))
    else:
        echo(audits.text(found))
    if strict and any(one.hard for one in found):
        raise typer.Exit(1)
