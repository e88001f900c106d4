"""``repro run``: train and evaluate what has no record yet."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repro.cli import app

if TYPE_CHECKING:
    from repro.errors import ReproError
    from repro.planning import Job, Plan
    from repro.records import Record


class Device(StrEnum):
    """Where to run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


@app.command(epilog="Example: repro run acvae --table 2 --row POP")
def run(
    paper: Annotated[
        str | None, typer.Argument(help="A paper; may be left out with --smoke.")
    ] = None,
    table: Annotated[str | None, typer.Option(help="One table, by its printed number.")] = None,
    row: Annotated[str | None, typer.Option(help="One row, by its printed label.")] = None,
    view: Annotated[str | None, typer.Option(help="One dataset or column group.")] = None,
    seeds: Annotated[str, typer.Option(help="Seeds instead of the table's, as in 0,1,2.")] = "",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A hyper-parameter.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Add this model as a row of ours, instead of the table's rows."),
    ] = None,
    device: Annotated[Device, typer.Option(help="Where to run.")] = Device.auto,
    smoke: Annotated[
        bool, typer.Option(help="Toy data and two epochs; without a paper: all, with every model.")
    ] = False,
    threads: Annotated[
        int, typer.Option(help="CPU threads; 0: one on generated data, else torch's own choice.")
    ] = 0,
    dry_run: Annotated[bool, typer.Option(help="Only print what would run.")] = False,
    force: Annotated[bool, typer.Option(help="Run again what has a record.")] = False,
    runs: Annotated[Path | None, typer.Option(help="Folder of records.")] = None,
) -> None:
    """Train and evaluate the rows of a paper's tables that have no record yet."""
    from repro import paths, planning, tables
    from repro.errors import ReproError

    if paper is None and not smoke:
        raise ReproError("which paper?", f"there are: {', '.join(tables.papers())}")
    asked = planning.Asked(
        papers=(paper,) if paper else tuple(tables.papers()),
        table=table,
        row=row,
        view=view,
        seeds=_seeds(seeds),
        settings=tuple(settings or []),
        model=model,
        every_model=smoke and paper is None,
        smoke=smoke,
    )
    plan = planning.plan(asked)
    folder = runs or paths.runs()
    if dry_run:
        _print_plan(plan, folder)
        return
    for label, reason in plan.left_out.items():
        typer.echo(f"left out: {label}: {reason}", err=True)
    unprepared = _prepare(plan)
    ready = [job for job in plan.jobs if job.experiment.dataset not in unprepared]
    todo = [job for job in ready if force or planning.finished(job, folder) is None]
    typer.echo(
        f"{len(todo)} to run, {len(ready) - len(todo)} have a record already, "
        f"{len(plan.jobs) - len(ready)} without data",
        err=True,
    )
    if not threads and all(planning.is_generated(job.experiment.dataset) for job in todo):
        threads = 1  # tiny tensors: more threads only wait for each other
    failed = _run(todo, folder, device.value, force, threads) if todo else 0
    if failed:
        raise typer.Exit(4)
    if unprepared:
        raise typer.Exit(max(error.exit_code for error in unprepared.values()))


def _seeds(text: str) -> tuple[int, ...]:
    from repro.errors import ReproError

    try:
        return tuple(int(seed) for seed in text.split(",") if seed)
    except ValueError:
        raise ReproError(f"--seeds '{text}' are not numbers", "as in --seeds 0,1,2") from None


def _prepare(plan: Plan) -> dict[str, ReproError]:
    """Bring every view into the cache; return those that cannot be had, and why."""
    from repro import planning
    from repro.cli.progress import Bytes
    from repro.errors import ReproError

    unprepared: dict[str, ReproError] = {}
    for dataset in plan.datasets():
        try:
            with Bytes() as report:
                planning.prepare(dataset, report)
        except ReproError as error:
            typer.echo(f"no data: {dataset}: {error}", err=True)
            unprepared[dataset] = error
    return unprepared


def _run(todo: list[Job], folder: Path, device: str, force: bool, threads: int) -> int:
    """Run, and return how many failed."""
    from repro import execution
    from repro.cli.progress import Runs
    from repro.errors import UnsupportedError

    labels = {id(job): job.label for job in todo}

    def outcome(result: Record | ReproError) -> str:
        if isinstance(result, UnsupportedError):
            return f"refused: {result.message}"
        if isinstance(result, Exception):
            return f"FAILED: {result}"
        first = ", ".join(f"{k} {v.value:.4f}" for k, v in list(result.results.items())[:3])
        if result.constant:
            first += f"; CONSTANT scores for {result.constant:.0%} of the users"
        return f"{first} ({result.seconds:.0f} s, {result.id})"

    with Runs(len(todo)) as progress:
        done = execution.run_all(
            todo,
            folder,
            execution.chosen_device(device, threads),
            began=lambda job: progress.begin(labels[id(job)]),
            ended=lambda job, result: progress.end(labels[id(job)], outcome(result)),
            afresh=force,
        )
    for job, error in done.failed:
        typer.echo(f"failed: {job.label}: {error}", err=True)
    typer.echo(
        f"{len(done.finished)} finished, {len(done.refused)} refused, {len(done.failed)} failed; "
        f"records in {folder}",
        err=True,
    )
    return len(done.failed)


def _print_plan(plan: Plan, folder: Path) -> None:
    """Print what would run, with its record if there is one."""
    from repro import planning

    for job in plan.jobs:
        done = planning.finished(job, folder)
        state = f"done {done}" if done else "to run"
        typer.echo(f"{state:<18} {job.label}")
        typer.echo(f"{'':<18} {job.experiment.dataset}, {job.experiment.protocol.title()}")
        typer.echo(f"{'':<18} {job.experiment.model.title()}, select {job.experiment.select}")
    for label, reason in plan.left_out.items():
        typer.echo(f"{'left out':<18} {label}: {reason}")
