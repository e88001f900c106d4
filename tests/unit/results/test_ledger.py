"""The ledger finds the pairs that measure a reading, and measures them as numpy does by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders import Write
from builders.papers import NDCG, at, figure, row, table, view
from builders.records import frozen_row, record
from builders.toml import section
from repro.experiment import Experiment, model_spec
from repro.metrics import Result
from repro.papers import library
from repro.papers.paper import Paper
from repro.results import frozen
from repro.results.ledger import Reading, readings
from repro.runs import records
from repro.runs.records import Record

OPEN = {"ours": ["bpr.l2", "bpr.batch_size"], "paper 4": ["bpr.embedding_dim", "bpr.n_epochs"]}
"""Of the model's defaults, its learning rate is ours, too."""

Own = Callable[..., Paper]


@pytest.fixture
def own(write: Write) -> Own:
    """Return what loads a paper with a row BPR and these others, and keeps these frozen lines."""

    def load(*others: str, views: str = "", lines: list[frozen.Frozen] | None = None) -> Paper:
        head = section("paper", title="Mine", authors="me", venue="here", url="", sources=OPEN)
        text = head + view(sources={"ours": ["protocol.leaked"]}) + views
        text += table(metrics=NDCG | {"HR@1": "hit_rate@1"}, select="last")
        write("tables/mine.toml", text + row("BPR", "bpr", ["0.5", "0.5"]) + "".join(others))
        paper = library.load("mine")
        if lines:
            frozen.save("mine", lines)
        return paper

    return load


def ours(label: str, **params: Any) -> str:
    return row(label, "bpr", [], added=True, params=params)


def saved(folder: Path, experiment: Experiment, hits: Any, seed: int = 0) -> Record:
    experiment = replace(experiment, seed=seed)
    made = record(experiment, n_users=len(hits))
    targets = np.ones(len(hits), dtype=int)
    records.save(folder, made, np.array(hits, dtype=bool), targets)
    return replace(made, folder=folder / made.id)


def experiment(paper: Paper, label: str) -> Experiment:
    entry = next(e for e in paper.entries["1"] if e.row == label)
    made = entry.experiment()
    assert made is not None
    return made


def found(every: list[Reading], *names: str) -> Reading:
    (one,) = [one for one in every if one.names == list(names)]
    return one


def test_a_planted_pair_is_measured_as_by_hand(own: Own, tmp_path: Path) -> None:
    paper = own(ours("BPR, more l2", l2=0.1))
    base = [[[1, 0], [0, 1], [0, 0], [1, 0]], [[1, 0], [0, 0], [0, 0], [0, 1]]]
    other = [[[1, 0], [1, 0], [0, 1], [0, 1]], [[1, 0], [1, 0], [1, 0], [1, 0]]]
    known = [
        saved(tmp_path, experiment(paper, label), hits, seed)
        for label, runs in (("BPR", base), ("BPR, more l2", other))
        for seed, hits in enumerate(runs)
    ]
    reading = found(readings([paper], known), "l2")
    (variation,) = reading.variations
    assert variation.own == {"l2": 1e-05}
    assert variation.values == {"l2": 0.1}
    assert (variation.base, variation.row) == ("BPR", "BPR, more l2")
    effect = next(e for e in variation.effects if e.label == "HR@1")
    by_hand = np.array(other)[:, :, 0] - np.array(base)[:, :, 0]  # seeds, users
    assert effect.value == pytest.approx(by_hand.mean())
    assert (effect.paired, effect.seeds) == (True, 2)
    of_users = by_hand.mean(axis=0).std(ddof=1) / 2
    assert effect.standard_error is not None
    assert effect.standard_error >= of_users
    assert effect.z == pytest.approx(effect.value / effect.standard_error)
    assert reading.command == ""


def test_frozen_numbers_are_compared_without_pairs(own: Own) -> None:
    lines = [
        frozen_row(value, label, origin=origin, seed=seed, standard_error=0.03)
        for label, origin, values in (("BPR", "paper", (0.5, 0.52)), ("More", "added", (0.6, 0.64)))
        for seed, value in enumerate(values)
    ]
    reading = found(readings([own(ours("More", l2=0.1), lines=lines)], []), "l2")
    (effect,) = reading.variations[0].effects
    assert effect.value == pytest.approx(0.62 - 0.51)
    gaps = np.array([0.6 - 0.5, 0.64 - 0.52])
    by_hand = np.sqrt(0.03**2 + 0.03**2 + gaps.var(ddof=1) / 2)
    assert effect.standard_error == pytest.approx(by_hand)
    assert (effect.paired, effect.seeds) == (False, 2)


