"""What a table asks on one of its views: data, protocol, metrics; and the split that this gives."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from repro.data import prepare, views
from repro.errors import ReproError, unknown
from repro.experiment import Experiment, canonical
from repro.interactions import Dataset, digest
from repro.papers.paper import Paper
from repro.papers.rows import Entry
from repro.plugins import PROTOCOLS
from repro.runs.plan import place_names
from repro.split import Cases, Split


@dataclass(frozen=True)
class Place:
    """A view under a table: what is asked there, of whatever model."""

    paper: str
    table: str
    view: str
    """Its key in the table file."""
    label: str
    """As the paper prints it."""
    experiment: Experiment
    """Data and protocol, without a model."""
    metrics: Mapping[str, str]
    """Ours by printed label."""


@dataclass(frozen=True, eq=False)
class Asked:
    """A place with its data: who is asked for what."""

    place: Place
    data: Dataset
    split: Split

    @cached_property
    def digest(self) -> str:
        """The sha256 of the split: training rows and all cases, with the numbers of ids."""
        split = self.split
        arrays = {
            "train_user": split.train.user,
            "train_item": split.train.item,
            "users": split.users,
            "items": split.items,
            "test_users": split.test.queries.original,
        }
        held = {"test": split.test, "valid": split.valid}
        parts = {name: cases.digest() for name, cases in held.items() if cases}
        whole = parts | {"data": self.data.digest, "arrays": digest(arrays)}
        return hashlib.sha256(canonical(whole).encode()).hexdigest()


def place_of(paper: Paper, table: str, view: str = "") -> Place:
    """Return a view of a table.

    Parameters
    ----------
    paper : Paper
        The paper.
    table : str
        The table's printed number.
    view : str
        A dataset or column group, as for `repro run`; may be left out where there is one.

    Raises
    ------
    ReproError
        If there is no such table or view, the table counts the data, or the view has to be named.
    """
    if paper.table(table).kind == "statistics":
        raise ReproError(
            f"table {table} of {paper.id} counts the data, and nothing is ranked",
            f"its tables are {', '.join(paper.tables)}",
        )
    entries = [entry for entry in paper.entries[table] if paper.setting(entry.view)]
    own = [entry for entry in entries if entry.view not in entry.apart]
    found = [entry for entry in own if "view" not in entry.added]
    if view:
        asked = view.lower()
        found = [entry for entry in entries if entry.view.lower() == asked] or [
            e for e in own if asked in {name.lower() for name in place_names(paper, e, False)}
        ]
        if not found:
            raise unknown("view", view, {e.view for e in entries} | {e.group_label for e in own})
    places: dict[str, list[Entry]] = {}
    for entry in found:
        setting = paper.setting(entry.view)
        places.setdefault(setting.place if setting else "", []).append(entry)
    if len(places) != 1:
        names = "; ".join(entries[0].view for entries in places.values())
        raise ReproError(
            f"table {table} of {paper.id} has several views", f"name one with --view: {names}"
        )
    ((first, *rest),) = places.values()
    setting = paper.setting(first.view)
    assert setting is not None, "those without were left out"
    metrics = {cell.label: cell.metric for entry in (first, *rest) for cell in entry.cells}
    return Place(paper.id, table, first.view, first.group_label, setting, metrics)


def asked_at(place: Place) -> Asked:
    """Return a place with its data, which is fetched if it is missing.

    Raises
    ------
    ReproError
        If the data cannot be fetched, is damaged, or does not fit the protocol.
    """
    dataset = place.experiment.dataset
    prepare.prepare(dataset)
    data = views.load(dataset)
    if fault := views.damage(dataset):
        raise ReproError(fault)
    protocol = place.experiment.protocol
    split: Split = PROTOCOLS.load(protocol.name)(**protocol.arguments()).split(data)
    for name, cases in (("test", split.test), ("validation", split.valid)):
        if cases and not _are_known(cases, data):
            raise ReproError(
                f"{protocol.name} does not say which users of {dataset} it asks for in {name}",
                "give `Cases.of` their numbers in the dataset, as `original`",
            )
    return Asked(place, data, split)


def _are_known(cases: Cases, data: Dataset) -> bool:
    """Return whether every case says which user of the dataset it is about."""
    numbers = cases.queries.original
    return bool(((numbers >= 0) & (numbers < len(data.user_ids))).all())
