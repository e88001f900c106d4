"""Records: what a finished run left, in ``runs/<id>/record.json`` with the hits next to it.

The hits of every test user at every rank are kept, one bit each: a new ranking metric, a standard
error or a paired test needs no new training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter, ValidationError

from repro import metrics
from repro.errors import ReproError
from repro.experiment import Experiment, Need
from repro.files import json_bytes, read_json, unfinished, whole, write_json
from repro.interactions import IntArray
from repro.metrics import Result
from repro.runs.provenance import n_sources, plugins
from repro.training import checkpoints

FILE = "record.json"
HITS = "hits.npz"
EMBEDDINGS = "embeddings.npz"
FAILURE = "failure.json"


@dataclass(frozen=True)
class Record:
    """A finished run."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    id: str
    experiment: Experiment
    digest: str
    """Of the dataset."""
    verified: bool
    """Whether the data has the hashes of its manifest."""
    code: dict[str, Any]
    environment: dict[str, Any]
    began: str
    seconds: float
    """Of training and evaluation, over all attempts."""
    epoch: int
    """The epoch whose hits are kept."""
    n_users: int
    """Test users."""
    tie_size: float
    """Mean number of other items that share the deciding score."""
    constant: float
    """Share of test users to whom all items score the same."""
    results: dict[str, Result]
    curve: list[dict[str, Any]]
    cases: str = ""
    """Digest of the test cases: records that share it were asked the same of the same users."""
    attempts: list[dict[str, Any]] = field(default_factory=list)
    """Each start, the first and one after every interruption: code, device and time."""
    peak_bytes: dict[str, int] = field(default_factory=dict)
    """The most memory that the last attempt held, of the "process" and on the "device"."""
    folder: Path | None = field(default=None, compare=False)

    @property
    def dirty(self) -> bool:
        """Whether the code differed from its commit, or changed after an interruption."""
        made = [self.code, *self.attempts]
        return n_sources(made) > 1 or any(code.get("dirty", False) for code in made)

    @cached_property
    def outdated(self) -> bool:
        """Whether a plug-in from outside this package has changed since."""
        now = plugins(self.experiment)
        return any(self.code.get(name, known) != known for name, known in now.items())

    def has(self, metric: str) -> bool:
        """Return whether the record knows a metric.

        It does not where every metric has its own best epoch, and the run did not follow this one.
        """
        return metric in self.results or not self.experiment.selection.each

    def holds(self, need: Need) -> bool:
        """Return whether the record has what a figure needs."""
        if need.kind == "embedding":
            return self.folder is not None and need.name in self.embeddings()
        if need.kind == "loss":  # maybe of one phase only
            return any(need.name in entry.get("losses", {}) for entry in self.curve)
        looks = [entry[need.cases] for entry in self.curve if need.cases in entry]
        return bool(looks) and all(need.name in look for look in looks)

    def result(self, metric: str) -> Result:
        """Return a test metric; one that the run was not asked for, from the hits."""
        if metric in self.results:
            return self.results[metric]
        assert self.has(metric), f"run {self.id} did not follow {metric}"
        hits, n_targets = self.hits()
        values = metrics.per_user(metric, hits, n_targets)
        return Result(float(values.mean()), metrics.standard_error(values), self.epoch)

    def hits(self) -> tuple[metrics.Hits, IntArray]:
        """Return hits, bool of shape (U, K), and targets per user, shape (U,)."""
        kept = self._arrays(HITS)
        hits = np.unpackbits(kept["hits"], axis=1, count=int(kept["width"]))
        return hits.astype(bool), kept["n_targets"]

    def embeddings(self) -> dict[str, NDArray[np.float32]]:
        """Return the embeddings of "users" and "items"; nothing if the model has none."""
        assert self.folder is not None, "a record read from a file knows its folder"
        return self._arrays(EMBEDDINGS) if (self.folder / EMBEDDINGS).exists() else {}

    def _arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """Return the arrays of a file next to the record.

        Raises
        ------
        ReproError
            If it is missing or damaged.
        """
        assert self.folder is not None, "a record read from a file knows its folder"
        try:
            with (self.folder / name).open("rb") as file, np.load(file) as kept:
                return dict(kept)
        except (OSError, ValueError, EOFError, BadZipFile) as error:
            raise ReproError(
                f"{self.folder / name} cannot be read: {error}", "delete its folder and run again"
            ) from error


