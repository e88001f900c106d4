"""The pages of a report: what each one shows, and under which name it is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from repro.auditing.findings import SEVERITIES, At
from repro.report.claims import found as claim_sentence
from repro.report.explanations import effect, source, value
from repro.report.runs import duration
from repro.report.site import charts, lines
from repro.report.site.gather import JUDGED, Material
from repro.report.site.grids import TableOnPage, table_of
from repro.report.site.looks import SIGNS, Ids, slug, verdicts
from repro.report.tables import as_csv
from repro.results import figures
from repro.results.claims.judgement import CLAIM_VERDICTS
from repro.results.figures import doubts
from repro.results.ledger import Reading
from repro.results.verdicts import MARKS

FURTHER = ("index", "audit", "ledger", "missing")
"""Pages that belong to no paper."""


@dataclass(frozen=True)
class Page:
    """A page: its file, the template that lays it out, and what that is given."""

    file: str
    template: str
    title: str
    content: dict[str, Any]


def pages(found: Sequence[Material]) -> tuple[list[Page], dict[str, str]]:
    """Return the pages of a report, and the files of numbers beside them."""
    data: dict[str, str] = {}
    made = [_overview(found)]
    for one in found:
        made += _of_paper(one, data)
    made += [_audit(found), _ledger(found), _missing(found)]
    return made, data


def paper_file(paper: str) -> str:
    """Return the file of a paper's page; an id has nothing that a file name must not have."""
    return f"{paper}-paper.html" if paper in FURTHER else f"{paper}.html"


def figure_file(paper: str, number: str) -> str:
    """Return the file of a figure's page."""
    return f"{paper}-figure-{number}.html"


def _counted(one: Material) -> dict[str, Any]:
    """Return a paper's line on the overview."""
    n = len(one.run)
    return {
        "id": one.paper.id,
        "file": paper_file(one.paper.id),
        "about": one.paper.about,
        "tables": list(one.paper.tables),
        "printed": len(one.printed),
        "run": n,
        "further": one.further,
        "bars": [
            {"name": name, "sign": SIGNS[name], "n": k, "share": 100 * k / n}
            for name, k in one.verdicts.items()
        ],
        "claims": {
            side: _verdicts_of([getattr(c, side).verdict for c in one.claims])
            for side in ("printed", "ours")
        },
        "n_claims": len(one.claims),
        "findings": len(one.audited.findings),
    }


def _verdicts_of(verdicts: Sequence[str]) -> list[tuple[str, int]]:
    return [(name, verdicts.count(name)) for name in CLAIM_VERDICTS if name in verdicts]


def _overview(found: Sequence[Material]) -> Page:
    cells = [cell for one in found for cell in one.run]
    claims = [claim for one in found for claim in one.claims]
    counts = {name: sum(one.verdicts.get(name, 0) for one in found) for name in JUDGED}
    zs = {one.paper.id: _zs(one) for one in found}
    return Page(
        "index.html",
        "overview.html",
        "Overview",
        {
            "papers": [_counted(one) for one in found],
            "printed": sum(len(one.printed) for one in found),
            "run": len(cells),
            "further": sum(one.further for one in found),
            "counts": [(SIGNS[name], name, n) for name, n in counts.items() if n],
            "claims": {
                side: _verdicts_of([getattr(c, side).verdict for c in claims])
                for side in ("printed", "ours")
            },
            "n_claims": len(claims),
            "z_chart": charts.spread_of_z(zs),
            "verdicts": verdicts(),
            "claim_verdicts": CLAIM_VERDICTS,
            "marks": MARKS,
        },
    )


def _zs(one: Material, table: str = "") -> list[float]:
    return [c.z for c in charts.judged(one.run) if c.z is not None and table in ("", c.table)]


def _of_paper(one: Material, data: dict[str, str]) -> list[Page]:
    paper, ids = one.paper, Ids()
    tables: list[TableOnPage] = []
    for compared in one.tables:
        file = f"data/{paper.id}-table-{compared.number}.csv"
        data[file] = as_csv([compared])
        tables.append(table_of(compared, one.sources, ids, file))
    drawn = [n for n, have in one.figures.items() if have.points]
    made = [_figure(one, number, data) for number in drawn]
    numbers = [table.number for table in one.tables if _zs(one, table.number)]
    content = {
        **_counted(one),
        "tables": tables,
        "scatter": charts.scatter(one.run),
        "legend_keys": charts.legend(one.run),
        "z_chart": charts.spread_of_z({f"Table {n}": _zs(one, n) for n in numbers}),
        "claims": [_claim(one, n, ids) for n in range(len(one.claims))],
        "counts": _counted(one)["claims"],
        "figures": [
            {
                "number": number,
                "caption": paper.figure(number).caption,
                "file": figure_file(paper.id, number) if number in drawn else "",
                "missing": len(one.figures[number].missing),
            }
            for number in paper.figures
        ],
        "notes": paper.about.notes,
        "verdicts": [v for v in verdicts() if v.name in _seen(one)],
        "marks": MARKS,
        "lacking": len(one.missing),
    }
    return [Page(paper_file(paper.id), "paper.html", paper.id, content), *made]


def _seen(one: Material) -> set[str]:
    return {v for t in one.tables for c in t.cells for v in (c.verdict, c.judged)}


def _claim(one: Material, n: int, ids: Ids) -> dict[str, Any]:
    claim = one.claims[n]
    return {
        "id": ids.of("claim", claim.id),
        "name": claim.id,
        "section": claim.section,
        "says": claim.says,
        "found": claim_sentence(claim).removeprefix(claim.says).strip(),
        "printed": claim.printed.verdict,
        "ours": claim.ours.verdict,
        "tables": [(n, n in one.paper.tables) for n in claim.tables],
        "note": claim.note,
    }


