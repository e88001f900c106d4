"""``repro run``: train and evaluate what has no record yet."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repro.cli import app

if TYPE_CHECKING:
    from repro.errors import ReproError
    from repro.runs.execute import Settings
    from repro.runs.plan import Job, Plan


SEEDS = 2**32
"""Above all seeds that every generator of random numbers takes."""

MOST_SEEDS = 1000


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
    figure: Annotated[str | None, typer.Option(help="What one figure is drawn from.")] = None,
    row: Annotated[
        list[str] | None, typer.Option(help="A row, by its printed label; may be repeated.")
    ] = None,
    added: Annotated[
        bool, typer.Option(help="Also the rows and views of ours that the tables add.")
    ] = False,
    view: Annotated[
        list[str] | None, typer.Option(help="A dataset or column group; may be repeated.")
    ] = None,
    seeds: Annotated[
        str, typer.Option(help="Seeds instead of the table's, as in 0,1,2 or 0..4.")
    ] = "",
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
        int,
        typer.Option(min=0, help="CPU threads; 0: one on generated data, else torch's own choice."),
    ] = 0,
    jobs: Annotated[
        int, typer.Option(min=1, help="Runs side by side; with Ray: how many share a GPU.")
    ] = 1,
    engine: Annotated[
        str, typer.Option(help="local, ray, or ray://host:port of a cluster (repro-tables[ray]).")
    ] = "local",
    deterministic: Annotated[
        bool, typer.Option(help="On a GPU: the same bits each time, at some cost in speed.")
    ] = True,
    dry_run: Annotated[
        bool, typer.Option(help="Print what would run, what is missing, and how long it takes.")
    ] = False,
    force: Annotated[bool, typer.Option(help="Run again what has a record.")] = False,
    runs: Annotated[Path | None, typer.Option(help="Folder of records.", file_okay=False)] = None,
) -> None:
    """Train and evaluate the rows of a paper's tables that have no record yet."""
    from repro import paths
    from repro.errors import ReproError
    from repro.papers import library
    from repro.runs import records, status
    from repro.runs.plan import Asked
    from repro.runs.plan import plan as planned

    if paper is None and not smoke:
        raise ReproError("which paper?", f"there are: {', '.join(library.papers())}")
    asked = Asked(
        papers=(paper,) if paper else tuple(library.papers()),
        table=table,
        figure=figure,
        rows=tuple(row or []),
        added=added,
        views=tuple(view or []),
        seeds=_seeds(seeds),
        settings=tuple(settings or []),
        model=model,
        every_model=smoke and paper is None,
        smoke=smoke,
    )
    plan = planned(asked)
    folder = runs or paths.runs()
    if engine not in ("local", "ray") and not engine.startswith("ray://"):
        raise ReproError(
            f"no engine is called '{engine}'", "there are: local; ray; ray://host:port"
        )
    if dry_run:
        _print_plan(plan, folder, device.value, threads, jobs, force)
        return
    for label, reason in plan.left_out.items():
        typer.echo(f"left out: {label}: {': '.join(reason)}", err=True)
    unprepared = _prepare(plan)
    ready = [job for job in plan.jobs if job.experiment.dataset not in unprepared]
    every = [] if force else list(records.load_all(folder))
    done = status.finished(ready, every)
    todo = [job for job in ready if job.label not in done]
    typer.echo(
        f"{len(todo)} to run, {len(ready) - len(todo)} have a record already, "
        f"{len(plan.jobs) - len(ready)} without data",
        err=True,
    )
    if changed := [record for record in every if record.id in done.values() and record.outdated]:
        typer.echo(
            f"{len(changed)} of these records are of an earlier version of a plug-in of yours: "
            f"{', '.join(record.id for record in changed)}; --force runs them again",
            err=True,
        )
    if todo:
        from repro.runs.execute import Settings
        from repro.runs.machine import chosen_device

        since = time.time() if force else None
        how = Settings(folder, device.value, _threads(threads, todo), deterministic, since)
        if engine == "local":
            chosen_device(device.value)  # or all runs would fail, one after the other
        if _run(todo, how, engine, jobs):
            raise typer.Exit(4)
    if unprepared:
        # what must be obtained by hand does not hide what failed
        raise typer.Exit(min(error.exit_code for error in unprepared.values()))


def _threads(asked: int, todo: list[Job]) -> int:
    """Return how many threads to use: one for tiny tensors, where more only wait for each other."""
    from repro.data import prepare

    tiny = all(prepare.is_generated(job.experiment.dataset) for job in todo)
    return asked or (1 if tiny else 0)


def _seeds(text: str) -> tuple[int, ...]:
    from repro.errors import ReproError

    found: list[int] = []
    try:
        for part in text.split(",") if text else []:
            first, dots, last = part.partition("..")
            some = range(int(first), int(last if dots else first) + 1)
            if not some or some[0] < 0 or some[-1] >= SEEDS or len(some) > MOST_SEEDS:
                raise ValueError
            found += some
    except ValueError:
        bounds = f"below {SEEDS:,}, and at most {MOST_SEEDS:,} in a row"
        raise ReproError(
            f"--seeds '{text}' are not seeds", f"as in 0,1,2 or 0..4; {bounds}"
        ) from None
    return tuple(dict.fromkeys(found))


