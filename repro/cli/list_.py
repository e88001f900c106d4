"""``repro list``: what there is."""

from __future__ import annotations

import json
from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from repro.cli import app

if TYPE_CHECKING:
    from repro.data.manifest import Manifest


WIDTHS = {
    "licence": 44,
    "serves": 24,
    "views": 24,
    "title": 44,
    "venue": 32,
    "tables": 24,
    "what": 44,
    "parameters": 60,
    "verdicts": 24,
    "ahead as printed": 24,
    "ahead here": 24,
    "with rows of ours": 24,
}
"""Columns that are wrapped, and after how many letters."""


class Kind(StrEnum):
    """What can be listed."""

    papers = "papers"
    datasets = "datasets"
    models = "models"
    protocols = "protocols"
    metrics = "metrics"
    results = "results"


@app.command("list", epilog="Example: repro list models")
def list_(
    kind: Annotated[Kind, typer.Argument(help="What to list.")] = Kind.papers,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List papers, datasets, models, protocols, metrics, or the results that are kept here."""
    rows = LISTS[kind]()
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    from tabulate import tabulate

    widths = [WIDTHS.get(column) for column in (rows[0] if rows else {})]
    typer.echo(
        tabulate(
            rows, headers="keys", tablefmt="simple", disable_numparse=True, maxcolwidths=widths
        )
    )


def _papers() -> list[dict[str, Any]]:
    from repro.papers import library

    rows = []
    for name in library.papers():
        paper = library.load(name)
        cells = sum(
            len(entry.cells) for n in paper.tables for entry in paper.entries(n) if not entry.added
        )
        rows.append(
            {
                "paper": name,
                "title": paper.about.title,
                "venue": paper.about.venue,
                "tables": ", ".join(paper.tables),
                "figures": ", ".join(paper.figures),
                "cells": cells,
            }
        )
    return rows


def _datasets() -> list[dict[str, Any]]:
    from repro.data import manifest
    from repro.papers import library

    served: dict[str, list[str]] = {}
    for paper in library.papers():
        for name, numbers in library.load(paper).archives.items():
            served.setdefault(name, []).append(f"{paper} {', '.join(numbers)}")
    rows = []
    for name in manifest.names():
        found = manifest.load(name)
        rows.append(
            {
                "dataset": name,
                "size": manifest.size_text(found),
                "licence": found.archive.license,
                "obtained": _obtained(found),
                "serves": "; ".join(served.get(name, [])) or "no table",
                "here": _state(found),
                "views": ", ".join(found.views),
            }
        )
    return rows


def _obtained(found: Manifest) -> str:
    if found.generate:
        return "generated"
    return "by hand" if found.archive.manual else "download"


def _state(found: Manifest) -> str:
    """Return what is here, as the receipts say; `repro fetch --check` reads the bytes."""
    from repro.data import cache
    from repro.errors import ReproError

    try:
        have, missing = cache.receipts(found), cache.missing(found)
    except ReproError:
        return "receipt damaged"
    if not have:
        return "no"
    state = "verified" if all(r.verified for r in have.values()) else "UNVERIFIED"
    return f"{state}, in part" if missing else state


def _models() -> list[dict[str, Any]]:
    from repro.plugins import MODELS

    return [_plugin(MODELS.entry(name), "model") for name in MODELS.names()]


def _protocols() -> list[dict[str, Any]]:
    from repro.plugins import PROTOCOLS

    return [_plugin(PROTOCOLS.entry(name), "protocol") for name in PROTOCOLS.names()]


def _plugin(entry: Any, kind: str) -> dict[str, Any]:
    return {
        kind: entry.name,
        "what": entry.class_doc.partition("\n")[0],
        "parameters": ", ".join(
            field.name if field.required else f"{field.name}={field.default}"
            for field in entry.fields
        ),
    }


def _metrics() -> list[dict[str, Any]]:
    from repro.metrics import METRICS

    return [
        {"metric": f"{name}@K", "what": (function.__doc__ or "").partition("\n")[0]}
        for name, function in METRICS.items()
    ]


def _results() -> list[dict[str, Any]]:
    """Return what tables/reference holds of each column group: how much, and who is ahead."""
    from repro.papers import library
    from repro.results.comparison import SHORTENED, compare
    from repro.results.leaders import counts, leaders
    from repro.results.verdicts import MARKS, OURS, VERDICTS

    rows = []
    for name in library.papers():
        paper = library.load(name)
        for number in paper.tables:
            found = compare(paper, number, []).cells
            cells = [cell for cell in found if SHORTENED not in cell.row]
            for group in dict.fromkeys(cell.group for cell in cells if cell.reference is not None):
                every = [cell for cell in cells if cell.group == group]
                own = [cell for cell in every if not cell.row.endswith(OURS)]
                printed = {cell.row for cell in own if cell.published}
                kept = [cell for cell in every if cell.reference is not None]
                run = [cell for cell in own if cell.reference is not None]
                done = {cell.row for cell in run}
                added = {cell.row for cell in kept} - done
                of_ours = str(len(done)) if done else f"{len(added)} of ours"
                marks = {mark for cell in kept for mark in cell.reference_marks}
                fewest = min(run or kept, key=lambda cell: cell.reference_seeds - cell.planned)
                ahead = leaders(every)
                seen = Counter(cell.reference_verdict for cell in own)
                verdicts = [f"{verdict} {seen[verdict]}" for verdict in VERDICTS if seen[verdict]]
                rows.append(
                    {
                        "paper": name,
                        "table": number,
                        "data": group,
                        "marks": " ".join(f"[{mark}]" for mark in MARKS if mark in marks),
                        "rows": f"{len(done)} of {len(printed)}" if printed else of_ours,
                        "seeds": f"{fewest.reference_seeds} of {fewest.planned}",
                        "verdicts": ", ".join(verdicts),
                        "ahead as printed": counts(ahead.published) if ahead else "",
                        "ahead here": counts(ahead.here) if ahead else "",
                        "with rows of ours": counts(ahead.with_added) if ahead else "",
                    }
                )
    return rows


LISTS = {
    Kind.papers: _papers,
    Kind.datasets: _datasets,
    Kind.models: _models,
    Kind.protocols: _protocols,
    Kind.metrics: _metrics,
    Kind.results: _results,
}
"""What returns the rows of each kind."""
