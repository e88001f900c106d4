"""``repro status``: what is done, running, failed, missing and blocked."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import Annotated

import typer

from repro.cli import Records, app


@app.command(epilog="Example: repro status acvae")
def status(
    papers: Annotated[
        list[str] | None, typer.Argument(help="Papers; all if none is named.")
    ] = None,
    added: Annotated[
        bool, typer.Option(help="Also the rows and views of ours that the tables add.")
    ] = False,
    runs: Records = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show every run of the papers' tables: done, running and how far, failed and why, missing."""
    from repro import paths
    from repro.cli.progress import duration
    from repro.papers import library
    from repro.runs import status as standing
    from repro.runs.plan import Asked
    from repro.runs.plan import plan as planned

    plan = planned(Asked(papers=tuple(papers or library.papers()), added=added))
    states = standing.states(plan, runs or paths.runs())
    if as_json:
        typer.echo(json.dumps([asdict(state) for state in states], indent=1))
        return
    from tabulate import tabulate

    rows = [[s.label, s.kind, s.detail, "" if s.left is None else duration(s.left)] for s in states]
    head = ["run", "state", "", "time left"]
    widths = [None, None, 60, None]
    typer.echo(tabulate(rows, head, tablefmt="simple", disable_numparse=True, maxcolwidths=widths))
    counts = Counter(state.kind for state in states)
    typer.echo("\n" + ", ".join(f"{n} {kind}" for kind, n in counts.items()))
    left = [state.left for state in states if state.left is not None]
    unknown = counts["missing"] - sum(s.kind == "missing" and s.left is not None for s in states)
    if left:
        rest = f"; of {unknown} nothing is known" if unknown else ""
        typer.echo(f"about {duration(sum(left))} left, one after the other, as records go{rest}")
