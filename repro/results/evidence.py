"""Evidence: what a frozen number rests on, so that a fresh clone can ask its users.

Beside a paper's frozen results, ``tables/reference/evidence/<id>.zip`` holds the record of a run
and its hits. Both are small: a bit for each rank of each test user, and the curve. The line of a
frozen number has the digest of this file.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from repro.errors import ReproError
from repro.experiment import Experiment
from repro.files import write_atomically
from repro.metrics import Result
from repro.papers import library
from repro.results import frozen
from repro.results.frozen import Frozen
from repro.runs.record import FILE, HITS, READ_LATER, Record
from repro.runs.sealed import read_object, seal_of
from repro.split import SplitSummary

LATER = "later.json"
"""What `READ_LATER` names; a comparison of rows does not need it."""

REMEDY = "restore it from the repository, or run and freeze again"


class Evidence(Record):
    """A record that was kept beside a frozen result."""

    def _bytes(self, name: str) -> bytes:
        return _member(self.path, name)

    def _later(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(_member(self.path, LATER))
        return content


def folder(paper: str) -> Path:
    """Return where the evidence of a paper's frozen results is."""
    return frozen.file(paper).parent / "evidence"


def save(paper: str, record: Record) -> str:
    """Write the evidence of a run; return its digest.

    Parameters
    ----------
    paper : str
        For whose frozen results.
    record : Record
        As `repro.runs.records.load` returns it.
    """
    content = read_object(record.path / FILE)
    later = {key: content[key] for key in sorted(READ_LATER) if key in content}
    first = {key: value for key, value in content.items() if key not in later}
    packed = io.BytesIO()
    with ZipFile(packed, "w") as file:
        for name, part in ((FILE, first), (LATER, later)):
            text = json.dumps(part, ensure_ascii=False, separators=(",", ":"))
            file.writestr(_dateless(name), text, ZIP_DEFLATED, 9)
        file.writestr(_dateless(HITS), (record.path / HITS).read_bytes(), ZIP_STORED)
    path = frozen.checked(folder(paper) / f"{record.id}.zip")
    write_atomically(path, packed.getvalue())
    return digest(packed.getvalue())


def tidy(paper: str) -> None:
    """Delete the evidence that no frozen result beside a paper's needs any more."""
    at = folder(paper)
    beside = [name for name in library.papers() if folder(name) == at]
    needed = {line.experiment for name in beside for line in frozen.load(name) if line.evidence}
    for path in at.glob("*.zip"):
        if path.stem not in needed:
            path.unlink()


def _dateless(name: str) -> ZipInfo:
    """Return the head of a member with no time in it: the same run gives the same bytes."""
    return ZipInfo(name)


def digest(content: bytes) -> str:
    """Return the digest of a file of evidence, as the lines of frozen results have it."""
    return hashlib.sha256(content).hexdigest()[:16]


def of_lines(paper: str, lines: Iterable[Frozen]) -> list[Record]:
    """Return the evidence of frozen results, a record for each run that has any.

    Raises
    ------
    ReproError
        If a file is missing or damaged, or is not the one that a line was frozen with.
    """
    files = {line.experiment: line.evidence for line in lines if line.evidence}
    at = folder(paper)
    return [load(at / f"{id}.zip", kept) for id, kept in sorted(files.items())]


def beside(known: Iterable[Record], papers: Iterable[str] | None = None) -> list[Record]:
    """Return records, and the evidence of what none of them is a run of.

    Of a row some of whose seeds have no evidence there is none here: its number is that of all.

    Parameters
    ----------
    known : iterable of Record
        The records of a folder; they come before evidence of the same experiment.
    papers : iterable of str, optional
        Whose evidence; None: all papers'.
    """
    own = list(known)
    run = {record.experiment.seedless for record in own}
    kept = [
        record
        for paper in (library.papers() if papers is None else papers)
        for record in of_lines(paper, _whole(frozen.load(paper)))
    ]
    return own + [record for record in kept if record.experiment.seedless not in run]


def _whole(lines: list[Frozen]) -> list[Frozen]:
    """Return the lines of those cells of which every seed has evidence."""
    lacking = {line.place for line in lines if not line.evidence}
    return [line for line in lines if line.place not in lacking]


@cache  # several tables show one run
def load(path: Path, kept: str) -> Record:
    """Return the evidence in a file.

    Parameters
    ----------
    path : Path
        The file.
    kept : str
        The digest that its results were frozen with.

    Raises
    ------
    ReproError
        If it is missing, damaged, or another file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ReproError(f"{path} cannot be read: {error.strerror}", REMEDY) from error
    if digest(content) != kept:
        raise ReproError(f"{path} is not what its results were frozen with", REMEDY)
    try:
        with ZipFile(io.BytesIO(content)) as file:
            plain = json.loads(file.read(FILE))
        plain["experiment"] = Experiment.from_json(plain["experiment"])
        plain["results"] = {name: Result(**one) for name, one in plain["results"].items()}
        plain["split"] = plain.get("split") and SplitSummary.from_json(plain["split"])
    except (BadZipFile, KeyError, ValueError, TypeError, NotImplementedError) as error:
        raise ReproError(f"{path} is damaged: {error}", REMEDY) from error
    record = object.__new__(Evidence)  # the digest vouches for what a checked record held
    # version 0.2 did not have these
    of_earlier = {"cases": "", "arrays": {}, "seal": "", "external": {}}
    plain.pop("format", None)
    vars(record).update(of_earlier | plain, folder=path)
    return record


def faults(path: Path) -> list[str]:
    """Return how the parts of a file of evidence do not fit each other.

    Raises
    ------
    ReproError
        If it cannot be read.
    """
    first, later = (json.loads(_member(path, name)) for name in (FILE, LATER))
    sha256 = hashlib.sha256(_member(path, HITS)).hexdigest()
    said = []
    if first.get("seal") and seal_of(first | later) != first["seal"]:
        said.append("its record does not fit its seal")
    if first.get("seal") and sha256 != first["arrays"].get(HITS):
        said.append("its hits are not those of its record")
    return said


def _member(path: Path, name: str) -> bytes:
    try:
        with ZipFile(path) as file:
            return file.read(name)
    except (OSError, BadZipFile, KeyError, ValueError, NotImplementedError) as error:
        raise ReproError(f"{path} cannot be read: {error}", REMEDY) from error
