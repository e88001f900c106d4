"""``repro explain``: one row of a table, and what other readings would give."""

from __future__ import annotations

from typing import Annotated

import typer

from repro.cli import app
from repro.cli.echo import echo
from repro.cli.options import Json, Records

Paper = Annotated[str, typer.Argument(help="A paper.")]
Number = Annotated[str, typer.Option(help="The table, by its printed number.")]
Row = Annotated[str, typer.Option(help="The row, by its printed label.")]
View = Annotated[str, typer.Option(help="Only this dataset or column group.")]
Metric = Annotated[str, typer.Option(help="Only this metric, by its printed label.")]


@app.command(epilog="Example: repro explain dave --table 4 --row DAVE --metric HR@10")
def explain(
    paper: Paper,
    table: Number,
    row: Row,
    view: View = "",
    metric: Metric = "",
    as_json: Json = False,
    runs: Records = None,
) -> None:
    """Explain a row: settings and who states them, runs, other readings of its numbers."""
    from repro import api
    from repro.report import explanations

    found = api.explain(paper, table, row, view=view, metric=metric, runs=runs)
    echo(explanations.as_json(found) if as_json else str(found))
