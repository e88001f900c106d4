"""The command line: the only layer that prints. Results on stdout, progress on stderr."""

from __future__ import annotations

import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from repro import paths
from repro.cli.echo import echo
from repro.errors import EXIT_CODES, LeftOutWarning, ReproError, of_the_system

GROUPS = {
    "Papers and data": ("list", "show", "fetch"),
    "Runs": ("run", "status", "runs", "clean"),
    "Other frameworks": ("export", "score"),
    "Results": ("compare", "claims", "explain", "ledger", "beyond", "figure", "report", "freeze"),
    "Checks": ("audit", "check"),
    "Your own": ("new",),
}
"""The commands, as `repro --help` groups them."""


class _Group(TyperGroup):
    """Shows commands in groups, and turns an error that the user can fix into its exit code."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for names in GROUPS.values() for name in names]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for group, names in GROUPS.items():
            commands = {name: self.commands[name] for name in names}
            with formatter.section(group):
                formatter.write_dl(
                    [(name, one.get_short_help_str(limit=999)) for name, one in commands.items()]
                )

    def invoke(self, ctx: Any) -> Any:
        try:
            with _warnings_told():
                return super().invoke(ctx)
        except ReproError as error:
            if ctx.params.get("debug"):
                raise
            echo(f"error: {error}", err=True)
            raise typer.Exit(error.exit_code) from error
        except OSError as error:
            why = of_the_system(error)
            if ctx.params.get("debug") or why is None:
                raise
            echo(f"error: {why}", err=True)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as interrupt:
            terminated = isinstance(interrupt, _TerminatedError)
            how = "terminated" if terminated else "interrupted"
            again = _AGAIN.get(ctx.invoked_subcommand, "run the same command again")
            echo(f"{how}; {again}", err=True)
            raise typer.Exit(143 if terminated else 130) from interrupt


@contextmanager
def _warnings_told() -> Iterator[None]:
    """Show our own warnings as messages, each once."""
    told: set[str] = set()

    def tell(message: Any, category: Any, *rest: Any, **more: Any) -> None:
        if not issubclass(category, LeftOutWarning):
            others(message, category, *rest, **more)
        elif str(message) not in told:
            told.add(str(message))
            echo(str(message), err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always", LeftOutWarning)
        others, warnings.showwarning = warnings.showwarning, tell
        yield


_AGAIN = {
    "run": "finished runs are recorded; the same command resumes those that have a checkpoint and "
    "begins the others anew (with --force it starts over)",
    "fetch": "finished work is kept; run the same command again to resume",
}
"""What an interrupt leaves, by command."""


class _TerminatedError(KeyboardInterrupt):
    """SIGTERM: what a cluster sends before it takes the machine away."""


def _terminate(*_: object) -> None:
    raise _TerminatedError


_CODES = "\n".join(f"  {code:>3}  {meaning}" for code, meaning in EXIT_CODES.items())

_OWN = """\
Your own papers, data, models and protocols:
  REPRO_PATH lists folders with tables/, data_manifests/, models/, protocols/"""

app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"\b\n{_OWN}\n\n\b\nExit codes:\n{_CODES}\n\nExample: repro run toy",
)


def _version(asked: bool) -> None:
    if asked:
        from repro.runs.provenance import code_version

        code = code_version()
        commit = f" (commit {code['commit'][:12]})" if "commit" in code else ""
        echo(f"repro {code['version']}{commit}")
        raise typer.Exit


@app.callback()
def _root(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show version and commit."
        ),
    ] = False,
) -> None:
    """Reproduce the result tables of five VAE-recommender papers, cell by cell."""
    signal.signal(signal.SIGTERM, _terminate)
    for told in paths.passed_over():
        echo(f"warning: {told}", err=True)


def main() -> None:
    """Run the command line."""
    if isinstance(sys.stdout, TextIOWrapper):  # its encoding may lack Greek letters
        sys.stdout.reconfigure(errors="replace")
    try:
        app()
    finally:  # all is written, and a traceback out of Python's own end would tell nobody anything
        for one in (signal.SIGINT, signal.SIGTERM):
            if callable(signal.getsignal(one)):
                signal.signal(one, signal.SIG_DFL)


from repro.cli import (  # noqa: E402, F401 - they register themselves
    audit,
    beyond,
    check,
    claims,
    clean,
    compare,
    explain,
    export,
    fetch,
    figure,
    freeze,
    ledger,
    list_,
    new,
    report,
    run,
    runs,
    score,
    show,
    status,
)
