"""A paper: its views, its tables and figures, and their rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from repro.data import manifest
from repro.errors import unknown
from repro.experiment import Experiment, Spec, protocol_spec
from repro.papers.claims import Claim, label_of
from repro.papers.numbers import meant
from repro.papers.resolve import Resolver
from repro.papers.rows import Entry
from repro.papers.schema import About, Figure, PaperFile, Table, View


@dataclass(frozen=True)
class Paper:
    """A paper: what it is, its views, its tables and figures, and their rows.

    The runs that a figure needs are a table, too, under the figure's key: "figure 3".
    """

    id: str
    path: Path
    about: About
    views: dict[str, View]
    tables: dict[str, Table]
    figures: dict[str, Figure]
    claims: tuple[Claim, ...]
    """In the order of the file."""
    resolvers: dict[str, Resolver]
    """Tables and figures, by number and key."""
    entries: dict[str, tuple[Entry, ...]]
    """Their rows, one entry for each column group, in printed order."""

    @classmethod
    def of(cls, paper: str, path: Path, content: PaperFile) -> Paper:
        """Return a paper with its rows resolved."""
        resolvers = {
            number: Resolver(paper, path, content.views, number, table)
            for number, table in content.with_figures().items()
        }
        entries = {number: tuple(resolver.entries()) for number, resolver in resolvers.items()}
        given = content.paper, content.views, content.tables, content.figures, tuple(content.claims)
        return cls(paper, path, *given, resolvers, entries)

    def number(self, table: str) -> str:
        """Return the printed number of a table: "2" also means Table II, "figure 3" a figure.

        Raises
        ------
        ReproError
            If there is no such table.
        """
        found = meant(table, self.resolvers)
        if found is None:
            raise unknown(f"table of {self.id}", table, self.tables)
        return found

    def figure_number(self, figure: str) -> str:
        """Return the printed number of a figure, which may be typed in the other numerals.

        Raises
        ------
        ReproError
            If there is no such figure.
        """
        found = meant(figure, self.figures)
        if found is None:
            raise unknown(f"figure of {self.id}", figure, self.figures)
        return found

    def figure(self, number: str) -> Figure:
        """Return one figure by its printed number."""
        if number not in self.figures:
            raise unknown(f"figure of {self.id}", number, self.figures)
        return self.figures[number]

    def table(self, number: str) -> Table:
        """Return one table by its printed number; by a figure's key, the runs that it needs."""
        if number not in self.resolvers:
            raise unknown(f"table of {self.id}", number, self.tables)
        return self.resolvers[number].table

    def setting(self, view: str) -> Experiment | None:
        """Return data and protocol of a view, without a model; None where nothing is ranked."""
        own = self.views[view]
        if own.protocol is None:
            return None
        where = f"{self.path}, views.{view}.protocol"
        return Experiment(
            dataset=own.dataset, protocol=protocol_spec(own.protocol, where), model=Spec("", {})
        )

    def stands_for(self, entry: Entry) -> Experiment | None:
        """Return whose number a row shows: its run's; without a model, that of scores of its name.

        None where nothing is ranked.
        """
        if entry.recipe:
            return entry.experiment()
        setting = self.setting(entry.view)
        return replace(setting, external=entry.row) if setting else None

    def added(self, number: str, model: str, settings: Mapping[str, Any]) -> Iterator[Entry]:
        """Yield a row of any model under a table's views, protocol and selection."""
        self.table(number)
        return self.resolvers[number].added(model, settings)

    @cached_property
    def experiments(self) -> tuple[Experiment, ...]:
        """The experiments of all tables, with one seed, as far as the models exist."""
        return self._experiments(self.tables)

    @cached_property
    def recipes(self) -> set[str]:
        """The experiments of tables and figures, as `Experiment.seedless`."""
        return {made.seedless for made in self._experiments(self.resolvers)}

    def _experiments(self, numbers: Iterable[str]) -> tuple[Experiment, ...]:
        found = (entry.experiment() for number in numbers for entry in self.entries[number])
        return tuple(experiment for experiment in found if experiment)

    @cached_property
    def rows_of(self) -> dict[str, str]:
        """Row and table of each experiment of the tables, for people, by `Experiment.seedless`.

        A row with several experiments on one view, as with K = 200 and 600, is named with its
        column group.
        """
        found: dict[str, str] = {}
        for number in self.tables:
            entries = [(e, made) for e in self.entries[number] if (made := e.experiment())]
            places = Counter((entry.row, entry.view) for entry, _ in entries)
            for entry, made in entries:
                name = entry.name if places[entry.row, entry.view] > 1 else entry.row
                found.setdefault(made.seedless, f"{name} of {self.id}, Table {number}")
        return found

    @cached_property
    def archives(self) -> dict[str, list[str]]:
        """The archives that its views come from, each with the tables that it serves."""
        served: dict[str, list[str]] = {}
        for number in self.tables:
            for entry in self._on_own_views(number):
                numbers = served.setdefault(manifest.split_id(entry.dataset)[0], [])
                if number not in numbers:
                    numbers.append(number)
        return served

    @cached_property
    def datasets(self) -> list[str]:
        """The views, by archive and name, that its tables need."""
        every = (entry.dataset for n in self.tables for entry in self._on_own_views(n))
        return list(dict.fromkeys(every))

    def _on_own_views(self, number: str) -> Iterator[Entry]:
        """Yield the rows of a table on the paper's own views."""
        return (entry for entry in self.entries[number] if "view" not in entry.added)

    @cached_property
    def contests(self) -> list[tuple[str, str]]:
        """The pairs of rows that claims compare, each once."""
        pairs = [
            (label_of(row), label_of(other))
            for claim in self.claims
            if claim.kind != "equal"
            for row, other in claim.pairs
        ]
        once = {frozenset(pair): pair for pair in reversed(pairs) if len(set(pair)) == 2}
        return list(reversed(once.values()))
