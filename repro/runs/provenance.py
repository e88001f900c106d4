"""The code that made a number: version, commit, digest of the sources, plug-ins."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import repro
from repro.experiment import Experiment
from repro.plugins import MODELS, PROTOCOLS


@lru_cache(maxsize=1)  # what was loaded when the first run began, not what is edited meanwhile
def code_version() -> dict[str, Any]:
    """Return version and the sources' sha256; in a checkout also commit and whether it is dirty."""
    package = Path(repro.__file__).parent
    root = package.parent
    sources = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        sources.update(f"{path.relative_to(package)}\n".encode() + path.read_bytes())
    version: dict[str, Any] = {"version": repro.__version__, "sources": sources.hexdigest()}
    if (root / ".git").exists():
        commit = _git(root, "rev-parse", "HEAD")
        if commit:
            changed = _git(root, "status", "--porcelain", "--", package.name)
            version |= {"commit": commit, "dirty": bool(changed)}
    return version


def _git(root: Path, *arguments: str) -> str:
    try:
        asked = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:  # no git on this machine
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""


def plugins(experiment: Experiment) -> dict[str, str]:
    """Return the sha256 of an experiment's plug-ins from outside this package, by file name.

    And of each file that a parameter of such a plug-in names, by "NAME of PARAMETER". A plug-in
    that is no longer there has none, nor has a file that is not there.
    """
    named = ((MODELS, experiment.model), (PROTOCOLS, experiment.protocol))
    ours = Path(repro.__file__).parent
    found = {}
    for kind, spec in named:
        file = kind.entry(spec.name).path if spec.name in kind else None
        if file is None or file.is_relative_to(ours):
            continue
        found[file.name] = _sha256(file)
        for name, value in spec.params.items():
            if isinstance(value, str) and _is_file(value):
                found[f"{Path(value).name} of {name}"] = _sha256(Path(value).expanduser())
    return found


def _is_file(text: str) -> bool:
    try:
        return Path(text).expanduser().is_file()
    except (OSError, ValueError, RuntimeError):  # no path: too long, a NUL, an unknown user
        return False


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def n_sources(attempts: Iterable[Mapping[str, Any]]) -> int:
    """Return how many versions of the sources, plug-ins included, some attempts used."""
    known = [code for code in attempts if "sources" in code]
    return len(
        {
            tuple(v for k, v in code.items() if k == "sources" or k.endswith(".py") or " of " in k)
            for code in known
        }
    )
