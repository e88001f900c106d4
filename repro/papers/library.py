"""Published tables as data: papers, views, tables, rows, cells; read from ``tables/*.toml``.

A row states its recipe even when its model does not exist yet.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from repro import errors, paths, strict_toml
from repro.data import manifest
from repro.errors import ReproError, unknown
from repro.files import changed
from repro.papers.checks import faults_of
from repro.papers.claim_checks import claim_faults
from repro.papers.numbers import meant
from repro.papers.paper import Paper
from repro.papers.schema import (
    PaperFile,
)


def papers() -> list[str]:
    """Return the ids of all papers."""
    return list(paths.files("tables"))


def readable() -> list[Paper]:
    """Return the papers whose files have no faults; warn of the others."""
    return list(errors.readable(papers(), load))


def load(paper: str) -> Paper:
    """Return a paper by id.

    Raises
    ------
    ReproError
        If there is no such paper, or its file has faults; the message lists all of them.
    """
    files = paths.files("tables")
    if paper not in files:
        raise unknown("paper", paper, files)
    return _load(paper, files[paper], changed(files[paper]))


def path_of(paper: str) -> Path:
    """Return the file of a paper, whether or not it has faults."""
    return paths.files("tables")[paper]


def at(path: Path) -> Paper:
    """Return the paper in a file, wherever it lies.

    Raises
    ------
    ReproError
        If the file has faults; the message lists all of them.
    """
    return _load(path.stem, path, path.stat().st_mtime_ns)


def numbered(
    papers: Sequence[Paper], number: str | None, kind: Literal["table", "figure"] = "table"
) -> list[tuple[Paper, str]]:
    """Return the tables (or figures) with a number, or all of them, each with its paper.

    If no paper prints it, a number means the same one in the other numerals: "2" also means "II".

    Raises
    ------
    ReproError
        If no paper has one.
    """
    known = [(paper, list(paper.tables if kind == "table" else paper.figures)) for paper in papers]
    if number is None:
        found = [(paper, n) for paper, numbers in known for n in numbers]
    else:
        found = [(paper, number) for paper, numbers in known if number in numbers]
        found = found or [(paper, n) for paper, numbers in known if (n := meant(number, numbers))]
    if not found:
        whose = {paper.id for paper in papers}
        of = f"{kind} of {whose.pop()}" if len(whose) == 1 else kind
        raise unknown(of, str(number), {n for _, numbers in known for n in numbers})
    return found


@cache
def _load(paper: str, path: Path, _changed: int) -> Paper:
    content = strict_toml.read(path, PaperFile)
    faults = list(faults_of(content)) + list(claim_faults(content))
    if faults:
        raise strict_toml.faulty(path, faults)
    for key, view in content.views.items():
        archive, name = manifest.split_id(view.dataset)
        try:
            if archive in manifest.names():
                manifest.load(archive).view(name)
        except ReproError as error:
            faults.append(f"views.{key}.dataset: {error}")
    loaded = Paper.of(paper, path, content)
    for entry in (one for entries in loaded.entries.values() for one in entries):
        try:
            entry.experiment()
        except ReproError as error:
            faults.append(str(error).removeprefix(f"{path}, "))
    if faults:
        raise strict_toml.faulty(path, list(dict.fromkeys(faults)))
    return loaded
