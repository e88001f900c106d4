"""A claim that does not fit its paper: one clear sentence with the file and the claim's id."""

from __future__ import annotations

from typing import Any

import pytest

from builders import Write
from builders.papers import claim, figure, line, paper, row, table, view
from repro.errors import ReproError
from repro.papers import library

TABLES = (
    view(),
    table(),
    row("A", "ease"),
    row("B", "popularity"),
    figure("1", "curve"),
    line("1", "A", "ease"),
)
PAIR: dict[str, Any] = {"tables": ["1"], "pairs": [["A", "B"]]}
CURVE: dict[str, Any] = {"tables": ["figure 1"], "pairs": [["A", "A"]]}
SWEEP: dict[str, Any] = {"tables": ["figure 1"], "rows": ["A"], "shape": "rises"}
AT = {"row": "A", "table": "1", "group": "toy"}


def test_a_claim_that_fits_is_read(write: Write) -> None:
    made = claim(**PAIR, metrics=["NDCG@10"], groups=["toy"], need="some")
    write("tables/mine.toml", paper(*TABLES, made))
    (read,) = library.load("mine").claims
    assert (read.id, read.kind, read.two_by_two()) == ("a-claim", "above", [("A", "B")])


@pytest.mark.parametrize(
    ("made", "fault"),
    [
        (claim(tables=["1"], pairs=[["A", "C"]]), "no row of table 1 is called 'C'"),
        (claim(tables=["1"], rows=["A"], against=["Bb"]), "'Bb'\n  did you mean B?"),
        (claim(tables=["2"], pairs=[["A", "B"]]), "tables: no table is called '2'"),
        (claim(**PAIR, groups=["tay"]), "'tay'\n  did you mean toy?"),
        (claim(**PAIR, metrics=["NDCG@5"]), "no metric is called 'NDCG@5'"),
        (claim(**PAIR, views=["toy"]), "views: no added view is called 'toy'"),
        (claim(**PAIR, peak={"toy": 1}), "only kind trend has peak"),
        (claim(**PAIR, within="0.1"), "only kind level has within"),
        (claim(**PAIR, reason="no"), "kind above has no reason, as it is tested"),
        (claim(tables=["1"]), "kind above needs pairs, or rows and against"),
        (claim(pairs=[["A", "B"]]), "needs tables"),
        (claim(kind="margin", **PAIR), "kind margin needs percent"),
        (claim(kind="margin", **PAIR, percent={"NDCG@10": "much"}), "'much' is not a number"),
        (claim(kind="level", **PAIR), "kind level needs within"),
        (claim(kind="best", tables=["1"]), "kind best needs rows"),
        (claim(kind="untestable"), "kind untestable needs reason"),
        (claim(kind="equal"), "kind equal needs facts"),
        (claim(kind="trend", **SWEEP), "kind trend needs a figure with an axis"),
        (claim(kind="faster", **PAIR), "kind faster needs a figure with an axis"),
        (claim(**CURVE, x=[0.5]), "0.5 is not on an axis of figure 1"),
        (claim(tables=["1"], pairs=[["A", {"row": "B", "metric": "X"}]]), "metric is called 'X'"),
        (claim(tables=["1"], pairs=[["A", {"row": "B", "group": "X"}]]), "group is called 'X'"),
        (claim(tables=["1"], pairs=[["A", {"row": "B", "table": "7"}]]), "table is called '7'"),
        (claim(kind="equal", facts=[{"stated": "1"}]), "needs one of computed, statistic and par"),
        (claim(kind="equal", facts=[{"stated": "1", "computed": "1 +"}]), "needs a number where"),
        (claim(kind="equal", facts=[{"stated": "1", "param": "l2"}]), "l2 needs a row with its"),
        (
            claim(kind="equal", facts=[{"stated": "1", "statistic": "cats", "view": "toy"}]),
            "no statistic is called 'cats'",
        ),
        (claim() + claim(), "claims.a-claim: two claims have this id"),
        (claim(id="A claim", **PAIR), "claims.0.id: must be a text of the form"),
        (claim(kind="abuve", **PAIR), "claims.0.kind: must be 'above'"),
    ],
)
def test_a_fault_is_named_with_the_file_and_the_claim(write: Write, made: str, fault: str) -> None:
    path = write("tables/mine.toml", paper(*TABLES, made))
    with pytest.raises(ReproError) as caught:
        library.load("mine")
    said = str(caught.value)
    assert str(path) in said
    assert "claims." in said
    assert fault in said, said


def test_a_fact_of_a_setting_may_name_a_row(write: Write) -> None:
    facts = [{"stated": "500", "param": "l2", "row": AT}]
    write("tables/mine.toml", paper(*TABLES, claim(kind="equal", facts=facts)))
    assert library.load("mine").claims[0].rests_on() == ["1"]
