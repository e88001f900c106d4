"""What tests of other frameworks share: a split of real data, and our own model on it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import repro
from repro.doors.place import asked_at, place_of
from repro.papers import library

ML_100K = ("dave", "4", "ml100k")
ML_LATEST = ("acvae", "2", "ml_latest")
PAGE = Path(__file__).parents[2] / "repro" / "doors" / "README.md"

Place = tuple[str, str, str]


def exported(place: Place, folder: Path, form: str) -> Path:
    """Export a split; return its folder."""
    paper, table, view = place
    return repro.export(paper, table, folder / view, form, view=view).folder


def ours(place: Place, model: Any) -> dict[str, float]:
    """Return what our own model gives on a split."""
    paper, table, view = place
    asked = asked_at(place_of(library.load(paper), table, view))
    fitted = repro.fit(model, asked.split, [*asked.place.metrics.values()], keep_scorer=False)
    return {name: one.value for name, one in fitted.results.items()}


def theirs(place: Place, file: Path, name: str) -> dict[str, float]:
    """Score a file beside its export; return what it gives."""
    found = repro.score(place[0], place[1], file, name=name)
    assert found.is_digest_checked
    return {name: one.value for name, one in found.record.results.items()}


def furthest(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """Return the largest difference in any metric."""
    assert one.keys() == other.keys()
    assert one
    return max(abs(one[name] - other[name]) for name in one)


def code_of(package: str) -> str:
    """Return the file of the page that wraps a package's model."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (found,) = [block for block in blocks if f"from {package}" in block]
    return found
