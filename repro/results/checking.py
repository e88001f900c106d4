"""Check: verify data, records, frozen results, tables and manifests; nothing is changed."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from repro.data import manifest, prepare
from repro.errors import ReproError, unknown
from repro.papers import library
from repro.plugins import MODELS, PROTOCOLS, Catalogue
from repro.results import evidence, frozen
from repro.results.figures import Point
from repro.results.frozen import Frozen
from repro.results.frozen_counts import FrozenCount
from repro.runs import index, records
from repro.runs.records import Record
from repro.runs.verify import verify


@dataclass(frozen=True)
class Checked:
    """A thing that was verified."""

    kind: str
    """"file", "view", "record", "frozen", "evidence", "table", "manifest", "model", "protocol" or
    "check"."""
    name: str
    """Its id, or its path."""
    state: str
    """What was found; of what is damaged, how, and what to do."""
    damaged: bool = False
    """Whether it is not as it should be."""


Plugins = Callable[[Path], Iterable[Checked]]
"""Checks the file of a model or a protocol, which needs torch."""


def check(what: Iterable[str], runs: Path, plugins: Plugins) -> Iterator[Checked]:
    """Yield the state of everything that is named; of all that is there, if nothing is.

    Parameters
    ----------
    what : iterable of str
        Datasets, views, papers, ids or folders of records, folders of records; files of frozen
        results, tables, manifests, models and protocols.
    runs : Path
        The folder of records.
    plugins : callable
        Checks the file of a model or a protocol.

    Raises
    ------
    ReproError
        If there is nothing of a name.
    """
    named = list(what)
    for parts in [_parts_of(one, runs, plugins) for one in named] or [_everything(runs)]:
        yield from parts


def _everything(runs: Path) -> Iterator[Checked]:
    for path in manifest.files():
        yield from _guarded("manifest", path, _manifest_file)
    for name in manifest.names():
        yield from _data(name)
    for name in library.papers():
        yield from _paper(name, runs)
    for catalogue, kind in ((MODELS, "model"), (PROTOCOLS, "protocol")):
        for path in catalogue.own():
            yield from _guarded(kind, path, partial(_plugin_file, catalogue))
    yield from _records(runs)


def _plugin_file(catalogue: Catalogue, path: Path) -> str:
    return f"{_counted(parameter=len(catalogue.at(path).fields))}; name the file to run its checks"


def _parts_of(name: str, runs: Path, plugins: Plugins) -> Iterator[Checked]:
    """Return what checks a name.

    Raises
    ------
    ReproError
        If there is nothing of that name.
    """
    found: list[Iterator[Checked]] = []
    archive = manifest.split_id(name)[0]
    if name in library.papers():
        found.append(_paper(name, runs))
    if archive in manifest.names():
        prepare.asked_for([name])  # its view exists
        found.append(_data(archive, missing=True))
    if not found and os.sep not in name and os.path.lexists(runs / name):
        found.append(_records(runs, name))
    path = Path(os.path.normpath(Path(name).absolute()))
    if not found and os.path.lexists(path):
        found.append(_path(path, runs, plugins))
    if not found:
        known = [*library.papers(), *manifest.names()]
        raise unknown("paper, dataset, record or file", name, known)
    return (one for part in found for one in part)


def _path(path: Path, runs: Path, plugins: Plugins) -> Iterator[Checked]:
    """Return what checks a file or folder."""
    if path.suffix == ".toml":
        return _guarded(*_kind_of(path))
    if path.suffix == ".csv":
        return _frozen_file(path, runs)
    if path.suffix == ".py":
        return iter(plugins(path))
    if path.name == records.FILE:
        path = path.parent
    if os.path.lexists(path / records.FILE) or not path.is_dir():
        return _records(path.parent, path.name)
    return _folder(path, runs, plugins)


OWN = ("*.toml", "tables/*.toml", "data_manifests/*.toml", "models/[!_]*.py", "protocols/[!_]*.py")
"""The files of a folder of one's own."""


def _folder(path: Path, runs: Path, plugins: Plugins) -> Iterator[Checked]:
    """Return what checks a folder of records, or of files of one's own.

    Raises
    ------
    ReproError
        If nothing in it can be checked.
    """
    own = [file for pattern in OWN for file in sorted(path.glob(pattern))]
    if not own and not any(True for _ in index.present(path, records.FILE)):
        raise ReproError(
            f"there is nothing to check in {path}",
            "name a folder of records, or one with tables/, data_manifests/, models/ or protocols/",
        )
    return chain(*(_path(file, runs, plugins) for file in own), _records(path))


def _guarded(kind: str, path: Path, read: Callable[[Path], str]) -> Iterator[Checked]:
    """Yield what a file holds, or how it is damaged."""
    try:
        yield Checked(kind, str(path), read(path))
    except (ReproError, OSError) as error:
        yield _damaged(kind, str(path), error)


def _damaged(kind: str, name: str, error: ReproError | OSError | str) -> Checked:
    return Checked(kind, name, f"DAMAGED: {' '.join(str(error).split())}", True)


# Data


def _data(archive: str, missing: bool = False) -> Iterator[Checked]:
    """Yield the state of an archive's files and views; with `missing`, also if there are none."""
    try:
        source = manifest.load(archive)
    except ReproError:  # reported as a manifest
        return
    rows = prepare.check(source)
    for row in rows:
        kind = "view" if row.name in source.views and row.state[0] != "v" else "file"
        yield Checked(kind, f"{row.dataset}/{row.name}", row.state, row.damaged)
    if missing and not rows:
        yield Checked("file", archive, "not in the cache")


