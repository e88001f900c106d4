"""The runs of an experiment: which of them count, and the marks of their numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from repro.data import views
from repro.errors import ReproError
from repro.metrics import Result
from repro.runs.records import Damaged, Record


class Found:
    """The runs of an experiment."""

    def __init__(self, records: list[Record], damaged: Iterable[Damaged] = ()) -> None:
        self.records = records
        self.damaged = list(damaged)
        """Records that cannot be used."""
        self._latest: dict[tuple[int, ...], tuple[list[Record], bool, str]] = {}

    def latest(
        self, metric: str, digest_here: Callable[[str], str]
    ) -> tuple[list[Record], bool, str]:
        """Return a record per seed that has a metric, whether the choice needs a mark, and marks.

        The cells of a row share them.
        """
        able = tuple(n for n, record in enumerate(self.records) if record.has(metric))
        if able not in self._latest:
            latest, several = latest_per_seed([self.records[n] for n in able], digest_here)
            self._latest[able] = latest, several, _marks(latest)
        return self._latest[able]


def _marks(latest: list[Record]) -> str:
    """Return the marks that runs have in every cell."""
    if not latest:
        return ""
    unverified = not all(record.verified for record in latest)
    own = unverified and views.is_own(latest[0].experiment.dataset)
    holds = {
        "u": unverified and not own,
        "o": unverified and own,
        "t": latest[0].experiment.selection.cases == "test",
        "e": any(record.experiment.external for record in latest),
        "c": any(record.constant > 0 for record in latest),
        "f": any(record.split is not None and record.split.test.is_short for record in latest),
        "n": any(record.untrained > 0 for record in latest),
        "d": any(record.dirty or record.outdated for record in latest),
        "s": latest[0].experiment.smoke,
    }
    return "".join(mark for mark, held in holds.items() if held)


def results_of(
    records: list[Record], metric: str, faults: list[str]
) -> tuple[list[Record], list[Result]]:
    """Return the records that have a metric, and their results; add to `faults` why others fail."""
    good: list[Record] = []
    results = []
    for record in records:
        try:
            results.append(record.result(metric))
            good.append(record)
        except ReproError as error:  # of a metric that comes from the hits
            faults.append(error.message)
    return good, results


def latest_per_seed(
    found: list[Record], digest_here: Callable[[str], str]
) -> tuple[list[Record], bool]:
    """Return one record per seed, and whether the choice needs a mark.

    Records of the data in the cache come first. The choice needs a mark if others are left out, or
    if all are of other data.
    """
    by_age = sorted(found, key=lambda record: record.began)
    if not by_age:
        return [], False
    newest = by_age[-1]
    here = digest_here(newest.experiment.dataset) or newest.digest
    digest = here if here in {record.digest for record in by_age} else newest.digest
    latest = {record.experiment.seed: record for record in by_age if record.digest == digest}
    return [latest[seed] for seed in sorted(latest)], len(latest) < len(found) or digest != here


def digest_here(dataset: str) -> str:
    """Return the digest of a view in the cache; "" if it is not there."""
    try:
        known = views.prepared(dataset)
    except ReproError:  # its manifest is gone, or it is damaged: a record needs neither
        return ""
    return known.digest if known else ""
