"""Our numbers for a claim: differences with standard errors, from records or frozen results."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from repro.papers.paper import Paper
from repro.papers.rows import Entry
from repro.papers.schema import figure_key
from repro.results import evidence, figures, frozen
from repro.results.claims.contrasts import Contrast, Spot
from repro.results.differences import PerUser, paired
from repro.results.found import digest_here, latest_per_seed
from repro.results.frozen import CellKey, Frozen, RowName
from repro.results.significance import freedom
from repro.results.verdicts import latest_frozen
from repro.runs.records import Record


@dataclass(frozen=True)
class Estimate:
    """An estimated difference, or slope."""

    value: float
    error: float | None
    """Its standard error; None where nothing is known of it, or it is 0."""
    df: float
    base: float
    """The other row's number."""
    seeds: int
    paired: bool
    doubt: str = ""
    """Why it has no standard error, or what the error leaves out."""


@dataclass(frozen=True)
class Sample:
    """A row's number in a column: by seed, with the standard error over users."""

    values: tuple[float, ...]
    errors: tuple[float | None, ...]
    experiments: tuple[str, ...]
    per_user: tuple[PerUser, ...]
    """Where the hits of every user are kept; else empty."""
    constant: bool = False
    """Whether all items score the same for some users."""

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return statistics.fmean(self.values)


class Ours:
    """The numbers of our runs of a paper, by place and view."""

    def __init__(self, paper: Paper, records: Iterable[Record]) -> None:
        self.paper = paper
        self.records = [record for record in records if not record.experiment.smoke]
        self._by_seedless: dict[str, list[Record]] = {}
        for record in {record.id: record for record in self.records}.values():
            self._by_seedless.setdefault(record.experiment.seedless, []).append(record)
        self._frozen: dict[CellKey, list[Frozen]] = {}
        for row in frozen.load(paper.id):
            self._frozen.setdefault(row.place, []).append(row)
        self._entries = {
            (table, self.line_of(table, entry.row), *self._place(entry)): entry
            for table, entries in paper.entries.items()
            for entry in entries
        }
        self._here = cache(digest_here)
        self._samples: dict[tuple[Spot, str], Sample | None] = {}
        self._drawn: dict[str, dict[tuple[str, str, str], dict[int, dict[float, float]]]] = {}

    def line_of(self, table: str, row: str) -> str:
        """Return the line of a figure whose point at some place a row is."""
        return row.rpartition(" at ")[0] or row if table.startswith(figure_key("")) else row

    def _place(self, entry: Entry) -> tuple[str, str]:
        """Return the column group that an entry belongs to, and its view if that is added."""
        if "view" not in entry.added:
            return entry.group, ""
        base = entry.group.removesuffix(f" on {entry.view}")
        return base if base != entry.group else self.paper.views[entry.view].added_for, entry.view

    def has(self, spot: Spot, view: str) -> bool:
        """Return whether a row can run on an added view."""
        return (spot.table, spot.row, spot.group, view) in self._entries

    def label(self, spot: Spot, view: str) -> str:
        """Return the label of a column group, on an added view if one is given."""
        entry = self._entries.get((spot.table, spot.row, spot.group, view))
        return entry.group_label if entry else spot.group

    def missing(self, spot: Spot, view: str) -> str:
        """Return what is missing where a row has no run."""
        drawn = f" for {spot.table}" if spot.drawn else ""
        return f"no run of {spot.row}{drawn} on {self.label(spot, view)}"

    def estimate(self, contrast: Contrast, view: str, at: str) -> Estimate | str:
        """Return a contrast as our runs have it, or what is missing.

        Parameters
        ----------
        contrast : Contrast
            What is compared.
        view : str
            An added view, or "" for the paper's own.
        at : str
            Which point of a curve counts: "best" or "last".
        """
        if contrast.row.drawn:
            return self._of_figure(contrast, view, at)
        assert contrast.against is not None, "only figures have an axis"
        one, other = self._sample(contrast.row, view), self._sample(contrast.against, view)
        for spot, sample in ((contrast.row, one), (contrast.against, other)):
            if sample is None:
                return self.missing(spot, view)
        assert one is not None
        assert other is not None
        same = one.experiments == other.experiments and contrast.row.label == contrast.against.label
        if same:
            return Estimate(0.0, None, 1.0, other.mean, len(one.values), True, "both are one run")
        return self._paired(contrast, one, other) or _unpaired(one, other)

    def _sample(self, spot: Spot, view: str) -> Sample | None:
        if (spot, view) not in self._samples:
            self._samples[spot, view] = self._read(spot, view)
        return self._samples[spot, view]

    def _read(self, spot: Spot, view: str) -> Sample | None:
        """Return a row's number from records, or else from the frozen results."""
        entry = self._entries.get((spot.table, spot.row, spot.group, view))
        if entry is None or entry.view in entry.apart:  # run on other data than its column group
            return None
        metric = self.paper.table(spot.table).metrics[spot.label]
        experiment = self.paper.stands_for(entry)
        known = self._by_seedless.get(experiment.seedless, []) if experiment else []
        found, _ = latest_per_seed([one for one in known if one.has(metric)], self._here)
        if found:
            results = [record.result(metric) for record in found]
            return Sample(
                tuple(one.value for one in results),
                tuple(one.standard_error for one in results),
                tuple(record.id for record in found),
                tuple(found),
                any(record.constant for record in found),
            )
        name = RowName(entry.row, "added" if "row" in entry.added else "paper")
        place = CellKey(spot.table, name, entry.group_label, spot.label)
        rows = sorted(latest_frozen(self._frozen.get(place, [])), key=lambda row: row.seed)
        if not rows:
            return None
        values, errors = zip(*((row.value, row.standard_error) for row in rows), strict=True)
        kept = evidence.of_lines(self.paper.id, rows)
        per_user = tuple(kept) if len(kept) == len(rows) else ()
        constant = any(record.constant for record in kept)
        return Sample(values, errors, tuple(row.experiment for row in rows), per_user, constant)

    def _paired(self, contrast: Contrast, one: Sample, other: Sample) -> Estimate | None:
        if not (one.per_user and other.per_user) or one.constant or other.constant:
            return None
        label = contrast.row.label
        if contrast.against and contrast.against.label != label:
            return None
        metric = self.paper.table(contrast.row.table).metrics[label]
        sides = (RowName(contrast.row.row), one.per_user), (RowName(""), other.per_user)
        pair = paired("", *sides, {label: metric})
        if pair is None:
            return None
        (found,) = pair.differences
        error = found.standard_error or None
        doubt = "" if error else "no standard error"
        return Estimate(found.value, error, found.df, other.mean, len(pair.seeds), True, doubt)

    def _of_figure(self, contrast: Contrast, view: str, at: str) -> Estimate | str:
        row, against = contrast.row, contrast.against
        one = self._points(row, view)
        other = self._points(against, view) if against else {}
        for spot, points in ((row, one), (against, other)):
            if spot and not points:
                return self.missing(spot, view)
        values: dict[int, float] = {}
        bases: list[float] = []
        for seed in sorted(one.keys() & (other.keys() if against else one.keys())):
            mine, theirs = one[seed], other.get(seed, {})
            if contrast.along:
                if set(contrast.along) - mine.keys() or (
                    against and set(contrast.along) - theirs.keys()
                ):
                    continue
                gaps = [mine[x] - (theirs[x] if against else 0.0) for x in contrast.along]
                values[seed] = statistics.linear_regression(contrast.along, gaps).slope
                continue
            assert against is not None
            a, b = _at(mine, row.x, at), _at(theirs, against.x, at)
            if a is not None and b is not None:
                values[seed] = a - b
                bases.append(b)
        if not values:
            return f"no seed of both in {row.table} on {self.label(row, view)}"
        n = len(values)
        spread = statistics.stdev(values.values()) if n > 1 else 0.0
        doubt = "over seeds alone" if spread else "one run each, without a standard error"
        base = statistics.fmean(bases) if bases else 0.0
        mean = statistics.fmean(values.values())
        return Estimate(mean, spread / n**0.5 or None, n - 1.0, base, n, n > 1, doubt)

    def _points(self, spot: Spot, view: str) -> Mapping[int, dict[float, float]]:
        """Return the numbers of a line in a figure, by seed and by place on its axis."""
        number = spot.table.removeprefix(figure_key(""))
        if number not in self._drawn:
            found: dict[tuple[str, str, str], dict[int, dict[float, float]]] = {}
            for one in figures.found(self.paper, number, self.records).points:
                place = one.panel, one.metric, one.line
                found.setdefault(place, {}).setdefault(one.seed, {})[one.x] = one.value
            self._drawn[number] = found
        return self._drawn[number].get((self.label(spot, view), spot.label, spot.row), {})

    def epochs_to(self, spot: Spot, view: str, share: float) -> dict[int, float]:
        """Return by seed the first epoch of a curve at a share of its best value."""
        return {
            seed: min(x for x, value in points.items() if value >= share * max(points.values()))
            for seed, points in self._points(spot, view).items()
        }


