"""What every row of every shipped table runs, as a digest, and the numbers printed for it.

A record's id is made of the recipe: data, protocol, model, all of their parameters, and the epoch
that counts. So a default, a recipe, a metric's variant or a printed number that changes unmeant is
noticed here; earlier records would no longer count for their row, or be held against another
number. What the models do with their parameters is pinned in losses.json.
`python tests/golden/test_recipes.py` pins the recipes anew, in recipes.json.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from repro.experiment import canonical
from repro.papers import library

RECIPES = Path(__file__).with_name("recipes.json")
PIN = "`python tests/golden/test_recipes.py` pins every row anew"
CHANGED = f"if this was meant to change, {PIN}; earlier records of the row may count no longer"


def recipes(paper: str) -> dict[str, str]:
    """Return a paper's rows by table, row and column group: a digest, then the printed numbers."""
    loaded, found = library.load(paper), {}
    for number in loaded.tables:
        for entry in loaded.entries[number]:
            experiment = entry.experiment()
            if experiment is None:
                continue
            metrics = [cell.metric for cell in entry.cells]
            whole = {**experiment.as_json(), "metrics": metrics, "seeds": entry.seeds}
            digest = hashlib.sha256(canonical(whole).encode()).hexdigest()[:12]
            key = f"{paper} {number} | {entry.row} | {entry.group}"
            assert key not in found, f"two rows are {key}"
            found[key] = " ".join([digest, *(cell.published for cell in entry.cells)]).strip()
    return found


@pytest.mark.parametrize("paper", library.papers())
def test_a_papers_rows_run_what_they_ran(paper: str) -> None:
    whole = json.loads(RECIPES.read_text())
    pinned = {key: row for key, row in whole.items() if key.split()[0] == paper}
    assert pinned, f"nothing is pinned of {paper}: {PIN}"
    found = recipes(paper)
    assert found.keys() == pinned.keys(), CHANGED
    assert {key: row for key, row in found.items() if row != pinned[key]} == {}, CHANGED


def test_nothing_is_pinned_of_papers_that_are_gone() -> None:
    assert {key.split()[0] for key in json.loads(RECIPES.read_text())} <= {*library.papers()}, PIN


def pin() -> None:
    """Write every paper's rows, a row a line."""
    rows = {key: row for paper in library.papers() for key, row in recipes(paper).items()}
    lines = (f"{json.dumps(k, ensure_ascii=False)}: {json.dumps(v)}" for k, v in rows.items())
    RECIPES.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    pin()
