"""Frozen results: ``tables/reference/<paper>.csv``, a line per cell and seed, with its origin.

The points of its figures lie in ``tables/reference/figures/<paper>-<number>.csv``.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from repro import paths
from repro.errors import ReproError
from repro.experiment import canonical
from repro.files import write_atomically
from repro.metrics import Result
from repro.papers import library
from repro.runs.records import Record


@dataclass(frozen=True, order=True)
class RowName:
    """Which row of a table a number belongs to, and what sets it apart from the printed one."""

    row: str
    """The label, as the table prints or adds it; for another run, its model and settings."""
    origin: Literal["paper", "added", "other", "external"] = "paper"
    """Whether the row is the paper's, added by the table file, neither, or scores from a file."""
    shortened: str = ""
    """The epochs of a shorter run: "n_epochs = 20 of 200"."""
    apart: str = ""
    """Another view or selection than the table's, for a run that is in none of its rows."""


class CellKey(NamedTuple):
    """A cell: its table, row, column group and metric, both as printed."""

    table: str
    name: RowName
    group: str
    label: str


DIGEST = "line_digest"
"""The column of a line's own digest."""

MORE = "more"

Parse = Callable[[str], Any]

Kept = TypeVar("Kept")
"""A dataclass of strings, numbers, truth values, and numbers that may be missing."""


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """One number, and everything needed to trace it."""

    table: str
    row: str
    origin: Literal["paper", "added", "other"] = "paper"
    shortened: str = ""
    apart: str = ""
    """`row` to `apart` are as in `RowName`."""
    group: str
    """The column group's label."""
    label: str
    """The metric as printed."""
    metric: str
    value: float
    standard_error: float | None
    """Over test users."""
    epoch: int | None
    select: str
    seed: int
    experiment: str
    """The id of the run."""
    dataset: str
    digest: str
    verified: bool
    version: str
    commit: str
    dirty: bool
    """Whether the code differed from its commit, or changed after an interruption."""
    device: str
    cpu: str
    threads: int
    python: str
    torch: str
    numpy: str
    began: str
    seconds: float
    seal: str = ""
    """The seal of the record; empty for a result from before records were sealed."""
    evidence: str = ""
    """The digest of the evidence, see `repro.results.evidence`; empty if none is kept."""

    @property
    def place(self) -> CellKey:
        """The cell."""
        name = RowName(self.row, self.origin, self.shortened, self.apart)
        return CellKey(self.table, name, self.group, self.label)


def frozen(
    place: CellKey, metric: str, result: Result, record: Record, evidence: str = ""
) -> Frozen:
    """Return one run's number for a cell, with the digest of its evidence."""
    made = record.environment
    told = ("device", "cpu", "threads", "python", "torch", "numpy")
    if missing := [key for key in told if key not in made]:
        raise ReproError(f"record {record.id} lacks environment.{missing[0]}", "run it again")
    return Frozen(
        table=place.table,
        **asdict(place.name),
        group=place.group,
        label=place.label,
        metric=metric,
        value=result.value,
        standard_error=result.standard_error,
        epoch=result.epoch,
        select=record.experiment.select,
        seed=record.experiment.seed,
        experiment=record.id,
        dataset=record.experiment.dataset,
        digest=record.digest,
        verified=record.verified,
        version=record.code.get("version", ""),
        commit=record.code.get("commit", ""),
        dirty=record.dirty,
        **{key: made[key] for key in told},
        began=record.began,
        seconds=record.seconds,
        seal=record.seal,
        evidence=evidence,
    )


def file(paper: str) -> Path:
    """Return where a paper's frozen results are: next to its tables."""
    return library.load(paper).path.parent / "reference" / f"{paper}.csv"


def checked(path: Path) -> Path:
    """Return the path if frozen results may be written there.

    Raises
    ------
    ReproError
        If that is in the installed package, which an upgrade replaces.
    """
    if paths.is_installed(path):
        raise ReproError(
            f"{path} is in the installed package, and an upgrade would lose it",
            "freeze in a checkout of the repository, installed with pip install -e",
        )
    return path


def load(paper: str) -> list[Frozen]:
    """Return a paper's frozen results.

    Raises
    ------
    ReproError
        If a row does not fit; the message names file and line.
    """
    return read(file(paper), Frozen)


def read(path: Path, kind: type[Kept]) -> list[Kept]:
    """Return the rows of a file; none if there is no such file.

    Raises
    ------
    ReproError
        If a row does not fit; the message names file and line.
    """
    if not os.path.lexists(path):
        return []
    try:
        known = path.stat()
    except OSError as error:  # a link to nothing, or to itself
        raise ReproError(f"{path} cannot be read: {error.strerror}", REMEDY) from error
    return list(_read(path, kind, known.st_ino, known.st_mtime_ns))  # type: ignore[arg-type]