def _at(points: Mapping[float, float], x: float | None, at: str) -> float | None:
    """Return the number at a place on the axis; of bars the only one, of a curve the one asked."""
    if x is not None:
        return points.get(x)
    return max(points.values()) if at == "best" else points[max(points)]


def _unpaired(one: Sample, other: Sample) -> Estimate:
    """Return the difference of two rows whose users cannot be compared one by one.

    Its standard error counts the users of both rows as if they were others, and what each row's
    seeds vary: more than a paired one.
    """
    value, n = one.mean - other.mean, min(len(one.values), len(other.values))
    if one.constant or other.constant:
        return Estimate(value, None, 1.0, other.mean, n, False, "constant scores decide nothing")
    parts: list[tuple[float, float]] = []
    for sample in (one, other):
        if not all(sample.errors):
            return Estimate(value, None, 1.0, other.mean, n, False, "no standard error")
        users = statistics.fmean(error for error in sample.errors if error)
        parts.append((users**2, float("inf")))
        if len(sample.values) > 1:
            over = statistics.variance(sample.values) / len(sample.values)
            parts.append((over, len(sample.values) - 1.0))
    error = sum(variance for variance, _ in parts) ** 0.5
    doubt = "one seed: its spread is not counted" if n == 1 else ""
    return Estimate(value, error, freedom(parts), other.mean, n, False, doubt)
