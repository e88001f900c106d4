"""The experiment: everything that can change a number, except the machine; and its id.

It holds model and protocol not as objects but as names with *all* parameters, defaults included:
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
    """Its name in ids and records, if different: a renamed plug-in keeps its earlier one there."""

    def as_json(self) -> dict[str, Any]:
        """Return the plug-in as plain JSON values."""
        return {"name": self.id_name or self.name, "params": dict(self.params)}

    def title(self) -> str:
        """Return the name with its parameters, for people."""
        inside = ", ".join(f"{key}={value}" for key, value in self.params.items())
        return f"{self.name}({inside})"

    def arguments(self) -> dict[str, Any]:
        """Return the parameters as a frozen dataclass wants them: tuples for lists."""
        return {k: tuple(v) if isinstance(v, list) else v for k, v in self.params.items()}


@dataclass(frozen=True)
class Selection:
    """Which epoch counts: "last", "valid:ndcg@100", "test:hit_rate@10" or "test:each"."""

    cases: Literal["", "valid", "test"]
    """The cases that decide; empty where the last epoch counts."""
    metric: str
    """The metric that decides; empty where the last epoch or each metric's own best one counts."""

    @classmethod
    def of(cls, text: str, where: str = "") -> "Selection":
        """Read a selection rule.

        Parameters
        ----------
        text : str
            The rule.
        where : str
            File and key, for the message.

        Raises
        ------
        ReproError
            If the rule has another form, or its metric does not exist.
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

    Written as "embedding:users", "loss:NAME", "lists", or as cases and a metric that every
    evaluation of them must include: "valid:ndcg@10", "noise 0.1:ndcg@10".
    """

    kind: Literal["embedding", "loss", "lists", "metric"]
    name: str
    """The name of the embedding, the loss or the metric."""
    cases: str = ""
    """The cases of a metric."""

    @classmethod
    def of(cls, text: str) -> "Need":
        """Read a need."""
        if text == "lists":
            return cls("lists", "")
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
    test; "test:each" for every metric its own best on test. The last two only where the paper did
    so."""
    every: int = 1
    """Evaluate after the first epoch, then after every so many, and after the last."""
    patience: int | None = None
    """Stop after so many evaluations in a row without a new best; None never stops early."""
    patience_from: int = 0
    """Count them only from this epoch of a phase on, as EVCF does once its KL weight has risen."""
    seed: int = 0
    smoke: bool = False
    """Shortened, on toy data: proves that the code runs, and nothing else."""
    external: str = ""
    """The name of a model outside `repro`, whose scores came in a file; then `model` has none."""

    def as_json(self) -> dict[str, Any]:
        """Return the experiment as plain JSON values; a field added later only where it is set."""
        content = {one.name: getattr(self, one.name) for one in fields(self)}
        for kind in ("protocol", "model"):
            content[kind] = content[kind].as_json()
        for later in ("patience_from", "external"):
            if not content[later]:
                del content[later]
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Experiment":
        """Return the experiment of a record.

        Parameters that model and protocol have gained since are added: the default of a new one
        does what the code did before.

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
                given[kind] = Spec(name, dict(params))
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
    def place(self) -> str:
        """Data and protocol, as canonical JSON, whatever the model and the rules of evaluation."""
        return self._without("seed", "model", "external", *RULES)

    def _without(self, *left_out: str) -> str:
        return canonical({k: v for k, v in self.as_json().items() if k not in left_out})

    def key(self) -> str:
        """Return the experiment's canonical JSON."""
        return canonical(self.as_json())

    def id(self, digest: str) -> str:
        """Return the twelve hexadecimal digits that name the experiment on given data.

        Parameters
        ----------
        digest : str
            The dataset's digest.
        """
        return id_of(self.as_json(), digest)

    def of_seed(self, seed: int) -> "Experiment":
        """Return the experiment with another seed; it shares what has been found of this one."""
        found = {name: getattr(self, name) for name in ("selection", "seedless", "place")}
        made = object.__new__(Experiment)  # thousands are listed at a time
        vars(made).update(vars(self) | found, seed=seed)
        return made

    def smoked(self) -> "Experiment":
        """Return the same experiment on toy data with two epochs.

        A protocol's ``SMOKE`` has its parameters for toy data, and as "dataset" the view that it
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


RULES = ("select", "every", "patience", "patience_from")
"""The fields of an experiment that say when it is evaluated, and which epoch counts."""


def departures(made: Experiment, planned: Experiment) -> list[str]:
    """Return the rules of evaluation that differ from the planned ones: "select = last"."""
    never = made.patience is None  # then it does not matter from which epoch on it counts
    rules = {rule: getattr(made, rule) for rule in RULES if not (never and rule == RULES[-1])}
    return [
        f"{rule} = {value or 0}" for rule, value in rules.items() if value != getattr(planned, rule)
    ]


def id_of(experiment: Mapping[str, Any], digest: str) -> str:
    """Return the id of an experiment, as plain JSON values, on the data with a digest."""
    text = f"{digest}\n{canonical(experiment)}"
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:12]


def loops(params: Mapping[str, Any]) -> dict[str, int]:
    """Return the epochs of each phase: "n_epochs" is one, "warmup_epochs" is not."""
    return {k: n for k, n in params.items() if k.startswith("n_") and k.endswith("epochs")}


def canonical(value: Mapping[str, Any]) -> str:
    """Return JSON that is the same for equal mappings, to the letter."""
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
