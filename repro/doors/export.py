"""Export a split: everything that a model in another framework is trained and tested on."""

from __future__ import annotations

import secrets
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from repro import __version__
from repro.doors.formats import FORMATS
from repro.doors.parts import counts, parts_of
from repro.doors.place import Asked, asked_at, place_of
from repro.errors import ReproError, unknown
from repro.files import write_json
from repro.papers.paper import Paper

ABOUT = "split.json"
"""What names a split, for people and for `repro score`."""

README = "README.md"


@dataclass(frozen=True)
class SplitFile:
    """What names a split: the content of `split.json`."""

    paper: str
    table: str
    """By printed number."""
    view: str
    """Its key in the table file."""
    label: str
    """The column group, as printed."""
    dataset: str
    """Archive and view."""
    dataset_digest: str
    verified: bool
    """Whether the data has the hashes of its manifest."""
    protocol: dict[str, Any]
    """Name and parameters."""
    seed: int | None
    """Of the protocol's draws, if it draws."""
    digest: str
    """Of the split; `repro score` compares it."""
    metrics: dict[str, str]
    """Ours by printed label."""
    repro: str
    """The version that wrote it."""
    format: str
    counts: dict[str, int]
    """Users, items, and rows of each part."""


@dataclass(frozen=True)
class Exported:
    """A split that has been written."""

    folder: Path
    files: list[str]
    """Paths below the folder."""
    about: SplitFile
    """The content of `split.json`."""


def export(paper: Paper, table: str, to: Path, form: str, view: str = "") -> Exported:
    """Write the split of a view into a folder, which must be new or empty.

    Parameters
    ----------
    paper : Paper
        The paper.
    table : str
        The table's printed number.
    to : Path
        The folder; it is complete or absent.
    form : str
        A key of `FORMATS`.
    view : str
        A dataset or column group; may be left out where there is one.

    Raises
    ------
    ReproError
        If there is no such table, view or format, the folder has files, or the format cannot hold
        the split.
    """
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    place = place_of(paper, table, view)
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise ReproError(f"{to} is not an empty folder", "name a new one with --to")
    asked = asked_at(place)
    to.parent.mkdir(parents=True, exist_ok=True)
    made = to.with_name(f".{to.name}.{secrets.token_hex(4)}")
    made.mkdir()
    try:
        how = FORMATS[form](asked, made)
        about = _about(asked, form)
        write_json(made / ABOUT, asdict(about))
        (made / README).write_text(_readme(asked, how, form), encoding="utf-8")
        made.replace(to)  # an empty folder gives way
    finally:
        shutil.rmtree(made, ignore_errors=True)
    files = sorted(str(path.relative_to(to)) for path in to.rglob("*") if path.is_file())
    return Exported(to, files, about)


def _about(asked: Asked, form: str) -> SplitFile:
    place, protocol = asked.place, asked.place.experiment.protocol
    return SplitFile(
        paper=place.paper,
        table=place.table,
        view=place.view,
        label=place.label,
        dataset=asked.data.id,
        dataset_digest=asked.data.digest,
        verified=asked.data.verified,
        protocol=protocol.as_json(),
        seed=protocol.params.get("seed"),
        digest=asked.digest,
        metrics=dict(place.metrics),
        repro=__version__,
        format=form,
        counts=dict(counts(asked.split)),
    )


def _readme(asked: Asked, how: str, form: str) -> str:
    place, protocol = asked.place, asked.place.experiment.protocol
    metrics = ", ".join(f"{label} = `{name}`" for label, name in place.metrics.items())
    parts = "".join(
        f"| {one.name} | {one.what} | {len(one.rows):,} |\n" for one in parts_of(asked.split)
    )
    ranked = "only the candidates are ranked; a target comes after others with its score"
    if asked.split.test.queries.candidates is None:
        ranked = "every item is ranked but those of the user's history"
    command = f"repro score {place.paper} --table {place.table} --view {place.view}"
    return f"""\
# {place.paper}, Table {place.table}, {place.label}

A split written by `repro` {__version__} as {form}. Its digest is `{asked.digest}`.

- Dataset: `{asked.data.id}`, digest `{asked.data.digest}`
- Protocol: `{protocol.title()}`
- Metrics: {metrics}
- Ranking: {ranked}.

| part | what it is | rows |
|:--|:--|--:|
{parts}
{how}
Nothing of the test part may be trained on, or may choose a setting or an epoch.

## Score a model

Write what your model recommends to a file: a TREC run; CSV or Parquet with the columns user, item
and score; or NPZ. Put it into this folder, or name the folder with `--export`. Then

    {command} --name "My model" FILE
    repro compare {place.paper} --table {place.table}
"""
