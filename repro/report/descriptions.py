"""Papers, datasets and plug-ins described, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from textwrap import fill, indent
from typing import Any

from tabulate import tabulate

from repro.data import cache, manifest, prepare, views
from repro.data.manifest import Manifest
from repro.data.schema import Step
from repro.errors import unknown
from repro.experiment import canonical, protocol_spec
from repro.papers import library
from repro.papers.paper import Paper
from repro.plugins import MODELS, PROTOCOLS, Plugin
from repro.report import splits, tables
from repro.report.explanations import source
from repro.report.tables import WIDTH
from repro.results import verdicts
from repro.results.checking import Checked
from repro.runs import records
from repro.runs.leftovers import Leftover
from repro.split import SplitSummary
from repro.text import one_line, visible


def asked(found: Paper, runs: Path) -> dict[str, SplitSummary]:
    """Return what each view of a paper asks, by key, as far as records in a folder tell."""
    known: dict[tuple[str, str], SplitSummary] = {}
    for record in sorted(records.load_all(runs), key=lambda one: one.began):
        if record.split and not record.experiment.smoke:
            made = record.experiment
            known[made.dataset, canonical(made.protocol.as_json())] = record.split
    places = {
        key: (view.dataset or "", canonical(protocol_spec(view.protocol, key).as_json()))
        for key, view in found.views.items()
        if view.protocol
    }
    return {key: known[place] for key, place in places.items() if place in known}


def paper(found: Paper, number: str | None = None, runs: Path | None = None) -> str:
    """Return a paper: what it is, its views, and its tables (or one of them) as printed.

    With a folder of runs, also what its views ask, as far as records tell.
    """
    known = asked(found, runs) if runs else {}
    about = found.about
    parts = [one_line(about.title), one_line(f"{about.authors}, {about.venue}")]
    parts += [one_line(about.url), ""]
    parts += tables.bullets(about.notes)
    parts += ["", "Views:"]
    for key, view in found.views.items():
        protocol = dict(view.protocol or {})
        how = protocol.pop("name", "")
        settings = ", ".join(f"{k}={v}" for k, v in protocol.items())
        line = f"  {key}: {view.label} = {view.dataset}"
        parts.append(one_line(line + (f", {how}({settings})" if how else "")))
        notes = [view.note, view.blocked and f"blocked: {view.blocked}"]
        parts += [indent(text, "    ") for text in tables.bullets(filter(None, notes))]
        if key in known:
            parts.append(indent(splits.text(known[key]), "    "))
    for table in [number] if number else found.tables:
        parts += ["", tables.published(found, table)]
    return "\n".join(parts)


def paper_json(found: Paper, number: str | None = None, runs: Path | None = None) -> str:
    """Return a paper as its file has it, with every default filled in, as JSON."""
    known = asked(found, runs) if runs else {}
    chosen = [number] if number else list(found.tables)
    content = {
        "paper": found.about.model_dump(),
        "views": {key: view.model_dump() for key, view in found.views.items()},
        "tables": {n: found.table(n).model_dump() for n in chosen},
        "figures": {} if number else {n: one.model_dump() for n, one in found.figures.items()},
        "splits": {key: asdict(split) for key, split in known.items()},
        "claims": [one.model_dump() for one in found.claims if number in (None, *one.rests_on())],
    }
    return json.dumps(content, indent=1)


def dataset(found: Manifest) -> str:
    """Return an archive: terms, sources, files, counts after each step, and what is unconfirmed."""
    about = found.archive
    have = cache.receipts(found)
    said = {
        found.id: about.title,
        "terms": about.license,
        "source": about.source,
        "addresses": ", ".join(url for url in [about.url, *about.mirrors] if url),
        "cite": about.citation,
        "by hand": about.manual,
        "note": about.note,
    }
    parts = [
        fill(one_line(f"{key}: {text}"), WIDTH, subsequent_indent="  ", break_long_words=False)
        for key, text in said.items()
        if text
    ]
    parts.append("")
    for name in found.all_members():
        receipt = have.get(name)
        state = "not in the cache"
        if receipt:
            known = cache.state(found, name, receipt).replace("unverified", "UNVERIFIED")
            state = f"{receipt.bytes:,} bytes, {known}"
            state += "" if found.generate else f", from {receipt.source}"
        stated = found.members.get(name)
        if stated and stated.stated():
            state += f"; the manifest's {', '.join(stated.stated())} "
            state += "confirmed by a real file" if stated.confirmed else "as stated by others"
        parts.append(one_line(f"file {name}: {state}"))
    for name in found.views:
        parts += ["", *_view(found, name)]
    doubts = unconfirmed(found)
    if doubts:
        parts += ["", "unconfirmed:", *tables.bullets(doubts)]
    return "\n".join(parts)


def _view(found: Manifest, name: str) -> list[str]:
    """Return the lines on one view: its source, its counts, and what papers print of it."""
    view, id = found.view(name), f"{found.id}/{name}"
    lines = [one_line(f"view {id}"), one_line(f"  source: {view.source}")]
    lines += [indent(text, "  ") for text in tables.bullets(filter(None, [view.note]))]
    known = views.prepared(id)
    if known is None:
        for variant, recipe in view.recipes().items():
            steps = "; ".join(map(_step, recipe)) or "none"
            lines.append(one_line(f"  steps{variant and f' ({variant})'}: {steps}"))
        counts = view.expect.model_dump(exclude_none=True, exclude={"pairs_sha256", "parts"})
        lines += [f"  expected: {_expected(counts)}"] if counts else []
        lines.append("  not built yet")
    else:
        rows = [
            [one_line(f.step), f.interactions, f.users, f.items, _expected(f.expected)]
            for f in known.funnel
        ]
        head = ["step", "interactions", "users", "items", "expected"]
        grid = tabulate(rows, head, tablefmt="simple", intfmt=",")
        lines += ["", *(f"  {line}" for line in grid.splitlines())]
        lines += [one_line(f"  variant: {known.variant}")] if known.variant else []
        lines += [indent(text, "  ") for text in tables.bullets(known.overlaps)]
        lines.append(one_line(f"  digest {known.digest}"))
        if known.doubts:
            lines += ["  WARNING:", *(indent(d, "  ") for d in tables.bullets(known.doubts))]
    printed = [
        f"{cell.paper} table {cell.table}, {cell.row}, {cell.label}: {cell.published}"
        + ("" if cell.ours is None else f" (here {cell.ours:,.10g}, {cell.verdict})")
        for cell in verdicts.statistics_of(id)
    ]
    printed += [f"{kind} {text}" for kind, text in view.paper.items()]
    if printed:
        lines += ["  printed:", *(indent(text, "  ") for text in tables.bullets(printed))]
    return lines


def _step(step: Step) -> str:
    counts = _expected(step.expect.model_dump(exclude_none=True))
    return f"{step.name} = {step.argument}" + (f" (expected: {counts})" if counts else "")


def unconfirmed(found: Manifest) -> list[str]:
    """Return what is unconfirmed in a manifest, such as hashes that no real file has confirmed."""
    doubts = []
    packed = {found.archive.file_name: found.archive} if found.archive.url else {}
    inside = [
        name for name, member in found.members.items() if not (member.url or member.container)
    ]
    vouched = inside if found.archive.stated() else []
    for name, stated in [*packed.items(), *found.members.items()]:
        own = stated.stated()
        if own and not stated.confirmed:
            doubts.append(f"{name}: {', '.join(own)} as stated by others; no real file checked")
        elif not (own or name in vouched or found.generate or cache.is_own(found, name)):
            doubts.append(f"{name}: no hash is known")
    doubts += [f"{name}: {v.unconfirmed}" for name, v in found.views.items() if v.unconfirmed]
    return doubts


def _expected(counts: dict[str, int]) -> str:
    return ", ".join(f"{kind} {count:,}" for kind, count in counts.items())


def dataset_json(found: Manifest) -> str:
    """Return an archive with its receipts and prepared views, as JSON."""
    content: dict[str, Any] = {
        "archive": found.archive.model_dump(),
        "unconfirmed": unconfirmed(found),
        "receipts": {name: asdict(r) for name, r in cache.receipts(found).items()},
        "views": {},
    }
    for name, view in found.views.items():
        known = views.prepared(f"{found.id}/{name}")
        content["views"][name] = view.model_dump() | {"prepared": known and asdict(known)}
    return json.dumps(content, indent=1)


def plugin(entry: Plugin) -> str:
    """Return a model or protocol: what it is, and its parameters with their sources."""
    parts = [f"{entry.name}: {entry.class_doc}", "", entry.doc, "", "Parameters:"]
    for field in entry.fields:
        default = "" if field.required else f" = {field.default!r}"
        limits = f", {field.range.words}" if field.range else ""
        parts.append(one_line(f"  {field.name}: {field.annotation}{default}{limits}"))
        stated = f"[{source(field.sources.stated)}]" if field.sources.stated else ""
        said = " ".join(filter(None, [field.doc, stated]))
        parts += [one_line(f"      {said}")] if said else []
    return visible("\n".join(parts))


def plugin_json(entry: Plugin) -> str:
    """Return a model or protocol as JSON."""
    fields = [asdict(field) for field in entry.fields]
    content = {"name": entry.name, "doc": entry.doc, "what": entry.class_doc, "parameters": fields}
    return json.dumps(content, indent=1, allow_nan=False)


def kinds(name: str, kind: str | None = None) -> list[str]:
    """Return what a name stands for: "paper", "dataset", "model", "protocol", or several of them.

    Parameters
    ----------
    name : str
        The name.
    kind : str, optional
        The only one to look for.

    Raises
    ------
    ReproError
        If it stands for nothing.
    """
    known = {
        "paper": library.papers(),
        "dataset": manifest.names(),
        "model": MODELS.names(),
        "protocol": PROTOCOLS.names(),
    }
    asked = {k: names for k, names in known.items() if kind in (None, k)}
    found = [k for k, names in asked.items() if name in names]
    if not found and name in MODELS and kind in (None, "model"):  # an earlier name
        return ["model"]
    if not found:
        every = [one for names in asked.values() for one in names]
        raise unknown(kind or "paper, dataset, model or protocol", name, every)
    return found


def described(
    name: str,
    kind: str,
    table: str | None = None,
    as_json: bool = False,
    runs: Path | None = None,
) -> str:
    """Return what a name of a kind stands for, as text or as JSON; `runs` is as in `paper`."""
    if kind == "paper":
        found = library.load(name)
        number = table and found.number(table)
        return (paper_json if as_json else paper)(found, number, runs)
    if kind == "dataset":
        archive = manifest.load(name)
        return dataset_json(archive) if as_json else dataset(archive)
    entry = (MODELS if kind == "model" else PROTOCOLS).entry(name)
    return plugin_json(entry) if as_json else plugin(entry)


def checked(found: Mapping[str, list[prepare.Checked]], missing: bool) -> str:
    """Return the state of files and views, by archive, as a table.

    Parameters
    ----------
    found : mapping
        The states.
    missing : bool
        Whether to name archives of which nothing is in the cache.
    """
    rows = [(one.dataset, one.name, one.state) for states in found.values() for one in states]
    absent = [name for name, states in found.items() if missing and not states]
    rows += [(name, "", "not in the cache") for name in absent]
    shown = [list(map(one_line, row)) for row in rows]
    head = ["dataset", "file or view", "state"]
    return tabulate(shown, head, tablefmt="simple", disable_numparse=True)


def verified(one: Checked) -> str:
    """Return the state of a thing that was verified, in a line."""
    return f"{one.kind:<9} {one_line(one.name)}  {one_line(one.state)}"


def verified_in_all(found: Sequence[Checked]) -> str:
    """Return how many things were verified, and how many are damaged or unsealed."""
    unsealed = sum(one.state.startswith("unsealed") for one in found)
    rest = f", {unsealed} records unsealed" if unsealed else ""
    return f"{len(found)} verified: {sum(one.damaged for one in found)} damaged{rest}"


def leftovers(found: Sequence[Leftover]) -> str:
    """Return what may be deleted, with its size."""
    if not found:
        return "there is nothing to delete"
    rows = [[one.kind, f"{one.bytes / 1e6:,.1f} MB", one_line(one.path)] for one in found]
    grid = tabulate(rows, ["what", "size", "where"], tablefmt="simple", disable_numparse=True)
    total = sum(one.bytes for one in found) / 1e6
    return f"{grid}\n\n{len(found)} files and folders, {total:,.1f} MB"
