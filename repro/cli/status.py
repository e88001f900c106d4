"""``repro status``: what is done, running, failed, missing and blocked."""

from __future__ import annotations

import json
from dataclasses import asdict

from repro.cli import app
from repro.cli.echo import echo
from repro.cli.options import Added, Json, Papers, Records


@app.command(epilog="Example: repro status acvae")
def status(
    papers: Papers = None, added: Added = False, runs: Records = None, as_json: Json = False
) -> None:
    """Show every run of the papers' tables: done, running, missing, failed or damaged, and why."""
    from repro import paths
    from repro.papers import library
    from repro.report import runs as described
    from repro.runs.asked import Asked
    from repro.runs.plan import plan
    from repro.runs.status import states

    asked = Asked(papers=tuple(papers or (one.id for one in library.readable())), added=added)
    found = states(plan(asked), runs or paths.runs())
    if as_json:
        echo(json.dumps([asdict(state) for state in found], indent=1))
    else:
        echo(described.states(found))