def _prepare(plan: Plan) -> dict[str, ReproError]:
    """Bring every view into the cache; return those that cannot be had, and why."""
    from repro.cli.progress import Files
    from repro.data import prepare
    from repro.errors import ReproError

    unprepared: dict[str, ReproError] = {}
    for dataset in plan.datasets():
        try:
            with Files() as tell:
                prepare.prepare(dataset, tell)
        except ReproError as error:
            typer.echo(f"no data: {dataset}: {error}", err=True)
            unprepared[dataset] = error
    return unprepared


def _run(todo: list[Job], settings: Settings, engine: str, jobs: int) -> int:
    """Run, and return how many failed."""
    from repro.cli.progress import Runs
    from repro.runs import engines
    from repro.runs.ray_cluster import Ray

    with Runs(len(todo)) as watch:
        chosen: engines.Engine
        if engine != "local":
            watch.say("connecting to Ray")
            chosen = Ray("" if engine == "ray" else engine, jobs, settings)
        elif jobs > 1:
            chosen = engines.Processes(jobs, settings)
        else:
            chosen = engines.Here(settings, watch)
        done = engines.run_all(todo, chosen, settings, watch)
    for job, error in done.failed:
        typer.echo(f"failed: {job.label}: {error}", err=True)
    typer.echo(
        f"{len(done.finished)} finished, {len(done.refused)} refused, {len(done.failed)} failed; "
        f"records in {settings.runs}",
        err=True,
    )
    return len(done.failed)


BUSY = 0.5
"""Threads with work, per processor, from which on a measured time is not that of a run alone."""

MEASURED_SECONDS = 10.0
"""How long a dry run may watch a model, unless the smallest share of its users takes longer."""


def _print_plan(
    plan: Plan, folder: Path, device: str, threads: int, jobs: int, force: bool
) -> None:
    """Print what would run, with its record if there is one; data, disk and time."""
    import shutil

    from repro import paths
    from repro.cli.progress import duration
    from repro.runs import records, status
    from repro.runs.estimate import Estimate, load, measure
    from repro.runs.execute import Settings
    from repro.runs.plan import lacking as lacking_of
    from repro.training.resume import reached

    lacking = lacking_of(plan)
    done = {} if force else status.finished(plan.jobs, records.load_all(folder))
    todo = [job for job in plan.jobs if job.label not in done]
    settings = Settings(folder, device, _threads(threads, todo))
    measured: dict[tuple[str, int, int], Estimate | str] = {}  # seeds and tables share it
    known: list[Estimate] = []
    threads_at_work, processors = load()
    for job in plan.jobs:
        state = f"done {done[job.label]}" if job.label in done else "to run"
        typer.echo(f"{state:<18} {job.label}")
        typer.echo(f"{'':<18} {job.experiment.dataset}, {job.experiment.protocol.title()}")
        typer.echo(f"{'':<18} {job.experiment.model.title()}, select {job.experiment.select}")
        if job.label in done:
            continue
        found: Estimate | str = "its data is not here"
        if job.experiment.dataset not in lacking:
            behind = (0, 0) if force else reached(folder / status.run_id(job))
            key = (job.experiment.seedless, *behind)
            if key not in measured:
                measured[key] = measure(job, settings, MEASURED_SECONDS, behind)
            found = measured[key]
        if isinstance(found, str):
            typer.echo(f"{'':<18} time unknown: {found}")
        else:
            kind = "about" if found.ended else "more than"
            typer.echo(f"{'':<18} {kind} {duration(found.seconds)}")
            known.append(found)
    for label, reason in plan.left_out.items():
        typer.echo(f"{'left out':<18} {label}: {': '.join(reason)}")
    for dataset, how in lacking.items():
        typer.echo(f"{'to fetch':<18} {dataset}: {how}")
    for name, place in {"data": paths.home(), "records": folder}.items():
        there = next(at for at in [place.absolute(), *place.absolute().parents] if at.exists())
        free = shutil.disk_usage(there).free / 1e9
        typer.echo(f"{'disk':<18} {free:,.0f} GB free for {name} in {place}")
    total = sum(one.seconds for one in known)
    sure = len(known) == len(todo) and all(one.ended for one in known)
    bound = "about" if sure else "more than"
    if known and threads_at_work > BUSY * processors:
        pace = "all times are at that pace; a run alone takes less, maybe far less"
        why = f"{threads_at_work:.1f} other threads had work for {processors} processors"
        typer.echo(f"{'busy machine':<18} {why}, and {pace}")
    if known:
        most = 3 * max(one.checkpoint for one in known) * min(jobs, len(todo)) / 1e6
        typer.echo(f"{'disk':<18} {bound} {most:,.0f} MB for checkpoints, as long as it runs")
    typer.echo(f"{'in all':<18} {bound} {duration(total)} here, one after the other")
