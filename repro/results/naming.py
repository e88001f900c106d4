"""What rows are called: a run that is in no row by what sets it apart from one; and in print."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from repro.experiment import Experiment, Spec, loops
from repro.papers.rows import Entry
from repro.plugins import MODELS
from repro.results.frozen import RowName
from repro.text import one_line

OF_ORIGIN = {"paper": "", "added": "added", "other": "own"}
"""What stands behind a row's name: a row that the table file adds, or a run of your own that is in
no row. A number of your own run is called "yours", and one that is kept with the code "reference".
"""


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


def row_name(name: RowName, short: str = "") -> str:
    """Return the name of a row as it is printed, with what sets it apart from the paper's rows.

    Parameters
    ----------
    name : RowName
        The row.
    short : str
        A shorter label, of `short_labels`.
    """
    shortened = f", shortened to {name.shortened}" if name.shortened else ""
    origin = OF_ORIGIN.get(name.origin, name.origin)
    said = f"{short or name.row}{shortened}" + (f" ({origin})" if origin else "")
    return one_line(said + (f", {name.apart}" if name.apart else ""))


def short_labels(names: Iterable[RowName], rows: Iterable[Entry]) -> dict[RowName, str]:
    """Return shorter labels of runs with other settings: the row that they vary, and how.

    "ease [l2=9.0]" beside a row EASE is "EASE with l2=9.0". A name that would then mean two rows
    stays as it is.

    Parameters
    ----------
    names : iterable of RowName
        The rows of a table; those that need no shorter label are left out of what is returned.
    rows : iterable of Entry
        The rows that the table file has.
    """
    every = list(names)
    models = {name.row.partition(" [")[0] for name in every if name.origin == "other"}
    if not models:
        return {}
    of_model: dict[str, dict[str, dict[str, str]]] = {}
    for row in rows:
        made = row.experiment() if row.model and MODELS.today(row.model) in models else None
        if made:
            params = {key: str(value) for key, value in made.model.params.items()}
            of_model.setdefault(made.model.name, {}).setdefault(row.row, params)
    found = {
        name: label
        for name in every
        if name.origin == "other" and (label := _short_label(name.row, of_model))
    }
    shown = [row_name(name, found.get(name, "")).lower() for name in every]
    twice = {one for one in shown if shown.count(one) > 1}
    return {n: label for n, label in found.items() if row_name(n, label).lower() not in twice}


def _short_label(label: str, of_model: Mapping[str, Mapping[str, Mapping[str, str]]]) -> str:
    """Return what differs from the nearest row of the same model; "" if there is none."""
    model, _, inside = label.partition(" [")
    if model not in of_model:
        return ""
    defaults = {key: str(value) for key, value in MODELS.entry(model).defaults().items()}
    names = "|".join(map(re.escape, defaults))
    parts = re.split(rf"(?:^|, )({names})=", inside.removesuffix("]"))
    own = defaults | dict(zip(parts[1::2], parts[2::2], strict=True))
    differing = {
        row: [f"{key}={value}" for key, value in own.items() if params.get(key) != value]
        for row, params in of_model[model].items()
    }
    row, changes = min(differing.items(), key=lambda one: len(one[1]))
    return f"{row} with {', '.join(changes)}" if changes else ""


def named_by(label: str, names: Iterable[RowName], short: Mapping[RowName, str]) -> list[RowName]:
    """Return the rows that a typed label means: as the table has it, or as it is printed here.

    Parameters
    ----------
    label : str
        In any case; a row's own label also means its shortened runs.
    names : iterable of RowName
        The rows there are.
    short : mapping
        Their shorter labels.
    """
    wanted = one_line(label).lower().strip()
    return [name for name in names if wanted in labels_of(name, short.get(name, ""))]


def labels_of(name: RowName, short: str) -> set[str]:
    """Return all that a row may be called, in lower case."""
    own = {one_line(name.row), row_name(name), row_name(name, short), short}
    return {one.lower().strip() for one in own if one}
