"""``repro fetch``: bring data into the cache, verified, and build its views."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repro.cli import app
from repro.cli.echo import echo

if TYPE_CHECKING:
    from repro.data.prepare import Request


@app.command(epilog="Example: repro fetch ml-100k --from ~/data")
def fetch(
    datasets: Annotated[
        list[str] | None, typer.Argument(help="Datasets, as in `repro list datasets`.")
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--from", help="Take the archive or its files from here.")
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
    """Download datasets or copy them from a folder, verify them, build views, and print counts.

    A download that was interrupted resumes, even after a power cut.
    """
    from repro.data.prepare import asked_for
    from repro.errors import ReproError
    from repro.papers import library

    named = [*(datasets or []), *(library.load(paper).datasets if paper else [])]
    if not named and not check:
        raise ReproError("no dataset was named", "as in: repro fetch ml-100k; or --all PAPER")
    asked = asked_for(named)
    codes = [_check(asked)] if check else [_fetch(one, source, unverified) for one in asked]
    if any(codes):  # data that must be obtained by hand does not hide a failure
        raise typer.Exit(1 if 1 in codes else max(codes))


def _fetch(asked: Request, source: Path | None, unverified: bool) -> int:
    """Fetch one dataset, or one view of it, and print it; return its exit code."""
    from repro.cli.progress import Files
    from repro.data import cache, prepare
    from repro.report import descriptions

    with Files() as tell:
        faults = prepare.fetch(asked, source, unverified, tell)
    for fault in faults:
        echo(f"error: {fault}", err=True)
    if cache.receipts(asked.archive):
        echo(descriptions.dataset(asked.archive))
    return max((fault.exit_code for fault in faults), default=0)


def _check(asked: list[Request]) -> int:
    """Print the state of every file and view in the cache; return 1 if one is damaged."""
    from repro.data import manifest, prepare
    from repro.errors import readable
    from repro.report import descriptions

    archives = [one.archive for one in asked] or readable(manifest.names(), manifest.load)
    found = {archive.id: prepare.check(archive) for archive in archives}
    echo(descriptions.checked(found, missing=bool(asked)))
    return int(any(one.damaged for rows in found.values() for one in rows))
