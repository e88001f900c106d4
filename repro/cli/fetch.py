"""``repro fetch``: bring data into the cache, verified, and build its views."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from repro.cli import app


@app.command(epilog="Example: repro fetch ml-100k --from ~/data")
def fetch(
    datasets: Annotated[list[str], typer.Argument(help="Datasets, as in `repro list datasets`.")],
    source: Annotated[
        Path | None, typer.Option("--from", help="A folder with the archive or its files.")
    ] = None,
    unverified: Annotated[
        bool, typer.Option(help="Accept bytes that differ from the manifest; records will say so.")
    ] = False,
) -> None:
    """Download or take from a folder, verify, unpack, build the views, and print each funnel."""
    from repro import description
    from repro.cli.progress import Bytes
    from repro.data import archive, manifest, views

    chosen = [manifest.load(manifest.split_id(dataset)[0]) for dataset in datasets]
    for found in chosen:
        with Bytes() as report:
            archive.fetch(found, source, unverified=unverified, report=report)
        for view in found.views:
            views.load(f"{found.id}/{view}")
        typer.echo(description.dataset(found))
