"""The ids of all experiments: a change of the code must not orphan records or frozen lines.

`python tests/golden/test_experiment_ids.py` writes the file anew, after a change that is meant.
"""

from __future__ import annotations

from pathlib import Path

from repro.papers import library
from repro.papers.schema import figure_key

KEPT = Path(__file__).with_name("experiment_ids.tsv")


def ids() -> list[str]:
    """Return paper, table, row, column group, view and id of every row, without a digest."""
    found = set()
    for name in library.papers():
        paper = library.load(name)
        for number in [*paper.tables, *map(figure_key, paper.figures)]:
            for entry in paper.entries[number]:
                if experiment := entry.experiment():
                    place = (name, number, entry.row, entry.group, entry.view)
                    found.add("\t".join([*place, experiment.id("")]))
    return sorted(found)


def test_ids_are_what_they_were() -> None:
    before = KEPT.read_text(encoding="utf-8").splitlines()
    lost = sorted(set(before) - set(ids()))
    assert not lost, f"{len(lost)} experiments have another id; the first is {lost[0]}"


if __name__ == "__main__":
    KEPT.write_text("".join(f"{line}\n" for line in ids()), encoding="utf-8")
