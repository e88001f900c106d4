"""All that can change a number, save the machine: the experiment, and its id.

Model and protocol stand in it not as objects but as names with *all* parameters, defaults included:
`repro compare` must find the record of a cell without importing torch.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

from repro import metrics
from repro.errors import ReproError, unknown
from repro.plugins import MODELS, PROTOCOLS

SMOKE_EPOCHS = 2


@dataclass(frozen=True)
class Spec:
    """A plug-in by name, with every parameter it has."""

    name: str
    params: Mapping[str, Any]

    def title(self) -> str:
        """Return the name with its parameters, for people."""
        inside = ", ".join(f"{key}={value}" for key, value in self.params.items())
        return f"{self.name}({inside})"


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
        for kind in ("protocol", "model"):  # by hand: asdict copies every value, a thousand times
            spec = content[kind]
            content[kind] = {"name": spec.name, "params": dict(spec.params)}
        if not self.patience_from:
            del content["patience_from"]
        return content

    @cached_property
    def seedless(self) -> str:
        """What all seeds of the experiment share, as canonical JSON."""
        return without_seed(self.as_json())

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
            protocol=Spec(self.protocol.name, {**self.protocol.params, **changes}),
            model=Spec(self.model.name, shortened),
            smoke=True,
        )


def loops(params: Mapping[str, Any]) -> dict[str, int]:
    """Return how long each phase is trained; "warmup_epochs" of something else is none."""
    return {k: n for k, n in params.items() if k.startswith("n_") and k.endswith("epochs")}


def completed(experiment: dict[str, Any]) -> dict[str, Any]:
    """Return a record's experiment with the parameters that model and protocol have had since.

    A new parameter's default does what was done before there was a choice.
    """
    filled = dict(experiment)
    for kind, catalogue in (("model", MODELS), ("protocol", PROTOCOLS)):
        name, params = experiment[kind]["name"], experiment[kind]["params"]
        if name in catalogue:
            filled[kind] = {"name": name, "params": catalogue.entry(name).defaults() | params}
    return filled


def without_seed(experiment: Mapping[str, Any]) -> str:
    """Return canonical JSON of an experiment, as its `as_json` has it, but for the seed."""
    return canonical({key: value for key, value in experiment.items() if key != "seed"})


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
    return Spec(name, MODELS.entry(name, where).complete(given, where))


def protocol_spec(given: Mapping[str, Any], where: str) -> Spec:
    """Return a protocol with all its parameters, from a table file's ``{ name = …, … }``."""
    params = {key: value for key, value in given.items() if key != "name"}
    name = given.get("name")
    if not isinstance(name, str):
        raise ReproError(f"{where}: a protocol needs a name", "as in { name = 'leave_one_out' }")
    return Spec(name, PROTOCOLS.entry(name, where).complete(params, where))


def checked_select(select: str, where: str) -> str:
    """Return a selection rule after checking its form and its metric."""
    if select in ("last", "test:each"):
        return select
    match = re.fullmatch(r"(valid|test):(.+)", select)
    if not match:
        raise unknown("selection rule", select, ["last", "valid:METRIC", "test:METRIC"], where)
    metrics.parse(match[2], where)
    return select
