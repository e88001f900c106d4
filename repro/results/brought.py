"""Scores of other programs in a table: as rows of their own, or for a row without a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from repro.papers.paper import Paper
from repro.papers.rows import Cell
from repro.results.found import Found
from repro.results.frozen import RowName
from repro.results.verdicts import ComparedCell, compared
from repro.runs.records import Record


def external_cells(
    paper: Paper,
    number: str,
    by_experiment: Mapping[str, list[Record]],
    digest_here: Callable[[str], str],
) -> list[ComparedCell]:
    """Return the cells of scores from files, in each column group whose split they are of.

    Scores that have the name of a row without a model are that row's number, and not here.
    """
    cells: list[ComparedCell] = []
    entries = {entry.group_label: entry for entry in reversed(paper.entries[number])}
    rows = {(e.row, e.group_label) for e in paper.entries[number] if e.experiment() is None}
    columns = [Cell(k, metric, "", None, "") for k, metric in paper.table(number).metrics.items()]
    for group, entry in sorted(entries.items(), key=lambda one: one[0]):
        setting = paper.setting(entry.view)
        for own in by_experiment.values() if setting else ():
            run = own[0].experiment
            if run.external and run.place == setting.place and (run.external, group) not in rows:  # type: ignore[union-attr]
                name = RowName(run.external, "external", apart=", ".join(entry.apart))
                found = Found(own)
                made = [compared(entry, cell, found, {}, digest_here, name) for cell in columns]
                cells += [replace(cell, source=source_of(own, cell.runs)) for cell in made]
    return sorted(cells, key=lambda cell: cell.name)


def source_of(records: Iterable[Record], runs: Iterable[str]) -> str:
    """Return the files of some runs' scores, each with its sha256; "" if none is from a file."""
    counted = set(runs)
    found = [one.external for one in records if one.id in counted and one.external]
    return ", ".join(f"{one['file']} (sha256 {one['sha256']})" for one in found)