@cache  # called once per table; a rewritten file has another inode
def _read(path: Path, kind: type[Kept], _inode: int, _changed: int) -> tuple[Kept, ...]:
    found = parsed(path, kind)
    if found.faults:
        first, *others = found.faults
        raise ReproError(first, "\n  ".join([*others[:MOST_FAULTS], REMEDY]))
    return tuple(found.rows)


MOST_FAULTS = 10
"""Damaged lines that one message names."""

REMEDY = "restore the file, as with `git checkout`, or delete it and freeze the records again"


@dataclass(frozen=True)
class Parsed(Generic[Kept]):
    """A file of frozen results."""

    rows: list[Kept]
    """Those that are as they were written."""
    faults: list[str]
    """What is wrong with the others."""
    has_digests: bool
    """Whether it is not from before lines had digests."""


def parsed(path: Path, kind: type[Kept]) -> Parsed[Kept]:
    """Return the rows of a file that are as they were written, and what is wrong with the others.

    Raises
    ------
    ReproError
        If the file is of another version, or no CSV.
    """
    kinds = {field.name: _KINDS[str(field.type)] for field in fields(kind)}  # type: ignore[arg-type]
    found: list[Kept] = []
    faults: list[str] = []
    seen: dict[object, int] = {}
    with path.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream, restkey=MORE)
        try:
            names = reader.fieldnames or []
            if DIGEST not in names:  # they came together
                later = ("seal", "evidence")
                kinds = {name: parse for name, parse in kinds.items() if name not in later}
            if missing := [name for name in kinds if name not in names]:
                raise ReproError(
                    f"{path} lacks the columns {', '.join(missing)}",
                    "it is of another version: delete it and freeze the records again, or add "
                    "them: origin is paper, added or other, shortened and apart may be empty",
                )
            for line in reader:
                try:
                    row = _row(line, kinds, kind, DIGEST in names)
                    if (known := seen.setdefault(_key(row), reader.line_num)) != reader.line_num:
                        raise ValueError(f"it has the cell and seed of line {known}")
                    found.append(row)
                except ValueError as error:
                    faults.append(f"{path}, line {reader.line_num}: {error}")
        except (UnicodeDecodeError, csv.Error) as error:
            raise ReproError(f"{path}, line {reader.line_num}: {error!r}", REMEDY) from error
    return Parsed(found, faults, DIGEST in names)


def _row(
    line: Mapping[str | None, Any], kinds: Mapping[str, Parse], kind: type[Kept], has_digest: bool
) -> Kept:
    """Return the row of a line; ValueError with the column if it does not fit."""
    if MORE in line:
        raise ValueError("it has more values than there are columns")
    values = {}
    for name, parse in kinds.items():
        try:
            values[name] = parse(line[name])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"column {name}: {line[name]!r} does not fit") from error
    row = kind(**values)
    if has_digest and line[DIGEST] != line_digest(row):
        raise ValueError(f"its digest does not fit its values: expected {line_digest(row)}")
    return row


def _key(row: object) -> object:
    """Return what no two lines of a file share."""
    if isinstance(row, Frozen):
        return row.place, row.seed
    return getattr(row, "place", object())  # a count's; points may share theirs


def line_digest(row: object) -> str:
    """Return sixteen hexadecimal digits that change with any value of a row."""
    values = {
        one.name: _KINDS[str(one.type)]("" if value is None else str(value))  # as they are read
        for one in fields(row)  # type: ignore[arg-type]
        for value in [getattr(row, one.name)]
    }
    return hashlib.sha256(canonical(values).encode()).hexdigest()[:16]


def written(rows: Iterable[Kept], kind: type[Kept]) -> str:
    """Return rows as CSV, each with a digest of its values."""
    out = io.StringIO()
    names = [*(field.name for field in fields(kind)), DIGEST]  # type: ignore[arg-type]
    writer = csv.DictWriter(out, names, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writeheader()
    writer.writerows(asdict(row) | {DIGEST: line_digest(row)} for row in rows)  # type: ignore[call-overload]
    return out.getvalue()


def save(paper: str, rows: list[Frozen]) -> Path:
    """Add frozen results to the file; those of the same cell and seed are replaced."""
    kept = {(row.place, row.seed): row for row in load(paper)}
    kept |= {(row.place, row.seed): row for row in rows}
    path = checked(file(paper))
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, written((kept[key] for key in sorted(kept)), Frozen).encode())
    return path


def _origin(text: str) -> str:
    if text not in ("paper", "added", "other"):
        raise ValueError(f"'{text}' is not an origin: paper, added or other")
    return text


_KINDS: dict[str, Parse] = {
    "str": str,
    "Literal['paper', 'added', 'other']": _origin,  # the text of the annotation
    "int": int,
    "float": float,
    "bool": lambda text: {"True": True, "False": False}[text],
    "float | None": lambda text: float(text) if text else None,
    "int | None": lambda text: int(text) if text else None,
}
"""How a value is read, by its field's type."""
