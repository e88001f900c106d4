"""The ledger: every open reading of a paper's rows, with the effect that a run of ours measured.

A reading is open where a setting is our choice, or where paper and code disagree. Two experiments
under one protocol that differ in this setting alone measure it. So do two that differ in several
open readings of a row, if one of them is a row of ours: these it measures together. And so does an
added view, for the readings of data, split and selection.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from repro.experiment import canonical, loops
from repro.hyperparameters import Source
from repro.papers.paper import Paper
from repro.papers.rows import Entry
from repro.papers.settings import SELECTION, Setting, settings
from repro.plugins import MODELS
from repro.results.measured import Effect, Measured, differing, effect, flat, measured
from repro.runs.records import Record


@dataclass(frozen=True)
class Place:
    """Where a row is printed."""

    table: str
    row: str
    group: str
    """The column group's label."""


@dataclass(frozen=True)
class Variation:
    """A run of ours that reads a setting otherwise, and what that changes."""

    row: str
    """The row with the other reading; of a run in no row, its settings."""
    base: str
    """The row with our reading."""
    group: str
    """The column group where both were measured."""
    own: dict[str, Any]
    """Our readings, by setting, as the row has them there."""
    values: dict[str, Any]
    """The other readings."""
    together: list[str]
    """What differs besides the readings, where an added view changes several settings at once."""
    epochs: str
    """The epochs of both runs, where these are fewer than the row has: "n_epochs = 60 of 300"."""
    effects: list[Effect]
    """By metric of the table. The first is the one that chooses the epoch, or else the last
    column; the ledger is ordered by it."""


@dataclass(frozen=True)
class Reading:
    """An open reading of a row: one setting, or several that a row of ours varies together."""

    paper: str
    row: str
    """As printed; empty for a reading of data or split, which all rows share."""
    model: str
    names: list[str]
    """The settings, as `repro explain` names them."""
    values: list[Any]
    """Our readings, in the same order."""
    sources: list[list[Source]]
    """Who states each of them."""
    places: list[Place]
    variations: list[Variation]
    """What measures it, the largest effect first; empty: not measured."""
    command: str
    """What would measure it; empty if only another view can."""

    @property
    def largest(self) -> Effect | None:
        """The effect that decides its place in the ledger; None if it is not measured."""
        return self.variations[0].effects[0] if self.variations else None


def readings(papers: Iterable[Paper], records: Iterable[Record]) -> list[Reading]:
    """Return the open readings of some papers' rows, the largest effects first.

    Effects are ordered by their size in standard errors, then by their size; those without a known
    error follow, and then what is not measured.

    Parameters
    ----------
    papers : iterable of Paper
        Whose rows.
    records : iterable of Record
        All there are.
    """
    every = list(records)
    found = [one for paper in papers for one in _of(paper, every)]
    return sorted(found, key=lambda one: (not one.variations, *_order(one.largest)))


def of_row(paper: Paper, entry: Entry, records: Iterable[Record]) -> list[Reading]:
    """Return the open readings of a row in a column group, the largest effects first.

    Parameters
    ----------
    paper, records
        As in `readings`.
    entry : Entry
        The row, on one of the paper's own views.
    """
    here = Place(entry.table, entry.row, entry.group_label)
    own = {here, replace(here, row="")}
    every = [e for e in paper.entries[entry.table] if e.row == entry.row or "row" in e.added]
    found = [one for one in _of(paper, list(records), every) if own & set(one.places)]
    return sorted(found, key=lambda one: (not one.variations, *_order(one.largest)))


def _order(one: Effect | None) -> tuple[bool, float, float]:
    if one is None:
        return True, 0.0, 0.0
    return one.z is None, -abs(one.z or 0.0), -abs(one.value)


@dataclass
class _Kept:
    """A reading as it is put together over the tables that print its row."""

    entry: Entry
    settings: list[Setting]
    places: dict[Place, None] = field(default_factory=dict)
    variations: dict[str, Variation] = field(default_factory=dict)


