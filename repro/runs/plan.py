"""Plan: resolve a selection into experiments, before the first of them starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from repro.data import manifest, prospect, views
from repro.errors import ReproError, unknown
from repro.experiment import Experiment, Need, Selection, departures, loops, model_spec
from repro.papers import library
from repro.papers.paper import Paper
from repro.papers.rows import Entry
from repro.papers.schema import figure_key
from repro.plugins import MODELS
from repro.runs.asked import Asked, settings_of, variants
from repro.runs.records import Record


@dataclass(frozen=True)
class RunPlace:
    """The row that a run is for."""

    paper: str
    table: str
    row: str
    group: str
    """The column group's label."""


@dataclass(frozen=True)
class Job:
    """An experiment, what to measure, and for whom."""

    experiment: Experiment
    metrics: tuple[str, ...]
    label: str
    """Paper, table, row, view and seed, and what sets it apart from the row: for people."""
    needs: tuple[Need, ...] = ()
    """What its record must hold besides its metrics, for figures."""
    place: RunPlace | None = None
    """The row that asked for it first."""
    digest: str = ""
    """Of its view; empty until that is in the cache, see `located`."""
    verified: bool = False
    """Whether the view's files have the hashes of their manifest, once it is located."""

    @property
    def id(self) -> str:
        """The id of its run.

        Raises
        ------
        ReproError
            If its view is not in the cache.
        """
        return self.experiment.id(self.located().digest)

    def located(self) -> Job:
        """Return the job with the digest of its view.

        Raises
        ------
        ReproError
            If its view is not in the cache.
        """
        if self.digest:
            return self
        known = views.prepared(self.experiment.dataset)
        if known is None:
            missing = f"{self.experiment.dataset} is not in the cache"
            raise ReproError(missing, f"repro fetch {self.experiment.dataset}")
        return replace(self, digest=known.digest, verified=known.verified)

    def is_done_by(self, record: Record) -> bool:
        """Return whether a record of the experiment has all that is to be measured."""
        return all(map(record.holds, self.needs)) and all(map(record.has, self.metrics))


@dataclass
class Plan:
    """Experiments, each once, and the rows that are not run."""

    jobs: list[Job] = field(default_factory=list)
    left_out: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Why, as verdict and reason, by row."""

    def located(self) -> list[Job]:
        """Return the jobs with the digests of their views, as far as these are in the cache."""
        known = {dataset: views.prepared(dataset) for dataset in self.datasets()}
        return [
            replace(job, digest=view.digest, verified=view.verified)
            if (view := known[job.experiment.dataset])
            else job
            for job in self.jobs
        ]

    def datasets(self) -> list[str]:
        """Return the views that the experiments need."""
        return list(dict.fromkeys(job.experiment.dataset for job in self.jobs))


def plan(asked: Asked) -> Plan:
    """Return the experiments of a selection.

    Raises
    ------
    ReproError
        If anything asked for does not exist, or a hyper-parameter fits no selected row.
    """
    settings = settings_of(asked)
    if asked.model:
        MODELS.entry(asked.model, "--model")
    made = Plan()
    jobs: dict[str, Job] = {}
    used: set[str] = set()
    under: set[tuple[str, str]] = set()
    for entry in _entries(asked, settings):
        if asked.every_model and entry.added and not _first(entry, under):
            continue
        label = f"{entry.paper} {entry.table} | {entry.row} | {entry.group_label}"
        obstacle = entry.obstacle()
        if obstacle and not (asked.smoke and entry.experiment()):  # toy data is always there
            made.left_out[label] = obstacle
            continue
        for seed in asked.seeds or (entry.seeds[:1] if asked.smoke else entry.seeds):
            experiment = entry.experiment(seed)
            assert experiment is not None, "its reason would have been given"
            for own in variants(settings, MODELS.entry(experiment.model.name).fields):
                used |= own.keys()
                made_of, changed = _set(experiment, own, asked)
                made_of = made_of.smoked() if asked.smoke else made_of
                job = Job(
                    made_of,
                    tuple(cell.metric for cell in entry.cells),
                    " | ".join([label, *changed, *["smoke"] * asked.smoke, f"seed {seed}"]),
                    (*entry.needs, *[Need.of("lists")] * asked.keep_lists),
                    RunPlace(entry.paper, entry.table, entry.row, entry.group_label),
                )
                known = jobs.get(made_of.key())
                jobs[made_of.key()] = _both(known, job) if known else job
    for key in sorted(settings.keys() - used):
        names = {name for job in jobs.values() for name in job.experiment.model.params}
        raise unknown("parameter of the selected rows", key, names, "--set")
    made.jobs = list(jobs.values())
    return made


def lacking(plan: Plan) -> dict[str, str]:
    """Return the views that are not in the cache, and how to obtain them."""
    lacking = [dataset for dataset in plan.datasets() if views.prepared(dataset) is None]
    return {dataset: prospect.told(dataset) for dataset in lacking}


def _entries(asked: Asked, settings: Mapping[str, Any]) -> Iterator[Entry]:
    """Yield the rows that were asked for."""
    rows: dict[str, str] = {}  # as printed, by how they may be typed
    places: dict[str, str] = {}
    wanted = {_label(row) for row in asked.rows}
    where = {view.lower() for view in asked.views}
    any_both = False
    for paper, number in _numbered(asked):
        for entry in _table_entries(paper, number, asked, settings):
            names = {n.lower(): n for n in place_names(paper, entry, asked.added)}
            rows[entry.row.lower()] = entry.row
            places |= names
            if (not wanted or entry.row.lower() in wanted) and (not where or where & set(names)):
                any_both = True
                yield entry
    if not rows:
        what = f"table {asked.table}" if asked.table else "the tables"
        raise ReproError(
            f"there is nothing to run in {what} of {', '.join(asked.papers)}",
            "repro compare shows a table that counts the data; added rows need --added",
        )
    for row in asked.rows:
        if _label(row) not in rows:
            if asked.model:
                why = f"--model puts {asked.model} in place of the table's rows"
                raise ReproError(f"--row '{row}' and --model exclude each other", why)
            raise unknown("row", row, set(rows.values()))
    for view in asked.views:
        if view.lower() not in places:
            raise unknown("view", view, set(places.values()))
    if not any_both:
        rows_named, views_named = map("', '".join, (asked.rows, asked.views))
        raise ReproError(f"row '{rows_named}' has no numbers under view '{views_named}'")


def _label(typed: str) -> str:
    """Return a row's label as it is looked up; what `repro compare` prints behind it may stand."""
    return typed.strip().lower().removesuffix(" (added)")


