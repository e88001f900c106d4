"""A record: what is known of a finished run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, ConfigDict

from repro import metrics
from repro.errors import ReproError
from repro.experiment import Experiment, Need
from repro.files import check_regular
from repro.interactions import IntArray
from repro.metrics import Result
from repro.runs.arrays import UNREADABLE, unpackbits, unpacked
from repro.runs.lists import Lists
from repro.runs.provenance import n_sources, plugins
from repro.runs.sealed import REMEDY, opened
from repro.split import SplitSummary

FILE = "record.json"
HITS = "hits.npz"
EMBEDDINGS = "embeddings.npz"
LISTS = "lists.npz"

HITS_OF_LAST = "hits"


def hits_at(epoch: int) -> str:
    """Return the name of the array with the hits of an epoch."""
    return f"hits {epoch}"


def _of_plain_values(facts: dict[str, Any]) -> dict[str, Any]:
    """Check that code, machine or a start is described by plain values."""
    for key, value in facts.items():
        if not isinstance(value, str | int | float | None):
            raise ValueError(f"{key} is neither text nor a number")
    return facts


def _of_epochs(curve: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Check that every entry has an epoch, and that losses and metrics are numbers.

    A loss that is no finite number is a word.
    """
    for entry in curve:
        if type(entry.get("epoch")) is not int:
            raise ValueError("an entry has no epoch")
        for of, values in entry.items():
            if isinstance(values, dict):
                kinds = (int, float, str) if of == "losses" else (int, float)
                if not all(isinstance(value, kinds) for value in values.values()):
                    raise ValueError(f"{of} of epoch {entry['epoch']} are not all numbers")
    return curve


def _a_moment(text: str) -> str:
    datetime.fromisoformat(text)
    return text


Facts = Annotated[dict[str, Any], AfterValidator(_of_plain_values)]
Curve = Annotated[list[dict[str, Any]], AfterValidator(_of_epochs)]
Moment = Annotated[str, AfterValidator(_a_moment)]


