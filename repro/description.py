"""Papers, datasets and plug-ins described, as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from textwrap import indent
from typing import Any

from tabulate import tabulate

from repro import rendering
from repro.catalogue import Entry
from repro.data import archive, views
from repro.data.manifest import Manifest
from repro.tables import Paper


def paper(found: Paper, number: str | None = None) -> str:
    """Return a paper: what it is, its views, and its tables (or one of them) as printed."""
    about = found.about
    parts = [about.title, f"{about.authors}, {about.venue}", about.url, ""]
    parts += rendering.bullets(about.notes)
    parts += ["", "Views:"]
    for key, view in found.views.items():
        protocol = dict(view.protocol or {})
        how = protocol.pop("name", "")
        settings = ", ".join(f"{k}={v}" for k, v in protocol.items())
        line = f"  {key}: {view.label} = {view.dataset}"
        parts.append(line + (f", {how}({settings})" if how else ""))
        notes = [view.note, view.blocked and f"blocked: {view.blocked}"]
        parts += [indent(text, "    ") for text in rendering.bullets(filter(None, notes))]
    for table in [number] if number else found.tables:
        parts += ["", rendering.published(found, table)]
    return "\n".join(parts)


def paper_json(found: Paper, number: str | None = None) -> str:
    """Return a paper as its file has it, with every default filled in, as JSON."""
    chosen = [number] if number else list(found.tables)
    content = {
        "paper": found.about.model_dump(),
        "views": {key: view.model_dump() for key, view in found.views.items()},
        "tables": {n: found.table(n).model_dump() for n in chosen},
    }
    return json.dumps(content, indent=1, ensure_ascii=False)


def dataset(found: Manifest) -> str:
    """Return an archive: terms, source, files, and each view's funnel of counts."""
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
        member = found.members.get(name)
        if member and member.stated():
            state += "; a real file has confirmed" if member.confirmed else "; others' word for"
            state += f" its {', '.join(member.stated())}"
        parts.append(f"file {name}: {state}")
    for name, view in found.views.items():
        parts += ["", f"view {found.id}/{name}", f"  source: {view.source}"]
        parts += [indent(text, "  ") for text in rendering.bullets(filter(None, [view.note]))]
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
            printed = ", ".join(f"{kind} {text}" for kind, text in view.paper.items())
            parts.append(f"  the paper prints: {printed}")
        parts.append(f"  digest {known.digest}")
    return "\n".join(parts)


def _expected(counts: dict[str, int]) -> str:
    return ", ".join(f"{kind} {count:,}" for kind, count in counts.items())


def dataset_json(found: Manifest) -> str:
    """Return an archive with its receipts and prepared views, as JSON."""
    content: dict[str, Any] = {
        "archive": found.archive.model_dump(),
        "receipts": {name: asdict(r) for name, r in archive.receipts(found).items()},
        "views": {},
    }
    for name, view in found.views.items():
        known = views.prepared(f"{found.id}/{name}")
        content["views"][name] = view.model_dump() | {"prepared": known and asdict(known)}
    return json.dumps(content, indent=1, ensure_ascii=False)


def plugin(entry: Entry) -> str:
    """Return a model or protocol: what it is, and its parameters with their sources."""
    parts = [f"{entry.name}: {entry.class_doc}", "", entry.doc, "", "Parameters:"]
    for field in entry.fields:
        parts.append(f"  {field.name}: {field.annotation} = {field.default!r}")
        parts += [f"      {field.doc}"] if field.doc else []
    return "\n".join(parts)


def plugin_json(entry: Entry) -> str:
    """Return a model or protocol as JSON."""
    fields = [asdict(field) for field in entry.fields]
    content = {"name": entry.name, "doc": entry.doc, "what": entry.class_doc, "parameters": fields}
    return json.dumps(content, indent=1, ensure_ascii=False)
