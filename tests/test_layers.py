"""Imports point down this list, never up; torch stays where a run needs it."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import repro

ROOT = Path(repro.__file__).parent

FLOORS = [
    ["cli"],
    ["api"],
    ["testing", "starting"],
    ["report"],
    ["doors", "results"],
    ["auditing", "runs"],
    ["papers", "training"],
    ["data", "protocols", "models"],
    ["nn"],
    ["model"],
    ["split"],
    ["interactions"],
    ["experiment"],
    ["plugins", "metrics", "locks"],
    ["hyperparameters", "strict_toml"],
    ["paths", "files"],
    ["errors"],
    ["text"],
]
"""From the roof to the ground: wings, and the nouns at the root. Floors on one line never import
one another."""

HEIGHT = {name: -level for level, names in enumerate(FLOORS) for name in names}

MAY_IMPORT_TORCH = {
    "nn",
    "models",
    "training",
    "testing",
    "runs.machine",
    "doors.outside",
    "doors.score",
    "runs.engines",
    "runs.estimate",
}
"""Wings, and single rooms of a wing."""

LONGEST_FILE, LONGEST_FUNCTION, MOST_AT_THE_ROOT = 350, 60, 15


def modules() -> list[Path]:
    return [
        path for path in sorted(ROOT.rglob("*.py")) if path.parent != ROOT or path.stem[0] != "_"
    ]


def floor(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def room(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    here = floor(path)
    assert here in HEIGHT, f"{here} has no floor: say where it lives in FLOORS"
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "repro" or len(parts) < 2 or parts[1] not in HEIGHT:
            continue
        there = parts[1]
        if there == here:
            own = path.relative_to(ROOT).parts[1].removesuffix(".py").removeprefix("_")
            other = here == "models" and parts[2].removeprefix("_") != own
            assert not other, f"a model imports another: {name}"
            continue
        assert HEIGHT[there] < HEIGHT[here], f"{here} imports {name}, which is not below it"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_torch_is_imported_only_where_a_run_needs_it(path: Path) -> None:
    if {floor(path), room(path)} & MAY_IMPORT_TORCH:
        return
    tree = ast.parse(path.read_text())
    guarded = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and id(node) not in guarded:
            assert "torch" not in ast.unparse(node).replace(".", " ").split(), ast.unparse(node)


def test_no_room_leads_back_to_itself() -> None:
    doors = {room(path): set[str]() for path in modules()}
    for path in modules():
        for name in imports(path):
            parts = name.removeprefix("repro.").split(".")
            there = {".".join(parts[:n]) for n in (1, 2, 3)} & doors.keys()
            doors[room(path)] |= there - {room(path)}
    list(TopologicalSorter(doors).static_order())  # raises at a circle, and names it


def test_files_and_functions_are_short_and_the_root_holds_the_nouns() -> None:
    assert len(list(ROOT.glob("*.py"))) <= MOST_AT_THE_ROOT
    for path in modules():
        text = path.read_text()
        if floor(path) != "models":
            assert len(text.splitlines()) <= LONGEST_FILE, f"{room(path)} is too long"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                length = (node.end_lineno or 0) - node.body[0].lineno + 1
                doc = ast.get_docstring(node, clean=False)
                length -= len(doc.splitlines()) if doc else 0
                assert length <= LONGEST_FUNCTION, f"{room(path)}.{node.name}: {length} lines"


def test_the_command_line_prints_through_one_function() -> None:
    """It alone makes sure that nothing printed steers a terminal."""
    for path in sorted((ROOT / "cli").glob("*.py")):
        prints = "typer.echo" in path.read_text() or "print(" in path.read_text()
        assert prints == (path.name in ("echo.py", "progress.py")), path.name


@pytest.mark.parametrize(
    "command",
    [
        "--help",
        "list models",
        "show mult_vae",
        "compare toy",
        "explain dave --table 4 --row DAVE",
        "ledger mvae",
        "audit",
        "claims dave",
    ],
)
def test_commands_that_only_read_start_without_torch(command: str) -> None:
    program = (
        "import sys; from repro.cli import app; "
        f"app({command.split()!r}, standalone_mode=False); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0
