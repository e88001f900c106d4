"""All that can change a number, save the machine: the experiment, and its id.

Model and protocol stand in it not as objects but as names with *all* parameters, defaults included:
`repro compare` must find the record of a cell without importing torch.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Literal

from repro import metrics
from repro.errors import ReproError, unknown
from repro.plugins import MODELS, PROTOCOLS

SMOKE_EPOCHS = 2


@dataclass(frozen=True)
class Spec:
    """A plug-in by name, with every parameter it has."""

    name: str
    params: Mapping[str, Any]
    id_name: str = field(default="", compare=False)
    """Its name in ids and records, if that is another: of a plug-in that was renamed."""

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {"name": self.id_name or self.name, "params": dict(self.params)}

    def title(self) -> str:
        """Return the name with its parameters, for people."""
        inside = ", ".join(f"{key}={value}" for key, value in self.params.items())
        return f"{self.name}({inside})"


@dataclass(frozen=True)
class Selection:
    """Which epoch counts, as "last", "valid:ndcg@100", "test:hit_rate@10" or "test:each" say it."""

    cases: Literal["", "valid", "test"]
    """The cases that decide; empty where the last epoch counts."""
    metric: str
    """The metric that decides; empty where the last epoch counts, or each metric for itself."""

    @classmethod
    def of(cls, text: str, where: str = "") -> "Selection":
        """Return what a selection rule says.

        Parameters
        ----------
        text : str
            The rule.
        where : str
            File and key, for the message.

        Raises
        ------
        ReproError
            If it has another form, or names no metric.
        """
        if text == "last":
            return cls("", "")
        cases, _, metric = text.partition(":")
        if cases not in ("valid", "test") or not metric:
            raise unknown("selection rule", text, ["last", "valid:METRIC", "test:METRIC"], where)
        if text == "test:each":
            return cls("test", "")
        metrics.parse(metric, where)
        return cls(cases, metric)  # type: ignore[arg-type]

    @property
    def each(self) -> bool:
        """Whether every metric has a best epoch of its own, on test."""
        return bool(self.cases and not self.metric)


@dataclass(frozen=True)
class Need:
    """What a record must hold besides its test metrics, for a figure.

    Written as "embedding:users", "loss:NAME", or cases and a metric that every look at them has
    seen: "valid:ndcg@10", "noise 0.1:ndcg@10".
    """

    kind: Literal["embedding", "loss", "metric"]
    name: str
    """Of the embedding, the loss or the metric."""
    cases: str = ""
    """Of a metric."""

    @classmethod
    def of(cls, text: str) -> "Need":
        """Return what a text says."""
        of, _, name = text.rpartition(":")
        if of in ("embedding", "loss"):
            return cls(of, name)  # type: ignore[arg-type]
        return cls("metric", name, of)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One run: data, protocol, model, which epoch counts, seed."""

    dataset: str
    """Archive and view: "ml-20m/liang2018"."""
    protocol: Spec
    model: Spec
    select: str = "last"
    """Which epoch counts: "last"; "valid:METRIC" the best on validation; "test:METRIC" the best on
    test; "test:each" the best on test of every metric by itself. The last two only where the paper
    did so."""
    every: int = 1
    """Look at the metrics after the first epoch, then every so many, and after the last."""
    patience: int | None = None
    """Stop when so many looks in a row were no better than the best; None never stops early."""
    patience_from: int = 0
    """Count those looks from this epoch of a phase on, as EVCF does while its KL weight rises."""
    seed: int = 0
    smoke: bool = False
    """Shortened, on toy data: proves that the code runs, and nothing else."""

    def as_json(self) -> dict[str, Any]:
        """Return the experiment as plain JSON values; what was added later only where it is set."""
        content = {one.name: getattr(self, one.name) for one in fields(self)}
        for kind in ("protocol", "model"):
            content[kind] = content[kind].as_json()
        if not self.patience_from:
            del content["patience_from"]
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Experiment":
        """Return the experiment of a record.

        Parameters that model and protocol have had since are added: a new parameter's default does
        what was done before there was a choice.

        Raises
        ------
        TypeError, KeyError
            If the content is not what `as_json` gives.
        """
        given = dict(content)
        for kind, catalogue in (("model", MODELS), ("protocol", PROTOCOLS)):
            name, params = given[kind]["name"], given[kind]["params"]
            if name in catalogue:
                entry = catalogue.entry(name)
                given[kind] = Spec(entry.name, entry.defaults() | params, entry.id_name)
            else:
                given[kind] = Spec(name, params)
        return cls(**given)

    @cached_property
    def selection(self) -> Selection:
        """What `select` says."""
        return Selection.of(self.select)

    @cached_property
    def seedless(self) -> str:
        """What all seeds of the experiment share, as canonical JSON."""
        return self._without("seed")

    @cached_property
    def modelless(self) -> str:
        """What all models under its protocol share, as canonical JSON."""
        return self._without("seed", "model")

    def _without(self, *left_out: str) -> str:
        return canonical({k: v for k, v in self.as_json().items() if k not in left_out})

    def key(self) -> str:
        """Return the experiment's canonical JSON."""
        return canonical(self.as_json())

    def id(self, digest: str) -> str:
        """Return the twelve digits that name the experiment on given data.

        Parameters
        ----------
        digest : str
            The dataset's digest.
        """
        return hashlib.sha256(f"{digest}\n{self.key()}".encode()).hexdigest()[:12]

    def smoked(self) -> "Experiment":
        """Return the same experiment on toy data with two epochs.

        A protocol's ``SMOKE`` says what it changes for toy data, and as "dataset" which view it
        needs.
        """
        shortened = dict(self.model.params)
        for name, value in shortened.items():
            if name.endswith("epochs") and isinstance(value, int):
                shortened[name] = min(value, SMOKE_EPOCHS)
        changes = dict(PROTOCOLS.entry(self.protocol.name).smoke)
        return replace(
            self,
            dataset=changes.pop("dataset", "toy/ratings"),
            protocol=replace(self.protocol, params={**self.protocol.params, **changes}),
            model=replace(self.model, params=shortened),
            smoke=True,
        )


def loops(params: Mapping[str, Any]) -> dict[str, int]:
    """Return how long each phase is trained; "warmup_epochs" of something else is none."""
    return {k: n for k, n in params.items() if k.startswith("n_") and k.endswith("epochs")}


def canonical(value: Mapping[str, Any]) -> str:
    """Return JSON that two equal mappings share to the letter."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def model_spec(name: str, given: Mapping[str, Any], where: str) -> Spec:
    """Return a model with all its hyper-parameters.

    Parameters
    ----------
    name : str
        The model's module, as in ``repro list models``.
    given : mapping
        The hyper-parameters that differ from the defaults.
    where : str
        File and key, for the message.
    """
    entry = MODELS.entry(name, where)
    return Spec(entry.name, entry.complete(given, where), entry.id_name)


def protocol_spec(given: Mapping[str, Any], where: str) -> Spec:
    """Return a protocol with all its parameters, from a table file's ``{ name = …, … }``."""
    params = {key: value for key, value in given.items() if key != "name"}
    name = given.get("name")
    if not isinstance(name, str):
        raise ReproError(f"{where}: a protocol needs a name", "as in { name = 'leave_one_out' }")
    entry = PROTOCOLS.entry(name, where)
    return Spec(entry.name, entry.complete(params, where), entry.id_name)
