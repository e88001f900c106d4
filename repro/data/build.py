"""Build a view of an archive: read, filter, number, check, store."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro import files
from repro.data import cache, forms
from repro.data.adjacency import looks_like_adjacency, read_adjacency
from repro.data.formats import read_json, read_negatives, read_netflix
from repro.data.manifest import Manifest
from repro.data.prepared import Funnel, Prepared
from repro.data.rows import Ids, Rows, encoded
from repro.data.schema import Step, View
from repro.data.separated import read_separated
from repro.data.steps import STEPS, catalogue_of
from repro.errors import ReproError
from repro.interactions import IntArray, Interactions, digest, from_rows


def is_verified(found: Manifest, view: View) -> bool:
    """Return whether every file of a view has the hash that its manifest states."""
    have = cache.receipts(found)
    return all(have[member].verified for member in cache.members(found, view, have))


def build(found: Manifest, dataset: str, view: View, folder: Path) -> None:
    """Build a view from files that are in the cache, and store it in a folder."""
    _check_files(found, view)
    parts = {part: _parsed(found, entry) for part, entry in view.read.items()}
    negatives = [part for part, e in view.read.items() if found.read[e].format == "negatives"]
    asked = view.whole or [part for part in parts if part != "negatives"]
    whole = [part for part in asked if part not in negatives] or asked
    expected = view.expect.model_dump(exclude_none=True, exclude={"pairs_sha256", "parts"})
    sizes = {part: len(rows) for part, rows in parts.items()}
    _check_parts(dataset, sizes, view.expect.parts)
    joined = _joined([parts[part] for part in whole])
    doubts = _doubts(dataset, parts, joined)
    if len(view.read) == 1:
        parts.clear()  # the whole is the part; a large file's rows need not stay twice
    elif joined.part is None:
        joined = replace(joined, part=np.zeros(len(joined), dtype=np.int8))
    rows, funnel, variant = _chosen(dataset, view, joined, expected)
    del joined
    users = rows.user_ids[np.flatnonzero(np.bincount(rows.user))]
    lists = [parts[part] for part in negatives if part in parts]
    items, n_more = catalogue_of(rows, lists, view.recipes()[variant])
    if n_more:
        more = f"{n_more:,} items more, which negatives name"
        funnel.append(Funnel(more, len(rows), len(users), len(items), {}))

    def numbered(some: Rows) -> Interactions:
        return from_rows(
            _numbers(some.user, some.user_ids, users, found.id, "user"),
            _numbers(some.item, some.item_ids, items, found.id, "item"),
            len(users),
            len(items),
            rows.order == "time",
            some is rows and rows.order == "file",
        )

    made = {"whole": numbered(rows)}
    for part, content in parts.items():  # parts that the archive comes with
        if part in whole:
            of = rows if rows.part is None else rows.take(rows.part == whole.index(part))
            made[part] = numbered(of)
        else:
            made[part] = numbered(content)

    funnel.append(Funnel("numbered", len(rows), len(users), len(items), expected))
    _check(dataset, funnel, made["whole"], view.expect.pairs_sha256)

    arrays = _arrays(users, items, made)
    about = Prepared(
        dataset=dataset,
        digest=digest(arrays),
        verified=is_verified(found, view),
        variant=variant,
        funnel=tuple(funnel),
        users=len(users),
        items=len(items),
        interactions=len(rows),
        ordered=rows.order == "time",
        parts=tuple(part for part in made if part != "whole"),
        overlaps=tuple(_overlaps({part: made[part] for part in whole if part in made})),
        doubts=doubts,
    )
    _store(folder, arrays, about)


def _arrays(users: Ids, items: Ids, parts: dict[str, Interactions]) -> dict[str, NDArray[Any]]:
    """Return what is stored of a view."""
    arrays: dict[str, NDArray[Any]] = {"user_ids": _text(users), "item_ids": _text(items)}
    for part, numbers in parts.items():
        arrays[f"{part}_user"], arrays[f"{part}_item"] = numbers.user, numbers.item
        if numbers.row is not None:
            arrays[f"{part}_row"] = numbers.row
    return arrays


def _overlaps(parts: dict[str, Interactions]) -> Iterator[str]:
    """Yield which parts that are summed up have rows in common, in words."""
    for one, other in combinations(parts, 2):
        known, asked = np.unique(parts[one].pairs()), parts[other].pairs()
        if n := int(np.isin(asked, known).sum()):
            yield (
                f"{n:,} of the {len(asked):,} rows of {other} are in {one}, too, and count twice; "
                f"if {one} is meant to hold {other}, leave {other} out of `whole`"
            )


def _store(folder: Path, arrays: dict[str, NDArray[Any]], about: Prepared) -> None:
    """Write a view to a temporary folder, then rename that: the view is whole or absent."""
    temporary = folder.with_name(f".building.{folder.name}.{os.getpid()}")
    temporary.mkdir(parents=True)
    try:
        files.need_room(temporary, sum(array.nbytes for array in arrays.values()))
        for name, array in arrays.items():
            with files.whole(temporary / f"{name}.npy") as path, path.open("wb") as file:
                np.save(file, array)
        files.write_json(temporary / "view.json", asdict(about))
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_files(found: Manifest, view: View) -> None:
    """Raise if a file has changed since it was fetched."""
    have = cache.receipts(found)
    for member in cache.members(found, view, have):
        file = cache.raw_folder(found.id) / member
        if cache.sha256(file) != have[member].sha256:
            raise ReproError(
                f"{file} has changed since it was fetched", "delete it and fetch again"
            )


def _parsed(found: Manifest, entry: str) -> Rows:
    """Return the rows of an entry; an error names the form that its file seems to have."""
    try:
        return _read(found, entry)
    except ReproError as error:
        is_table = found.read[entry].format == "separated"
        if is_table and looks_like_adjacency(cache.files(found, entry)[0]):
            hint = 'for lines of a user and all of its items, write format = "adjacency"'
            raise ReproError(
                error.message, "\n  ".join(filter(None, [error.hint, hint]))
            ) from error
        raise


def _read(found: Manifest, entry: str) -> Rows:
    read = found.read[entry]
    files = cache.files(found, entry)
    text = read.identifiers == "text"
    if read.format == "negatives":
        return read_negatives(files[0])
    if read.format == "adjacency":
        return read_adjacency(files[0], read.separator, text)
    if read.format == "netflix":
        return read_netflix(files, list(read.columns))
    if read.format == "json":
        return read_json(files[0], read.fields, text, read.encoding, read.time_unit)
    columns: list[str] = list(read.columns)
    how = (read, read.time_unit)
    return read_separated(files[0], read.separator, read.header, columns, text, *how)


def _joined(parts: list[Rows]) -> Rows:
    """Return the rows of all parts, one part after the other, each row with its part."""
    if len(parts) == 1:
        return parts[0]
    part = np.repeat(np.arange(len(parts)), [len(rows) for rows in parts])

    ticks = max(rows.ticks for rows in parts)

    def column(name: str) -> Any:
        columns = [getattr(rows, name) for rows in parts]
        if any(c is None for c in columns):
            return None
        if name == "time":
            columns = [c * (ticks // one.ticks) for c, one in zip(columns, parts, strict=True)]
        return np.concatenate(columns)

    users, user_ids = _united([(rows.user, rows.user_ids) for rows in parts])
    items, item_ids = _united([(rows.item, rows.item_ids) for rows in parts])
    return Rows(
        users,
        items,
        user_ids,
        item_ids,
        column("rating"),
        column("time"),
        part=part,
        ticks=ticks,
        doubts=tuple(doubt for rows in parts for doubt in rows.doubts),
        dated=all(rows.dated for rows in parts),
    )


def _doubts(dataset: str, parts: dict[str, Rows], joined: Rows) -> tuple[str, ...]:
    """Return what of the parts was read in one of several possible ways."""
    several = len(parts) > 1
    found = [
        f"{part}: {doubt}" if several else doubt
        for part, rows in parts.items()
        for doubt in rows.doubts
    ]
    for kind in ("user", "item"):
        every = {part: getattr(rows, f"{kind}_ids") for part, rows in parts.items()}
        ids: dict[str, Ids] = {part: one for part, one in every.items() if one.dtype.kind == "U"}
        try:
            found.append(forms.doubt(kind, getattr(joined, f"{kind}_ids"), ids))
        except ReproError as error:
            raise ReproError(f"{dataset}: {error.message}", error.hint) from None
    return tuple(filter(None, found))


def _united(parts: list[tuple[IntArray, Ids]]) -> tuple[IntArray, Ids]:
    """Return places in one list of identifiers, and the list, from each part's places and list."""
    if len({ids.dtype.kind for _, ids in parts}) > 1:
        raise ReproError("the identifiers of one part are text, and of another numbers")
    places, known = encoded(np.concatenate([ids for _, ids in parts]))
    begin = np.cumsum([0, *(len(ids) for _, ids in parts[:-1])])
    moved = [places[at + own] for at, (own, _) in zip(begin, parts, strict=True)]
    return np.concatenate(moved), known


