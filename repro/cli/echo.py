"""Print for people: whatever a text holds, it cannot steer the terminal."""

from __future__ import annotations

import typer

from repro.text import visible


def echo(text: str, err: bool = False) -> None:
    """Print a text, on stderr if it is a message."""
    typer.echo(visible(text), err=err)
