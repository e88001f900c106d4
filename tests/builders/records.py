"""Records, frozen numbers and cells of a comparison, of which a test changes what it is about."""

from __future__ import annotations

from typing import Any

from repro.experiment import Experiment, model_spec, protocol_spec
from repro.results.frozen import Frozen
from repro.results.verdicts import ComparedCell
from repro.runs.records import Record

EASE = Experiment(
    dataset="toy/split",
    protocol=protocol_spec({"name": "given_split"}, "here"),
    model=model_spec("ease", {}, "here"),
)


def record(experiment: Experiment = EASE, *, digest: str = "d", **changed: Any) -> Record:
    plain: dict[str, Any] = {
        "id": experiment.id(digest),
        "verified": True,
        "code": {},
        "environment": {},
        "began": "2024-01-01T00:00:00+00:00",
        "seconds": 1.0,
        "epoch": 1,
        "n_users": 4,
        "tie_size": 0.0,
        "constant": 0.0,
        "results": {},
        "curve": [],
    }
    return Record(experiment=experiment, digest=digest, **(plain | changed))


def frozen_row(value: float = 0.5, row: str = "EASE", **changed: Any) -> Frozen:
    plain: dict[str, Any] = {
        "table": "1",
        "group": "Toy",
        "label": "NDCG@10",
        "metric": "ndcg@10",
        "standard_error": 0.01,
        "epoch": 1,
        "select": "last",
        "seed": 0,
        "experiment": "0123456789ab",
        "dataset": "toy/split",
        "digest": "d" * 64,
        "verified": True,
        "version": "0.1.0",
        "commit": "",
        "dirty": False,
        "device": "cpu",
        "cpu": "a processor",
        "threads": 1,
        "python": "3.12.1",
        "torch": "2.7.0",
        "numpy": "2.1.0",
        "began": "2024-01-01T00:00:00+00:00",
        "seconds": 1.0,
    }
    return Frozen(value=value, row=row, **(plain | changed))


def compared_cell(row: str, **changed: Any) -> ComparedCell:
    plain = {"paper": "mine", "table": "1", "group": "Toy", "published": "", "note": ""}
    metric = {"label": "NDCG@10", "metric": "ndcg@10"}
    return ComparedCell(row=row, **(plain | metric | changed))


def timeless(record: Record) -> tuple[Any, ...]:
    """Return all of a record that no clock and no machine decides."""
    curve = [{k: v for k, v in entry.items() if k != "seconds"} for entry in record.curve]
    hits, n_targets = record.hits()
    made = (record.experiment, record.digest, record.epoch, record.results, record.cases)
    return (record.id, *made, curve, hits.tolist(), n_targets.tolist())
