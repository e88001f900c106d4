"""The command line: the only floor that prints. Results on stdout, progress on stderr."""

from __future__ import annotations

import signal
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import repro
from repro.errors import EXIT_CODES, ReproError, of_the_system


class _Group(TyperGroup):
    """Turns an error that the user can mend into its message and exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ReproError as error:
            if ctx.params.get("debug"):
                raise
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(error.exit_code) from error
        except OSError as error:
            why = of_the_system(error)
            if ctx.params.get("debug") or why is None:
                raise
            typer.echo(f"error: {why}", err=True)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as interrupt:
            how = "ended from outside" if isinstance(interrupt, _TerminatedError) else "interrupted"
            anew = " (but --force begins anew)" if ctx.invoked_subcommand == "run" else ""
            typer.echo(
                f"{how}; what was finished is kept, and the same command goes on from there{anew}",
                err=True,
            )
            code = 143 if isinstance(interrupt, _TerminatedError) else 130
            raise typer.Exit(code) from interrupt


class _TerminatedError(KeyboardInterrupt):
    """SIGTERM: what a cluster sends before it takes the machine."""


def _terminate(*_: object) -> None:
    raise _TerminatedError


_CODES = "\n".join(f"  {code:>3}  {meaning}" for code, meaning in EXIT_CODES.items())

app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"\b\nExit codes:\n{_CODES}\n\nExample: repro run toy",
)


Records = Annotated[
    Path | None, typer.Option("--runs", help="Folder of records.", exists=True, file_okay=False)
]
"""The folder that a command reads records from; one that is not there is most likely misspelt."""


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"repro {repro.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Reproduce the result tables of five VAE-recommender papers, cell by cell."""
    signal.signal(signal.SIGTERM, _terminate)


def main() -> None:
    """Run the command line."""
    if isinstance(sys.stdout, TextIOWrapper):  # whose encoding may have no Greek letters
        sys.stdout.reconfigure(errors="replace")
    app()


from repro.cli import clean, compare, fetch, figure, freeze, list_, run, show, status  # noqa: E402, F401 - they register themselves