def place_names(paper: Paper, entry: Entry, added: bool) -> set[str]:
    """Return what an entry's place may be called: group, view, or data.

    Data that the paper has a view of means that view, and only with `added` also an added view on
    the same data.
    """
    data = {entry.dataset, manifest.split_id(entry.dataset)[0]}
    if "view" in entry.added and not added:
        data -= {*paper.datasets, *paper.archives}
    return {entry.group, entry.group_label, entry.view, *data}


def _numbered(asked: Asked) -> list[tuple[Paper, str]]:
    """Return the tables and figures that were asked for; by default, all tables."""
    if asked.figure and asked.table:
        raise ReproError("--figure and --table exclude each other", "run one after the other")
    papers = [library.load(name) for name in asked.papers]
    if asked.figure:
        found = library.numbered(papers, asked.figure, "figure")
        return [(paper, figure_key(number)) for paper, number in found]
    return library.numbered(papers, asked.table)


def _table_entries(
    paper: Paper, number: str, asked: Asked, settings: Mapping[str, Any]
) -> Iterator[Entry]:
    if paper.table(number).kind == "statistics":
        return
    if asked.model is None:
        named = {"row": asked.rows, "view": asked.views}
        for entry in paper.entries[number]:
            if asked.added or all(named[what] for what in entry.added):
                yield entry
    for model in [asked.model] if asked.model else MODELS.names() if asked.every_model else []:
        first = variants(settings, MODELS.entry(model).fields)[0]
        for entry in paper.added(number, model, first):
            if asked.added or asked.views or "view" not in entry.added:
                yield entry


def _first(entry: Entry, under: set[tuple[str, str]]) -> bool:
    """Return whether the row is the first with its model and protocol, and remember it."""
    experiment = entry.experiment()
    pair = (entry.model or "", experiment.protocol.name if experiment else "")
    new = pair not in under
    under.add(pair)
    return new


def _both(one: Job, other: Job) -> Job:
    """Return one job for two that are the same run, asked for by two tables or figures."""
    metrics = tuple(dict.fromkeys([*one.metrics, *other.metrics]))
    return replace(one, metrics=metrics, needs=tuple(dict.fromkeys([*one.needs, *other.needs])))


def _set(experiment: Experiment, own: dict[str, Any], asked: Asked) -> tuple[Experiment, list[str]]:
    """Return the experiment with the settings that were asked for, and what they change."""
    name, planned = experiment.model.name, experiment.model.params
    model = model_spec(name, {**planned, **own}, "--set")
    epochs = loops(model.params)
    if own.keys() & epochs and not any(epochs.values()):
        raise ReproError(f"--set: {name} needs an epoch, got {next(iter(epochs))}=0")
    changed = [
        f"{k} = {model.params[k]}"
        for k in sorted(own)
        if asked.model or model.params[k] != planned[k]
    ]
    rule = asked.select or experiment.select
    patience = experiment.patience if asked.patience is None else asked.patience or None
    if asked.patience and not Selection.of(rule).metric:
        raise ReproError(
            f"--patience needs a metric that selects the epoch, and select is '{rule}'",
            "as in --select valid:ndcg@10",
        )
    made = replace(
        experiment,
        model=model,
        select=rule,
        every=asked.every or experiment.every,
        patience=patience,
        patience_from=experiment.patience_from if patience else 0,
    )
    return made, changed + departures(made, experiment)