def _figure(one: Material, number: str, data: dict[str, str]) -> Page:
    have, shown = one.figures[number], one.paper.figure(number)
    file = f"data/{one.paper.id}-figure-{number}.csv"
    data[file] = figures.as_csv(have.points)
    runs = {p.experiment: p for p in have.points}
    return Page(
        figure_file(one.paper.id, number),
        "figure.html",
        f"{one.paper.id}, Figure {number}",
        {
            "paper": one.paper.id,
            "paper_file": paper_file(one.paper.id),
            "about": one.paper.about,
            "number": number,
            "caption": shown.caption,
            "note": shown.note,
            "drawn": lines.figure(shown, have.points),
            "seeds": sorted({p.seed for p in have.points}),
            "n_runs": len(runs),
            "kept": len(have.kept),
            "runs": sorted(runs.values(), key=lambda p: (p.panel, p.line, p.x, p.seed)),
            "missing": have.missing,
            "doubts": doubts(have.points),
            "file": file,
            "command": f"repro run {one.paper.id} --figure {number}",
            "source": f"tables/reference/figures/{one.paper.id}-{number}.csv",
        },
    )


def _audit(found: Sequence[Material]) -> Page:
    papers = []
    for one in found:
        groups = {(t.number): _ids_of(one, t.number) for t in one.tables}
        findings = [
            {
                "finding": finding,
                "cells": [(at, _link(one, at, groups)) for at in finding.cells[:12]],
                "more": max(0, len(finding.cells) - 12),
            }
            for finding in one.audited.findings
        ]
        papers.append({**_counted(one), "audited": one.audited, "found": findings})
    used = {f.severity for one in found for f in one.audited.findings}
    severities = {name: said for name, said in SEVERITIES.items() if name in used}
    return Page("audit.html", "audit.html", "Audit", {"papers": papers, "severities": severities})


def _ids_of(one: Material, number: str) -> dict[tuple[str, str, str], str]:
    """Return the addresses of a table's printed cells; as `grids` gives them on the page."""
    keys = {e.group_label: e.group for e in one.paper.entries[number]}
    table = next(t for t in one.tables if t.number == number)
    return {
        (c.group, c.row, c.label): "/".join(
            map(slug, (f"table-{number}", keys.get(c.group, c.group) or "all", c.row, c.label))
        )
        for c in table.cells
        if c.published
    }


def _link(one: Material, at: At, ids: dict[str, dict[tuple[str, str, str], str]]) -> str:
    known = ids.get(at.table, {})
    id = known.get((at.group, at.row, at.label)) or known.get(("", at.row, at.label))
    return f"{paper_file(one.paper.id)}#{id}" if id else ""


def _ledger(found: Sequence[Material]) -> Page:
    every = [(one, reading) for one in found for reading in one.readings]
    done = [_measured(one, r) for one, r in every if r.variations]
    done.sort(key=lambda line: -abs(line["effect"].value))
    most = max((abs(line["effect"].value) for line in done), default=1.0) or 1.0
    for line in done:
        line["bar"] = charts.effect_bar(line["effect"], most)
    rest: dict[tuple[str, str], list[Reading]] = {}
    for one, reading in every:
        if not reading.variations:
            rest.setdefault((one.paper.id, reading.row), []).append(reading)
    open_ones = [
        {
            "paper": paper,
            "row": row or "all rows",
            "tables": ", ".join(dict.fromkeys(p.table for r in own for p in r.places)),
            "settings": [
                (f"{name} = {value(v)}", source(s))
                for r in own
                for name, v, s in zip(r.names, r.values, r.sources, strict=True)
            ],
            "command": next((r.command for r in own if r.command), ""),
        }
        for (paper, row), own in rest.items()
    ]
    content = {"done": done, "rest": open_ones, "n": len(every), "most": f"{most:.3f}"}
    return Page("ledger.html", "ledger.html", "Open readings", content)


def _measured(one: Material, reading: Reading) -> dict[str, Any]:
    first = reading.variations[0]
    tables = dict.fromkeys(place.table for place in reading.places)
    changes = [(name, value(first.own[name]), value(first.values[name])) for name in first.values]
    return {
        "paper": one.paper.id,
        "file": paper_file(one.paper.id),
        "row": reading.row or "all rows",
        "tables": ", ".join(tables),
        "changes": changes,
        "source": source(reading.sources[0]),
        "effect": first.effects[0],
        "said": effect(first.effects[0]),
        "where": f"{first.base} → {first.row}" if first.base != first.row else first.row,
        "group": first.group,
        "others": [effect(v.effects[0]) + f" ({v.row}, {v.group})" for v in reading.variations[1:]],
        "bar": Markup(""),
    }


def _missing(found: Sequence[Material]) -> Page:
    papers = []
    for one in found:
        known = [m.seconds for m in one.missing if m.seconds is not None]
        open_ones = [m for m in one.missing if m.seeds]
        papers.append(
            {
                **_counted(one),
                "rows": [
                    (m, "" if m.seconds is None else duration(m.seconds)) for m in one.missing
                ],
                "runs": sum(len(m.seeds) for m in open_ones),
                "known": duration(sum(known)) if known else "",
                "unknown": sum(m.seconds is None for m in open_ones),
                "cannot": sum(not m.seeds for m in one.missing),
                "figures": {n: f.missing for n, f in one.figures.items() if f.missing},
            }
        )
    return Page("missing.html", "missing.html", "What is missing", {"papers": papers})
