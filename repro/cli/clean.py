"""``repro clean``: delete what nothing needs any more."""

from __future__ import annotations

from typing import Annotated

import typer

from repro.cli import app
from repro.cli.options import Records


@app.command(epilog="Example: repro clean --unfinished")
def clean(
    unfinished: Annotated[
        bool,
        typer.Option(help="Also checkpoints of unfinished runs, and parts of downloads."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    runs: Records = None,
) -> None:
    """Show what nothing needs any more, with its size, and delete it once you agree.

    That is: checkpoints beside a record, damaged checkpoints, locks of processes that have ended,
    and views whose manifest or files have changed or gone. Records and raw data stay, and so does
    everything that a process is using.
    """
    from repro import paths
    from repro.report.descriptions import leftovers as described
    from repro.runs.leftovers import delete, leftovers

    found = leftovers(runs or paths.runs(), unfinished)
    typer.echo(described(found))
    if found and (yes or typer.confirm("Delete them?")):
        delete(found, runs or paths.runs(), unfinished)
        typer.echo("deleted")
