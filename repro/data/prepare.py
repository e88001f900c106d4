"""Bring a view into the cache: fetch what is missing, and build it."""

from __future__ import annotations

from repro.data import archive, cache, manifest, views
from repro.data.download import Tell


def prepare(dataset: str, tell: Tell | None = None) -> None:
    """Bring a view into the cache: fetched where need be, and built.

    Raises
    ------
    ReproError
        If it cannot be had.
    """
    name, view = manifest.split_id(dataset)
    found = manifest.load(name)
    if found.generate or cache.missing(found, found.view(view)):
        archive.fetch(found, view=found.view(view), tell=tell)
    views.load(dataset, tell)


def is_generated(dataset: str) -> bool:
    """Return whether a view is of generated data."""
    return manifest.load(manifest.split_id(dataset)[0]).generate is not None
