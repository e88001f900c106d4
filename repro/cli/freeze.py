"""``repro freeze``: keep results beside the tables, with all that made them."""

from __future__ import annotations

from typing import Annotated

import typer

from repro.cli import Records, app


@app.command(epilog="Example: repro freeze acvae --table 2")
def freeze(
    paper: Annotated[str, typer.Argument(help="A paper.")],
    table: Annotated[str | None, typer.Option(help="One table.")] = None,
    runs: Records = None,
) -> None:
    """Write what the records say of a paper's cells to tables/reference/PAPER.csv.

    A line holds a cell and a seed, with experiment id, code version, dataset digest, hardware,
    library versions and date. Lines of other cells and seeds stay. Smoke runs are never frozen.
    `repro compare` shows the frozen number beside the published one and yours.
    """
    from repro import comparison, paths, records, reference, tables
    from repro.errors import ReproError

    found = tables.load(paper)
    known = {record.id: record for record in records.load_all(runs or paths.runs())}
    rows = []
    for number in [table] if table else found.tables:
        for cell in comparison.compare(found, number, list(known.values())).cells:
            place = (cell.table, cell.row, cell.group, cell.label)
            for id in cell.runs:
                result = known[id].result(cell.metric)
                rows.append(reference.frozen(place, cell.metric, result, known[id]))
    if not rows:
        raise ReproError(f"there is no record for {paper}", f"repro run {paper}")
    path = reference.save(paper, rows)
    dirty = sorted({row.experiment for row in rows if row.dirty})
    typer.echo(f"{len(rows)} numbers of {len({r.experiment for r in rows})} runs in {path}")
    if dirty:
        typer.echo(f"made by code that differed from its commit: {', '.join(dirty)}", err=True)