def _of(
    paper: Paper, records: list[Record], entries: Iterable[Entry] | None = None
) -> list[Reading]:
    known: dict[str, list[Measured]] = {}
    for one in measured(paper, records):
        known.setdefault(one.experiment.model.name, []).append(one)
    every = [e for number in paper.tables for e in paper.entries[number]]
    kept: dict[str, _Kept] = {}
    for entry in every if entries is None else entries:
        made = None if "view" in entry.added else entry.experiment()
        if made is None:
            continue
        listed = settings(paper, entry)
        shared = {"data", "split"} if entry.added else {"data", "split", "selection", "model"}
        open_ones = {_key(s): s for s in listed if s.open and s.part in shared}
        for setting in open_ones.values():
            _reading(kept, entry, [setting])
        aside = {_key(s) for s in listed if _aside(s)}
        family = _family(paper, entry, known.get(made.model.name, []))
        for base, on_added_view in family:
            for other in known.get(made.model.name, []):
                d = differing(base.flat, other.flat) - aside
                names = _measures(d, open_ones, other, on_added_view, family)
                if names and (found := _variation(paper, entry, base, other, names, d)):
                    reading = _reading(kept, entry, [open_ones[name] for name in names])
                    key = f"{base.row}|{base.group}|{other.row}|{other.group}|{found.epochs}"
                    reading.variations.setdefault(key, found)
    return _merged(_finished(paper, one) for one in kept.values())


def _merged(readings: Iterable[Reading]) -> list[Reading]:
    """Return the readings, those that tables print under two labels once."""
    found: dict[str, Reading] = {}
    for one in readings:
        measured_by = [[v.row, v.base, v.group, v.epochs] for v in one.variations] or one.row
        key = canonical({"names": one.names, "values": one.values, "by": measured_by})
        first = found.setdefault(key, one)
        if first is not one:
            places = list(dict.fromkeys([*first.places, *one.places]))
            found[key] = replace(first, places=places)
    return list(found.values())


def _key(setting: Setting) -> str:
    return f"model.{setting.name}" if setting.part == "model" else setting.name


def _aside(setting: Setting) -> bool:
    """Return whether a setting can change no result: technical, or unused."""
    technical = any(one.kind == "technical" for one in setting.sources)
    return technical or not setting.used


def _reading(kept: dict[str, _Kept], entry: Entry, own: list[Setting]) -> _Kept:
    """Return the reading of some settings; one of data or split is the same for all rows."""
    values = {s.name: s.value for s in own}
    sources = [[vars(one) for one in s.sources] for s in own]
    whose = entry.view if _of_view(own) else entry.row
    key = canonical({"whose": whose, "values": values, "sources": sources})
    found = kept.setdefault(key, _Kept(entry, own))
    row = "" if _of_view(own) else entry.row
    found.places[Place(entry.table, row, entry.group_label)] = None
    return found


def _of_view(own: list[Setting]) -> bool:
    return all(setting.part in ("data", "split") for setting in own)


def _family(paper: Paper, entry: Entry, known: list[Measured]) -> list[tuple[Measured, bool]]:
    """Return the runs of a row, on its own view and on those added for it, also shortened ones.

    With each comes whether it is on an added view.
    """
    same = (
        e
        for e in paper.entries[entry.table]
        if (e.row, e.at) == (entry.row, entry.at) and {*e.added} - {"view"} == {*entry.added}
    )
    found = []
    for one in same:
        own = one.experiment()
        assert own is not None, "an added view has a protocol"
        phases = {f"model.{name}" for name in loops(own.model.params)}
        whole = flat(own)
        for candidate in known:
            d = differing(whole, candidate.flat)
            if d <= phases and all(candidate.flat[name] <= whole[name] for name in d):
                found.append((candidate, "view" in one.added))
    return found