def test_only_seeds_that_both_have_are_compared(own: Own) -> None:
    lines = [
        frozen_row(0.5, "BPR"),
        frozen_row(0.9, "BPR", seed=1),
        frozen_row(0.6, "More", origin="added"),
    ]
    reading = found(readings([own(ours("More", l2=0.1), lines=lines)], []), "l2")
    assert reading.variations[0].effects[0].value == pytest.approx(0.1)


def test_a_run_of_other_settings_measures_too(own: Own) -> None:
    name = "bpr [l2=0.1]"
    lines = [frozen_row(0.5, "BPR"), frozen_row(0.4, name, origin="other")]
    reading = found(readings([own(lines=lines)], []), "l2")
    assert reading.variations[0].row == name
    assert reading.variations[0].effects[0].value == pytest.approx(-0.1)


def test_a_shorter_run_measures_the_epochs_if_they_are_open(own: Own) -> None:
    short = frozen_row(0.4, "BPR", shortened="n_epochs = 5 of 200")
    every = readings([own(lines=[frozen_row(0.5, "BPR"), short])], [])
    assert not [one for one in every if "n_epochs" in one.names]  # the paper says so
    assert not [one for one in every if one.variations]


def test_several_open_readings_that_a_row_of_ours_varies_are_measured_together(own: Own) -> None:
    both = ours("Both", l2=0.1, batch_size=7)
    third = ours("And the size", l2=0.1, embedding_dim=8)  # which is the paper's
    lines = [
        frozen_row(0.5, "BPR"),
        frozen_row(0.6, "Both", origin="added"),
        frozen_row(0.7, "And the size", origin="added"),
    ]
    every = readings([own(both, third, lines=lines)], [])
    assert found(every, "batch_size", "l2").variations[0].values == {"batch_size": 7, "l2": 0.1}
    assert not found(every, "l2").variations
    assert {v.row for one in every for v in one.variations} == {"Both"}


def test_an_added_view_measures_what_the_view_leaves_open(own: Own) -> None:
    dropped = {"name": "given_split", "leaked": "drop"}
    more = view("reachable", "toy/split", dropped, label="Reachable", added_for="toy")
    popular = row("Pop", "popularity", [], added=True)
    lines = [
        frozen_row(0.5, "Pop", origin="added"),
        frozen_row(0.6, "Pop", origin="added", group="Reachable"),
    ]
    every = readings([own(popular, views=more, lines=lines)], [])
    reading = found(every, "protocol.leaked")
    assert reading.row == ""
    assert reading.variations[0].values == {"protocol.leaked": "drop"}
    assert reading.variations[0].effects[0].value == pytest.approx(0.1)
    assert {place.row for place in reading.places} == {""}


def test_what_is_not_measured_names_the_run_that_would(own: Own) -> None:
    every = readings([own(ours("More", l2=0.1))], [])
    assert found(every, "l2").command == "repro run mine --table 1 --row More --view toy"
    rate = found(every, "learning_rate")
    assert rate.command.endswith("--row BPR --view toy --set learning_rate=VALUE")
    assert found(every, "protocol.leaked").command == ""


def test_the_largest_effect_comes_first_and_the_unmeasured_last(own: Own) -> None:
    lines = [
        frozen_row(0.5, "BPR"),
        frozen_row(0.51, "A", origin="added"),
        frozen_row(0.2, "B", origin="added"),
    ]
    rows = ours("A", l2=0.1), ours("B", batch_size=3)
    every = readings([own(*rows, lines=lines)], [])
    assert [one.names for one in every[:2]] == [["batch_size"], ["l2"]]
    assert not any(one.variations for one in every[2:])


def test_a_sweep_of_a_figure_measures(write: Write) -> None:
    head = section("paper", title="Mine", authors="me", venue="here", url="", sources=OPEN)
    text = head + view() + table() + row("BPR", "bpr", ["0.5"])
    text += figure("1", "sweep", x={"label": "l2", "param": "l2", "values": [1e-05, 0.1]})
    text += section("[figures.1.lines]", label="BPR", model="bpr") + at("toy")
    write("tables/mine.toml", text)
    paper = library.load("mine")
    swept = next(e for e in paper.entries["figure 1"] if e.row == "BPR at 0.1").experiment()
    assert swept is not None
    assert swept.model == model_spec("bpr", {"l2": 0.1}, "here")
    known = [
        record(one, results={"ndcg@10": Result(value, 0.01, 1)})
        for one, value in ((experiment(paper, "BPR"), 0.5), (swept, 0.7))
    ]
    reading = found(readings([paper], known), "l2")
    assert reading.variations[0].row == "BPR at 0.1 of figure 1"
    assert reading.variations[0].effects[0].value == pytest.approx(0.2)
