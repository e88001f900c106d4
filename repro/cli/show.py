"""``repro show``: one paper, dataset, model or protocol."""

from __future__ import annotations

from typing import Annotated

import typer

from repro.cli import app


@app.command(epilog="Example: repro show acvae --table 2")
def show(
    name: Annotated[str, typer.Argument(help="A paper, dataset, model or protocol.")],
    table: Annotated[str | None, typer.Option(help="One table of a paper.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show a paper's tables as printed, a dataset's terms and counts, a model's settings."""
    from repro import description, tables
    from repro.data import manifest
    from repro.errors import unknown
    from repro.experiment import MODELS, PROTOCOLS

    if name in tables.papers():
        paper = tables.load(name)
        form = description.paper_json if as_json else description.paper
        typer.echo(form(paper, table))
    elif name in manifest.names():
        found = manifest.load(name)
        typer.echo(description.dataset_json(found) if as_json else description.dataset(found))
    elif name in MODELS.names() or name in PROTOCOLS.names():
        entry = (MODELS if name in MODELS.names() else PROTOCOLS).entry(name)
        typer.echo(description.plugin_json(entry) if as_json else description.plugin(entry))
    else:
        everything = [*tables.papers(), *manifest.names(), *MODELS.names(), *PROTOCOLS.names()]
        raise unknown("paper, dataset, model or protocol", name, everything)
