"""``repro compare``: published and your own numbers side by side."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from repro.cli import app
from repro.cli.echo import echo
from repro.cli.options import Papers, Records, Smoke, Table


class Form(StrEnum):
    """How a comparison is printed."""

    markdown = "markdown"
    text = "text"
    csv = "csv"
    json = "json"
    latex = "latex"
    html = "html"


@app.command(epilog="Example: repro compare acvae --table 2")
def compare(
    papers: Papers = None,
    table: Table = None,
    form: Annotated[Form, typer.Option("--format", help="How to print.")] = Form.markdown,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    smoke: Smoke = False,
    against: Annotated[
        str, typer.Option(help="A row; print how much the others differ from it, user by user.")
    ] = "",
    strict: Annotated[
        bool,
        typer.Option(
            help="Exit with code 1 if a cell is higher, lower or damaged, yours or frozen."
        ),
    ] = False,
    runs: Records = None,
) -> None:
    """Compare published numbers with the records, cell by cell."""
    from repro import api
    from repro.errors import ReproError
    from repro.report.forms import FORMS
    from repro.report.tables import NOTHING_AGAINST
    from repro.text import one_line

    chosen = "json" if as_json else form.value
    if against and chosen in ("csv", "json"):
        raise ReproError(f"--against does not work with {chosen}, which lists cells")
    found = api.compare(*papers or [], table=table, smoke=smoke, against=against, runs=runs)
    echo(FORMS[chosen](found.tables))
    for fault in found.damaged:
        echo(f"damaged: {one_line(fault)}", err=True)
    if against and not any(one.pairs for one in found.tables):
        echo(NOTHING_AGAINST.format(against), err=True)
    wrong = {"higher", "lower"} & {cell.judged for cell in found.cells}
    if strict and (wrong or any(cell.verdict == "damaged" for cell in found.cells)):
        raise typer.Exit(1)
