"""``repro show``: one paper, dataset, model or protocol."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from repro.cli import app

if TYPE_CHECKING:
    from repro.catalogue import Entry
    from repro.data.manifest import Manifest
    from repro.tables import Paper


@app.command(epilog="Example: repro show acvae --table 2")
def show(
    name: Annotated[str, typer.Argument(help="A paper, dataset, model or protocol.")],
    table: Annotated[str | None, typer.Option(help="One table of a paper.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show a paper's tables as printed, a dataset's terms and counts, a model's settings."""
    from repro import tables
    from repro.data import manifest
    from repro.errors import unknown
    from repro.experiment import MODELS, PROTOCOLS

    if name in tables.papers():
        paper = tables.load(name)
        typer.echo(_paper_json(paper, table) if as_json else _paper(paper, table))
    elif name in manifest.names():
        found = manifest.load(name)
        typer.echo(_dataset_json(found) if as_json else _dataset(found))
    elif name in MODELS.names() or name in PROTOCOLS.names():
        catalogue = MODELS if name in MODELS.names() else PROTOCOLS
        entry = catalogue.entry(name)
        typer.echo(_plugin_json(entry) if as_json else _plugin(entry))
    else:
        everything = [*tables.papers(), *manifest.names(), *MODELS.names(), *PROTOCOLS.names()]
        raise unknown("paper, dataset, model or protocol", name, everything)


def _paper(paper: Paper, number: str | None) -> str:
    from repro import rendering

    about = paper.about
    parts = [about.title, f"{about.authors}, {about.venue}", about.url, ""]
    parts += [f"- {note}" for note in about.notes]
    parts += ["", "Views:"]
    for key, view in paper.views.items():
        protocol = dict(view.protocol or {})
        how = protocol.pop("name", "")
        settings = ", ".join(f"{k}={v}" for k, v in protocol.items())
        parts.append(
            f"  {key}: {view.label} = {view.dataset}" + (f", {how}({settings})" if how else "")
        )
        parts += [
            f"    {text}"
            for text in (view.note, view.blocked and f"blocked: {view.blocked}")
            if text
        ]
    for table in [number] if number else paper.tables:
        parts += ["", rendering.published(paper, table)]
    return "\n".join(parts)


def _paper_json(paper: Paper, number: str | None) -> str:
    chosen = [number] if number else list(paper.tables)
    content = {
        "paper": paper.about.model_dump(),
        "views": {key: view.model_dump() for key, view in paper.views.items()},
        "tables": {n: paper.table(n).model_dump() for n in chosen},
    }
    return json.dumps(content, indent=1, ensure_ascii=False)


def _dataset(found: Manifest) -> str:
    from tabulate import tabulate

    from repro.data import archive, views

    about = found.archive
    have = archive.receipts(found)
    parts = [
        f"{found.id}: {about.title}",
        f"terms: {about.license}",
        f"source: {about.source}",
        *([f"cite: {about.citation}"] if about.citation else []),
        *([f"by hand: {about.manual}"] if about.manual else []),
        *([f"note: {about.note}"] if about.note else []),
        "",
    ]
    for name in found.needed():
        receipt = have.get(name)
        state = "not in the cache"
        if receipt:
            state = f"{receipt.bytes:,} bytes, {'verified' if receipt.verified else 'UNVERIFIED'}"
        parts.append(f"file {name}: {state}")
    for name, view in found.views.items():
        parts += ["", f"view {found.id}/{name}", f"  source: {view.source}"]
        parts += [f"  note: {view.note}"] if view.note else []
        known = views.prepared(f"{found.id}/{name}")
        if known is None:
            steps = [f"{s.name} = {s.argument}" for s in view.parsed_steps()]
            parts.append(f"  steps: {'; '.join(steps) or 'none'} (not built yet)")
            continue
        lines = [
            [f.step, f.interactions, f.users, f.items, _expected(f.expected)] for f in known.funnel
        ]
        head = ["step", "interactions", "users", "items", "expected"]
        grid = tabulate(lines, head, tablefmt="simple", intfmt=",")
        parts += ["", *(f"  {line}" for line in grid.splitlines())]
        if view.paper:
            parts.append(
                "  the paper prints: " + ", ".join(f"{k} {v}" for k, v in view.paper.items())
            )
        parts.append(f"  digest {known.digest}")
    return "\n".join(parts)


def _expected(counts: dict[str, int]) -> str:
    return ", ".join(f"{kind} {count:,}" for kind, count in counts.items())


def _dataset_json(found: Manifest) -> str:
    from repro.data import archive, views

    content: dict[str, Any] = {
        "archive": found.archive.model_dump(),
        "receipts": {name: asdict(r) for name, r in archive.receipts(found).items()},
        "views": {},
    }
    for name, view in found.views.items():
        known = views.prepared(f"{found.id}/{name}")
        content["views"][name] = view.model_dump() | {"prepared": known and asdict(known)}
    return json.dumps(content, indent=1, ensure_ascii=False)


def _plugin(entry: Entry) -> str:
    parts = [f"{entry.name}: {entry.class_doc}", "", entry.doc, "", "Parameters:"]
    for field in entry.fields:
        parts.append(f"  {field.name}: {field.annotation} = {field.default!r}")
        parts += [f"      {field.doc}"] if field.doc else []
    return "\n".join(parts)


def _plugin_json(entry: Entry) -> str:
    fields = [asdict(field) for field in entry.fields]
    content = {"name": entry.name, "doc": entry.doc, "what": entry.class_doc, "parameters": fields}
    return json.dumps(content, indent=1, ensure_ascii=False)
