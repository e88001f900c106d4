"""README's generated parts are what the program says; `python tests/test_readme.py` renews them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from repro.cli.list_ import LISTS, Kind
from repro.plugins import MODELS, PROTOCOLS

README = Path(__file__).parent.parent / "README.md"
COMMANDS = ["", "list", "show", "fetch", "run", "status", "compare", "figure", "freeze", "clean"]


def reference() -> str:
    """Return every command's help, as a terminal of 100 columns shows it."""
    program = (
        "import sys; from repro.cli import app; "
        "app(sys.argv[1:], prog_name='repro', terminal_width=100)"
    )
    parts = []
    for command in COMMANDS:
        asked = [sys.executable, "-c", program, *command.split(), "--help"]
        shown = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        lines = [line.rstrip() for line in shown.strip().splitlines()]
        parts.append(f"### repro {command}".rstrip() + "\n\n```\n" + "\n".join(lines) + "\n```\n")
    return "\n".join(parts)


def models() -> str:
    """Return the lists of models and protocols."""
    lines = ["| model | |", "|:--|:--|"]
    for catalogue in (MODELS, PROTOCOLS):
        if catalogue is PROTOCOLS:
            lines += ["", "| protocol | |", "|:--|:--|"]
        for name in catalogue.names():
            lines.append(f"| `{name}` | {catalogue.entry(name).class_doc.splitlines()[0]} |")
    return "\n".join(lines) + "\n"


def datasets() -> str:
    """Return what there is of data, but for what lies on this machine."""
    columns = ["dataset", "size", "obtained", "serves"]
    rows = [[str(row[column]) for column in columns] for row in LISTS[Kind.datasets]()]
    return grid(columns, rows)


def results() -> str:
    """Return how much of each table is kept in tables/reference, and who is ahead."""
    rows = LISTS[Kind.results]()
    return grid(list(rows[0]), [list(row.values()) for row in rows])


def grid(columns: list[str], rows: list[list[str]]) -> str:
    """Return a table in Markdown."""
    lines = [columns, [":--"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def renewed(text: str) -> str:
    """Return README with its generated parts as they should be."""
    for name, content in (
        ("results", results()),
        ("models", models()),
        ("datasets", datasets()),
        ("reference", reference()),
    ):
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, _, rest = text.partition(begin)
        text = before + begin + content + end + rest.partition(end)[2]
    return text


def test_generated_parts_of_readme_are_current() -> None:
    text = README.read_text()
    assert renewed(text) == text, "README is stale: run python tests/test_readme.py"


if __name__ == "__main__":
    README.write_text(renewed(README.read_text()))
