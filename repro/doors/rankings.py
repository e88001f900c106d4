"""Read scores from a file of another program: a TREC run, CSV, Parquet, or NPZ."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from repro.errors import ReproError
from repro.files import check_regular, reading

COLUMNS = ("user", "item", "score")

FORMATS = {".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".npz": "npz"}
"""By the end of the file's name; any other is a TREC run."""


@dataclass(frozen=True, eq=False)
class Ranked:
    """What a file says: scores of single pairs, or a matrix."""

    name: str
    """Of the file."""
    sha256: str
    form: str
    user: NDArray[np.object_] = field(default_factory=lambda: np.empty(0, dtype=object))
    """Original ids, as texts, shape (n,)."""
    item: NDArray[np.object_] = field(default_factory=lambda: np.empty(0, dtype=object))
    score: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    line: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """Where each pair stands in the file, from 1."""
    matrix: NDArray[np.floating[Any]] | None = None
    """Scores of shape (test users, items) or (test users, candidates), in place of pairs."""
    digest: str = ""
    """Of the split, if the file names it."""

    def at(self, index: int) -> str:
        """Return file and line of a pair, for a message."""
        unit = "line" if self.form in ("csv", "trec") else "row"
        return f"{self.name}, {unit} {self.line[index]}"


def read(file: Path | pd.DataFrame) -> Ranked:
    """Return the scores in a file, or in a DataFrame with the columns user, item and score.

    Raises
    ------
    ReproError
        If there is no such file, or it is not what its name says; with the line.
    """
    if isinstance(file, pd.DataFrame):
        content = file.to_csv(index=False, lineterminator="\n").encode()
        return _of_frame("a DataFrame", hashlib.sha256(content).hexdigest(), "frame", file)
    with reading(f"{file} cannot be read"):
        check_regular(file)
        content = file.read_bytes()
    form = FORMATS.get(file.suffix.lower(), "trec")
    sha256 = hashlib.sha256(content).hexdigest()
    if form == "npz":
        return _of_arrays(file.name, sha256, content)
    if form == "parquet":
        with reading(f"{file.name} is no Parquet file"):
            frame = pd.read_parquet(io.BytesIO(content))
        return _of_frame(file.name, sha256, form, frame)
    with reading(f"{file.name} is no text in UTF-8"):
        text = content.decode("utf-8-sig")
    found = _csv(file, text) if form == "csv" else _trec(file.name, text)
    user, item, score, line = found
    return Ranked(file.name, sha256, form, user, item, _numbers(file.name, score, line), line)


_Columns = tuple[NDArray[np.object_], NDArray[np.object_], NDArray[np.object_], NDArray[np.int64]]


def _csv(file: Path, text: str) -> _Columns:
    """Return user, item, score, all as texts, and the lines, of a file with a header."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    if file.suffix.lower() == ".tsv":
        reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True)
    rows: list[tuple[str, str, str]] = []
    lines: list[int] = []
    where: list[int] | None = None
    try:
        for row in reader:
            if not row:
                continue
            if where is None:
                where = _places(file.name, [name.strip().lower() for name in row])
                width = len(row)
                continue
            if len(row) != width:
                raise ReproError(
                    f"{file.name}, line {reader.line_num}: expected {width} values, got {len(row)}"
                )
            rows.append((row[where[0]], row[where[1]], row[where[2]]))
            lines.append(reader.line_num)
    except csv.Error as error:
        raise ReproError(f"{file.name}, line {reader.line_num}: {error}") from error
    return _stacked(file.name, rows, lines)


def _places(name: str, header: list[str]) -> list[int]:
    """Return where user, item and score stand in a header."""
    if missing := [column for column in COLUMNS if column not in header]:
        raise ReproError(
            f"{name}: the header has no column {', '.join(missing)}: {', '.join(header)[:100]}",
            "name the columns user, item and score in the first line",
        )
    return [header.index(column) for column in COLUMNS]


def _trec(name: str, text: str) -> _Columns:
    """Return user, item, score, all as texts, and the lines, of a TREC run."""
    rows: list[tuple[str, str, str]] = []
    lines: list[int] = []
    for number, line in enumerate(text.splitlines(), 1):
        values = line.split()
        if not values:
            continue
        if len(values) != 6:
            raise ReproError(
                f"{name}, line {number}: expected the 6 values of a TREC run, got {len(values)}",
                "write `user Q0 item rank score tag`; other formats end in .csv, .parquet, .npz",
            )
        rows.append((values[0], values[2], values[4]))
        lines.append(number)
    return _stacked(name, rows, lines)


def _stacked(name: str, rows: list[tuple[str, str, str]], lines: list[int]) -> _Columns:
    if not rows:
        raise ReproError(f"{name} has no scores", "write a line for each user and item")
    table = np.array(rows, dtype=object)
    return table[:, 0], table[:, 1], table[:, 2], np.array(lines)


def _numbers(name: str, texts: NDArray[np.object_], line: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return scores as numbers."""
    try:
        return texts.astype(np.float64)
    except ValueError:
        for text, number in zip(texts, line, strict=True):
            try:
                float(text)
            except ValueError:
                raise ReproError(
                    f"{name}, line {number}: the score {text[:40]!r} is not a number"
                ) from None
        raise


def _of_frame(name: str, sha256: str, form: str, frame: pd.DataFrame) -> Ranked:
    """Return the scores in a frame; ids that are whole numbers are taken as such."""
    where = _places(name, [str(column).strip().lower() for column in frame.columns])
    user, item = (frame.iloc[:, at].map(str).to_numpy(dtype=object) for at in where[:2])
    line = np.arange(1, len(frame) + 1)
    if not len(frame):
        raise ReproError(f"{name} has no scores", "write a row for each user and item")
    with reading(f"{name}: the scores are not numbers"):
        score = frame.iloc[:, where[2]].to_numpy(dtype=np.float64)
    return Ranked(name, sha256, form, user, item, score, line)


def _of_arrays(name: str, sha256: str, content: bytes) -> Ranked:
    """Return the scores in an NPZ file: a matrix, scipy's sparse matrix, or three columns."""
    with reading(f"{name} is no NPZ file of numbers and texts"):
        file = np.load(io.BytesIO(content), allow_pickle=False)
        arrays = {key: file[key] for key in file.files}
    digest = str(arrays.pop("digest", ""))
    if set(COLUMNS) <= arrays.keys():
        frame = pd.DataFrame({column: arrays[column] for column in COLUMNS})
        return replace(_of_frame(name, sha256, "npz", frame), digest=digest)
    if "scores" not in arrays:
        raise ReproError(
            f"{name} has no array `scores`: {', '.join(arrays)[:100]}",
            "save scores of shape (test users, items) or (test users, candidates), in the order "
            "of an export; or the columns user, item and score",
        )
    return Ranked(name, sha256, "npz", matrix=_matrix(name, arrays), digest=digest)


def _matrix(name: str, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.floating[Any]]:
    scores = arrays["scores"]
    if scores.ndim != 2 or scores.dtype.kind not in "fiu":
        raise ReproError(
            f"{name}: `scores` has shape {scores.shape} and type {scores.dtype}",
            "expected numbers of shape (test users, items) or (test users, candidates)",
        )
    return scores if scores.dtype.kind == "f" and scores.itemsize > 2 else scores.astype(np.float64)
