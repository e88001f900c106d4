"""``repro new``: start a paper, a dataset or a model of one's own."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from repro.cli import app
from repro.cli.echo import echo


class Kind(StrEnum):
    """What can be started."""

    paper = "paper"
    dataset = "dataset"
    model = "model"


@app.command(epilog="Example: repro new model mine")
def new(
    kind: Annotated[Kind, typer.Argument(help="What to start.")],
    name: Annotated[str, typer.Argument(help="Its id, which becomes the file's name.")],
    folder: Annotated[
        Path | None,
        typer.Option(
            "--to", help="A folder of your own; else the first of REPRO_PATH, or this one."
        ),
    ] = None,
    dataset: Annotated[
        str, typer.Option(metavar="VIEW", help="Of a paper: what its table is about.")
    ] = "",
) -> None:
    """Write a commented file that runs as it is: a paper, a dataset or a model of your own.

    Nothing is overwritten. What to type next is printed.
    """
    from repro.starting import begin

    begun = begin(kind.value, name, folder, dataset)
    for path in begun.files:
        echo(f"wrote {path}")
    echo("\nNext:\n" + "\n".join(f"  {one}" for one in begun.then))
