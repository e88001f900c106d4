"""``repro clean``: delete files that are no longer needed."""

from __future__ import annotations

from typing import Annotated

import typer

from repro.cli import app
from repro.cli.echo import echo
from repro.cli.options import Records


@app.command(epilog="Example: repro clean --unfinished")
def clean(
    unfinished: Annotated[
        bool,
        typer.Option(help="Also checkpoints of unfinished runs, and partial downloads."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    runs: Records = None,
) -> None:
    """Show files that are no longer needed, with their sizes, and delete them once you agree.

    These are checkpoints of finished runs, damaged checkpoints, partly written files, locks of
    processes that have ended, and views whose manifest or files have changed or are gone. Records
    and raw data stay, and so does everything that a process is using.
    """
    from repro import paths
    from repro.report.descriptions import leftovers as described
    from repro.runs.leftovers import delete, leftovers

    found = leftovers(runs or paths.runs(), unfinished)
    echo(described(found))
    if found and (yes or typer.confirm("Delete them?")):
        delete(found, runs or paths.runs(), unfinished)
        echo("deleted")
