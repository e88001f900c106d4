"""``repro show``: one paper, dataset, model or protocol."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from repro.cli import app
from repro.cli.echo import echo
from repro.cli.options import Json


class Kind(StrEnum):
    """What a name can stand for."""

    paper = "paper"
    dataset = "dataset"
    model = "model"
    protocol = "protocol"


@app.command(epilog="Example: repro show acvae --table 2")
def show(
    name: Annotated[str, typer.Argument(help="A paper, dataset, model or protocol.")],
    kind: Annotated[
        Kind | None, typer.Option(help="What the name stands for, if it is more than one thing.")
    ] = None,
    table: Annotated[str | None, typer.Option(help="Only this table of a paper.")] = None,
    as_json: Json = False,
) -> None:
    """Show a paper's tables as printed, a dataset's terms and counts, or a model's settings."""
    from repro import paths
    from repro.report import descriptions

    chosen, *others = descriptions.kinds(name, kind.value if kind else "paper" if table else None)
    if others:
        flags = ", ".join(f"--kind {other}" for other in others)
        echo(f"{name} is also something else: {flags}", err=True)
    echo(descriptions.described(name, chosen, table, as_json, paths.runs()))
