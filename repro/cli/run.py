"""``repro run``: train and evaluate what has no record yet."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repro.cli import app
from repro.cli.echo import echo
from repro.cli.options import Added, Json, Rows, Table, Views

if TYPE_CHECKING:
    from repro.runs.asked import Asked
    from repro.runs.dry_run import PlannedRun
    from repro.runs.settings import How


class Device(StrEnum):
    """Where to run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


Paper = Annotated[str | None, typer.Argument(help="A paper; may be left out with --smoke.")]
Figure = Annotated[
    str | None, typer.Option(help="The runs that this figure needs, instead of the tables'.")
]
Seeds = Annotated[str, typer.Option(help="Seeds instead of the table's, as in 0,1,2 or 0..4.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set a hyper-parameter; repeatable. KEY=1,2 runs each value.",
    ),
]
Select = Annotated[
    str | None,
    typer.Option(metavar="RULE", help="Which epoch counts: last, valid:METRIC or test:METRIC."),
]
Every = Annotated[int | None, typer.Option(min=1, help="Evaluate every so many epochs.")]
Patience = Annotated[
    int | None,
    typer.Option(min=0, help="Stop after so many evaluations without a new best; 0: never."),
]
Model = Annotated[
    str | None, typer.Option(help="Run this model under the table's protocol, instead of its rows.")
]
Keep = Annotated[
    str,
    typer.Option(metavar="WHAT", help="lists: keep what is recommended, for `repro beyond`."),
]
Where = Annotated[Device, typer.Option(help="Where to run.")]
Smoke = Annotated[
    bool, typer.Option(help="Toy data and two epochs; without a paper: all papers and models.")
]
Threads = Annotated[
    int,
    typer.Option(min=0, help="CPU threads; 0: one on generated data, else torch's own choice."),
]
Jobs = Annotated[
    int, typer.Option(min=1, help="How many runs at once; with Ray: how many share a GPU.")
]
Engine = Annotated[
    str, typer.Option(help="local, ray, or ray://host:port; Ray needs repro-tables[ray].")
]
Deterministic = Annotated[
    bool, typer.Option(help="On a GPU: the same bits each time, at some cost in speed.")
]
DryRun = Annotated[
    bool, typer.Option(help="Print what would run, what is missing, and how long it takes.")
]
MemoryCheck = Annotated[
    bool, typer.Option(help="Refuse a run whose model needs more memory than is free.")
]
Force = Annotated[bool, typer.Option(help="Run again even where there is a record.")]
Folder = Annotated[Path | None, typer.Option(help="Folder of records.", file_okay=False)]


@app.command(epilog="Example: repro run acvae --table 2 --row POP")
def run(
    context: typer.Context,
    paper: Paper = None,
    table: Table = None,
    figure: Figure = None,
    row: Rows = None,
    added: Added = False,
    view: Views = None,
    seeds: Seeds = "",
    settings: Settings = None,
    model: Model = None,
    select: Select = None,
    every: Every = None,
    patience: Patience = None,
    keep: Keep = "",
    device: Where = Device.auto,
    smoke: Smoke = False,
    threads: Threads = 0,
    jobs: Jobs = 1,
    engine: Engine = "local",
    deterministic: Deterministic = True,
    dry_run: DryRun = False,
    as_json: Json = False,
    force: Force = False,
    memory_check: MemoryCheck = True,
    runs: Folder = None,
) -> None:
    """Train and evaluate the rows of a paper's tables that have no record yet."""
    from repro import paths
    from repro.cli.progress import Terminal
    from repro.errors import ReproError
    from repro.runs import batch
    from repro.runs.asked import asked_for
    from repro.runs.settings import How

    asked = asked_for(
        paper,
        table,
        figure,
        row,
        added,
        view,
        seeds,
        settings,
        model,
        smoke,
        select,
        every,
        patience,
        keep,
    )
    folder = runs or paths.runs()
    how = How(folder, device.value, threads, jobs, engine, deterministic, force, memory_check)
    if dry_run:
        _dry_run(asked, how, as_json)
    elif as_json:
        raise ReproError("--json needs --dry-run", "`repro compare --json` prints finished runs")
    else:
        done = batch.run(asked, how, Terminal())
        if context.find_root().params.get("debug"):
            for _, error in done.done.failed:
                echo(error.traceback, err=True)
        if done.exit_code:
            raise typer.Exit(done.exit_code)


def _dry_run(asked: Asked, how: How, as_json: bool) -> None:
    from repro.report import runs as described
    from repro.runs.dry_run import dry_run

    if as_json:
        echo(json.dumps(asdict(dry_run(asked, how)), indent=1))
        return

    told: set[tuple[str, str]] = set()

    def begin(run: PlannedRun) -> None:
        echo(described.planned(run))
        split = run.group, described.asked(run)
        if split[1] and split not in told:  # all rows of a column group are asked the same
            told.add(split)
            echo(split[1])

    def end(run: PlannedRun) -> None:
        if not run.record:
            echo(described.time_of(run))

    echo(described.dry_run(dry_run(asked, how, begin, end)))
