"""``repro figure``: draw a paper's figure, or learning curves, from records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repro.cli import app
from repro.cli.echo import echo
from repro.cli.options import Records, Rows, Table, Views, tell_damaged

if TYPE_CHECKING:
    from repro.report.drawing import Drawn
    from repro.results.chosen import Chosen
    from repro.runs.records import Records as Known


@app.command(epilog="Example: repro figure acvae 3")
def figure(
    paper: Annotated[
        str | None, typer.Argument(help="A paper; may be left out with --run.")
    ] = None,
    number: Annotated[
        str | None, typer.Argument(help="One of its figures; without it, learning curves.")
    ] = None,
    run: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="The learning curve of this record; repeatable."),
    ] = None,
    table: Table = None,
    row: Rows = None,
    view: Views = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Of a learning curve: ndcg@10, loss:NAME; repeatable."),
    ] = None,
    cases: Annotated[
        str, typer.Option(metavar="CASES", help="Of a learning curve: test or valid.")
    ] = "",
    to: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("figures"),
    smoke: Annotated[bool, typer.Option(help="Draw smoke runs instead of real ones.")] = False,
    runs: Records = None,
) -> None:
    """Draw a figure from records, as PNG, SVG and PDF, with its numbers in a CSV file.

    `repro run PAPER --figure NUMBER` trains what it needs. Where there is no record, frozen numbers
    are drawn; a line that has neither is left out. Both cases are reported. With --run or --row it
    draws metrics or losses over the epochs, from the records of any runs.
    """
    from repro import paths
    from repro.errors import ReproError
    from repro.papers import library
    from repro.report.drawing import draw
    from repro.results.chosen import Chosen
    from repro.runs import records
    from repro.text import in_lines, one_line

    curves = bool(run or row or table or view or metric or cases)
    if curves == bool(number) or (not paper and not run):
        raise ReproError(
            "which figure?",
            "as in: repro figure acvae 3; repro figure dave --table 4 --row CDAE; "
            "repro figure --run ID",
        )
    known = records.load_all(runs or paths.runs())
    tell_damaged(known)
    if number:
        found = library.load(str(paper))
        drawn = draw(found, found.figure_number(number), known, to, smoke)
    else:
        asked = Chosen(tuple(row or ()), tuple(view or ()))
        of = [paper] if paper else []
        drawn = _curves(known, of, table, asked, run or [], metric or [], cases, to, smoke)
    for remark in drawn.remarks:
        echo(in_lines(remark), err=True)
    echo(f"{drawn.n_points} points in {one_line(drawn.stem)}.png, .svg, .pdf and .csv")


def _curves(
    known: Known,
    papers: list[str],
    table: str | None,
    asked: Chosen,
    ids: list[str],
    metrics: list[str],
    cases: str,
    to: Path,
    smoke: bool,
) -> Drawn:
    from repro.errors import unknown
    from repro.papers import library
    from repro.report.curve_drawing import draw_curves
    from repro.results.curves import curves
    from repro.results.run_list import run_list

    if cases not in ("", "test", "valid"):
        raise unknown("kind of cases", cases, ["test", "valid"], "--cases")
    every = [library.load(name) for name in library.papers()]
    for name in papers:
        library.load(name)
    found = run_list(known, every, papers, table, asked, ids)
    runs = found if ids else [run for run in found if run.smoke == smoke]
    by_id = {record.id: record for record in known}
    return draw_curves(curves(runs, by_id, metrics, cases), runs, to)
