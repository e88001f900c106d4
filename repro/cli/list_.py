"""``repro list``: what there is."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any

import typer

from repro.cli import app


class Kind(StrEnum):
    """What can be listed."""

    papers = "papers"
    datasets = "datasets"
    models = "models"
    protocols = "protocols"
    metrics = "metrics"


@app.command("list", epilog="Example: repro list models")
def list_(
    kind: Annotated[Kind, typer.Argument(help="What to list.")] = Kind.papers,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List papers, datasets, models, protocols or metrics."""
    rows = _LISTS[kind]()
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    from tabulate import tabulate

    typer.echo(tabulate(rows, headers="keys", tablefmt="simple", disable_numparse=True))


def _papers() -> list[dict[str, Any]]:
    from repro import tables

    rows = []
    for name in tables.papers():
        paper = tables.load(name)
        cells = sum(len(entry.cells) for n in paper.tables for entry in paper.entries(n))
        rows.append(
            {
                "paper": name,
                "title": paper.about.title,
                "venue": paper.about.venue,
                "tables": ", ".join(paper.tables),
                "cells": cells,
            }
        )
    return rows


def _datasets() -> list[dict[str, Any]]:
    from repro.data import archive, manifest

    rows = []
    for name in manifest.names():
        found = manifest.load(name)
        have = archive.receipts(found)
        here = all(member in have for member in found.needed())
        verified = all(receipt.verified for receipt in have.values())
        state = "not here" if not here else "verified" if verified else "unverified"
        rows.append(
            {
                "dataset": name,
                "title": found.archive.title,
                "views": ", ".join(found.views),
                "cache": state,
                "how": "generated"
                if found.generate
                else "manual"
                if found.archive.manual
                else "download",
            }
        )
    return rows


def _models() -> list[dict[str, Any]]:
    from repro.experiment import MODELS

    return [_plugin(MODELS.entry(name), "model") for name in MODELS.names()]


def _protocols() -> list[dict[str, Any]]:
    from repro.experiment import PROTOCOLS

    return [_plugin(PROTOCOLS.entry(name), "protocol") for name in PROTOCOLS.names()]


def _plugin(entry: Any, kind: str) -> dict[str, Any]:
    return {
        kind: entry.name,
        "what": entry.class_doc.partition("\n")[0],
        "parameters": ", ".join(f"{field.name}={field.default}" for field in entry.fields),
    }


def _metrics() -> list[dict[str, Any]]:
    from repro.metrics import METRICS

    return [
        {"metric": f"{name}@K", "what": (function.__doc__ or "").partition("\n")[0]}
        for name, function in METRICS.items()
    ]


_LISTS = {
    Kind.papers: _papers,
    Kind.datasets: _datasets,
    Kind.models: _models,
    Kind.protocols: _protocols,
    Kind.metrics: _metrics,
}
