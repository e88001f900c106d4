"""``repro clean``: delete what nothing needs any more."""

from __future__ import annotations

from typing import Annotated

import typer

from repro.cli import Records, app


@app.command(epilog="Example: repro clean --unfinished")
def clean(
    unfinished: Annotated[
        bool,
        typer.Option(help="Also checkpoints of unfinished runs, and parts of downloads."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    runs: Records = None,
) -> None:
    """Show what may be deleted, with its size, and delete it once you say so.

    That is: checkpoints beside a record, damaged checkpoints, claims of processes that are gone,
    and views that a later manifest or file has replaced, or whose manifest is gone. What a process
    is at stays, and so do records and raw data.
    """
    from tabulate import tabulate

    from repro import paths
    from repro.runs import leftovers

    runs = runs or paths.runs()
    found = leftovers.leftovers(runs, unfinished)
    if not found:
        typer.echo("there is nothing to delete")
        return
    rows = [[one.kind, f"{one.bytes / 1e6:,.1f} MB", str(one.path)] for one in found]
    typer.echo(tabulate(rows, ["what", "size", "where"], tablefmt="simple", disable_numparse=True))
    total = sum(one.bytes for one in found) / 1e6
    typer.echo(f"\n{len(found)} things, {total:,.1f} MB")
    if not yes and not typer.confirm("Delete them?"):
        return
    still = {one.path for one in leftovers.leftovers(runs, unfinished)}
    for one in found:
        if one.path in still:  # no process has come for it while you were asked
            one.delete()
    typer.echo("deleted")
