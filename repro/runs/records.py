"""Records: what a finished run left, in ``runs/<id>/record.json`` with the hits next to it.

The hits of every test user at every rank are kept, one bit each: a new ranking metric, a standard
error or a paired test needs no new training. A record has a seal and the digests of its arrays, see
`repro.runs.sealed`.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from repro import metrics, strict_toml
from repro.errors import ReproError
from repro.experiment import Experiment, Selection, canonical, id_of
from repro.files import json_bytes, sync, unfinished, whole
from repro.interactions import IntArray
from repro.metrics import Result
from repro.runs import index
from repro.runs.failures import FAILURE, Failure, failure, save_failure
from repro.runs.lists import Lists
from repro.runs.record import (
    EMBEDDINGS,
    FILE,
    HITS,
    HITS_OF_LAST,
    LISTS,
    READ_LATER,
    Record,
    hits_at,
)
from repro.runs.sealed import damaged, later, opened, read_object, sealed
from repro.runs.verify import off_curve
from repro.split import SplitSummary
from repro.training import checkpoints

__all__ = [
    "EMBEDDINGS",
    "FAILURE",
    "FILE",
    "HITS",
    "Damaged",
    "Failure",
    "Record",
    "Records",
    "exists",
    "failure",
    "find",
    "load",
    "load_all",
    "save",
    "save_failure",
    "without_collections",
]


@dataclass(frozen=True)
class Damaged:
    """A record that cannot be used."""

    folder: Path
    error: ReproError

    @property
    def id(self) -> str:
        """The id that its run has by the name of its folder."""
        return self.folder.name

    @property
    def reason(self) -> str:
        """File and fault, in a line."""
        return " ".join(self.error.message.split())

    @cached_property
    def told(self) -> Experiment | None:
        """The experiment that its file tells of, if it has the id of its folder; None if not."""
        try:
            content = read_object(self.folder / FILE)
            if id_of(content["experiment"], content["digest"]) == self.id:
                return Experiment.from_json(content["experiment"])
        except (ReproError, OSError, ValueError, KeyError, TypeError, AttributeError):
            pass  # what is wrong with it is in `error`
        return None


class Records(list[Record]):
    """The records of a folder, and those in it that cannot be used."""

    def __init__(self, found: Iterable[Record] = (), damaged: Iterable[Damaged] = ()) -> None:
        super().__init__(found)
        self.damaged = list(damaged)
        """Not in the list."""


def save(
    runs: Path,
    record: Record,
    hits: metrics.Hits,
    n_targets: IntArray,
    embeddings: Mapping[str, NDArray[np.float32]] | None = None,
    may_write: Callable[[], None] = lambda: None,
    *,
    each: Mapping[int, metrics.Hits] | None = None,
    lists: Lists | None = None,
) -> Record:
    """Write a record, its hits and embeddings; the record comes last, so that it vouches for them.

    Parameters
    ----------
    runs : Path
        The folder of records.
    record : Record
        What to write.
    hits, n_targets : array
        As in `repro.training.ranking.Ranking`.
    embeddings : mapping, optional
        Of "users" and "items", a row for each.
    may_write : callable, optional
        Called before anything of the run is changed; raises if it is another process's by now.
    each : mapping, optional
        Hits at further epochs, by epoch, where each metric has its own best.
    lists : Lists, optional
        What was recommended, if it is to be kept.

    Returns
    -------
    Record
        The same, with the digests of what was written.
    """
    folder = runs / record.id
    files = (FILE, HITS, EMBEDDINGS, LISTS)
    before = [folder / name for name in files if os.path.lexists(folder / name)]
    packed = {"width": hits.shape[1], "n_targets": n_targets}
    epochs = {HITS_OF_LAST: hits} | {hits_at(at): own for at, own in (each or {}).items()}
    packed |= {name: np.packbits(own, axis=1) for name, own in epochs.items()}
    kept: dict[str, Mapping[str, Any]] = {EMBEDDINGS: embeddings} if embeddings else {}
    kept |= {LISTS: vars(lists)} if lists else {}
    with ExitStack() as written:  # it renames the last first
        file = written.enter_context(whole(folder / FILE))
        arrays = {
            name: _write_arrays(written.enter_context(whole(folder / name)), content)
            for name, content in (kept | {HITS: packed}).items()
        }
        record = replace(record, arrays=arrays, folder=folder)
        content = sealed(_content(record))
        file.write_bytes(json_bytes(content))
        sync(file)
        may_write()
        for old in before:  # an old record must not vouch for new hits
            _delete(old)
    may_write()
    checkpoints.clear(folder)
    for cut_off in (path for name in files for path in unfinished(folder, name)):
        cut_off.unlink()
    (folder / FAILURE).unlink(missing_ok=True)
    return replace(record, seal=content["seal"])


def _content(record: Record) -> dict[str, Any]:
    """Return a record as plain JSON values."""
    own = {one.name: getattr(record, one.name) for one in fields(record)}
    left_out = ("seal", "folder", *([] if record.external else ["external"]))
    return {key: value for key, value in own.items() if key not in left_out} | {
        "experiment": record.experiment.as_json(),
        "results": {k: asdict(v) for k, v in record.results.items()},
        "split": record.split and asdict(record.split),
    }


def _delete(path: Path) -> None:
    """Delete what lies where a file is to be written, even a folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _write_arrays(path: Path, arrays: Mapping[str, Any]) -> str:
    """Write arrays; return the sha256 of their file."""
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)
    sync(path)  # before anything of an old record goes
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load(folder: Path) -> Record:
    """Return the record in a run's folder.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ReproError
        If it cannot be read, or is not as it was written.
    """
    return _loaded(folder)[0]


