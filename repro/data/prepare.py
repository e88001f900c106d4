"""Bring data into the cache: fetch what is missing, build its views, and check what is there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from repro.data import archive, cache, manifest, views
from repro.data.manifest import Manifest
from repro.data.tell import Tell
from repro.errors import ReproError


@dataclass(frozen=True)
class Request:
    """An archive that was asked for, whole or one view of it."""

    archive: Manifest
    view: str = ""
    """Empty for all views."""

    @property
    def views(self) -> list[str]:
        """The views that were asked for."""
        return [self.view] if self.view else list(self.archive.views)


def asked_for(names: Iterable[str]) -> list[Request]:
    """Return the archives and views of some ids, each once.

    Parameters
    ----------
    names : iterable of str
        Archives ("ml-20m") or views ("ml-20m/liang2018"). A view of an archive that is named as a
        whole is left out.

    Raises
    ------
    ReproError
        If there is no such archive or view.
    """
    ids = [manifest.split_id(name) for name in dict.fromkeys(names)]
    kept = [(name, view) for name, view in ids if not view or (name, "") not in ids]
    found = [Request(manifest.load(name), view) for name, view in kept]
    for one in found:
        for view in one.views:
            one.archive.view(view)
    return found


def fetch(asked: Request, source: Path | None, unverified: bool, tell: Tell) -> list[ReproError]:
    """Fetch what was asked for, build its views, and return all faults.

    A fault that views of one file share is returned once.

    Parameters
    ----------
    asked : Request
        What to fetch.
    source : Path, optional
        A folder with the archive or its files, in place of the network.
    unverified : bool
        Accept bytes that differ from the manifest.
    tell : Tell
        Hears the progress.
    """
    found, faults = asked.archive, dict[str, ReproError]()
    try:
        one = found.view(asked.view) if asked.view else None
        archive.fetch(found, source, view=one, unverified=unverified, tell=tell)
    except ReproError as error:
        faults[str(error)] = error
    for name in asked.views:
        try:
            if not cache.missing(found, found.view(name)):
                views.load(f"{found.id}/{name}", tell)
                if fault := views.damage(f"{found.id}/{name}"):
                    raise ReproError(fault)
        except ReproError as error:
            faults[str(error)] = error
    return list(faults.values())


def prepare(dataset: str, tell: Tell | None = None) -> None:
    """Fetch the files of a view that are missing, and build it.

    Raises
    ------
    ReproError
        If that fails.
    """
    name, view = manifest.split_id(dataset)
    found = manifest.load(name)
    if found.generate or cache.missing(found, found.view(view)):
        archive.fetch(found, view=found.view(view), tell=tell)
    views.load(dataset, tell)


def is_generated(dataset: str) -> bool:
    """Return whether a view is of generated data."""
    return manifest.load(manifest.split_id(dataset)[0]).generate is not None


@dataclass(frozen=True)
class Checked:
    """A file or view in the cache, after its bytes have been read."""

    dataset: str
    name: str
    """Of the file or view."""
    state: str
    damaged: bool


def check(found: Manifest) -> list[Checked]:
    """Return the state of every file and view of an archive that is in the cache."""
    try:
        rows = [
            Checked(found.id, name, state, state.split()[0].isupper())
            for name, state in cache.check(found).items()
        ]
        for view in found.views:
            dataset = f"{found.id}/{view}"
            if fault := views.damage(dataset):
                rows.append(Checked(found.id, view, f"DAMAGED: {fault}", True))
            elif views.prepared(dataset):
                rows.append(Checked(found.id, view, "intact", False))
    except ReproError as error:
        fault = f"DAMAGED: {error.message}; {error.hint}"
        return [Checked(found.id, "receipt.json", fault, True)]
    return rows