@dataclass(frozen=True)
class Record:
    """A finished run."""

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    id: str
    experiment: Experiment
    digest: str
    """Of the dataset."""
    verified: bool
    """Whether the data has the hashes of its manifest."""
    code: Facts
    environment: Facts
    began: Moment
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
    curve: Curve
    cases: str = ""
    """Digest of the test cases: records that share it were asked the same of the same users."""
    attempts: list[Facts] = field(default_factory=list)
    """Each start, the first and one after every interruption: code, device and time."""
    split: SplitSummary | None = None
    """What was trained on and what was asked; None for a record from before it was noted."""
    untrained: int = 0
    """Test users without a training row whom the model scored from vectors of their own."""
    peak_bytes: dict[str, int] = field(default_factory=dict)
    """The most memory that the last attempt held, of the "process" and on the "device"."""
    external: Facts = field(default_factory=dict)
    """Of scores from a file: its name, its sha256, and what of it was checked."""
    arrays: dict[str, str] = field(default_factory=dict, compare=False)
    """The sha256 of each file of arrays beside the record; empty if it is not sealed."""
    seal: str = field(default="", compare=False)
    """Digest of its file's content; empty for a record from before records were sealed."""
    folder: Path | None = field(default=None, compare=False)

    if not TYPE_CHECKING:  # else a misspelt attribute would have a type

        def __getattr__(self, name: str) -> Any:
            """Read what a list of records leaves out from the record's file, when asked for."""
            if name not in READ_LATER or "folder" not in vars(self):
                raise AttributeError(f"a record has no {name}", name=name, obj=self)
            content = self._later()
            vars(self).update({"curve": content["curve"], "environment": content["environment"]})
            vars(self)["attempts"] = content.get("attempts", [])
            vars(self)["peak_bytes"] = content.get("peak_bytes", {})
            return vars(self)[name]

    def _later(self) -> dict[str, Any]:
        """Return the content of its file again, with what a list of records leaves out."""
        content, seal = opened(self.path / FILE)
        if seal != self.seal:
            raise ReproError(f"{self.path / FILE} has changed since it was listed", "try again")
        return content

    @property
    def path(self) -> Path:
        """Its folder.

        Raises
        ------
        ValueError
            If it was not read from a file.
        """
        if self.folder is None:
            raise ValueError(f"record {self.id} was not read from a file")
        return self.folder

    def made_from(self, digest: str, experiment: Experiment) -> bool:
        """Return whether it is of an experiment on the data with a digest, whatever its id."""
        own = self.experiment
        same = self.digest == digest and own.seed == experiment.seed
        return same and own.seedless == experiment.seedless

    @cached_property
    def dirty(self) -> bool:
        """Whether the code differed from its commit, or changed after an interruption."""
        made = [self.code, *self.attempts]
        return n_sources(made) > 1 or any(code.get("dirty", False) for code in made)

    @cached_property
    def outdated(self) -> bool:
        """Whether a plug-in from outside this package, or a file that it reads, has changed."""
        if not any(name.endswith(".py") for name in self.code):
            return False
        now = plugins(self.experiment)
        gone = any(" of " in name and name not in now for name in self.code) if now else False
        return gone or any(self.code.get(name, known) != known for name, known in now.items())

    def has(self, metric: str) -> bool:
        """Return whether the record knows a metric.

        It does not where every metric has its own best epoch, and the run did not follow this one;
        nor where the metric needs more ranks than were kept. Where there was one epoch alone, as in
        a closed form, its hits tell every metric.
        """
        if metric in self.results:
            return True
        deep = metrics.parse(metric)[1] > metrics.depth(self.results)
        only_one = self.folder is not None and self.epoch <= 1  # that of the last evaluation
        return not deep and (only_one or not self.experiment.selection.each)

    def holds(self, need: Need) -> bool:
        """Return whether the record has what a figure needs."""
        if need.kind == "lists":
            return self.keeps_lists
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
        assert self.has(metric), f"run {self.id} did not follow {metric}, or not so deep"
        if metric not in self._from_hits:
            values = self.per_user(metric)
            error = metrics.standard_error(values)
            self._from_hits[metric] = Result(float(values.mean()), error, self.epoch)
        return self._from_hits[metric]

    @cached_property
    def _from_hits(self) -> dict[str, Result]:
        return {}  # several rows and tables ask for the same

    def per_user(self, metric: str) -> metrics.Values:
        """Return a test metric of every user at the epoch that counts for it.

        Raises
        ------
        ReproError
            As `hits`.
        """
        return metrics.per_user(metric, *self.hits(metric))

    def keeps(self, metric: str) -> bool:
        """Return whether the hits of the epoch are kept that counts for a metric.

        With "test:each", a record of version 0.2 has those of the last evaluation only.
        """
        if not self.has(metric):
            return False
        name = self._hits_of(metric)
        return self.folder is not None and (name == HITS_OF_LAST or name in self._arrays(HITS))

    def _hits_of(self, metric: str) -> str:
        """Return the name of the array with the hits of the epoch that counts for a metric."""
        epoch = self.results[metric].epoch if metric in self.results else self.epoch
        return HITS_OF_LAST if epoch == self.epoch else hits_at(epoch)

    def hits(self, metric: str = "") -> tuple[metrics.Hits, IntArray]:
        """Return hits, bool of shape (U, K), and targets per user, shape (U,).

        Parameters
        ----------
        metric : str
            With "test:each", whose best epoch; without a metric, the last evaluation.

        Raises
        ------
        ReproError
            If their file is missing, damaged, or not the one that was saved with the record.
        """
        hits, n_targets = self.hits_of([metric])
        return hits[metric], n_targets

    def hits_of(self, columns: Iterable[str]) -> tuple[dict[str, metrics.Hits], IntArray]:
        """Return the hits of several metrics, as `hits` does; their file is read once."""
        kept = self._arrays(HITS)
        arrays = {metric: self._hits_of(metric) for metric in columns}
        try:
            n_targets, width = kept["n_targets"], int(kept["width"])
            made = {name: unpackbits(kept[name], width) for name in set(arrays.values())}
            if n_targets.dtype.kind not in "iu" or any(
                n_targets.shape != (len(hits),) for hits in made.values()
            ):
                raise ValueError("hits and targets are not of the same users")
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise ReproError(f"{self.path / HITS} is damaged: {error}", REMEDY) from error
        return {metric: made[name] for metric, name in arrays.items()}, n_targets

    @property
    def keeps_lists(self) -> bool:
        """Whether what was recommended is kept."""
        return LISTS in self.arrays

    def lists(self) -> Lists:
        """Return what was recommended to each test user.

        Raises
        ------
        ReproError
            If the run was not asked to keep it, or its file is missing or damaged.
        """
        if not self.keeps_lists:
            raise ReproError(f"run {self.id} kept no lists", "run it again with --keep lists")
        kept = self._arrays(LISTS)
        return Lists(
            kept["items"], kept["popularity"], int(kept["n_train_users"]), kept["activity"]
        )

    def embeddings(self) -> dict[str, NDArray[np.float32]]:
        """Return the embeddings of "users" and "items"; nothing if the model has none.

        Raises
        ------
        ReproError
            As `hits`.
        """
        there = EMBEDDINGS in self.arrays if self.seal else (self.path / EMBEDDINGS).exists()
        return self._arrays(EMBEDDINGS) if there else {}

    def _arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """Return the arrays of a file beside the record."""
        file = self.path / name
        content = self._bytes(name)
        if self.seal and hashlib.sha256(content).hexdigest() != self.arrays.get(name):
            raise ReproError(f"{file} is not the file that was saved with its record", REMEDY)
        try:
            return unpacked(content)
        except UNREADABLE as error:
            raise ReproError(f"{file} cannot be read: {error}", REMEDY) from error

    def _bytes(self, name: str) -> bytes:
        """Return the content of a file beside the record."""
        file = self.path / name
        try:
            check_regular(file)  # a pipe would be waited for
            return file.read_bytes()
        except OSError as error:
            raise ReproError(f"{file} cannot be read: {error.strerror}", REMEDY) from error
        except ValueError as error:
            raise ReproError(f"{file} cannot be read: {error}", REMEDY) from error


READ_LATER = frozenset({"curve", "environment", "attempts", "peak_bytes"})
"""What an index of records does not hold, because only a single record is asked for it."""
