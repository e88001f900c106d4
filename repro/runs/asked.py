"""A selection of runs: papers, tables, rows, views, seeds, settings."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from repro import strict_toml
from repro.errors import ReproError, unknown
from repro.experiment import Selection
from repro.hyperparameters import Field
from repro.papers import library

SEEDS = 2**32
"""Above all seeds that every random number generator takes."""


MOST_SEEDS = 1000


@dataclass(frozen=True)
class Asked:
    """A selection of runs, as given on the command line."""

    papers: tuple[str, ...]
    table: str | None = None
    figure: str | None = None
    rows: tuple[str, ...] = ()
    """Empty: all of the paper's."""
    added: bool = False
    """Also the rows and views that the table files add; those that are named run anyway."""
    views: tuple[str, ...] = ()
    """Datasets or column groups; empty: all of the paper's."""
    seeds: tuple[int, ...] = ()
    """Empty: those of the table."""
    settings: tuple[tuple[str, Any], ...] = ()
    """Hyper-parameters and their values, or several values each."""
    select: str | None = None
    """Which epoch counts, instead of what the tables say, as are the next two."""
    every: int | None = None
    patience: int | None = None
    """0: never stop early."""
    keep_lists: bool = False
    """Keep the ranked items of every test user; a record without them does not count."""
    model: str | None = None
    """A model to run under the tables' protocols, instead of their own rows."""
    every_model: bool = False
    """Run every model there is, or `model` alone, once under every protocol; every model in
    addition to the tables' own rows."""
    smoke: bool = False


def asked_for(
    paper: str | None = None,
    table: str | None = None,
    figure: str | None = None,
    rows: str | Iterable[str] | None = None,
    added: bool = False,
    views: str | Iterable[str] | None = None,
    seeds: str | Iterable[int] = (),
    settings: Iterable[str] | Mapping[str, Any] | None = None,
    model: str | None = None,
    smoke: bool = False,
    select: str | None = None,
    every: int | None = None,
    patience: int | None = None,
    keep: str = "",
) -> Asked:
    """Return a selection of runs, as a command line or a notebook states it.

    Parameters
    ----------
    paper : str, optional
        A paper; with `smoke` it may be left out, for every paper and every model.
    table, figure, rows, added, views, model, smoke, select, every, patience
        As in `Asked`.
    seeds : str or iterable of int
        Seeds, or as text: "0,1,2", "0..4".
    settings : iterable of str or mapping, optional
        Hyper-parameters, by name or as "KEY=VALUE"; several values, as in "KEY=1,2", run each.
    keep : str
        "lists": keep the ranked items, see `Asked.keep_lists`.

    Raises
    ------
    ReproError
        If no paper is named, the seeds cannot be read, or the rule of selection has no such form.
    """
    if paper is None and not smoke:
        raise ReproError("which paper?", f"available: {', '.join(library.papers())}")
    if select:
        Selection.of(select, "--select")
    if keep not in ("", "lists"):
        raise unknown("thing to keep", keep, ["lists"], "--keep")
    if every is not None and every < 1:
        raise ReproError(f"--every is {every}", "evaluate every 1, 2, … epochs")
    if patience is not None and patience < 0:
        raise ReproError(f"--patience is {patience}", "0 never stops early")
    given = settings.items() if isinstance(settings, Mapping) else map(_setting, settings or ())
    return Asked(
        papers=(paper,) if paper else tuple(one.id for one in library.readable()),
        table=table,
        figure=figure,
        rows=several(rows),
        added=added,
        views=several(views),
        seeds=seeds_in(seeds if isinstance(seeds, str) else ",".join(map(str, seeds))),
        settings=tuple((key, _plain(value)) for key, value in given),
        model=model,
        every_model=smoke and paper is None,
        smoke=smoke,
        select=select,
        every=every,
        patience=patience,
        keep_lists=bool(keep),
    )


def several(names: str | Iterable[str] | None) -> tuple[str, ...]:
    """Return names that are given as one, as several, or not at all."""
    return (names,) if isinstance(names, str) else tuple(names or ())


def _plain(value: Any) -> Any:
    """Return a value of numpy as Python has it."""
    return value.item() if hasattr(value, "item") else value


def seeds_in(text: str) -> tuple[int, ...]:
    """Return the seeds that a text names: "0,1,2", "0..4", or none.

    Raises
    ------
    ReproError
        If it names none, negative ones, or too many.
    """
    found: list[int] = []
    try:
        for part in text.split(",") if text else []:
            first, dots, last = part.partition("..")
            some = range(int(first), int(last if dots else first) + 1)
            if not some or some[0] < 0 or some[-1] >= SEEDS or len(some) > MOST_SEEDS:
                raise ValueError
            found += some
    except ValueError:
        bounds = f"below {SEEDS:,}, and at most {MOST_SEEDS:,} in a row"
        raise ReproError(
            f"--seeds '{text}' does not name seeds", f"as in 0,1,2 or 0..4; {bounds}"
        ) from None
    return tuple(dict.fromkeys(found))


def settings_of(asked: Asked) -> dict[str, Any]:
    """Return the values that were asked for, by hyper-parameter."""
    settings: dict[str, Any] = {}
    for key, value in asked.settings:
        if key in settings:
            raise ReproError(f"--set gives {key} twice: {settings[key]!r} and {value!r}")
        settings[key] = value
    return settings


def variants(settings: Mapping[str, Any], fields: Iterable[Field]) -> list[dict[str, Any]]:
    """Return the settings of each run that a model is asked for, one for each combination.

    Parameters
    ----------
    settings : mapping
        Values by hyper-parameter. One that its field refuses, but whose parts it takes, as in
        "0.04,0.1", is several values. What the model does not have is left out.
    fields : iterable of Field
        The model's hyper-parameters.
    """
    own = {one.name: _values(one, settings[one.name]) for one in fields if one.name in settings}
    return [dict(zip(own, values, strict=True)) for values in product(*own.values())]


def _values(field: Field, given: Any) -> list[Any]:
    if not field.refuses(given):
        return [given]
    parts = given.split(",") if isinstance(given, str) else given
    if not isinstance(parts, list | tuple) or not parts:
        return [given]
    parts = [part.strip() if isinstance(part, str) else part for part in parts]
    return [given] if any(map(field.refuses, parts)) else list(dict.fromkeys(map(_hashable, parts)))


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _setting(text: str) -> tuple[str, Any]:
    """Return key and value of "KEY=VALUE": TOML, or as `repro show` prints it, or else a string."""
    key, equals, value = text.partition("=")
    if not equals:
        raise ReproError(f"--set '{text}' is not KEY=VALUE", "as in --set latent_dim=64")
    try:
        return key.strip(), strict_toml.parsed(f"value = {value}")["value"]
    except (ValueError, RecursionError):
        pass
    try:
        return key.strip(), ast.literal_eval(value.strip())
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return key.strip(), value.strip()
