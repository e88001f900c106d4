"""``repro figure``: draw a paper's figure from records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from repro.cli import app
from repro.cli.echo import echo
from repro.cli.options import Records, tell_damaged


@app.command(epilog="Example: repro figure acvae 3")
def figure(
    paper: Annotated[str, typer.Argument(help="A paper.")],
    number: Annotated[str, typer.Argument(help="One of its figures.")],
    to: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("figures"),
    smoke: Annotated[bool, typer.Option(help="Draw smoke runs instead of real ones.")] = False,
    runs: Records = None,
) -> None:
    """Draw a figure from records, as PNG and SVG, with its numbers in a CSV file.

    `repro run PAPER --figure NUMBER` trains what it needs. Where there is no record, frozen numbers
    are drawn; a line that has neither is left out. Both cases are reported.
    """
    from repro import paths
    from repro.papers import library
    from repro.report.drawing import draw
    from repro.runs import records
    from repro.text import in_lines, one_line

    known = records.load_all(runs or paths.runs())
    tell_damaged(known)
    drawn = draw(library.load(paper), number, known, to, smoke)
    for remark in drawn.remarks:
        echo(in_lines(remark), err=True)
    echo(f"{drawn.n_points} points in {one_line(drawn.stem)}.png, .svg and .csv")
