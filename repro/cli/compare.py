"""``repro compare``: published and own numbers side by side."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from repro.cli import Records, app


class Form(StrEnum):
    """How a comparison is printed."""

    markdown = "markdown"
    text = "text"
    csv = "csv"
    json = "json"


@app.command(epilog="Example: repro compare acvae --table 2")
def compare(
    papers: Annotated[
        list[str] | None, typer.Argument(help="Papers; all if none is named.")
    ] = None,
    table: Annotated[str | None, typer.Option(help="One table.")] = None,
    form: Annotated[Form, typer.Option("--format", help="How to print.")] = Form.markdown,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    smoke: Annotated[bool, typer.Option(help="Show smoke runs instead of real ones.")] = False,
    against: Annotated[
        str, typer.Option(help="A row; how far the others are above it, user by user.")
    ] = "",
    strict: Annotated[
        bool,
        typer.Option(help="Exit 1 if a cell is higher or lower, by a record or else as frozen."),
    ] = False,
    runs: Records = None,
) -> None:
    """Compare published numbers with the records, cell by cell."""
    from repro import paths
    from repro.errors import ReproError, unknown
    from repro.papers import library
    from repro.report import tables
    from repro.results.comparison import compare as compared
    from repro.results.verdicts import OURS
    from repro.runs import records

    chosen_form = "json" if as_json else form.value
    if against and chosen_form in ("csv", "json"):
        raise ReproError(f"--against has no place in {chosen_form}, which lists cells")
    chosen = [library.load(paper) for paper in papers or library.papers()]
    known = list(records.load_all(runs or paths.runs()))
    done = [
        compared(paper, number, known, smoke=smoke, against=against)
        for paper, number in library.numbered(chosen, table)
    ]
    rows = {cell.row.removesuffix(OURS) for compared_table in done for cell in compared_table.cells}
    if against and against not in rows:
        raise unknown("row", against, rows)
    typer.echo(tables.FORMATS[chosen_form](done))
    if against and not any(compared_table.pairs for compared_table in done):
        why = "both rows need a record of one seed here, and one whose metrics each have an epoch "
        typer.echo(f"nothing to set against {against}: {why}of their own keeps no hits", err=True)
    judged = [  # as they are printed
        cell.reference_verdict if cell.ours is None else cell.verdict
        for compared_table in done
        for cell in compared_table.cells
    ]
    if strict and {"higher", "lower"} & set(judged):
        raise typer.Exit(1)