def _manifest_file(path: Path) -> str:
    found = manifest.at(path)
    return _counted(file=len(found.all_members()), view=len(found.views))


# Papers and frozen results


def _kind_of(path: Path) -> tuple[str, Path, Callable[[Path], str]]:
    """Return what checks a TOML file: a manifest has a section [archive]."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # the reader of tables says what is wrong
        content = {}
    if "archive" in content:
        return "manifest", path, _manifest_file
    return "table", path, _table_file


def _table_file(path: Path) -> str:
    found = library.at(path)
    said = _counted(table=len(found.tables), figure=len(found.figures))
    entries = (entry for entries in found.entries.values() for entry in entries)
    missing = {f"{entry.row}: {why}": None for entry in entries if (why := entry.missing())}
    return "; ".join([said, *missing])


def _counted(**numbers: int) -> str:
    return ", ".join(f"{n} {what}{'s' * (n != 1)}" for what, n in numbers.items())


def _paper(name: str, runs: Path) -> Iterator[Checked]:
    """Yield the state of a paper's table file and of its frozen results."""
    path = library.path_of(name)
    yield from _guarded("table", path, _table_file)
    folder = path.parent / "reference"
    numbers = [folder / f"{name}.csv", folder / "counts" / f"{name}.csv"]
    for file in [*numbers, *sorted(folder.glob(f"figures/{name}-*.csv"))]:
        if os.path.lexists(file):
            yield from _frozen_file(file, runs)


def _frozen_file(path: Path, runs: Path) -> Iterator[Checked]:
    """Yield the state of a file of frozen numbers or points, and of each damaged line."""
    kinds: dict[str, type[Any]] = {"figures": Point, "counts": FrozenCount}
    try:
        found: frozen.Parsed[Any] = frozen.parsed(path, kinds.get(path.parent.name, Frozen))
    except (ReproError, OSError) as error:
        yield _damaged("frozen", str(path), error)
        return
    known: dict[str, Record | None] = {}
    traced, faults = 0, list(found.faults)
    for row in found.rows:
        if isinstance(row, Frozen) and (record := _origin(row, runs, known)):
            traced += 1
            if differs := _differs(row, record):
                faults.append(
                    f"{path}: the line of {row.experiment}, {row.label}, seed {row.seed} "
                    f"differs from its record in {', '.join(differs)}"
                )
    for fault in faults:
        yield _damaged("frozen", str(path), f"{fault}; {frozen.REMEDY}")
    yield from _evidence(
        path, [row for row in found.rows if isinstance(row, Frozen) and row.evidence]
    )
    if not faults:
        how = "" if found.has_digests else " without digests"
        more = f", {traced} compared with their records" if traced else ""
        yield Checked("frozen", str(path), f"{_counted(line=len(found.rows))}{how} intact{more}")


def _evidence(path: Path, rows: list[Frozen]) -> Iterator[Checked]:
    """Yield the state of the evidence of frozen results."""
    found: dict[Path, str] = {}
    for row in rows:
        found[path.parent / "evidence" / f"{row.experiment}.zip"] = row.evidence
    for file, digest in found.items():
        try:
            if faults := evidence.faults(evidence.load(file, digest).path):
                yield _damaged("evidence", str(file), f"{faults[0]}; {evidence.REMEDY}")
        except ReproError as error:
            yield _damaged("evidence", str(file), error)
    if found:
        yield Checked("evidence", str(path.parent / "evidence"), f"of {_counted(run=len(found))}")


def _origin(row: Frozen, runs: Path, known: dict[str, Record | None]) -> Record | None:
    """Return the very record that a line was frozen from, if it is here."""
    if row.experiment not in known:
        known[row.experiment] = None
        with suppress(FileNotFoundError, ReproError):  # a damaged one is reported as a record
            known[row.experiment] = records.load(runs / row.experiment)
    found = known[row.experiment]
    return found if found and found.seal and found.seal == row.seal else None


def _differs(row: Frozen, record: Record) -> list[str]:
    """Return the columns in which a line differs from its record."""
    if not record.has(row.metric):
        return ["metric"]
    result = record.result(row.metric)
    made = frozen.frozen(row.place, row.metric, result, record, row.evidence)
    return [one.name for one in fields(row) if getattr(row, one.name) != getattr(made, one.name)]


# Records


def _records(runs: Path, only: str = "") -> Iterator[Checked]:
    """Yield the state of every record of a folder, or of one."""
    found = [(name, state) for name, state in index.present(runs, records.FILE, only)]
    if only and not found:
        raise ReproError(f"{runs / only} has no record", "repro status says what has been run")
    for name, state in found:
        path = str(runs / name)
        if isinstance(state, ReproError):
            yield _damaged("record", path, state)
            continue
        try:
            record = records.load(runs / name)
        except FileNotFoundError:  # a forced run is being saved this moment
            continue
        except ReproError as error:
            yield _damaged("record", path, error)
            continue
        verified = verify(record)
        seal = "sealed" if record.seal else "unsealed: from before records were sealed"
        if verified.faults:
            told = f"{runs / name / records.FILE}: {'; '.join(verified.faults)}"
            yield _damaged("record", path, told)
        else:
            yield Checked("record", path, f"{seal}; {verified.coverage}")
