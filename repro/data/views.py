"""Load a view of an archive, which is built once and then kept in the cache."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from repro import files, paths
from repro.data import cache, manifest
from repro.data.build import build, is_verified
from repro.data.manifest import Manifest
from repro.data.prepared import Funnel, Prepared
from repro.data.schema import Counts, View
from repro.data.tell import Silent, Tell
from repro.errors import DamagedError, ReproError
from repro.interactions import Dataset, Interactions, digest
from repro.strict_toml import checked

FORMAT = 3  # of the stored files; after a change every view is built again


def prepared(dataset: str) -> Prepared | None:
    """Return the description of a view, or None if it is not built."""
    found, view, folder = _located(dataset)
    if cache.missing(found, view) or not (folder / "view.json").exists():
        return None
    failure, hint = _spoiled(dataset, folder)
    known = checked(files.read_json(folder / "view.json", hint), _PREPARED, failure, hint)
    return replace(known, verified=is_verified(found, view))


_PREPARED = TypeAdapter(Prepared)


def _spoiled(dataset: str, folder: Path) -> tuple[str, str]:
    """Return what is wrong with a view that cannot be read, and what to do about it."""
    return (
        f"the view {dataset} has been damaged since it was built",
        f"delete {folder}, and it will be built again",
    )


def load(dataset: str, tell: Tell | None = None) -> Dataset:
    """Return a view; if it is not built yet, build it from the files in the cache.

    Parameters
    ----------
    dataset : str
        Archive and view: "ml-20m/liang2018".
    tell : Tell, optional
        Hears if another process has to be waited for. Who passes one shows the view's doubts.

    Warns
    -----
    UserWarning
        For each of the view's doubts, without `tell`.

    Raises
    ------
    ReproError
        If files are missing, damaged, or do not give the counts that the manifest expects.
    """
    found, view, folder = _located(dataset)
    lacking = cache.missing(found, view)
    if lacking:
        raise ReproError(
            f"{dataset} needs {', '.join(lacking)}, missing from the cache",
            f"repro fetch {found.id}",
        )
    built = False
    if not (folder / "view.json").exists():
        with cache.locked(found.id, tell or Silent()):
            for left in folder.parent.glob(".building.*"):  # by a process that was killed
                shutil.rmtree(left)
            if not (folder / "view.json").exists():
                build(found, dataset, view, folder)
                built = True
    about = prepared(dataset)
    assert about is not None, "it is built"
    for overlap in about.overlaps if built else ():
        (tell or Silent()).say(f"{dataset}: {overlap}")
    if tell is None:
        for doubt in about.doubts:
            warnings.warn(f"{dataset}: {doubt}", stacklevel=2)
    arrays = _arrays(dataset, folder)
    try:
        return _loaded(dataset, about, arrays)
    except (ValueError, TypeError, KeyError, IndexError, AssertionError) as error:  # do not fit
        failure, hint = _spoiled(dataset, folder)
        raise DamagedError(f"{failure}: {error}", hint) from error


def _loaded(dataset: str, about: Prepared, arrays: dict[str, NDArray[Any]]) -> Dataset:
    def part(name: str) -> Interactions:
        return Interactions(
            arrays[f"{name}_user"],
            arrays[f"{name}_item"],
            about.users,
            about.items,
            about.ordered,
            arrays.get(f"{name}_row"),
        )

    if (len(arrays["user_ids"]), len(arrays["item_ids"])) != (about.users, about.items):
        raise ValueError("its description and its arrays state different numbers")
    return Dataset(
        id=dataset,
        interactions=part("whole"),
        user_ids=arrays["user_ids"],
        item_ids=arrays["item_ids"],
        digest=about.digest,
        parts={name: part(name) for name in about.parts},
        verified=about.verified,
    )


def is_own(dataset: str) -> bool:
    """Return whether a view is of the user's own files, of which no hash is stated."""
    archive_id, view_name = manifest.split_id(dataset)
    if archive_id not in manifest.names():
        return False
    found = manifest.load(archive_id)
    if view_name not in found.views:
        return False
    return all(cache.is_own(found, name) for name in cache.members(found, found.view(view_name)))


def damage(dataset: str) -> str:
    """Return how a view was damaged since it was built, and what to do; "" if it was not."""
    folder = _located(dataset)[2]
    try:
        known = prepared(dataset)
        if known is None:
            return ""
        if digest(_arrays(dataset, folder)) == known.digest:
            return _strayed(dataset, known)
        failure, hint = _spoiled(dataset, folder)
        return f"{failure}: its arrays do not have its digest; {hint}"
    except ReproError as error:
        return f"{error.message}; {error.hint}"


def _strayed(dataset: str, known: Prepared) -> str:
    """Return how a view differs from its manifest, which may have changed since; "" if not."""
    expected = _located(dataset)[1].expect.model_dump(include=set(Counts.model_fields))
    expected = {kind: count for kind, count in expected.items() if count is not None}
    differs = Funnel("", known.interactions, known.users, known.items, expected).differs()
    return f"{dataset} diverges from its manifest: {'; '.join(differs)}" if differs else ""


def folder(dataset: str) -> Path:
    """Return the folder of a view, built or not; other steps or bytes have another folder."""
    return _located(dataset)[2]


def _arrays(dataset: str, folder: Path) -> dict[str, NDArray[Any]]:
    with files.reading(*_spoiled(dataset, folder)):
        arrays = sorted(folder.glob("*.npy"))
        for path in arrays:
            files.check_regular(path)
        return {path.stem: np.load(path, mmap_mode="r") for path in arrays}


def _located(dataset: str) -> tuple[Manifest, View, Path]:
    """Return manifest, view, and the folder for exactly these steps and bytes."""
    archive_id, view_name = manifest.split_id(dataset)
    found = manifest.load(archive_id)
    view = found.view(view_name)
    have = cache.receipts(found)
    raw = {name: have[name].sha256 for name in cache.members(found, view, have) if name in have}
    made_of = {
        "format": FORMAT,
        "view": view.model_dump(include={"read", "whole", "steps", "variants"}),
        "read": {part: found.read[entry].model_dump() for part, entry in view.read.items()},
        "raw": raw,
    }
    key = cache.canonical_hash(made_of)[:12]
    return found, view, paths.home() / "data" / archive_id / "views" / f"{view_name}-{key}"
