"""Imports point down this list, never up; torch stays where a run needs it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import repro

ROOT = Path(repro.__file__).parent

FLOORS = [
    ["cli"],
    ["description"],
    ["rendering"],
    ["leaders"],
    ["comparison", "figures", "cleaning"],
    ["cells"],
    ["paired"],
    ["clusters"],
    ["engines", "estimate"],
    ["execution"],
    ["reference", "standing"],
    ["planning"],
    ["tables"],
    ["table_faults"],
    ["table_schema"],
    ["records"],
    ["training"],
    ["progress"],
    ["evaluation"],
    ["data", "protocols", "models"],
    ["nn"],
    ["model"],
    ["split", "corruption"],
    ["interactions"],
    ["experiment"],
    ["metrics"],
    ["catalogue", "documents", "checkpoints", "claims", "machine"],
    ["paths"],
    ["errors"],
]
"""From the roof to the ground. Floors on one line never import one another."""

HEIGHT = {name: -level for level, names in enumerate(FLOORS) for name in names}

MAY_IMPORT_TORCH = {
    "nn",
    "models",
    "evaluation",
    "progress",
    "training",
    "machine",
    "engines",
    "estimate",
}


def modules() -> list[Path]:
    return [
        path for path in sorted(ROOT.rglob("*.py")) if path.parent != ROOT or path.stem[0] != "_"
    ]


def floor(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


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
            same_model = here == "models" and parts[2] != path.stem
            assert not same_model, f"a model imports another: {name}"
            continue
        assert HEIGHT[there] < HEIGHT[here], f"{here} imports {name}, which is not below it"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_torch_is_imported_only_where_a_run_needs_it(path: Path) -> None:
    if floor(path) in MAY_IMPORT_TORCH:
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


@pytest.mark.parametrize("command", ["--help", "list models", "show mult_vae", "compare toy"])
def test_commands_that_only_read_start_without_torch(command: str) -> None:
    program = (
        "import sys; from repro.cli import app; "
        f"app({command.split()!r}, standalone_mode=False); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0