def _loaded(folder: Path) -> tuple[Record, dict[str, Any]]:
    """Return a record, and its experiment as its file has it."""
    file = folder / FILE
    content, seal = opened(file)
    try:
        text = json.dumps(content)
        made = _schema().validate_json(text, strict=True)
        experiment = Experiment.from_json(content["experiment"])
        Selection.of(experiment.select, "experiment.select")
    except ValidationError as error:
        faults = error.errors()
        unknown = [
            str(one["loc"][-1]) for one in faults if one["type"] == "unexpected_keyword_argument"
        ]
        if unknown and seal:
            raise later(file, f"this version knows no {', '.join(unknown)}") from error
        raise damaged(file, strict_toml.first_fault(error)) from error
    except (ReproError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(file, str(error)) from error
    if not seal and (off := off_curve(made)):
        raise damaged(file, off)
    own = id_of(content["experiment"], made.digest)
    if made.id != own:
        raise damaged(file, f"its id is {made.id}, and its experiment and data have the id {own}")
    if folder.name != own:
        raise damaged(file, f"it is the record of {own}, in the folder of another run")
    return replace(made, experiment=experiment, seal=seal, folder=folder), content["experiment"]


@cache
def _schema() -> TypeAdapter[Record]:
    return TypeAdapter(Record)


def find(runs: Path, digest: str, experiment: Experiment) -> Record | None:
    """Return the record of an experiment on the data with a digest.

    It is under the experiment's id; or under another, if model or protocol had fewer parameters
    when it was made.

    Raises
    ------
    ReproError
        If the record under the experiment's id is damaged.
    """
    with suppress(FileNotFoundError):
        return load(runs / experiment.id(digest))
    for record in load_all(runs):
        if record.made_from(digest, experiment):
            return load(record.path)
    return None


def load_all(runs: Path) -> Records:
    """Return the records of a folder of runs, and those in it that cannot be used.

    What `READ_LATER` names is read from a record's file when it is asked for.
    """
    known: dict[str, Experiment] = {}
    found = Records()
    with without_collections():
        entries, faults = index.listed(runs, FILE, _summary)
        for name, entry in entries.items():
            try:
                found.append(_listed(runs / name, entry, known))
            except ReproError as error:  # its plug-in cannot be read
                faults[name] = error
    found.damaged += [Damaged(runs / name, faults[name]) for name in sorted(faults)]
    return found


@contextmanager
def without_collections() -> Iterator[None]:
    """Have Python not look for garbage while thousands of objects are made, all of which stay."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


_LISTED = [one.name for one in fields(Record) if one.name not in {*READ_LATER, "folder"}]


def _summary(folder: Path) -> list[Any]:
    """Return what an index holds of a record; of its experiment, seed and the rest as JSON."""
    record, experiment = _loaded(folder)
    seedless = canonical({key: value for key, value in experiment.items() if key != "seed"})
    own = {name: getattr(record, name) for name in _LISTED}
    own["experiment"] = seedless, record.experiment.seed
    own["results"] = {name: list(vars(one).values()) for name, one in record.results.items()}
    own["split"] = record.split and asdict(record.split)
    return [record.dirty, *own.values()]


def _listed(folder: Path, entry: list[Any], known: dict[str, Experiment]) -> Record:
    """Return a record from an index; `known` holds the experiments that were met before."""
    dirty, *values = entry
    own = dict(zip(_LISTED, values, strict=True))
    seedless, seed = own["experiment"]
    if seedless not in known:
        known[seedless] = Experiment.from_json(json.loads(seedless))
    own["experiment"] = known[seedless].of_seed(seed)
    own["results"] = {name: Result(*result) for name, result in own["results"].items()}
    own["split"] = own["split"] and SplitSummary.from_json(own["split"])
    record = object.__new__(Record)  # the index was made from checked records
    vars(record).update(own, folder=folder, dirty=dirty)
    return record


def exists(runs: Path, id: str) -> bool:
    """Return whether a run is finished."""
    return (runs / id / FILE).exists()
