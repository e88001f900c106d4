"""``repro ledger``: open readings, and what they change."""

from __future__ import annotations

from repro.cli import app
from repro.cli.echo import echo
from repro.cli.options import Json, Papers, Records


@app.command(epilog="Example: repro ledger mvae")
def ledger(papers: Papers = None, as_json: Json = False, runs: Records = None) -> None:
    """List what the papers leave open, with the effect that our runs measured."""
    from repro import api
    from repro.report import explanations

    found = api.ledger(*papers or [], runs=runs)
    echo(explanations.as_json(found) if as_json else str(found))
