"""``repro freeze``: keep results beside the tables, with all that made them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from repro import files
from repro.cli import Records, app

if TYPE_CHECKING:
    from repro.papers.paper import Paper
    from repro.runs.records import Record


@app.command(epilog="Example: repro freeze acvae --table 2")
def freeze(
    paper: Annotated[str, typer.Argument(help="A paper.")],
    table: Annotated[str | None, typer.Option(help="One table.")] = None,
    figure: Annotated[str | None, typer.Option(help="The points of a figure instead.")] = None,
    runs: Records = None,
) -> None:
    """Write what the records say of a paper's cells to tables/reference/PAPER.csv.

    A line holds a cell and a seed, with experiment id, code version, dataset digest, hardware,
    library versions and date. Lines of other cells and seeds stay. Smoke runs are never frozen.
    `repro compare` shows the frozen number beside the published one and yours. With --figure the
    points go to tables/reference/figures/PAPER-NUMBER.csv, and `repro figure` draws them where
    there is no record. What runs for a figure or another paper is frozen there alone.
    """
    from repro import paths
    from repro.errors import ReproError
    from repro.papers import library
    from repro.results import comparison, frozen
    from repro.runs import records

    found = library.load(paper)
    known = {record.id: record for record in records.load_all(runs or paths.runs())}
    if figure:
        if table:
            raise ReproError("--figure and --table name two things", "freeze one after the other")
        _freeze_figure(found, figure, known.values())
        return
    of_papers = {e.seedless for name in library.papers() for e in library.load(name).experiments}
    elsewhere = (of_papers | found.recipes) - {e.seedless for e in found.experiments}
    rows = []
    for number in [table] if table else found.tables:
        for cell in comparison.compare(found, number, list(known.values())).cells:
            place = (cell.table, cell.row, cell.group, cell.label)
            for id in cell.runs:
                if known[id].experiment.seedless in elsewhere:
                    continue  # a row here as any other setting is, but kept where it is asked for
                result = known[id].result(cell.metric)
                rows.append(frozen.frozen(place, cell.metric, result, known[id]))
    if not rows:
        raise ReproError(f"there is no record of rows of {paper}", f"repro run {paper}")
    path = frozen.save(paper, rows)
    typer.echo(f"{len(rows)} numbers of {len({r.experiment for r in rows})} runs in {path}")
    _say_dirty({row.experiment for row in rows if row.dirty})


def _freeze_figure(paper: Paper, number: str, known: Iterable[Record]) -> None:
    from repro.errors import ReproError
    from repro.results import figures, frozen

    if paper.figure(number).kind == "picture":
        raise ReproError(
            f"figure {number} of {paper.id} is a picture of vectors, which are not kept",
            "repro figure draws it from records",
        )
    points = figures.found(paper, number, known).points
    if not points:
        how = f"repro run {paper.id} --figure {number}"
        raise ReproError(f"there is no record for figure {number} of {paper.id}", how)
    path = frozen.checked(figures.file(paper, number))
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_atomically(path, figures.as_csv(points).encode())
    typer.echo(f"{len(points)} points of {len({p.experiment for p in points})} runs in {path}")
    _say_dirty({point.experiment for point in points if point.dirty})


def _say_dirty(runs: set[str]) -> None:
    if runs:
        made = "made by code that differed from its commit or changed after a cut"
        typer.echo(f"{made}: {', '.join(sorted(runs))}", err=True)