def _chosen(
    dataset: str, view: View, rows: Rows, expected: dict[str, int]
) -> tuple[Rows, list[Funnel], str]:
    """Apply the steps; of several variants, the first that gives the expected counts."""
    recipes = view.recipes()
    tried = []
    for name, steps in recipes.items():
        left, funnel = _stepped(rows, steps)
        if not len(left) and len(recipes) == 1:
            empty = next(stage for stage in funnel if not stage.interactions)
            raise ReproError(
                f"{dataset}: step {empty.step} leaves no interaction", "; ".join(rows.doubts)
            )
        n_items = len(left.vocabulary) if left.vocabulary is not None else funnel[-1].items
        end = Funnel(name, len(left), funnel[-1].users, n_items, expected)
        if len(left) and (len(recipes) == 1 or not end.differs()):
            return left, funnel, name
        tried.append(f"{name}: {end.interactions:,} of {end.users:,} users, {end.items:,} items")
    want = ", ".join(f"{value:,} {kind}" for kind, value in expected.items())
    raise ReproError(f"{dataset}: no variant gives the expected {want}", "\n  ".join(tried))


def _stepped(rows: Rows, steps: list[Step]) -> tuple[Rows, list[Funnel]]:
    """Apply the steps; return the rows left, and the counts after each step."""
    funnel = [_counted("read", rows, {})]
    for step in steps:
        rows = STEPS[step.name](rows, step.argument) if len(rows) else rows
        expected = step.expect.model_dump(exclude_none=True)
        funnel.append(_counted(f"{step.name} = {step.argument}", rows, expected))
    return rows, funnel


