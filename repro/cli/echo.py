"""Print for people: whatever a text holds, it cannot steer the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from repro.text import visible

if TYPE_CHECKING:
    from rich.console import RenderableType


def echo(text: str, err: bool = False) -> None:
    """Print a text, on stderr if it is a message."""
    typer.echo(visible(text), err=err)


def window() -> tuple[int, bool]:
    """Return how many characters wide the terminal is, and whether it shows more than ASCII."""
    from rich.console import Console

    encoding = (sys.stdout.encoding or "ascii").lower()
    return Console().width, encoding.startswith("utf")


def draw(lines: Iterable[RenderableType]) -> None:
    """Print lines and tables with their colours, if the terminal has any.

    Their texts are made safe where they are made: an escape of ours is no escape of a table file.
    """
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    for line in lines:
        console.print(line)
