"""``repro compare``: published and your own numbers side by side."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from repro.cli import app
from repro.cli.echo import draw, echo, window
from repro.cli.options import Mine, Papers, Records, Rows, Smoke, Table, Views

if TYPE_CHECKING:
    from repro.report.notebook import Comparison


class Form(StrEnum):
    """How a comparison is printed."""

    terminal = "terminal"
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
    view: Views = None,
    row: Rows = None,
    mine: Mine = False,
    model: Annotated[str, typer.Option(help="Only this model, in all tables.")] = "",
    dataset: Annotated[
        str, typer.Option(help="Only this dataset, or view of one, in all tables.")
    ] = "",
    against: Annotated[
        str, typer.Option(help="A row; print how much the others differ from it, user by user.")
    ] = "",
    form: Annotated[
        Form | None,
        typer.Option(
            "--format",
            help="How to print: for a terminal, else as markdown, if not told otherwise. text "
            "suits a screen reader.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    notes: Annotated[
        bool, typer.Option("--notes", help="On a terminal: also notes, reasons and claims.")
    ] = False,
    ours: Annotated[
        bool,
        typer.Option("--ours", "--added", help="On a terminal: also rows that the paper lacks."),
    ] = False,
    commands: Annotated[
        bool, typer.Option("--commands", help="Also the command that runs each row.")
    ] = False,
    smoke: Smoke = False,
    strict: Annotated[
        bool,
        typer.Option(
            help="Exit with code 1 if a cell is higher, lower or damaged, yours or frozen."
        ),
    ] = False,
    runs: Records = None,
) -> None:
    """Compare published numbers with the records, cell by cell.

    A number is yours, from a record, or frozen: kept with the code. Behind the name of a row stands
    (added) if the table file adds it, and (own) if it is a run of yours that is in no row.
    """
    from repro import api
    from repro.report.forms import FORMS
    from repro.report.pairs import pairs_as_csv, pairs_as_json
    from repro.report.tables import NOTHING_AGAINST
    from repro.text import one_line

    given = Form.json if as_json else form
    chosen = (given or (Form.terminal if sys.stdout.isatty() else Form.markdown)).value
    found = api.compare(
        *papers or [],
        table=table,
        rows=row or (),
        views=view or (),
        mine=mine,
        model=model,
        dataset=dataset,
        smoke=smoke,
        against=against,
        runs=runs,
    )
    if against and chosen in ("csv", "json"):
        echo({"csv": pairs_as_csv, "json": pairs_as_json}[chosen](found.tables))
    elif chosen == "terminal":
        _draw(found, notes, ours or bool(row or model), commands, bool(against) or notes)
    else:
        echo(FORMS[chosen](found.tables))
        if commands and chosen in ("markdown", "text"):
            _commands(found)
    for fault in found.damaged:
        echo(f"damaged: {one_line(fault)}", err=True)
    if against and not any(one.pairs for one in found.tables):
        echo(NOTHING_AGAINST.format(against), err=True)
    wrong = {"higher", "lower"} & {cell.judged for cell in found.cells}
    if strict and (wrong or any(cell.verdict == "damaged" for cell in found.cells)):
        raise typer.Exit(1)


def _draw(found: Comparison, notes: bool, added: bool, commands: bool, pairs: bool) -> None:
    from repro.report.grid import View
    from repro.report.terminal import terminal

    width, unicode = window()
    draw(terminal(found.tables, View(width, notes, added, commands, pairs, unicode)))


def _commands(found: Comparison) -> None:
    from repro.results.commands import commands_of

    for table in found.tables:
        for command in commands_of(table):
            echo(f"    {command}")
