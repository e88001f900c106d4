"""What our runs have measured under a paper's protocols: each experiment with its numbers."""

from __future__ import annotations

import ast
import math
import re
import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from repro.errors import ReproError
from repro.experiment import Experiment, Spec, model_spec
from repro.papers.paper import Paper
from repro.papers.rows import Entry
from repro.papers.schema import figure_key, point
from repro.plugins import MODELS
from repro.results import figures, frozen
from repro.results.differences import paired
from repro.results.frozen import Frozen, RowName
from repro.runs.records import Record

Numbers = dict[int, tuple[float, float | None]]
"""Value and its standard error over users, by seed."""


@dataclass
class Measured:
    """An experiment, without its seed, and what its runs gave."""

    experiment: Experiment
    row: str
    """The row or line that it is for; of another run, its settings."""
    group: str
    """The column group's label."""
    added: bool = False
    """Whether the row is one of ours, or a run in no row."""
    records: list[Record] = field(default_factory=list)
    """One per seed."""
    numbers: dict[str, Numbers] = field(default_factory=dict)
    """By metric, as far as they are frozen or in the records' results."""

    @cached_property
    def flat(self) -> dict[str, Any]:
        """The settings of the experiment, as `flat` names them."""
        return flat(self.experiment)

    def of(self, metric: str) -> Numbers:
        """Return the results in a metric; one that a record was not asked for, from its hits."""
        known = dict(self.numbers.get(metric, {}))
        for record in self.records:
            if record.experiment.seed not in known and record.has(metric) and record.keeps(metric):
                found = record.result(metric)
                known[record.experiment.seed] = found.value, found.standard_error
        return known


@dataclass(frozen=True)
class Effect:
    """How far one experiment's result is above another's in a metric."""

    label: str
    """The metric as printed."""
    value: float
    standard_error: float | None
    """Null if it is not known."""
    z: float | None
    """The value over its standard error."""
    paired: bool
    """Whether the difference is taken user by user; else the errors of both are added, which is too
    much where they have the same users."""
    seeds: int
    """How many seeds both have; 0 if they share none."""


def measured(paper: Paper, records: Iterable[Record]) -> list[Measured]:
    """Return the experiments of a paper's tables and figures that have a number.

    Records come first, then frozen numbers; runs with other settings, shortened ones and those of
    the paper's other rows are among them.
    """
    found: dict[str, Measured] = {}
    entries = [e for every in paper.entries.values() for e in every]
    made = [(entry, experiment) for entry in entries if (experiment := entry.experiment())]
    _take_records(found, made, records)
    rows: dict[tuple[str, RowName, str], Measured | None] = {}
    for row in frozen.load(paper.id):
        place = row.table, row.place.name, row.group
        if place not in rows:
            rows[place] = _of_frozen(row, paper)
        if of_row := rows[place]:
            known = found.setdefault(of_row.experiment.seedless, of_row)
            if not known.records:
                known.numbers.setdefault(row.metric, {})[row.seed] = row.value, row.standard_error
    for one, metric, seed, value in _of_figures(paper):
        known = found.setdefault(one.experiment.seedless, one)
        if not known.records:
            known.numbers.setdefault(metric, {}).setdefault(seed, (value, None))
    return list(found.values())


def _take_records(
    found: dict[str, Measured], made: list[tuple[Entry, Experiment]], records: Iterable[Record]
) -> None:
    """Add what has records: rows, and runs under the protocol of one."""
    rows: dict[str, tuple[Entry, Experiment]] = {}
    places: dict[str, Entry] = {}
    for entry, experiment in made:
        rows.setdefault(experiment.seedless, (entry, experiment))
        places.setdefault(experiment.place, entry)
    for record in sorted(records, key=lambda one: one.began):
        key, where = record.experiment.seedless, places.get(record.experiment.place)
        own = record.experiment
        if own.smoke or own.external or not (key in rows or where):
            continue
        known = found.get(key)
        if known is None:
            if key in rows:
                entry, experiment = rows[key]
                known = Measured(experiment, _row(entry), entry.group_label, bool(entry.added))
            else:
                assert where is not None
                experiment = replace(record.experiment, seed=0)
                known = Measured(experiment, title(experiment.model), where.group_label, True)
            found[key] = known
        seed = record.experiment.seed
        known.records = [r for r in known.records if r.experiment.seed != seed] + [record]
        for metric, result in record.results.items():
            known.numbers.setdefault(metric, {})[seed] = result.value, result.standard_error


def _row(entry: Entry) -> str:
    drawn = entry.table.startswith(figure_key(""))
    return f"{entry.row} of {entry.table}" if drawn else entry.row


def title(model: Spec) -> str:
    """Return a model with what differs from its defaults, as frozen rows of other runs have it."""
    defaults = MODELS.entry(model.name).defaults() if model.name in MODELS else {}
    changed = [f"{k}={v}" for k, v in model.params.items() if defaults.get(k) != v]
    return f"{model.name} [{', '.join(changed)}]" if changed else model.name


