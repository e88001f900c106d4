"""What a run is called that is in no row of a table: by what sets it apart from the rows."""

from __future__ import annotations

from collections.abc import Mapping

from repro.experiment import Experiment, Spec, loops
from repro.papers.rows import Entry
from repro.plugins import MODELS
from repro.results.frozen import RowName


def named(
    run: Experiment, rows: list[Entry], other: list[str], elsewhere: Mapping[str, str]
) -> RowName:
    """Return the name of the row of a run that is in no row of the table, on the rows' view.

    Parameters
    ----------
    run : Experiment
        What was run.
    rows : list of Entry
        Those on its view, the nearest in their rules of evaluation first.
    other : list of str
        The rules in which it differs from the nearest, see `repro.experiment.departures`.
    elsewhere : mapping
        The rows of all papers, by `Experiment.seedless`.
    """
    apart = ", ".join([*rows[0].apart, *other])
    for row in rows:
        made = row.experiment()
        same = bool(other and made and made.model == run.model)
        if (fewer := _fewer_epochs(made, run.model)) or same:
            return RowName(row.row, "added" if "row" in row.added else "paper", fewer, apart)
    known = elsewhere.get(run.seedless)
    return RowName(known or _label(run.model), "other", apart=apart)


def _fewer_epochs(made: Experiment | None, model: Spec) -> str:
    """Return "n_epochs = 20 of 200" if a model differs from the row's only in fewer epochs."""
    if made is None or made.model.name != model.name:
        return ""
    full, own = loops(made.model.params), loops(model.params)
    if made.model.params != {**model.params, **full} or any(own[k] > n for k, n in full.items()):
        return ""
    return ", ".join(f"{key} = {own[key]} of {n}" for key, n in full.items() if own[key] < n)


def _label(model: Spec) -> str:
    defaults = MODELS.entry(model.name).defaults()
    changed = [f"{k}={v}" for k, v in model.params.items() if defaults.get(k) != v]
    return f"{model.name} [{', '.join(changed)}]" if changed else model.name
