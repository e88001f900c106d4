"""Stated numbers: counts, settings, and what follows from other printed numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

from repro.data import manifest, views
from repro.errors import ReproError
from repro.papers.claims import Claim, Fact
from repro.papers.paper import Paper
from repro.papers.printed import Interval, agreement, computed, rounded
from repro.papers.rows import Cell, Entry
from repro.results import frozen_counts
from repro.results.claims.judgement import Compared, Judgement, combined

BY_FORMULA = {
    "sparsity": "1 - {interactions} / ({users} * {items})",
    "mean_length": "{interactions} / {users}",
}
"""Statistics that follow from others of the same view."""


def facts_on_print(paper: Paper, claim: Claim) -> Judgement:
    """Return whether stated numbers follow from other printed numbers."""
    found = [_printed(paper, fact) for fact in claim.facts]
    found += [one for entry in _counted(paper, claim) for one in _arithmetic(entry)]
    return _judged(claim, found, "unsupported", "no other printed number shows it")


def facts_on_ours(paper: Paper, claim: Claim) -> Judgement:
    """Return whether stated numbers are those of the data, or the settings of our rows."""
    found = [_here(paper, fact) for fact in claim.facts if not fact.computed]
    for entry in _counted(paper, claim):
        found += [_counts(entry, cell) for cell in entry.cells]
    return _judged(claim, found, "not run", "it is about the paper's numbers alone")


def _judged(claim: Claim, found: list[Compared], without: str, why: str) -> Judgement:
    judged = [one for one in found if one.verdict != "missing"]
    if not judged:
        reasons = dict.fromkeys(one.why for one in found)
        return Judgement(without, "; ".join(reasons) or why, compared=found)
    return Judgement(combined(claim, [one.verdict for one in judged]), compared=found)


def _counted(paper: Paper, claim: Claim) -> list[Entry]:
    """Return the rows of the statistics tables that a claim names."""
    numbers = [n for n in claim.tables if paper.table(n).kind == "statistics"]
    every = [entry for number in numbers for entry in paper.entries[number]]
    return [entry for entry in every if entry.group in claim.groups or not claim.groups]


def _fits(about: Compared, stated: str, value: Interval) -> Compared:
    """Return whether a stated number is a value, rounded or cut."""
    how = agreement(stated, value)
    low, high = float(value.low), float(value.high)
    is_ = f"{low:,.6g}" if low == high else f"{low:,.6g} to {high:,.6g}"
    said = {"rounded": "", "cut": f"{stated} is cut, not rounded: it is {is_}"}
    why = said.get(how, f"{stated} is stated, and it is {is_}")
    return replace(about, low=low, high=high, verdict="holds" if how else "fails", why=why)


def _printed(paper: Paper, fact: Fact) -> Compared:
    about = Compared(table="", data="", row=fact.stated, column=fact.computed, verdict="missing")
    if fact.computed:
        return _fits(about, fact.stated, computed(fact.computed))
    if fact.param:
        why = "a setting, which no printed number shows"
        return replace(about, column=fact.param, why=why)
    view = paper.views[fact.view]
    about = replace(about, data=view.label, column=fact.statistic)
    for number, table in paper.tables.items():
        for entry in paper.entries[number] if table.kind == "statistics" else ():
            for cell in entry.cells:
                if entry.dataset == view.dataset and cell.metric == fact.statistic:
                    where = replace(about, table=number, column=cell.label)
                    return _fits(where, fact.stated, rounded(cell.published))
    return replace(about, why=f"no table counts the {fact.statistic} of {view.label}")


def _arithmetic(entry: Entry) -> Iterator[Compared]:
    """Yield the printed statistics of a view that follow from its other ones."""
    printed = {cell.metric: cell.published for cell in entry.cells}
    for cell in entry.cells:
        formula = BY_FORMULA.get(cell.metric)
        if formula and {"users", "items", "interactions"} <= printed.keys():
            yield _fits(_of(entry, cell), cell.published, computed(formula.format(**printed)))


def _of(entry: Entry, cell: Cell) -> Compared:
    return Compared(
        table=entry.table,
        data=entry.group_label,
        row=entry.row,
        column=cell.label,
        verdict="missing",
    )


def _counts(entry: Entry, cell: Cell) -> Compared:
    return _counted_here(_of(entry, cell), cell.published, entry.dataset, cell.metric)


def _here(paper: Paper, fact: Fact) -> Compared:
    if fact.param:
        return _setting(paper, fact)
    view = paper.views[fact.view]
    about = Compared(
        table="", data=view.label, row=fact.stated, column=fact.statistic, verdict="missing"
    )
    return _counted_here(about, fact.stated, view.dataset, fact.statistic)


def _counted_here(about: Compared, stated: str, dataset: str, name: str) -> Compared:
    value = statistic(dataset, name)
    if value is None:
        return replace(about, why=f"no confirmed counts of {dataset}")
    if name == "sparsity":
        value /= 100  # as a share, like a printed number in per cent
    return _fits(about, stated, Interval(value, value))


def _setting(paper: Paper, fact: Fact) -> Compared:
    """Return whether a row of ours has a setting as stated."""
    at = fact.row
    assert at is not None, "the schema asks for it"
    entries = [e for e in paper.entries[at.table] if (e.row, e.group) == (at.row, at.group)]
    experiment = entries[0].experiment() if entries else None
    about = Compared(
        table=at.table,
        data=entries[0].group_label if entries else at.group,
        row=at.row,
        column=fact.param,
        verdict="missing",
    )
    if experiment is None:
        return replace(about, why=f"no model of {at.row}")
    of, _, name = fact.param.rpartition(".")
    places: dict[str, Mapping[str, Any]] = {
        "": experiment.model.params,
        "protocol": experiment.protocol.params,
        "data": _steps(entries[0].dataset),
    }
    if name not in places.get(of, {}):
        return replace(about, why=f"our row has no {fact.param}")
    have = _text(places[of][name])
    same = have == fact.stated or (
        _is_number(have) and _is_number(fact.stated) and (float(have) == float(fact.stated))
    )
    why = "" if same else f"{fact.stated} is stated, and our row has {have}"
    return replace(about, verdict="holds" if same else "fails", why=why)


def _steps(dataset: str) -> dict[str, Any]:
    """Return the steps of a view by name, such as min_rating."""
    archive, view = manifest.split_id(dataset)
    if archive not in manifest.names():
        return {}
    steps = manifest.load(archive).view(view).steps
    return {key: value for step in steps for key, value in step.items()}


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def statistic(dataset: str, name: str) -> Fraction | None:
    """Return a count of a view: from the data in the cache, its manifest, or the frozen counts."""
    try:
        built = views.prepared(dataset)
    except ReproError:  # its manifest is missing, or the cache is damaged, which fetch reports
        built = None
    if built is not None:
        counts = {"users": built.users, "items": built.items, "interactions": built.interactions}
    else:
        archive, view = manifest.split_id(dataset)
        if archive not in manifest.names():
            return None
        known = manifest.load(archive).view(view)
        expect = known.expect
        if known.unconfirmed or None in (expect.users, expect.items, expect.interactions):
            kept = frozen_counts.of_dataset(dataset, name)
            return Fraction(kept.value) if kept else None
        counts = {
            "users": int(expect.users or 0),
            "items": int(expect.items or 0),
            "interactions": int(expect.interactions or 0),
        }
    users, items, interactions = (
        Fraction(counts[key]) for key in ("users", "items", "interactions")
    )
    if name == "sparsity":
        return 100 * (1 - interactions / (users * items))
    return interactions / users if name == "mean_length" else Fraction(counts[name])