def _counted(name: str, rows: Rows, expected: dict[str, int]) -> Funnel:
    n_users = int(np.count_nonzero(np.bincount(rows.user)))
    n_items = int(np.count_nonzero(np.bincount(rows.item)))
    return Funnel(name, len(rows), n_users, n_items, expected)


def _check_parts(dataset: str, sizes: dict[str, int], expected: dict[str, int]) -> None:
    """Raise if a part does not have the expected number of rows."""
    differs = [
        f"expected {n:,} rows of {part}, got {sizes[part]:,}"
        for part, n in expected.items()
        if sizes[part] != n
    ]
    if differs:
        raise ReproError(
            f"{dataset} diverges from its manifest when read: {'; '.join(differs)}",
            "the file is of another edition, or cut off: fetch it from another source",
        )


def _check(dataset: str, funnel: list[Funnel], whole: Interactions, pairs: str | None) -> None:
    """Raise if a view is not what the manifest expects; name the first step that diverges."""
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


def _numbers(places: IntArray, ids: Ids, known: Ids, dataset: str, kind: str) -> IntArray:
    """Return the number of each row's identifier: its place among those known."""
    if ids.dtype.kind != known.dtype.kind:
        raise ReproError(f"{dataset}: the identifiers of one part are text, and of another numbers")
    order = np.argsort(known)
    place = np.minimum(np.searchsorted(known, ids, sorter=order), len(known) - 1)
    number = order[place].astype(np.int32)
    number[known[number] != ids] = -1
    numbers = number[places]
    strange = np.flatnonzero(numbers < 0)
    if len(strange):
        lost = ids[places[strange[0]]]
        raise ReproError(f"{dataset}: {kind} {lost} occurs in no training or test row")
    return numbers


def _text(ids: Ids) -> NDArray[np.str_]:
    return ids.astype(np.str_)
