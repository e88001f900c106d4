"""``repro freeze``: keep results next to the tables, with everything needed to trace them."""

from __future__ import annotations

from typing import Annotated

import typer

from repro.cli import app
from repro.cli.echo import echo
from repro.cli.options import Records, Table, tell_damaged


@app.command(epilog="Example: repro freeze acvae --table 2")
def freeze(
    paper: Annotated[str, typer.Argument(help="A paper.")],
    table: Table = None,
    figure: Annotated[str | None, typer.Option(help="The points of this figure instead.")] = None,
    runs: Records = None,
) -> None:
    """Write the results of a paper's cells from the records to tables/reference/PAPER.csv.

    A line holds a cell and a seed, with experiment id, code version, dataset digest, hardware,
    library versions and date. Lines of other cells and seeds stay. Smoke runs are never frozen.
    The results are recomputed from the hits first, and a record that does not fit is refused.
    `repro compare` shows the frozen number with the published one and your own. With --figure the
    points go to tables/reference/figures/PAPER-NUMBER.csv, and `repro figure` draws them where
    there is no record. A run for a figure or for another paper is frozen only with that figure or
    paper. The counts of a table that describes the data go to tables/reference/counts/PAPER.csv.
    """
    from repro import paths
    from repro.errors import ReproError
    from repro.papers import library
    from repro.results import freezing
    from repro.runs import records
    from repro.text import one_line

    if figure and table:
        raise ReproError("--figure and --table exclude each other", "freeze one after the other")
    found, known = library.load(paper), records.load_all(runs or paths.runs())
    tell_damaged(known)
    done = (
        freezing.freeze_figure(found, known, found.figure_number(figure))
        if figure
        else freezing.freeze(found, known, table and found.number(table))
    )
    echo(f"{done.count} {done.what} of {len(done.runs)} runs in {one_line(done.path)}")
    if done.dirty:
        made = "made by code that differed from its commit or changed after an interruption"
        echo(f"{made}: {one_line(', '.join(sorted(done.dirty)))}", err=True)
