"""Score a model of another framework: check its file, rank it as any row, and record it."""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from repro.doors.attach import Attached, attach
from repro.doors.export import ABOUT
from repro.doors.place import Asked, asked_at, place_of
from repro.doors.rankings import Ranked, read
from repro.errors import ReproError
from repro.experiment import Experiment
from repro.files import read_json
from repro.metrics import Result
from repro.papers.paper import Paper
from repro.runs import locks, records
from repro.runs.provenance import code_version, plugins
from repro.runs.records import Record
from repro.split import Cases

if TYPE_CHECKING:
    import pandas as pd

    from repro.training.ranking import Ranking

Missing = Literal["refuse", "zero"]


@dataclass(frozen=True)
class Scored:
    """A file that has been ranked and recorded."""

    record: Record
    metrics: Mapping[str, str]
    """Ours by printed label."""
    missing: tuple[str, ...]
    """Test users that the file lacks, counted as misses."""
    n_short: int
    """Users whose list is shorter than the largest cut-off."""
    n_ignored: int
    """Users in the file whom the split does not ask for."""
    ties: dict[str, tuple[float, float]]
    """Metrics that depend on the order of equal scores: with targets last, and with targets
    first."""
    is_digest_checked: bool
    """Whether the file, or the export beside it, named the split, and it was this one."""


def score(
    paper: Paper,
    table: str,
    file: Path | pd.DataFrame,
    name: str,
    runs: Path,
    *,
    view: str = "",
    seed: int = 0,
    export: Path | None = None,
    missing: Missing = "refuse",
    force: bool = False,
) -> Scored:
    """Rank the scores in a file as the table does, and record the result.

    Parameters
    ----------
    paper : Paper
        The paper.
    table : str
        The table's printed number.
    file : Path or DataFrame
        A TREC run; user, item and score as CSV, Parquet or DataFrame; or scores in an NPZ.
    name : str
        What the model is called in comparisons.
    runs : Path
        The folder of records.
    view : str
        A dataset or column group; may be left out where there is one, or the export names it.
    seed : int
        Of the training, for a model that was trained with several.
    export : Path, optional
        The export that the model was trained on, a folder or its `split.json`; by default the one
        beside the file.
    missing : "refuse" or "zero"
        What to do about test users and ranks that the file lacks: refuse, or count misses.
    force : bool
        Replace a record of the same name that was made from another file.

    Raises
    ------
    ReproError
        If the file does not fit the split, or the name is taken; then nothing is recorded.
    """
    _check_name(name)
    began = time.monotonic()
    about = _about(file, export)
    if about and not view and (about.get("paper"), about.get("table")) == (paper.id, table):
        view = str(about.get("view", ""))
    place = place_of(paper, table, view)
    ranked = read(file)
    asked = asked_at(place)
    told = [text for text in (about.get("digest"), ranked.digest) if text]
    for digest in told:
        _check_digest(str(digest), asked, about, ranked)
    attached = attach(ranked, asked, missing)
    experiment = replace(place.experiment, external=name, seed=seed)
    folder = runs / experiment.id(asked.data.digest)
    with locks.held(folder, f"{paper.id} {table} | {name}") as lock:
        _check_free(folder, name, ranked, force)
        made, ranking, ties = _ranked(asked, experiment, attached, ranked, bool(told))
        made = replace(made, seconds=round(time.monotonic() - began, 3))
        record = records.save(runs, made, ranking.hits, ranking.n_targets, None, lock.check)
    return Scored(
        record,
        place.metrics,
        attached.missing,
        attached.n_short,
        attached.n_ignored,
        ties,
        bool(told),
    )


def _check_name(name: str) -> None:
    if not name.strip() or not name.isprintable() or len(name) > 100:
        raise ReproError(
            "--name is empty, longer than 100 characters, or has characters that do not print",
            'name the model as comparisons should, as in --name "My model"',
        )


def _about(file: Path | pd.DataFrame, export: Path | None) -> dict[str, Any]:
    """Return what an export says of its split; nothing if no export is named or lies beside."""
    if export is None:
        beside = file.parent / ABOUT if isinstance(file, Path) else None
        if beside is None or not beside.exists():
            return {}
        at = beside
    else:
        at = export / ABOUT if export.is_dir() else export
    try:
        content = read_json(at)
    except FileNotFoundError:
        raise ReproError(f"there is no {at}", "name the folder of an export") from None
    if not isinstance(content, dict) or not isinstance(content.get("digest"), str):
        raise ReproError(f"{at} does not name a split", "name the folder of an export")
    return content


def _check_digest(digest: str, asked: Asked, about: dict[str, Any], ranked: Ranked) -> None:
    """Raise if a model was trained on another split than the one that is asked."""
    if digest == asked.digest:
        return
    here = {
        "dataset": asked.data.id,
        "dataset_digest": asked.data.digest,
        "protocol": asked.place.experiment.protocol.as_json(),
    }
    differs = [f"{k} is {about[k]}, not {v}" for k, v in here.items() if about.get(k, v) != v]
    raise ReproError(
        f"{ranked.name} is of another split: its digest is {digest[:16]}, and that of "
        f"{asked.place.label} is {asked.digest[:16]}" + "".join(f"; {one}" for one in differs),
        "name the view that was exported, or export again and train on that",
    )


def _check_free(folder: Path, name: str, ranked: Ranked, force: bool) -> None:
    """Raise if a record has the name and is of another file."""
    if force:
        return
    with suppress(FileNotFoundError):
        known = records.load(folder).external
        if known.get("sha256") != ranked.sha256:
            raise ReproError(
                f"'{name}' is recorded here from another file, {known.get('file')} "
                f"(sha256 {str(known.get('sha256'))[:16]})",
                "choose another --name or --seed, or replace it with --force",
            )


def _ranked(
    asked: Asked, experiment: Experiment, attached: Attached, ranked: Ranked, checked: bool
) -> tuple[Record, Ranking, dict[str, tuple[float, float]]]:
    """Return the record of a file's scores, its ranking, and what ties leave open."""
    import torch

    from repro.doors import outside
    from repro.runs import machine

    test = asked.split.test
    cases = Cases(replace(test.queries, case=np.arange(len(test))), test.targets)
    ranking = outside.ranked(attached, cases, experiment.external)
    names = list(dict.fromkeys(asked.place.metrics.values()))
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
    record = Record(
        id=experiment.id(asked.data.digest),
        experiment=experiment,
        digest=asked.data.digest,
        verified=asked.data.verified,
        code=code_version() | plugins(experiment),
        environment=machine.environment(torch.device("cpu")),
        began=now,
        seconds=0.0,
        epoch=1,
        n_users=len(cases),
        tie_size=ranking.tie_size,
        constant=ranking.constant,
        results={
            name: Result(ranking.value(name), ranking.standard_error(name), 1) for name in names
        },
        curve=[],
        cases=test.digest(),
        external={
            "file": ranked.name,
            "sha256": ranked.sha256,
            "form": ranked.form,
            "split": asked.digest,
            "split_checked": checked,
            "missing": len(attached.missing),
            "short": attached.n_short,
        },
    )
    return record, ranking, outside.ties(attached, cases, names)