def _of_frozen(row: Frozen, paper: Paper) -> Measured | None:
    """Return the experiment of a frozen number; None if its row is no longer in the table."""
    if row.table not in paper.entries:
        return None
    here = [e for e in paper.entries[row.table] if e.group_label == row.group]
    if row.origin == "other":
        place = next((e for e in here if e.recipe and not e.apart), None)
        model = _model_in(row.row)
        if place is None or model is None:
            return None
        experiment = place.under(model)
        assert experiment is not None, "it has a recipe"
        return Measured(experiment, row.row, row.group, added=True)
    wanted = "added" if row.origin == "added" else "paper"
    for entry in here:
        origin = "added" if "row" in entry.added else "paper"
        made = entry.experiment()
        if entry.row == row.row and origin == wanted and made:
            own = dict(made.model.params)
            for name, epochs in re.findall(r"(\w+) = (\d+) of \d+", row.shortened):
                own[name] = int(epochs)
            model = replace(made.model, params=own)
            return Measured(replace(made, model=model), row.row, row.group, bool(entry.added))
    return None


def _model_in(text: str) -> Spec | None:
    """Return the model of a frozen run that is in no row: "mult_vae [anneal_steps=1733]"."""
    found = re.fullmatch(r"(\w+)(?: \[(.*)\])?", text)
    if found is None or found[1] not in MODELS:
        return None
    params = {}
    for part in re.split(r", (?=\w+=)", found[2] or ""):
        name, equals, value = part.partition("=")
        if equals:
            try:
                params[name] = ast.literal_eval(value)
            except (ValueError, SyntaxError):
                params[name] = value
    try:
        return model_spec(found[1], params, text)
    except ReproError:  # a parameter that has since gone
        return None


def _of_figures(paper: Paper) -> Iterator[tuple[Measured, str, int, float]]:
    """Yield the frozen test results of figures: experiment, metric, seed, value."""
    for number, figure in paper.figures.items():
        each = figure.select == "test:each" and figure.kind == "curve"
        swept = figure.kind == "sweep" and figure.x and figure.x.param
        if figure.cases != "test" or not (each or swept):
            continue
        points = frozen.read(figures.file(paper, number), figures.Point)
        best: dict[tuple[str, str, str, float, int], float] = {}
        for one in points:
            key = one.panel, one.line, one.metric, one.x if swept else 0.0, one.seed
            best[key] = max(one.value, best.get(key, -math.inf))
        entries = {(e.group_label, e.row): e for e in paper.entries[figure_key(number)]}
        for (panel, line, label, x, seed), value in best.items():
            entry = entries.get((panel, point(line, x if swept else None)))
            metric = figure.metrics.get(label, ":")
            if entry and ":" not in metric and (made := entry.experiment()):
                yield Measured(made, _row(entry), panel, bool(entry.added)), metric, seed, value


def effect(base: Measured, other: Measured, label: str, metric: str) -> Effect | None:
    """Return how far one experiment is above another; None if they cannot be compared.

    Parameters
    ----------
    base, other : Measured
        The effect is that of going from the first to the second.
    label, metric : str
        The metric as printed, and as ours.
    """
    before, after = base.records, other.records
    if before and after:
        named = RowName(other.row), after
        found = paired(base.group, named, (RowName(base.row), before), {label: metric})
        if found:
            one = found.differences[0]
            return _effect(label, one.value, one.standard_error, True, len(found.seeds))
    mine, theirs = other.of(metric), base.of(metric)
    if not mine or not theirs:
        return None
    shared = sorted(mine.keys() & theirs.keys())
    ours = [mine[seed] for seed in shared] if shared else list(mine.values())
    of_base = [theirs[seed] for seed in shared] if shared else list(theirs.values())
    value = statistics.fmean(v for v, _ in ours) - statistics.fmean(v for v, _ in of_base)
    return _effect(label, value, _unpaired(ours, of_base, bool(shared)), False, len(shared))


def _unpaired(
    ours: list[tuple[float, float | None]],
    before: list[tuple[float, float | None]],
    same_seeds: bool,
) -> float | None:
    """Return the error of a difference of means: users of both, and what seeds make of it."""
    errors = []
    for numbers in (ours, before):
        known = [error for _, error in numbers if error]
        if not known:
            return None
        errors.append(statistics.fmean(known))
    if same_seeds and len(ours) > 1:
        gaps = [a - b for (a, _), (b, _) in zip(ours, before, strict=True)]
        errors.append(statistics.stdev(gaps) / math.sqrt(len(gaps)))
    return math.hypot(*errors)


def _effect(label: str, value: float, error: float | None, paired: bool, seeds: int) -> Effect:
    return Effect(label, value, error, value / error if error else None, paired, seeds)


def flat(experiment: Experiment) -> dict[str, Any]:
    """Return the settings of an experiment, each under a name of its own; not the seed."""
    return {
        "dataset": experiment.dataset,
        "protocol": experiment.protocol.name,
        **{f"protocol.{k}": v for k, v in experiment.protocol.params.items()},
        "model": experiment.model.name,
        **{f"model.{k}": v for k, v in experiment.model.params.items()},
        "select": experiment.select,
        "every": experiment.every,
        "patience": experiment.patience,
        "patience_from": experiment.patience_from,
    }


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> set[str]:
    """Return the settings, as `flat` names them, in which two experiments differ."""
    return {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)}
