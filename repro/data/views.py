"""Build a view of an archive, once, and load it: steps, funnel, numbering, digest."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro import paths
from repro.data import archive, manifest
from repro.data.formats import Ids, Rows, read_negatives, read_separated
from repro.data.manifest import Manifest, Step, View
from repro.data.steps import STEPS, sorted_ids
from repro.errors import ReproError
from repro.interactions import Dataset, Interactions, digest, from_rows

FORMAT = 1  # of the files below; a change makes every view be built anew


@dataclass(frozen=True)
class Funnel:
    """What a step left, and what it should have left."""

    step: str
    interactions: int
    users: int
    items: int
    expected: dict[str, int]

    def differs(self) -> list[str]:
        """Return "kind: expected, got" for every count that is not as expected."""
        got = asdict(self)
        return [
            f"{kind} expected {value:,}, got {got[kind]:,}"
            for kind, value in self.expected.items()
            if got[kind] != value
        ]


@dataclass(frozen=True)
class Prepared:
    """What is known of a view that has been built."""

    dataset: str
    digest: str
    verified: bool
    funnel: tuple[Funnel, ...]
    users: int
    items: int
    interactions: int
    ordered: bool
    parts: tuple[str, ...]

    def statistic(self, name: str) -> float:
        """Return a statistic that papers print; sparsity in per cent."""
        if name == "sparsity":
            return 100.0 * (1.0 - self.interactions / (self.users * self.items))
        if name == "mean_length":
            return self.interactions / self.users
        return float(getattr(self, name))


def prepared(dataset: str) -> Prepared | None:
    """Return what is known of a view, or None while it is not built."""
    found, view, folder = _located(dataset)
    if archive.missing(found) or not (folder / "view.json").exists():
        return None
    known = json.loads((folder / "view.json").read_text())
    known["verified"] = _verified(found, view)
    funnel = tuple(Funnel(**entry) for entry in known.pop("funnel"))
    return Prepared(**known | {"funnel": funnel, "parts": tuple(known["parts"])})


def load(dataset: str) -> Dataset:
    """Return a view, built if need be, from files that are in the cache.

    Parameters
    ----------
    dataset : str
        Archive and view: "ml-20m/liang2018".

    Raises
    ------
    ReproError
        If files are missing, damaged, or do not give the counts that the manifest expects.
    """
    found, view, folder = _located(dataset)
    lacking = archive.missing(found)
    if lacking:
        raise ReproError(
            f"{found.id} is not in the cache: {', '.join(lacking)} missing",
            f"repro fetch {found.id}",
        )
    if not (folder / "view.json").exists():
        _build(found, dataset, view, folder)
    about = prepared(dataset)
    assert about is not None
    arrays = {path.stem: np.load(path, mmap_mode="r") for path in folder.glob("*.npy")}

    def part(name: str) -> Interactions:
        return Interactions(
            arrays[f"{name}_user"], arrays[f"{name}_item"], about.users, about.items, about.ordered
        )

    return Dataset(
        id=dataset,
        interactions=part("whole"),
        user_ids=arrays["user_ids"],
        item_ids=arrays["item_ids"],
        digest=about.digest,
        parts={name: part(name) for name in about.parts},
        verified=about.verified,
    )


def _located(dataset: str) -> tuple[Manifest, View, Path]:
    """Return manifest, view, and the folder that a view of exactly this making has."""
    archive_id, view_name = manifest.split_id(dataset)
    found = manifest.load(archive_id)
    view = found.view(view_name)
    have = archive.receipts(found)
    made_of = {
        "format": FORMAT,
        "view": view.model_dump(include={"read", "whole", "steps"}),
        "read": {part: found.read[entry].model_dump() for part, entry in view.read.items()},
        "raw": {member: have[member].sha256 for member in _members(found, view) if member in have},
    }
    key = archive.canonical_hash(made_of)[:12]
    return found, view, paths.home() / "data" / archive_id / "views" / f"{view_name}-{key}"


def _verified(found: Manifest, view: View) -> bool:
    have = archive.receipts(found)
    return all(have[member].verified for member in _members(found, view))


def _members(found: Manifest, view: View) -> list[str]:
    return [found.read[entry].member for entry in view.read.values()]


def _build(found: Manifest, dataset: str, view: View, folder: Path) -> None:
    _check_files(found, view)
    files = {part: _read(found, entry) for part, entry in view.read.items()}
    whole = view.whole or [part for part in files if part != "negatives"]
    rows, funnel = _stepped(_joined([files[part] for part in whole]), view.parsed_steps())
    users = sorted_ids(rows.user)
    items = sorted_ids(rows.item) if rows.vocabulary is None else rows.vocabulary

    def numbered(some: Rows) -> Interactions:
        return from_rows(
            _numbers(some.user, users, found.id, "user"),
            _numbers(some.item, items, found.id, "item"),
            len(users),
            len(items),
            rows.ordered,
        )

    made = {"whole": numbered(rows)}
    if len(view.read) > 1:  # the archive comes with parts of its own
        for part, content in files.items():
            if part in whole:
                assert rows.part is not None
                made[part] = numbered(rows.take(rows.part == whole.index(part)))
            else:
                made[part] = numbered(content)

    expected = view.expect.model_dump(exclude_none=True, exclude={"pairs_sha256"})
    funnel.append(Funnel("numbered", len(rows), len(users), len(items), expected))
    _check(dataset, funnel, made["whole"], view.expect.pairs_sha256)

    arrays: dict[str, NDArray[Any]] = {"user_ids": _text(users), "item_ids": _text(items)}
    for part, numbers in made.items():
        arrays[f"{part}_user"], arrays[f"{part}_item"] = numbers.user, numbers.item
    about = Prepared(
        dataset=dataset,
        digest=digest(arrays),
        verified=_verified(found, view),
        funnel=tuple(funnel),
        users=len(users),
        items=len(items),
        interactions=len(rows),
        ordered=rows.ordered,
        parts=tuple(part for part in made if part != "whole"),
    )
    _store(folder, arrays, about)


def _store(folder: Path, arrays: dict[str, NDArray[Any]], about: Prepared) -> None:
    """Write a view in a folder of its own, then give it its name: whole or absent."""
    temporary = folder.with_name(f".building.{folder.name}.{os.getpid()}")
    temporary.mkdir(parents=True)
    try:
        for name, array in arrays.items():
            np.save(temporary / f"{name}.npy", array)
        paths.write_json(temporary / "view.json", asdict(about))
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_files(found: Manifest, view: View) -> None:
    """Refuse files that are not what they were when they were fetched."""
    have = archive.receipts(found)
    for member in _members(found, view):
        file = archive.raw_folder(found.id) / member
        if archive.digests(file)["sha256"] != have[member].sha256:
            raise ReproError(
                f"{file} has changed since it was fetched", "delete it and fetch again"
            )


def _read(found: Manifest, entry: str) -> Rows:
    read = found.read[entry]
    path = archive.raw_folder(found.id) / read.member
    if read.format == "negatives":
        return read_negatives(path)
    return read_separated(path, read.separator, read.header, list(read.columns))


def _joined(parts: list[Rows]) -> Rows:
    """Return the rows of all parts, one after the other, each with its part."""
    part = np.repeat(np.arange(len(parts)), [len(rows) for rows in parts])

    def column(name: str) -> Any:
        columns = [getattr(rows, name) for rows in parts]
        return None if any(c is None for c in columns) else np.concatenate(columns)

    return Rows(column("user"), column("item"), column("rating"), column("time"), part=part)


def _stepped(rows: Rows, steps: list[Step]) -> tuple[Rows, list[Funnel]]:
    """Apply the steps; return what is left, and the counts on the way."""
    funnel = [_counted("read", rows, {})]
    for step in steps:
        rows = STEPS[step.name](rows, step.argument)
        if not len(rows):
            raise ReproError(f"step {step.name} = {step.argument} leaves no interaction")
        expected = step.expect.model_dump(exclude_none=True)
        funnel.append(_counted(f"{step.name} = {step.argument}", rows, expected))
    return rows, funnel


def _counted(name: str, rows: Rows, expected: dict[str, int]) -> Funnel:
    n_users, n_items = len(np.unique(rows.user)), len(np.unique(rows.item))
    return Funnel(name, len(rows), n_users, n_items, expected)


def _check(dataset: str, funnel: list[Funnel], whole: Interactions, pairs: str | None) -> None:
    """Refuse a view that is not what the manifest expects, naming the first step that diverges."""
    for stage in funnel:
        if stage.differs():
            raise ReproError(
                f"{dataset} diverges from its manifest at step '{stage.step}'",
                "; ".join(stage.differs()),
            )
    if pairs:
        got = hashlib.sha256(pairs_text(whole)).hexdigest()
        if got != pairs:
            raise ReproError(
                f"{dataset} has the right counts, but not the right rows or order",
                f"sha256 of the pairs expected {pairs}, got {got}",
            )


def pairs_text(rows: Interactions) -> bytes:
    """Return "user item" lines, numbers from 1: the form of ACVAE's files."""
    lines = np.char.add(np.char.add((rows.user + 1).astype(str), " "), (rows.item + 1).astype(str))
    return ("\n".join(lines.tolist()) + "\n").encode()


def _numbers(ids: Ids, known: Ids, dataset: str, kind: str) -> NDArray[np.int64]:
    """Return the place of each identifier among those known."""
    order = np.argsort(known)
    place = np.minimum(np.searchsorted(known, ids, sorter=order), len(known) - 1)
    number = order[place]
    strange = known[number] != ids
    if strange.any():
        raise ReproError(f"{dataset}: {kind} {ids[strange][0]} occurs in no training or test row")
    return number


def _text(ids: Ids) -> NDArray[np.str_]:
    return ids.astype(np.str_)
