"""A disk that is soon full."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest


@contextmanager
def small(folder: Path, size: str) -> Iterator[Path]:
    """Give a folder on a disk of that size; skip the test where none can be made."""
    folder.mkdir()
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root can make a small disk")
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "repro-test", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no small disk can be made here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def enlarge(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


@contextmanager
def read_only(*folders: Path) -> Iterator[None]:
    """Let nobody write in some folders, root neither; skip the test where that cannot be had."""
    with ExitStack() as undone:
        for folder in folders:
            if os.geteuid() == 0:
                undone.callback(subprocess.run, ["umount", str(folder)], capture_output=True)
                for command in (["--bind", str(folder)], ["-o", "remount,ro,bind"]):
                    done = subprocess.run(["mount", *command, str(folder)], capture_output=True)
                    if done.returncode:
                        pytest.skip("no folder can be made read-only here")
            else:
                for path in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
                    undone.callback(path.chmod, path.stat().st_mode)
                    path.chmod(0o555)
        yield