def save(
    runs: Path,
    record: Record,
    hits: metrics.Hits,
    n_targets: IntArray,
    embeddings: Mapping[str, NDArray[np.float32]] | None = None,
    may_write: Callable[[], None] = lambda: None,
) -> None:
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
    """
    folder = runs / record.id
    replaced = (folder / FILE).exists()
    packed = {"hits": np.packbits(hits, axis=1), "width": hits.shape[1], "n_targets": n_targets}
    content = {
        key: value
        for key, value in vars(record).items()
        if key in Record.__dataclass_fields__ and key != "folder"
    }
    content |= {
        "experiment": record.experiment.as_json(),
        "results": {k: asdict(v) for k, v in record.results.items()},
    }
    with ExitStack() as written:  # it renames the last first
        written.enter_context(whole(folder / FILE)).write_bytes(json_bytes(content))
        if embeddings:
            _write_arrays(written.enter_context(whole(folder / EMBEDDINGS)), embeddings)
        _write_arrays(written.enter_context(whole(folder / HITS)), packed)
        may_write()
        if replaced:  # an old record must not vouch for new hits
            for name in (FILE, EMBEDDINGS):
                (folder / name).unlink(missing_ok=True)
    may_write()
    checkpoints.clear(folder)
    for cut_off in (path for name in (HITS, EMBEDDINGS, FILE) for path in unfinished(folder, name)):
        cut_off.unlink()
    (folder / FAILURE).unlink(missing_ok=True)


def _write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load(folder: Path) -> Record:
    """Return the record in a run's folder.

    Raises
    ------
    ReproError
        If it cannot be read.
    """
    try:
        content = read_json(folder / FILE)
        content["experiment"] = Experiment.from_json(content["experiment"])
        return _schema().validate_python({**content, "folder": folder})
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise ReproError(
            f"{folder / FILE} is no record of this version: {where}: {fault['msg']}",
            "delete its folder and run again",
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReproError(
            f"{folder / FILE} is no record of this version: {error}",
            "delete its folder and run again",
        ) from error


@cache
def _schema() -> TypeAdapter[Record]:
    return TypeAdapter(Record)


def find(runs: Path, digest: str, experiment: Experiment) -> Record | None:
    """Return the record of an experiment on the data with a digest.

    It is under the experiment's id; or under another, if model or protocol had fewer parameters
    when it was made.
    """
    with suppress(FileNotFoundError):
        return load(runs / experiment.id(digest))
    wanted = digest, experiment.key()
    for file in sorted(runs.glob(f"*/{FILE}")):
        with suppress(FileNotFoundError):  # a forced run is being saved this moment
            if _made_from(file, file.stat().st_mtime_ns) == wanted:
                return load(file.parent)
    return None


@cache  # called once per planned run; a file that changes has another time
def _made_from(file: Path, _changed: int) -> tuple[str, str]:
    record = load(file.parent)
    return record.digest, record.experiment.key()


def load_all(runs: Path) -> Iterator[Record]:
    """Yield every record of a folder of runs."""
    for file in sorted(runs.glob(f"*/{FILE}")):
        with suppress(FileNotFoundError):  # a forced run is being saved this moment
            yield load(file.parent)


@dataclass(frozen=True)
class Failure:
    """Why the last attempt at a run gave no record."""

    message: str
    when: str
    code: dict[str, Any]
    traceback: str = ""
    refused: bool = False
    """Whether the model cannot serve the protocol: a fact, not a failure."""


def save_failure(folder: Path, failure: Failure) -> Path:
    """Write why a run failed; return the file."""
    write_json(folder / FAILURE, asdict(failure))
    return folder / FAILURE


def failure(folder: Path) -> Failure | None:
    """Return why a run failed, if its last attempt did.

    Raises
    ------
    ReproError
        If the file that says so is damaged.
    """
    file = folder / FAILURE
    try:
        return Failure(**read_json(file)) if file.exists() else None
    except (ValueError, TypeError) as error:
        raise ReproError(f"{file} is damaged: {error}", "delete it") from error


def exists(runs: Path, id: str) -> bool:
    """Return whether a run is finished."""
    return (runs / id / FILE).exists()
