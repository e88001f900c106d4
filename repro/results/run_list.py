"""The records of a folder in words: what each is a run of, when, how long, with what result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from repro.data import manifest
from repro.errors import ReproError, unknown
from repro.experiment import Experiment, Spec, departures
from repro.papers.numbers import meant
from repro.papers.paper import Paper
from repro.papers.rows import Entry
from repro.plugins import MODELS
from repro.results.chosen import Chosen
from repro.results.frozen import RowName
from repro.results.naming import labels_of, named, row_name, short_labels
from repro.runs.plan import place_names
from repro.runs.records import Record


@dataclass(frozen=True)
class Run:
    """A finished run: a record, and what it is a run of."""

    id: str
    paper: str
    """The paper, table and column group under whose protocol it was run; empty if no paper's."""
    table: str
    """A table's printed number, or "figure 3"."""
    row: str
    """The row as `repro compare` prints it; else the model with its settings."""
    group: str
    """The column group's label; else the dataset."""
    dataset: str
    model: str
    select: str
    """Which epoch counts."""
    seed: int
    smoke: bool
    began: str
    seconds: float
    """Of training and evaluation, over all attempts."""
    epoch: int
    """The epoch whose hits are kept."""
    results: dict[str, float]
    """By metric, the table's first ones first."""


def run_list(
    records: Iterable[Record],
    papers: Sequence[Paper],
    only: Sequence[str] = (),
    table: str | None = None,
    asked: Chosen | None = None,
    ids: Iterable[str] = (),
) -> list[Run]:
    """Return finished runs, the newest first.

    Parameters
    ----------
    records : iterable of Record
        All there are.
    papers : sequence of Paper
        The papers whose rows they may be.
    only : sequence of str
        Only runs of these papers; empty: all.
    table : str, optional
        Only runs of this table, or of "figure 3".
    asked : Chosen, optional
        Only runs of these rows, views, this model or dataset.
    ids : iterable of str
        Only runs whose ids begin so; empty: all.

    Raises
    ------
    ReproError
        If no run has what is asked for.
    """
    chosen, starts = asked or Chosen(), tuple(ids)
    places = _Places.of(papers)
    found = [places.described(record) for record in records]
    for start in starts:
        if not any(run.id.startswith(start) for run, _ in found):
            raise unknown("record", start, [run.id for run, _ in found])
    for row in chosen.rows:
        if not any(row.lower().strip() in names for _, names in found):
            raise unknown("row with a record", row, [run.row for run, _ in found])
    if chosen.model:
        MODELS.entry(chosen.model, "--model")
    kept = [
        run
        for run, names in found
        if (not only or run.paper in only)
        and (table is None or bool(run.table and meant(table, [run.table])))
        and (not chosen.model or run.model == chosen.model)
        and (not chosen.dataset or chosen.dataset.lower() in _data(run))
        and (not chosen.rows or bool(names & {row.lower().strip() for row in chosen.rows}))
        and (not chosen.views or bool(names & {f"view {view.lower()}" for view in chosen.views}))
        and (not starts or run.id.startswith(starts))
    ]
    if not kept and found and (only or table or starts or not chosen.is_all):
        raise ReproError("no record fits", "repro runs lists all")
    return sorted(kept, key=lambda run: run.began, reverse=True)


def _data(run: Run) -> set[str]:
    return {run.dataset.lower(), manifest.split_id(run.dataset)[0].lower()}


@dataclass(frozen=True)
class _Places:
    """The rows of papers, by what a run has in common with them."""

    rows: dict[str, Entry]
    """By `Experiment.seedless`, of real runs and of smoke runs."""
    near: dict[str, list[Entry]]
    """By `Experiment.place`."""
    papers: dict[str, Paper]

    @classmethod
    def of(cls, papers: Iterable[Paper]) -> _Places:
        """Return those of some papers; tables come before figures."""
        made = cls({}, {}, {})
        for paper in papers:
            made.papers[paper.id] = paper
            for entry in (one for entries in paper.entries.values() for one in entries):
                own, any_model = entry.experiment(), entry.under(Spec("", {}))
                if own:
                    made.rows.setdefault(own.seedless, entry)
                    made.rows.setdefault(own.smoked().seedless, entry)
                if any_model:
                    made.near.setdefault(any_model.place, []).append(entry)
        return made

    def described(self, record: Record) -> tuple[Run, set[str]]:
        """Return a run, and all that its row and its column group may be called."""
        own = record.experiment
        entry, name, short = self._row(own)
        shown = row_name(name, short) if name else f"{own.model.title()}, {own.protocol.title()}"
        names = labels_of(name, short) if name else {own.model.name}
        values = {key: result.value for key, result in record.results.items()}
        wanted = [cell.metric for cell in entry.cells] if entry else []
        order = sorted(values, key=lambda k: wanted.index(k) if k in wanted else len(wanted))
        if entry:
            views = place_names(self.papers[entry.paper], entry, True)
            names |= {f"view {one.lower()}" for one in views}
        names |= {f"view {one}" for one in (own.dataset, manifest.split_id(own.dataset)[0])}
        run = Run(
            id=record.id,
            paper=entry.paper if entry else "",
            table=entry.table if entry else "",
            row=shown,
            group=entry.group_label if entry else own.dataset,
            dataset=own.dataset,
            model=own.model.name,
            select=own.select,
            seed=own.seed,
            smoke=own.smoke,
            began=record.began,
            seconds=record.seconds,
            epoch=record.epoch,
            results={key: values[key] for key in order},
        )
        return run, names

    def _row(self, own: Experiment) -> tuple[Entry | None, RowName | None, str]:
        """Return the row of a run, or the one under whose protocol it was run; and its name."""
        if entry := self.rows.get(own.seedless):
            return entry, RowName(entry.row, "added" if "row" in entry.added else "paper"), ""
        near = self.near.get(own.place, [])
        if not near or own.model.name not in MODELS:
            return None, None, ""
        same = [e for e in near if (e.paper, e.table, e.group) == _place(near[0])]
        apart = [(departures(own, made), row) for row in same if (made := row.under(own.model))]
        apart.sort(key=lambda pair: len(pair[0]))
        rows = [row for _, row in apart]
        name = named(own, rows, apart[0][0], {})
        table = self.papers[rows[0].paper].entries[rows[0].table]
        return rows[0], name, short_labels([name], table).get(name, "")


def _place(entry: Entry) -> tuple[str, str, str]:
    return entry.paper, entry.table, entry.group
