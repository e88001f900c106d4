"""``repro report``: results as pages for a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from repro.cli import app
from repro.cli.echo import echo
from repro.cli.options import Papers, Records


@app.command(epilog="Example: repro report dave acvae --to site")
def report(
    papers: Papers = None,
    to: Annotated[
        Path, typer.Option(help="The folder to write; a report that is there is replaced.")
    ] = Path("report"),
    runs: Records = None,
) -> None:
    """Write a report for a browser: tables, claims, figures, audit, and what is missing.

    The pages need no server and no network. Numbers come from records, or else are the frozen ones;
    each cell opens its command, seeds, learning curve, notes and claims.
    """
    from repro import api
    from repro.text import one_line

    made = api.write_report(*papers or [], to=to, runs=runs)
    for fault in made.damaged:
        echo(f"damaged: {one_line(fault)}", err=True)
    size = f"{made.pages} pages, {made.bytes / 1e6:.1f} MB"
    echo(f"{size}: open {one_line(made.folder / 'index.html')}")
