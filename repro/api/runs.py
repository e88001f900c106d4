"""Runs, records and comparisons, in a notebook."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from repro import paths
from repro.errors import ReproError
from repro.papers import library
from repro.report.notebook import Comparison, Records
from repro.results import checking
from repro.results.checking import Checked
from repro.results.chosen import Chosen, chosen_of
from repro.results.comparison import compare_all
from repro.results.naming import row_name
from repro.runs import batch
from repro.runs import records as record_files
from repro.runs.asked import Asked, asked_for, several
from repro.runs.batch import Audience, Batch, Quiet
from repro.runs.plan import plan
from repro.runs.settings import How
from repro.runs.status import State, states


def run(
    paper: str,
    *,
    table: str | None = None,
    figure: str | None = None,
    rows: str | Iterable[str] = (),
    views: str | Iterable[str] = (),
    added: bool = False,
    seeds: Iterable[int] | str = (),
    settings: Mapping[str, Any] | None = None,
    model: str | None = None,
    select: str | None = None,
    every: int | None = None,
    patience: int | None = None,
    keep: str = "",
    smoke: bool = False,
    device: str = "auto",
    threads: int = 0,
    jobs: int = 1,
    engine: str = "local",
    deterministic: bool = True,
    force: bool = False,
    memory_check: bool = True,
    runs: str | Path | None = None,
    audience: Audience | None = None,
) -> Batch:
    """Train and evaluate the rows of a paper's tables that have no record yet.

    The `records` of what is returned are those of all selected runs, new and old.

    Parameters
    ----------
    paper : str
        The paper's id.
    table, figure : str, optional
        One table, or the runs of one figure, by its printed number.
    rows, views : str or iterable of str
        Rows by their printed labels; datasets or column groups. Empty: all of the paper's.
    added : bool
        Also the rows and views that the table file adds.
    seeds : iterable of int, or str
        Seeds instead of the table's; as text, "0..4".
    settings : mapping, optional
        Hyper-parameters by name; several values of one run each.
    model : str, optional
        A model to run under the table, instead of the table's rows.
    select, every, patience
        As in `repro.experiment.Experiment`, instead of the tables' own; patience 0 never stops
        early.
    keep : str
        "lists": also keep what is recommended to each test user, for `repro.beyond`.
    smoke : bool
        Toy data and two epochs: shows that the code runs, and nothing else.
    device, threads, jobs, engine, deterministic, force, memory_check
        As in `repro.runs.settings.How`.
    runs : path, optional
        The folder of records; ``REPRO_RUNS``, or ``./runs``.
    audience : Audience, optional
        Receives messages and progress; `repro.cli.progress.Terminal` shows bars.

    Raises
    ------
    ReproError
        If something selected does not exist; or, after all runs have ended, if data is missing or a
        run failed. Finished runs are recorded.
    """
    asked = asked_for(
        paper,
        table,
        figure,
        rows,
        added,
        views,
        seeds,
        settings,
        model,
        smoke,
        select,
        every,
        patience,
        keep,
    )
    folder = Path(runs) if runs else paths.runs()
    how = How(folder, device, threads, jobs, engine, deterministic, force, memory_check)
    quiet = Quiet()
    done = replace(batch.run(asked, how, audience or quiet), messages=tuple(quiet.said))
    if done.exit_code:
        faults = [*done.without_data.values(), *(error for _, error in done.done.failed)]
        raise ReproError(f"failed: {len(faults)}", "\n  ".join(map(str, faults)))
    return done


def status(
    *papers: str,
    table: str | None = None,
    rows: str | Iterable[str] = (),
    views: str | Iterable[str] = (),
    mine: bool = False,
    added: bool = False,
    runs: str | Path | None = None,
) -> list[State]:
    """Return the state of every run of some papers' tables: done, running, failed, missing.

    Parameters
    ----------
    *papers : str
        Papers; all if none is named.
    table, rows, views, added, runs
        As in `run`.
    mine : bool
        Only what has been begun here; also rows that the table files add, shortened runs, and runs
        of your own that are in no row.

    Raises
    ------
    ReproError
        If there is no such paper, table, row or view.
    """
    every = papers or tuple(one.id for one in library.readable())
    asked = Asked(every, table, None, several(rows), added, several(views))
    folder = Path(runs) if runs else paths.runs()
    if not mine:
        return states(plan(asked), folder)
    finished = _finished(asked, folder)
    wanted = {row.strip().lower().removesuffix(" (added)") for row in asked.rows}
    found = states(plan(replace(asked, rows=(), added=True)), folder)
    begun = [one for one in found if one.is_begun and (not wanted or one.row.lower() in wanted)]
    done = {one.id for one in begun}
    return begun + [one for one in finished if one.id not in done]


def _finished(asked: Asked, folder: Path) -> list[State]:
    """Return the states of finished runs, also of those that are in no row of the tables."""
    known = record_files.load_all(folder)
    seeds = {record.id: record.experiment.seed for record in known}
    papers = [library.load(name) for name in asked.papers]
    tables = compare_all(papers, known, table=asked.table)
    chosen = chosen_of(tables, Chosen(asked.rows, asked.views, mine=True))
    found: dict[str, State] = {}
    for cell in (cell for one in chosen for cell in one.cells):
        for id in cell.runs:
            label = f"{cell.paper} {cell.table} | {row_name(cell.name)} | {cell.group}"
            state = State(
                label=f"{label} | seed {seeds[id]}",
                kind="done",
                paper=cell.paper,
                table=cell.table,
                row=cell.row,
                group=cell.group,
                seed=seeds[id],
                id=id,
            )
            found.setdefault(id, state)
    return list(found.values())


def records(runs: str | Path | None = None) -> Records:
    """Return the records in a folder.

    Parameters
    ----------
    runs : path, optional
        The folder; ``REPRO_RUNS``, or ``./runs``.

    Warns
    -----
    UserWarning
        For each record that cannot be used; `Records.damaged` has them.
    """
    found = record_files.load_all(Path(runs) if runs else paths.runs())
    for one in found.damaged:
        warnings.warn(one.reason, stacklevel=2)
    return Records(found, found.damaged)


def compare(
    *papers: str,
    table: str | None = None,
    rows: str | Iterable[str] = (),
    views: str | Iterable[str] = (),
    mine: bool = False,
    model: str = "",
    dataset: str = "",
    smoke: bool = False,
    against: str = "",
    runs: str | Path | None = None,
) -> Comparison:
    """Return published numbers with those of the records and the frozen ones.

    Parameters
    ----------
    *papers : str
        Papers; all if none is named.
    table : str, optional
        One table, by its printed number.
    rows, views : str or iterable of str
        Rows by their labels; datasets or column groups. Empty: all.
    mine : bool
        Only what has been run here.
    model, dataset : str
        Only a model, or a dataset, in whatever table.
    smoke : bool
        Show smoke runs instead of real ones.
    against : str
        A row that all others are compared with, user by user.
    runs : path, optional
        The folder of records; ``REPRO_RUNS``, or ``./runs``.

    Raises
    ------
    ReproError
        If there is no such paper, table, row, view, model or dataset.
    """
    chosen = [library.load(name) for name in papers] if papers else library.readable()
    with record_files.without_collections():
        known = record_files.load_all(Path(runs) if runs else paths.runs())
        found = compare_all(
            chosen, known, damaged=known.damaged, table=table, smoke=smoke, against=against
        )
        asked = Chosen(several(rows), several(views), model, dataset, mine)
        found = chosen_of(found, asked)
    faults = [fault for one in found for fault in one.faults]
    return Comparison(found, (*(one.reason for one in known.damaged), *dict.fromkeys(faults)))


def check(*what: str | Path, runs: str | Path | None = None) -> list[Checked]:
    """Verify data, records, frozen results, tables, manifests and plug-ins, without changing any.

    Parameters
    ----------
    *what : str or path
        A dataset or view, a paper, the id or folder of a record, a folder of records, or a file:
        frozen results, a table, a manifest, a model, a protocol. Nothing: all that is there.
    runs : path, optional
        The folder of records; ``REPRO_RUNS``, or ``./runs``.

    Raises
    ------
    ReproError
        If there is nothing of a name.

    Examples
    --------
    >>> [one.state for one in check("mvae") if one.kind == "table"]
    ['2 tables, 1 figure']
    """
    return list(checked(*what, runs=runs))


def checked(*what: str | Path, runs: str | Path | None = None) -> Iterator[Checked]:
    """Yield what `check` returns, as soon as it is known."""

    def plugins(path: Path) -> Iterable[Checked]:
        from repro.testing import check_file  # loads torch

        return check_file(path)

    folder = Path(runs) if runs else paths.runs()
    return checking.check([str(one) for one in what], folder, plugins)