def _measures(
    d: set[str],
    open_ones: dict[str, Setting],
    other: Measured,
    on_added_view: bool,
    family: list[tuple[Measured, bool]],
) -> list[str]:
    """Return the readings that a pair of experiments measures, by what differs between them."""
    of_view = {name for name in d if name == "dataset" or name.startswith("protocol")}
    if any(other is one and added for one, added in family):
        mine = sorted(of_view & open_ones.keys()) or sorted({"select"} & d & open_ones.keys())
        return mine if not on_added_view else []
    if of_view:
        return []
    if len(d) == 1 or (other.added and len(d) > 1):
        return sorted(d) if d <= open_ones.keys() else []
    return []


def _variation(
    paper: Paper, entry: Entry, base: Measured, other: Measured, names: list[str], d: set[str]
) -> Variation | None:
    metrics = paper.table(entry.table).metrics
    chosen = base.experiment.selection.metric
    order = list(metrics.items())[::-1]
    order.sort(key=lambda pair: pair[1] != chosen)
    effects = [e for label, metric in order if (e := effect(base, other, label, metric))]
    if not effects:
        return None
    whole = entry.experiment()
    assert whole is not None, "it has a reading"
    full, run = loops(whole.model.params), loops(base.experiment.model.params)
    fewer = [f"{k} = {run[k]} of {n}" for k, n in full.items() if run[k] < n]
    if fewer and {_short(name) for name in names} <= full.keys():  # the shorter run is no base
        return None
    return Variation(
        row=other.row,
        base=base.row,
        group=other.group,
        own={_short(name): base.flat[name] for name in names},
        values={_short(name): other.flat[name] for name in names},
        together=sorted(_short(name) for name in d - set(names)),
        epochs=", ".join(fewer),
        effects=effects,
    )


def _short(key: str) -> str:
    return key.removeprefix("model.")


def _finished(paper: Paper, one: _Kept) -> Reading:
    variations = sorted(one.variations.values(), key=lambda v: _order(v.effects[0]))
    return Reading(
        paper=paper.id,
        row="" if _of_view(one.settings) else one.entry.row,
        model=one.entry.model or "",
        names=[s.name for s in one.settings],
        values=[s.value for s in one.settings],
        sources=[list(s.sources) for s in one.settings],
        places=list(one.places),
        variations=variations,
        command="" if variations else _planned(paper, one) or _command(paper, one),
    )


def _planned(paper: Paper, one: _Kept) -> str:
    """Return the run of a row of ours that varies a reading alone; "" if there is none."""
    made = one.entry.experiment()
    assert made is not None, "it has a reading"
    aside = {_key(s) for s in settings(paper, one.entry) if _aside(s)}
    for other in paper.entries[one.entry.table]:
        if other.added == ("row",) and other.at == one.entry.at and other.model == one.entry.model:
            its = other.experiment()
            d = differing(flat(made), flat(its)) - aside if its else set()
            if d == {_key(s) for s in one.settings}:
                return run_command(paper, other)
    return ""


def _command(paper: Paper, one: _Kept) -> str:
    """Return the run that would measure a reading; "" if only another view can."""
    options = []
    for setting in one.settings:
        if setting.part == "model":
            options.append(f"--set {setting.name}={_other_value(one.entry, setting)}")
        elif setting.name in SELECTION:
            value = "last" if setting.name == "select" else "N"
            options.append(f"--{setting.name.replace('_', '-')} {value}")
        else:
            return ""
    return " ".join([run_command(paper, one.entry), *options])


def _other_value(entry: Entry, setting: Setting) -> str:
    """Return another value that a hyper-parameter can have, or VALUE."""
    fields = {field.name: field for field in MODELS.entry(entry.model or "").fields}
    choices = [c for c in fields[setting.name].choices() if c != setting.value]
    return str(choices[0]).lower() if choices else "VALUE"


def run_command(paper: Paper, entry: Entry) -> str:
    """Return the command that runs a row in a column group."""
    row = entry.row if entry.row.isalnum() else '"{}"'.format(entry.row.replace('"', '\\"'))
    return f"repro run {paper.id} --table {entry.table} --row {row} --view {entry.group}"
