"""``repro status``: what is done, running, failed, missing and blocked."""

from __future__ import annotations

import json
from dataclasses import asdict

from repro.cli import app
from repro.cli.echo import echo
from repro.cli.options import Added, Json, Mine, Papers, Records, Rows, Table, Views


@app.command(epilog="Example: repro status acvae")
def status(
    papers: Papers = None,
    table: Table = None,
    view: Views = None,
    row: Rows = None,
    mine: Mine = False,
    added: Added = False,
    runs: Records = None,
    as_json: Json = False,
) -> None:
    """Show every run of the papers' tables: done, running, missing, failed or damaged, and why."""
    from repro import api
    from repro.report import runs as described

    found = api.status(
        *papers or [],
        table=table,
        rows=row or (),
        views=view or (),
        mine=mine,
        added=added,
        runs=runs,
    )
    if as_json:
        echo(json.dumps([asdict(state) for state in found], indent=1))
    else:
        echo(described.states(found))
