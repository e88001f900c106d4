"""Printed tables, without files: from numbers, or from hits as an honest author computes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from repro import metrics
from repro.auditing.audit import Audited, audit
from repro.auditing.intervals import Interval
from repro.auditing.read import Print
from repro.auditing.rows import Cell, Known, PrintedRow
from repro.papers.schema import PaperFile

ABOUT = {"title": "Mine", "authors": "me", "venue": "here", "url": ""}


def printed(
    names: Sequence[str],
    numbers: Mapping[str, Sequence[str]],
    view: Mapping[str, Any] | None = None,
    **table: Any,
) -> Print:
    """Return a paper with one results table, whose columns are called as our metrics are."""
    content = {
        "paper": ABOUT,
        "views": {"v": {"label": "V", **(view or {})}},
        "tables": {
            "1": {
                "caption": "Results",
                "groups": ["v"],
                "metrics": {name: name for name in names},
                "rows": [
                    {"label": label, "at": {"v": {"published": list(texts)}}}
                    for label, texts in numbers.items()
                ],
                **table,
            }
        },
    }
    return Print("mine", Path("mine.toml"), PaperFile.model_validate(content))


def audited(*given: Any, **options: Any) -> Audited:
    return audit(printed(*given, **options))


def digits(value: float, decimals: int, per_cent: bool = False) -> str:
    """Return a number as it is printed."""
    return f"{value * 100:.{decimals}f}%" if per_cent else f"{value:.{decimals}f}"


def measured(
    names: Sequence[str], hits: np.ndarray[Any, Any], n_targets: np.ndarray[Any, Any]
) -> list[float]:
    """Return the means of metrics over users."""
    return [float(metrics.per_user(name, hits, n_targets).mean()) for name in names]


def exact(names: Sequence[str], values: Sequence[float], known: Known) -> PrintedRow:
    """Return a row whose numbers are known exactly."""
    cells = tuple(Cell(name, name, repr(value)) for name, value in zip(names, values, strict=True))
    return PrintedRow("1", "v", "V", "v", "row", cells, known, one_epoch=True)


ONE = {"cases": {"most_targets": 1, "source": "Section 4"}}
"""A view with one target a user."""


def within(row: PrintedRow, values: Sequence[float]) -> bool:
    """Return whether numbers lie in the intervals of a row's cells."""
    ranges: list[Interval] = [row.of(cell.function)[cell.k].of for cell in row.cells]
    return all(
        one.low - 1e-9 <= value <= one.high + 1e-9
        for one, value in zip(ranges, values, strict=True)
    )
