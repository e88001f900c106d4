"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Papers = Annotated[list[str] | None, typer.Argument(help="Papers; all if none is named.")]

Table = Annotated[str | None, typer.Option(help="Only this table, by its printed number.")]

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

Records = Annotated[
    Path | None, typer.Option("--runs", help="Folder of records.", exists=True, file_okay=False)
]
"""The folder that a command reads records from; a folder that is missing is most likely a typo."""

Added = Annotated[bool, typer.Option(help="Include rows and views that table files add.")]

Smoke = Annotated[bool, typer.Option(help="Show smoke runs instead of real ones.")]
