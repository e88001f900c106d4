"""``repro fetch``: bring data into the cache, verified, and build its views."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repro.cli import app

if TYPE_CHECKING:
    from repro.data.manifest import Manifest


@app.command(epilog="Example: repro fetch ml-100k --from ~/data")
def fetch(
    datasets: Annotated[
        list[str] | None, typer.Argument(help="Datasets, as in `repro list datasets`.")
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--from", help="A folder with the archive or its files.")
    ] = None,
    paper: Annotated[
        str | None,
        typer.Option("--all", metavar="PAPER", help="Every dataset that a paper's tables need."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Verify what is in the cache; download nothing.")
    ] = False,
    unverified: Annotated[
        bool, typer.Option(help="Accept bytes that differ from the manifest; records will say so.")
    ] = False,
) -> None:
    """Download or take from a folder, verify, unpack, build the views, and print each funnel.

    What an earlier attempt has brought is gone on from, be it after Ctrl-C or a power cut.
    """
    from repro.data import manifest
    from repro.errors import ReproError
    from repro.papers import library

    named = [*(datasets or []), *(library.load(paper).datasets if paper else [])]
    if not named and not check:
        raise ReproError("no dataset was named", "as in: repro fetch ml-100k; or --all PAPER")
    ids = [manifest.split_id(name) for name in dict.fromkeys(named)]
    ids = [(name, view) for name, view in ids if not view or (name, "") not in ids]
    chosen = [(manifest.load(name), view) for name, view in ids]
    if check:
        named_here = [found for found, _ in chosen]
        _check(named_here or [manifest.load(name) for name in manifest.names()], bool(named_here))
        return
    codes = [_fetch(found, view, source, unverified) for found, view in chosen]
    if any(codes):  # what must be obtained by hand does not hide what failed
        raise typer.Exit(1 if 1 in codes else max(codes))


def _fetch(found: Manifest, view: str, source: Path | None, unverified: bool) -> int:
    """Fetch one dataset, or one view of it, and print it; return its exit code."""
    from repro.cli.progress import Files
    from repro.data import archive, cache, views
    from repro.errors import ReproError
    from repro.report import descriptions

    codes: dict[str, int] = {}

    def failed(error: ReproError) -> None:
        if str(error) not in codes:  # views of one file share its faults
            typer.echo(f"error: {error}", err=True)
        codes[str(error)] = error.exit_code

    one = found.view(view) if view else None
    try:
        with Files() as tell:
            archive.fetch(found, source, view=one, unverified=unverified, tell=tell)
    except ReproError as error:
        failed(error)
    for name in [view] if view else found.views:
        try:
            if not cache.missing(found, found.view(name)):
                views.load(f"{found.id}/{name}")
                if fault := views.damage(f"{found.id}/{name}"):
                    raise ReproError(fault)
        except ReproError as error:
            failed(error)
    if cache.receipts(found):
        typer.echo(descriptions.dataset(found))
    return max(codes.values(), default=0)


def _check(chosen: list[Manifest], named: bool) -> None:
    """Print the state of every file and view in the cache; exit 1 if any is not what it was."""
    from tabulate import tabulate

    rows = []
    for found in chosen:
        rows += _states(found) or ([(found.id, "", "not in the cache")] if named else [])
    typer.echo(tabulate(rows, ["dataset", "file or view", "state"], tablefmt="simple"))
    if any(state.split()[0].isupper() for _, _, state in rows):
        raise typer.Exit(1)


def _states(found: Manifest) -> list[tuple[str, str, str]]:
    from repro.data import cache, views
    from repro.errors import ReproError

    try:
        rows = [(found.id, name, state) for name, state in cache.check(found).items()]
        for view in found.views:
            dataset = f"{found.id}/{view}"
            fault = views.damage(dataset)
            if fault:
                rows.append((found.id, view, f"DAMAGED: {fault}"))
            elif views.prepared(dataset):
                rows.append((found.id, view, "intact"))
    except ReproError as error:
        return [(found.id, "receipt.json", f"DAMAGED: {error.message}; {error.hint}")]
    return rows
