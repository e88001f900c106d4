"""Splits out, rankings in: for models of other frameworks, in a notebook."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from repro import paths
from repro.doors import export as exports
from repro.doors import score as scores
from repro.doors.export import Exported
from repro.papers import library

if TYPE_CHECKING:
    import pandas as pd


def export(
    paper: str, table: str, to: str | Path, form: str = "csv", *, view: str = ""
) -> Exported:
    """Write the split of a table for another framework.

    Parameters
    ----------
    paper, table : str
        The paper's id, the table's printed number.
    to : path
        A folder, new or empty.
    form : str
        "csv" or "parquet", with the original ids; "npz", sparse matrices for implicit and scipy;
        "recbole", atomic files with their configuration; "trec", qrels and runs of candidates.
    view : str
        A dataset or column group; may be left out where there is one.

    Raises
    ------
    ReproError
        If there is no such paper, table, view or format, or the format cannot hold the split.

    Examples
    --------
    >>> import tempfile
    >>> export("toy", "2", tempfile.mkdtemp()).files[-3:]
    ['valid.csv', 'valid_candidates.csv', 'valid_history.csv']
    """
    return exports.export(library.load(paper), table, Path(to), form, view)


def score(
    paper: str,
    table: str,
    scored: str | Path | pd.DataFrame,
    *,
    name: str,
    view: str = "",
    seed: int = 0,
    export: str | Path | None = None,
    missing: Literal["refuse", "zero"] = "refuse",
    force: bool = False,
    runs: str | Path | None = None,
) -> scores.Scored:
    """Rank what a model of another framework recommends as the table does, and record it.

    `repro.compare` shows it beside the published rows, and takes its name as `against`.

    Parameters
    ----------
    paper, table : str
        The paper's id, the table's printed number.
    scored : path or DataFrame
        A TREC run; user, item and score, under their original ids, as CSV, Parquet or DataFrame;
        or an NPZ with `scores` of shape (test users, items) or (test users, candidates), in the
        order of an export.
    name : str
        What to call the model.
    view : str
        A dataset or column group; may be left out where there is one, or the export names it.
    seed : int
        That it was trained with.
    export : path, optional
        The export that it was trained on; by default the one beside the file.
    missing : "refuse" or "zero"
        What to do about test users and ranks that are missing: refuse, or count them as misses.
    force : bool
        Replace a record of the same name that is of another file.
    runs : path, optional
        The folder of records; ``REPRO_RUNS``, or ``./runs``.

    Raises
    ------
    ReproError
        If the scores do not fit the split, with the line and the user; then nothing is recorded.
    """
    return scores.score(
        library.load(paper),
        table,
        Path(scored) if isinstance(scored, str) else scored,
        name,
        Path(runs) if runs else paths.runs(),
        view=view,
        seed=seed,
        export=None if export is None else Path(export),
        missing=missing,
        force=force,
    )
