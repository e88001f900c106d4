"""``repro show``: one paper, dataset, model or protocol."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from repro.cli import app


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
        Kind | None, typer.Option(help="What the name stands for, where it is more than one thing.")
    ] = None,
    table: Annotated[str | None, typer.Option(help="One table of a paper.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show a paper's tables as printed, a dataset's terms and counts, a model's settings."""
    from repro.data import manifest
    from repro.errors import unknown
    from repro.papers import library
    from repro.plugins import MODELS, PROTOCOLS
    from repro.report import descriptions

    known = {
        Kind.paper: library.papers(),
        Kind.dataset: manifest.names(),
        Kind.model: MODELS.names(),
        Kind.protocol: PROTOCOLS.names(),
    }
    found = [k for k, names in known.items() if name in names and kind in (None, k)]
    if not found:
        everything = [n for k, names in known.items() if kind in (None, k) for n in names]
        raise unknown(kind.value if kind else "paper, dataset, model or protocol", name, everything)
    if found[1:]:
        others = ", ".join(f"--kind {other.value}" for other in found[1:])
        typer.echo(f"{name} is also something else: {others}", err=True)
    if found[0] is Kind.paper:
        paper = library.load(name)
        form = descriptions.paper_json if as_json else descriptions.paper
        typer.echo(form(paper, table))
    elif found[0] is Kind.dataset:
        archive = manifest.load(name)
        typer.echo(descriptions.dataset_json(archive) if as_json else descriptions.dataset(archive))
    else:
        entry = (MODELS if found[0] is Kind.model else PROTOCOLS).entry(name)
        typer.echo(descriptions.plugin_json(entry) if as_json else descriptions.plugin(entry))
