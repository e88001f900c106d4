"""Records, frozen numbers and cells of a comparison, of which a test changes what it is about."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.data import views
from repro.experiment import Experiment, id_of, model_spec, protocol_spec
from repro.metrics import Result, per_user, standard_error
from repro.papers import library
from repro.results.frozen import Frozen
from repro.results.verdicts import ComparedCell
from repro.runs import records, sealed
from repro.runs.asked import Asked
from repro.runs.plan import plan
from repro.runs.records import Record
from repro.split import CasesSummary, SplitSummary

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


def asking(negatives: float, of: int | None) -> SplitSummary:
    """Return a split of four users, each with so many negatives of those asked for."""
    test = CasesSummary(4, 5, {"no test row": 1}, 0, 0, 4, 0, 0, 0, False, of, negatives, 9, 0)
    return SplitSummary(4, 10, 20, 0, test, None)


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


HITS = np.array([[1, 0, 0], [0, 0, 1], [0, 0, 0], [1, 1, 0]], dtype=bool)
TARGETS = np.array([1, 2, 1, 4])


def result(metric: str, epoch: int = 1) -> Result:
    """Return what the hits above give."""
    values = per_user(metric, HITS, TARGETS)
    return Result(float(values.mean()), standard_error(values), epoch)


def content(folder: Path) -> dict[str, Any]:
    return json.loads((folder / records.FILE).read_text())


def rewrite(folder: Path, *, sealing: bool = True, **changed: Any) -> Path:
    """Rewrite a record with other content under the id that fits it; return its folder.

    Parameters
    ----------
    folder : Path
        Where it is.
    sealing : bool
        Whether the new content is sealed, too; else it is as before there were seals.
    **changed
        What is different; None: missing.
    """
    new = {k: v for k, v in (content(folder) | changed).items() if v is not None}
    new["id"] = id_of(new["experiment"], new["digest"])
    if sealing:
        new = sealed.sealed(new)
    else:
        new = {k: v for k, v in new.items() if k not in ("format", "seal", "arrays")}
    there = folder.rename(folder.with_name(new["id"]))
    (there / records.FILE).write_text(json.dumps(new, indent=1, ensure_ascii=False) + "\n")
    return there


def with_hits(old: Record, hits: NDArray[np.bool_]) -> Record:
    """Save a record again with other hits, and the results that they give; return it."""
    n_targets = np.maximum(old.hits()[1], hits.sum(axis=1))
    values = {name: per_user(name, hits, n_targets) for name in old.results}
    results = {
        name: Result(float(one.mean()), standard_error(one), old.epoch)
        for name, one in values.items()
    }
    curve = [{k: v for k, v in entry.items() if k != "test"} for entry in old.curve]
    made = replace(old, results=results, curve=curve)
    return records.save(old.path.parent, made, hits, n_targets)


def many(runs: Path, n: int, *, curve_bytes: int = 30_000) -> None:
    """Write n records of the runs of all papers' tables, as many seeds of each as it takes."""
    planned = plan(Asked(papers=tuple(library.papers()), added=True)).jobs
    jobs = list({job.experiment.seedless: job for job in planned}.values())
    kept = records.save(runs, record(), HITS, TARGETS)
    hits = (kept.path / records.HITS).read_bytes()
    digests = {job.experiment.dataset: _digest(job.experiment.dataset) for job in jobs}
    for number in range(n):
        job = jobs[number % len(jobs)]
        names = dict.fromkeys(job.metrics)
        results = {name: result(name) for name in names}
        look = {name: one.value for name, one in results.items()}
        epoch = {"phase": "train", "seconds": 0.1, "losses": {"loss": 0.1}, "test": look}
        n_epochs = max(1, curve_bytes // len(json.dumps(epoch)))
        made = replace(
            kept,
            experiment=replace(job.experiment, seed=number // len(jobs)),
            digest=digests[job.experiment.dataset],
            results=results,
            curve=[epoch | {"epoch": at + 1} for at in range(n_epochs)],
            epoch=1,
        )
        whole = {k: v for k, v in vars(made).items() if k not in ("seal", "folder")}
        whole |= {"experiment": made.experiment.as_json(), "id": made.experiment.id(made.digest)}
        whole |= {"results": {name: asdict(one) for name, one in results.items()}}
        folder = runs / whole["id"]
        folder.mkdir(exist_ok=True)
        (folder / records.FILE).write_text(json.dumps(sealed.sealed(whole)))
        (folder / records.HITS).write_bytes(hits)


def _digest(dataset: str) -> str:
    """Return the digest of a view in the cache, or one that stands for it."""
    known = views.prepared(dataset)
    return known.digest if known else hashlib.sha256(dataset.encode()).hexdigest()
