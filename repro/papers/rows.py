"""A row in one column group, with everything that applies there: its cells and its recipe."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from repro.data import manifest
from repro.errors import nearest
from repro.experiment import Experiment, Need, Selection, Spec, model_spec, protocol_spec
from repro.papers.schema import (
    Tolerance,
)
from repro.plugins import MODELS


@dataclass(frozen=True)
class Entry:
    """One row in one column group, with everything that applies there."""

    paper: str
    table: str
    group: str
    group_label: str
    at: str
    """The key of its numbers in the table file: the group, or the one that an added view is for."""
    view: str
    dataset: str
    redraw: float
    """As in `repro.papers.schema.View`."""
    blocked: str
    row: str
    name: str
    """The row, and its column group if there are several."""
    added: tuple[str, ...]
    """What the table file adds, and the paper does not have: "row", "view"."""
    model: str | None
    quoted_from: str
    seeds: tuple[int, ...]
    cells: tuple["Cell", ...]
    needs: tuple[Need, ...]
    """What a record must hold besides its metrics."""
    notes: tuple[tuple[str, str], ...]
    """What each is about (the row, or the row in this column group), and the note."""
    apart: tuple[str, ...]
    """What sets it apart from the other rows of its table: another view, another selection."""
    recipe: "Recipe | None"
    """What has to run; None if nothing can, as for a quotation."""

    def experiment(self, seed: int = 0) -> Experiment | None:
        """Return what to run for this row, or None if it is a quotation or its model is missing."""
        return self.recipe.experiment(seed) if self.recipe else None

    @cached_property
    def is_random(self) -> bool:
        """Whether its results depend on the seed, as far as its model says."""
        return self.model is None or MODELS.entry(self.model).is_random

    def under(self, model: Spec) -> Experiment | None:
        """Return the same with another model, or None if this is a quotation."""
        return self.recipe.under(model, 0) if self.recipe else None

    def obstacle(self) -> tuple[str, str] | None:
        """Return why this row cannot be run, as verdict and reason; None if it can."""
        if self.blocked:
            return "blocked", self.blocked
        if self.model is None and self.quoted_from:
            return "quoted", f"quoted from {self.quoted_from}, without a recipe"
        missing = self.missing()
        return ("unrun", missing) if missing else None

    def missing(self) -> str:
        """Return which manifest or model does not exist, and what may be meant; "" if both do."""
        archive = manifest.split_id(self.dataset)[0]
        if archive not in manifest.names():
            return _absent("manifest of", archive, manifest.names())
        if self.model is not None and self.model not in MODELS:
            return _absent("model", self.model, MODELS.names())
        return ""


def _absent(kind: str, name: str, known: list[str]) -> str:
    """Return that a thing does not exist yet, and which name may be meant."""
    near = nearest(name, known)
    return f"there is no {kind} {name} yet" + (f"; did you mean {near}?" if near else "")


@dataclass(frozen=True)
class Recipe:
    """An experiment without its seed, and where it is written."""

    where: str
    dataset: str
    protocol: dict[str, Any]
    model: str
    params: dict[str, Any]
    select: str
    every: int
    patience: int | None
    patience_from: int

    def experiment(self, seed: int) -> Experiment | None:
        """Return the experiment, or None while its model does not exist."""
        if self.model not in MODELS:
            self.under(Spec("", {}), seed)  # the rest of the recipe is checked anyway
            return None
        return self._first if seed == 0 else self._first.of_seed(seed)

    @cached_property
    def _first(self) -> Experiment:
        return self.under(self._model, 0)

    @cached_property
    def _model(self) -> Spec:
        return model_spec(self.model, self.params, self.where)

    @cached_property
    def _protocol(self) -> Spec:
        return protocol_spec(self.protocol, self.where)

    def under(self, model: Spec, seed: int) -> Experiment:
        """Return the experiment with any model."""
        Selection.of(self.select, self.where)
        return Experiment(
            dataset=self.dataset,
            protocol=self._protocol,
            model=model,
            select=self.select,
            every=self.every,
            patience=self.patience,
            patience_from=self.patience_from,
            seed=seed,
        )


@dataclass(frozen=True)
class Cell:
    """One published number."""

    label: str
    """The metric as the table prints it."""
    metric: str
    published: str
    """As printed."""
    tolerance: Tolerance | None
    note: str
    doubts: str = ""
    """Marks of what was printed, see `repro.results.verdicts.MARKS`."""
