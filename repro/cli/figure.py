"""``repro figure``: draw a paper's figure from records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from repro import files
from repro.cli import Records, app


@app.command(epilog="Example: repro figure acvae 3")
def figure(
    paper: Annotated[str, typer.Argument(help="A paper.")],
    number: Annotated[str, typer.Argument(help="One of its figures.")],
    to: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("figures"),
    smoke: Annotated[bool, typer.Option(help="Draw smoke runs instead of real ones.")] = False,
    runs: Records = None,
) -> None:
    """Draw a figure from records, as PNG and SVG, with its numbers beside as CSV.

    `repro run PAPER --figure NUMBER` trains what it needs. Where there is no record, frozen numbers
    are drawn; lines that have neither are left out. Both are named.
    """
    from io import BytesIO

    from repro import paths
    from repro.errors import ReproError
    from repro.papers import library
    from repro.report.drawing import drawn
    from repro.results import figures
    from repro.runs import records

    about = library.load(paper)
    have = figures.found(about, number, records.load_all(runs or paths.runs()), smoke)
    for what in have.kept:
        typer.echo(f"no record, so drawn from tables/reference: {what}", err=True)
    for what in have.missing:
        typer.echo(f"not drawn: {what}", err=True)
    if not have.points:
        how = f"repro run {paper} --figure {number}" + (" --smoke" if smoke else "")
        raise ReproError(f"there is no record for figure {number} of {paper}", how)
    drawing = drawn(about, number, have.points, smoke)
    name = f"{paper}-{number}" + ("-smoke" if smoke else "")  # must not replace the real one
    for doubt in figures.doubts(have.points):
        typer.echo(f"note: {doubt}", err=True)
    for form in ("png", "svg"):
        picture = BytesIO()
        drawing.savefig(picture, format=form, dpi=150)
        files.write_atomically(to / f"{name}.{form}", picture.getvalue())
    files.write_atomically(to / f"{name}.csv", figures.as_csv(have.points).encode())
    if have.numbers:
        file = to / f"{name}-numbers.csv"
        files.write_atomically(file, figures.numbers_as_csv(have.numbers).encode())
    typer.echo(f"{len(have.points)} points in {to / name}.png, .svg and .csv")
