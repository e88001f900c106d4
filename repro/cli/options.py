"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repro.cli.echo import echo

if TYPE_CHECKING:
    from repro.runs.records import Records as Found

Papers = Annotated[list[str] | None, typer.Argument(help="Papers; all if none is named.")]

Table = Annotated[str | None, typer.Option(help="Only this table, by its printed number.")]

Rows = Annotated[
    list[str] | None, typer.Option("--row", help="Only this row, by its label; repeatable.")
]

Views = Annotated[
    list[str] | None,
    typer.Option("--view", help="Only this dataset or column group; repeatable."),
]

Mine = Annotated[bool, typer.Option("--mine", help="Only what has been run here.")]

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

Records = Annotated[
    Path | None, typer.Option("--runs", help="Folder of records.", exists=True, file_okay=False)
]
"""The folder that a command reads records from; a folder that is missing is most likely a typo."""

Added = Annotated[bool, typer.Option(help="Include rows and views that table files add.")]

Smoke = Annotated[bool, typer.Option(help="Show smoke runs instead of real ones.")]


def tell_damaged(known: Found) -> None:
    """Name the records that cannot be used, on stderr."""
    from repro.text import one_line

    for one in known.damaged:
        echo(f"damaged: {one_line(one.reason)}", err=True)
