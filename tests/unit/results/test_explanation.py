"""A row explained from records, from frozen lines, and from nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders import Write
from builders.papers import at, blocked, paper, row, table, view
from builders.records import frozen_row, record
from repro.errors import ReproError
from repro.metrics import Result
from repro.papers import library
from repro.papers.paper import Paper
from repro.report import explanations
from repro.results import frozen
from repro.results.explanation import Explanation, explain_row
from repro.runs import records
from repro.runs.records import Record

METRICS = {"Recall@2": "capped_recall@2", "HR@1": "hit_rate@1"}
TEXT = paper(
    view(),
    blocked("gone", "gone/all"),
    view("other", "toy/split", {"name": "given_split", "leaked": "drop"}, added_for="toy"),
    table(metrics=METRICS, groups=["toy", "gone"], seeds=[0, 1]),
    row("EASE", "ease", ["0.4167", "0.9"], params={"l2": 5}, note="on the row"),
    at("gone", "0.1", "0.2"),
    row("Quoted", published=["0.1", ""], quoted_from="elsewhere"),
)


@pytest.fixture
def own(write: Write) -> Paper:
    write("tables/mine.toml", TEXT)
    return library.load("mine")


def one_of(paper: Paper, known: list[Record], **asked: str) -> Explanation:
    (found,) = explain_row(paper, "1", "EASE", known, view="toy", **asked)
    return found


def saved(folder: Path, paper: Paper, **changed: Any) -> Record:
    experiment = paper.entries["1"][0].experiment()
    assert experiment is not None
    hits = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0]], dtype=bool)
    results = {"capped_recall@2": Result(0.5, 0.2887, 3), "hit_rate@1": Result(1 / 3, 0.3, 3)}
    curve = [{"epoch": 3, "test": {"hit_rate@1": 1 / 3}}, {"epoch": 4, "test": {"hit_rate@1": 0.9}}]
    plain: dict[str, Any] = {
        "results": results,
        "curve": curve,
        "epoch": 3,
        "n_users": 3,
        "tie_size": 1.5,
    }
    made = record(experiment, **plain | {"tie_size": 1.5} | changed)
    records.save(folder, made, hits, np.array([4, 1, 2]))
    return replace(made, folder=folder / made.id)


def test_a_record_tells_which_recall_was_printed(own: Paper, tmp_path: Path) -> None:
    found = one_of(own, [saved(tmp_path, own)])
    recall, hit_rate = found.cells
    assert recall.ours is not None
    assert (recall.ours.value, recall.ours.prints, recall.verdict) == (0.5, False, "close")
    assert (recall.readings[0].name, recall.readings[0].prints) == ("recall@2", True)
    assert [(one.name, one.prints) for one in hit_rate.epochs] == [
        ("the last epoch, epoch 4", True),
        ("the best on test, epoch 4", True),
    ]
    assert (found.evidence, found.n_users, found.tie_size) == (True, 3, 1.5)
    assert [(run.kind, run.seed, run.epoch) for run in found.runs] == [("record", 0, 3)]
    assert found.command == "repro run mine --table 1 --row EASE --view toy"
    assert found.missing == [f"seeds 1 of 2: {found.command} --seeds 1"]
    text = explanations.text([found])
    assert "The printed 0.4167 is what recall@2 gives." in text
    assert "is what the last epoch, epoch 4 and the best on test, epoch 4 give." in text
    assert "1.50 other items share the deciding score" in text
    assert "on the row" in text


def test_frozen_lines_give_numbers_and_say_what_is_lacking(own: Paper) -> None:
    lines = [
        frozen_row(value, label="HR@1", metric="hit_rate@1", seed=seed, standard_error=0.03)
        for seed, value in enumerate((0.5, 0.6))
    ]
    frozen.save("mine", lines)
    found = one_of(own, [], metric="hr@1")
    (cell,) = found.cells
    assert cell.ours is not None
    error = np.sqrt(0.03**2 + np.var([0.5, 0.6], ddof=1) / 2)
    assert cell.ours.value == pytest.approx(0.55)
    assert cell.ours.standard_error == pytest.approx(error)
    assert cell.ours.z == pytest.approx((0.55 - 0.9) / error)
    assert cell.readings == cell.epochs == []
    assert (found.evidence, [run.kind for run in found.runs]) == (False, ["frozen", "frozen"])
    (missing,) = found.missing
    assert missing.startswith("no evidence: only numbers are frozen")
    assert "ours is 0.3500 (38.9%) below the printed number" in explanations.text([found])


def test_a_shorter_run_stands_in_and_is_named(write: Write, tmp_path: Path) -> None:
    write("tables/mine.toml", paper(view(), table(), row("BPR", "bpr", ["0.5"])))
    short = frozen_row(0.4, "BPR", shortened="n_epochs = 5 of 200")
    longer = frozen_row(0.45, "BPR", shortened="n_epochs = 20 of 200")
    found = library.load("mine")
    frozen.save("mine", [short, longer])
    (one,) = explain_row(found, "1", "bpr", [])
    assert one.shortened == "n_epochs = 20 of 200"
    assert one.cells[0].ours is not None
    assert one.cells[0].ours.value == 0.45
    assert any("the full length" in said for said in one.missing)


def test_nothing_is_known_and_that_is_said(own: Paper) -> None:
    found = {one.group: one for one in explain_row(own, "1", "ease", [])}
    assert found.keys() == {"Toy", "Gone"}  # the view of ours has no number
    assert found["Toy"].missing == [f"not run yet: {found['Toy'].command}"]
    assert found["Gone"].command == ""
    assert found["Gone"].missing[0].startswith("cannot be run: ")
    (quoted,) = explain_row(own, "1", "Quoted", [])
    assert quoted.quoted_from == "elsewhere"
    assert [setting.name for setting in quoted.settings] == ["dataset"]
    assert "The paper took these numbers from elsewhere." in explanations.text([quoted])


@pytest.mark.parametrize(
    ("table", "row", "asked", "said"),
    [
        ("7", "EASE", {}, "no table of mine is called '7'"),
        ("1", "EASY", {}, "no row of table 1 of mine is called 'EASY'"),
        ("1", "EASE", {"view": "too"}, "no view is called 'too'"),
        ("1", "EASE", {"metric": "HR@2"}, "no metric of this table is called 'HR@2'"),
    ],
)
def test_an_unknown_name_is_one_clear_sentence(
    own: Paper, table: str, row: str, asked: dict[str, str], said: str
) -> None:
    with pytest.raises(ReproError) as error:
        explain_row(own, table, row, [], **asked)
    assert error.value.message == said
    assert error.value.hint


def test_a_table_that_counts_has_no_runs() -> None:
    with pytest.raises(ReproError, match="table 2 of dave counts the data"):
        explain_row(library.load("dave"), "2", "Yelp", [])
