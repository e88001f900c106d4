"""``repro runs``: list the records of a folder, and remove some."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from repro.cli import app
from repro.cli.echo import echo
from repro.cli.options import Json, Papers, Records, Rows, Table, Views, tell_damaged


@app.command(name="runs", epilog="Example: repro runs dave --table 4 --row CDAE")
def list_runs(
    papers: Papers = None,
    table: Table = None,
    view: Views = None,
    row: Rows = None,
    model: Annotated[str, typer.Option(help="Only runs of this model.")] = "",
    dataset: Annotated[str, typer.Option(help="Only runs on this dataset, or view of one.")] = "",
    id: Annotated[
        list[str] | None,
        typer.Option(
            "--run", metavar="ID", help="Only this record; repeatable. A beginning will do."
        ),
    ] = None,
    smoke: Annotated[
        bool | None, typer.Option("--smoke/--no-smoke", help="Only smoke runs, or only real ones.")
    ] = None,
    each: Annotated[bool, typer.Option("--each", help="A line for each record.")] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove these records, once you agree.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    runs: Records = None,
    as_json: Json = False,
) -> None:
    """List the records of a folder: what was run, when, how long it took, results, seeds, ids.

    `repro status` shows what is missing or running.
    """
    from repro import paths
    from repro.errors import ReproError
    from repro.papers import library
    from repro.report.run_list import run_table
    from repro.results.chosen import Chosen
    from repro.results.run_list import run_list
    from repro.runs import records

    folder = runs or paths.runs()
    known = records.load_all(folder)
    tell_damaged(known)
    every = [library.load(name) for name in library.papers()]
    for name in papers or []:
        library.load(name)
    asked = Chosen(tuple(row or ()), tuple(view or ()), model, dataset)
    chosen = run_list(known, every, papers or (), table, asked, id or ())
    found = [run for run in chosen if smoke in (None, run.smoke)]
    if as_json:
        echo(json.dumps([asdict(run) for run in found], indent=1))
    else:
        echo(run_table(found, each))
    if remove and found:
        if len(found) == len(known) and not (papers or table or id or not asked.is_all):
            raise ReproError(
                "--remove needs to know which records", "as in --row, --run or a paper"
            )
        _remove([run.id for run in found], folder, yes)


def _remove(ids: list[str], folder: Path, yes: bool) -> None:
    from repro.runs.removal import remove

    n = f"{len(ids)} records" if len(ids) > 1 else "1 record"
    if yes or typer.confirm(f"Remove {n}?"):
        faults = remove(folder, ids)
        for fault in faults:
            echo(f"stays: {fault}", err=True)
        echo(f"removed {len(ids) - len(faults)} of {n}")
        if faults:
            raise typer.Exit(1)
