"""Claims judged on print and on frozen runs: each kind, worked by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders import Write
from builders.papers import (
    at,
    claim,
    figure,
    line,
    paper,
    row,
    table,
    view,
)
from builders.records import frozen_row, record
from repro.experiment import Experiment
from repro.papers import library
from repro.report.claims import found
from repro.results import figures
from repro.results.claims.judge import JudgedClaim, judge
from repro.results.frozen import Frozen, written
from repro.runs import records
from repro.runs.records import Record

PAIR: dict[str, Any] = {"tables": ["1"], "pairs": [["A", "B"]]}
TWO = {"NDCG@10": "ndcg@10", "NDCG@20": "ndcg@20"}


def judged(write: Write, *sections: str, known: Sequence[Record] = ()) -> JudgedClaim:
    write("tables/mine.toml", paper(*sections))
    (one,) = judge([library.load("mine")], known)
    return one


def printed(write: Write, a: Sequence[str], b: Sequence[str], **more: Any) -> JudgedClaim:
    """Return a claim that compares A with B, judged on these printed numbers."""
    metrics = dict(list(TWO.items())[: len(a)])
    rows = row("A", "ease", a) + row("B", "popularity", b)
    return judged(write, view(), table(metrics=metrics), rows, claim(**PAIR | more))


def verdicts(one: JudgedClaim) -> list[str]:
    return [compared.verdict for compared in one.printed.compared]


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [
        ("0.447", "0.445", "holds"),
        ("0.446", "0.445", "holds"),  # what lies between them rounds to one of them
        ("0.445", "0.445", "undecided"),
        ("0.444", "0.445", "fails"),
        ("0.4", "0.44", "undecided"),  # 0.4 is 0.35 to 0.45
    ],
)
def test_above_on_print_is_a_matter_of_rounding(write: Write, a: str, b: str, verdict: str) -> None:
    assert printed(write, [a], [b]).printed.verdict == verdict


@pytest.mark.parametrize(
    ("need", "verdict"), [("all", "fails"), ("some", "holds"), ("most", "fails")]
)
def test_a_claim_may_need_all_most_or_some(write: Write, need: str, verdict: str) -> None:
    one = printed(write, ["0.5", "0.5"], ["0.4", "0.6"], need=need)
    assert verdicts(one) == ["holds", "fails"]
    assert one.printed.verdict == verdict


def test_columns_that_are_left_out_do_not_count(write: Write) -> None:
    left_out = [{"group": "toy", "metrics": ["NDCG@20"]}]
    one = printed(write, ["0.5", "0.5"], ["0.4", "0.6"], apart_from=left_out)
    assert (one.printed.verdict, verdicts(one)) == ("holds", ["holds"])


@pytest.mark.parametrize(
    ("percent", "verdict", "said"),
    [
        ("25%", "holds", ""),
        ("24.8%", "holds", ""),  # 0.4995 / 0.4005 is 24.7 % more
        ("24%", "holds", "24% is cut, not rounded: it is 24.72% to 25.28%"),
        ("20%", "fails", "20% is stated, and it is 24.72% to 25.28%"),
    ],
)
def test_a_margin_is_recomputed_over_what_rounding_hides(
    write: Write, percent: str, verdict: str, said: str
) -> None:
    given: dict[str, Any] = {"kind": "margin", "percent": {"NDCG@10": percent}}
    one = printed(write, ["0.500"], ["0.400"], **given)
    assert (one.printed.verdict, one.printed.compared[0].why) == (verdict, said)


def test_a_margin_whose_digits_are_cut_says_so(write: Write) -> None:
    one = printed(write, ["0.3556"], ["0.3500"], kind="margin", percent={"NDCG@10": "1.5%"})
    assert one.printed.verdict == "holds"
    assert "1.5% is cut, not rounded" in found(one)


def test_gains_that_are_said_to_lie_between_two_are_all_looked_at(write: Write) -> None:
    stated: dict[str, Any] = {"kind": "margin", "between": True}
    a, b = ["0.5500", "0.6000"], ["0.5000", "0.5000"]
    wrong = printed(write, a, b, percent={"NDCG@10": "10%"}, **stated)
    assert verdicts(wrong) == ["holds", "fails"]
    right = printed(write, a, b, percent={"NDCG@10": "10%", "NDCG@20": "20%"}, **stated)
    assert right.printed.verdict == "holds"


@pytest.mark.parametrize(
    ("within", "verdict"), [("0.02", "holds"), ("0.01", "undecided"), ("0.005", "fails")]
)
def test_level_on_print_needs_the_whole_difference_inside_the_margin(
    write: Write, within: str, verdict: str
) -> None:
    one = printed(write, ["0.410"], ["0.400"], kind="level", within=within)
    assert one.printed.verdict == verdict


RANKED = row("A", "ease", ["0.5"]) + row("B", "popularity", ["0.4"]) + row("C", "random", ["0.3"])


@pytest.mark.parametrize(
    ("label", "ranks", "verdict"),
    [
        ("A", [1, 1], "holds"),
        ("B", [1, 1], "fails"),
        ("B", [2, 2], "holds"),
        ("C", [2, 3], "holds"),
        ("C", [1, 2], "fails"),
    ],
)
def test_a_rank_on_print(write: Write, label: str, ranks: list[int], verdict: str) -> None:
    made = claim(kind="best", tables=["1"], rows=[label], ranks=ranks)
    one = judged(write, view(), table(), RANKED, made)
    assert one.printed.verdict == verdict


def test_a_tie_leaves_a_rank_open(write: Write) -> None:
    rows = RANKED + row("D", "slim", ["0.4"])
    made = claim(kind="best", tables=["1"], rows=["B"], ranks=[2, 2])
    one = judged(write, view(), table(), rows, made)
    assert (one.printed.verdict, one.printed.columns) == ("undecided", ["undecided"])


def test_rows_of_two_tables_are_compared_and_numbers_repeat(write: Write) -> None:
    tables = (
        table() + row("A", "ease", ["0.5"]) + table("2") + row("A", "ease", ["0.50"], table="2")
    )
    pairs = [["A", {"row": "A", "table": "2"}]]
    one = judged(write, view(), tables, claim(kind="equal", tables=["1"], pairs=pairs))
    assert (one.printed.verdict, one.tables) == ("holds", ["1", "2"])
    tables = tables.replace("0.50", "0.51")
    one = judged(write, view(), tables, claim(kind="equal", tables=["1"], pairs=pairs))
    assert one.printed.verdict == "fails"


def test_a_row_of_ours_and_a_figure_print_nothing(write: Write) -> None:
    rows = row("A", "ease") + row("B", "popularity", (), added=True)
    one = judged(write, view(), table(), rows, claim(**PAIR))
    assert (one.printed.verdict, one.printed.reason) == ("unsupported", "B is a row of ours")
    drawn = figure("1", "curve") + line("1", "A", "ease") + line("1", "B", "popularity")
    pairs: dict[str, Any] = {"tables": ["figure 1"], "pairs": [["A", "B"]]}
    one = judged(write, view(), table(), rows, drawn, claim(**pairs))
    assert one.printed.reason == "Figure 1 prints no numbers"


def test_what_cannot_be_tested_and_what_is_not_measured_keep_their_reasons(write: Write) -> None:
    one = judged(write, view(), table(), RANKED, claim(kind="untestable", reason="a drawing"))
    assert (one.printed.verdict, one.ours.verdict) == ("untestable", "untestable")
    assert found(one) == "It is so. It cannot be tested: a drawing."
    one = judged(write, view(), table(), RANKED, claim(kind="unmeasured", reason="a sweep"))
    assert (one.printed.verdict, one.ours.verdict) == ("unsupported", "not run")
    assert found(one) == "It is so. A test would take a sweep."


# Our runs


def frozen(write: Write, *rows: Frozen) -> None:
    write("tables/reference/mine.csv", written(rows, Frozen))


def lines(
    name: str, values: Sequence[float], error: float | None = 0.01, **more: Any
) -> list[Frozen]:
    return [
        frozen_row(v, name, seed=seed, standard_error=error, experiment=f"{name}{seed}", **more)
        for seed, v in enumerate(values)
    ]


def on_frozen(
    write: Write, a: Sequence[float], b: Sequence[float], error: float | None = 0.01, **more: Any
) -> JudgedClaim:
    frozen(write, *lines("A", a, error), *lines("B", b, error))
    rows = row("A", "ease", ["0.50"]) + row("B", "popularity", ["0.40"])
    return judged(write, view(), table(), rows, claim(**PAIR | more))


@pytest.mark.parametrize(("a", "verdict"), [(0.55, "holds"), (0.50, "undecided"), (0.45, "fails")])
def test_above_on_frozen_runs_of_one_seed_counts_the_users_of_both(
    write: Write, a: float, verdict: str
) -> None:
    one = on_frozen(write, [a], [0.5])  # an error of 0.01 * sqrt(2) = 0.0141
    (compared,) = one.ours.compared
    assert one.ours.verdict == verdict
    assert (compared.paired, compared.seeds) == (False, 1)
    assert compared.difference == pytest.approx(a - 0.5)
    assert compared.low == pytest.approx(a - 0.5 - 1.96 * 0.0141, abs=1e-4)
    assert "unpaired, 1 seed (one seed: its spread is not counted)" in found(one)


def test_what_the_seeds_vary_is_added(write: Write) -> None:
    one = on_frozen(write, [0.50, 0.60], [0.40, 0.40])
    (compared,) = one.ours.compared
    # Users 2 * 0.01^2; the seeds of A: variance 0.005 / 2, with one degree of freedom.
    error, df = (0.0002 + 0.0025) ** 0.5, 0.0027**2 / 0.0025**2
    assert df == pytest.approx(1.1664)
    assert compared.low is not None
    assert compared.low < 0.15 - 4.303 * error  # wider than with two degrees of freedom
    assert one.ours.verdict == "undecided"


def test_the_effect_ratio_is_ours_over_theirs(write: Write) -> None:
    (compared,) = on_frozen(write, [0.55], [0.50]).ours.compared
    assert compared.ratio == pytest.approx(0.05 / 0.1)
    assert compared.ratio_low == pytest.approx((0.05 - 1.96 * 0.01414) / 0.11, abs=1e-3)
    assert compared.ratio_high == pytest.approx((0.05 + 1.96 * 0.01414) / 0.09, abs=1e-3)


@pytest.mark.parametrize("error", [None, 0.0])
def test_without_a_standard_error_nothing_is_decided(write: Write, error: float | None) -> None:
    one = on_frozen(write, [0.9], [0.1], error)
    assert (one.ours.verdict, one.ours.compared[0].why) == ("undecided", "no standard error")


@pytest.mark.parametrize(
    ("a", "within", "verdict"),
    [
        (0.50, "0.05", "holds"),
        (0.50, "0.01", "undecided"),  # not significant is not level
        (0.60, "0.05", "fails"),
    ],
)
def test_level_on_ours_is_a_test_of_its_own(
    write: Write, a: float, within: str, verdict: str
) -> None:
    assert on_frozen(write, [a], [0.5], kind="level", within=within).ours.verdict == verdict


@pytest.mark.parametrize(
    ("a", "verdict"), [(0.62, "holds"), (0.56, "fails"), (0.40, "fails"), (0.605, "holds")]
)
def test_a_margin_on_ours_fails_where_the_gain_is_smaller(
    write: Write, a: float, verdict: str
) -> None:
    one = on_frozen(write, [a], [0.5], kind="margin", percent={"NDCG@10": "20%"})
    assert one.ours.verdict == verdict
    assert one.ours.compared[0].difference == pytest.approx(a / 0.5 - 1)


def test_a_claim_on_two_sets_of_which_one_is_run_says_so(write: Write) -> None:
    frozen(write, *lines("A", [0.6]), *lines("B", [0.4]))
    views = view() + view("other", "toy/ratings")
    rows = "".join(
        row(name, model) + at("other", "0.5")
        for name, model in (("A", "ease"), ("B", "popularity"))
    )
    one = judged(write, views, table(groups=["toy", "other"]), rows, claim(**PAIR))
    assert (one.ours.verdict, one.ours.sets, one.ours.of_sets) == ("holds", 1, 2)
    assert "on 1 of 2 sets (Toy)" in found(one)
    assert one.ours.reason == "no run of A on Other"


def test_an_added_view_counts_only_where_the_claim_names_it(write: Write) -> None:
    frozen(write, *lines("A", [0.6], group="Mine"), *lines("B", [0.4], group="Mine"))
    views = view() + view("own", "toy/ratings", label="Mine", added_for="toy")
    rows = row("A", "ease") + row("B", "popularity")
    one = judged(write, views, table(), rows, claim(**PAIR))
    assert (one.ours.verdict, one.ours.reason) == ("not run", "no run of A on Toy")
    one = judged(write, views, table(), rows, claim(**PAIR, views=["own"]))
    assert (one.ours.verdict, one.ours.stand_in) == ("holds", True)
    assert "on Mine, in place of the paper's data" in found(one)


def test_many_chances_to_fail_are_corrected_for(write: Write) -> None:
    """One of six differences at p = 0.01 is no failure of a claim on all; alone it is."""
    a_tenth = -2.4 * 0.01 * 2**0.5
    names = [f"B{n}" for n in range(6)]
    models = ["popularity", "random", "slim", "item_knn", "pure_svd", "wmf"]
    values = [0.5 - a_tenth, *([0.5] * 5)]
    each = [line for n, v in zip(names, values, strict=True) for line in lines(n, [v])]
    frozen(write, *lines("A", [0.5]), *each)
    rows = row("A", "ease") + "".join(row(n, m) for n, m in zip(names, models, strict=True))
    asked: dict[str, Any] = {"tables": ["1"], "rows": ["A"]}
    all_ = judged(write, view(), table(), rows, claim(**asked, against=names))
    alone = judged(write, view(), table(), rows, claim(**asked, against=names[:1]))
    assert (all_.ours.verdict, alone.ours.verdict) == ("undecided", "fails")


def saved(folder: Path, experiment: Experiment, hits: Any, **changed: Any) -> Record:
    made = record(experiment, n_users=len(hits), **changed)
    records.save(folder, made, np.array(hits, dtype=bool), np.ones(len(hits), dtype=int))
    return replace(made, folder=folder / made.id)


def test_records_are_paired_user_by_user_and_one_constant_model_decides_nothing(
    write: Write, tmp_path: Path
) -> None:
    rows = row("A", "ease") + row("B", "popularity")
    sections = (view(), table(metrics={"HR@1": "hit_rate@1"}), rows, claim(**PAIR))
    write("tables/mine.toml", paper(*sections))
    entries = library.load("mine").entries["1"]
    a, b = (entry.experiment(0) for entry in entries)
    assert a is not None
    assert b is not None
    hit, miss = [1] + [0] * 9, [0] * 10
    mine = saved(tmp_path, a, [hit] * 70 + [miss] * 30)
    theirs = saved(tmp_path, b, [hit] * 60 + [miss] * 40)
    one = judged(write, *sections, known=[mine, theirs])
    (compared,) = one.ours.compared
    assert (one.ours.verdict, compared.paired) == ("holds", True)
    # 10 of 100 users differ by 1: a variance of 0.1 * 0.9 * 100 / 99.
    assert compared.low == pytest.approx(0.1 - 1.984 * (0.09 / 99) ** 0.5, abs=1e-4)
    constant = saved(tmp_path, b, [miss] * 100, constant=1.0)
    one = judged(write, *sections, known=[mine, constant])
    assert one.ours.verdict == "undecided"
    assert "constant" in one.ours.compared[0].why


# Figures

NOISE = {"label": "noise", "cases": "noise", "values": [0.0, 0.5, 1.0]}


def point(name: str, x: float, value: float, seed: int, number: str = "1") -> figures.Point:
    return figures.Point(
        number, "Toy", "NDCG@10", name, x, value, seed, "e", "d", True, "", False, ""
    )


def drawn(
    write: Write, kind: str, points: Sequence[figures.Point], made: str, **more: Any
) -> JudgedClaim:
    write("tables/reference/figures/mine-1.csv", figures.as_csv(list(points)))
    shown = figure("1", kind, seeds=[0, 1, 2], **more)
    shown += line("1", "A", "ease") + line("1", "B", "popularity")
    return judged(write, view(), table(), RANKED, shown, made)


def test_a_trend_is_a_slope_over_the_seeds(write: Write) -> None:
    points = [
        point("A", x, 0.5 - 0.1 * x - 0.01 * seed * x, seed)
        for x in (0, 0.5, 1)
        for seed in (0, 1, 2)
    ]
    made: dict[str, Any] = {"kind": "trend", "tables": ["figure 1"], "rows": ["A"]}
    one = drawn(write, "sweep", points, claim(**made, shape="falls"), x=NOISE)
    (compared,) = one.ours.compared
    assert one.ours.verdict == "holds"
    assert compared.difference == pytest.approx(-0.11)
    one = drawn(write, "sweep", points, claim(**made, shape="rises"), x=NOISE)
    assert one.ours.verdict == "fails"


def test_a_gap_may_grow_along_the_axis(write: Write) -> None:
    gap = {"A": 0.1, "B": 0.0}
    points = [
        point(name, x, 0.5 + g * x + 0.001 * seed * x * (name == "A"), seed)
        for name, g in gap.items()
        for x in (0, 0.5, 1)
        for seed in (0, 1, 2)
    ]
    made = claim(kind="trend", tables=["figure 1"], rows=["A"], against=["B"], shape="rises")
    one = drawn(write, "sweep", points, made, x=NOISE)
    assert one.ours.verdict == "holds"
    assert "A minus B, slope" in found(one)


def test_a_peak_is_above_every_other_place(write: Write) -> None:
    values = {0.0: 0.3, 0.5: 0.6, 1.0: 0.4}
    points = [
        point("A", x, v + 0.001 * seed * x, seed) for x, v in values.items() for seed in (0, 1, 2)
    ]
    made: dict[str, Any] = {"kind": "trend", "tables": ["figure 1"], "rows": ["A"], "shape": "peak"}
    right = drawn(write, "sweep", points, claim(**made, peak={"toy": 0.5}), x=NOISE)
    assert [one.row for one in right.ours.compared] == ["A at 0.5", "A at 0.5"]
    wrong = drawn(write, "sweep", points, claim(**made, peak={"toy": 1.0}), x=NOISE)
    assert (right.ours.verdict, wrong.ours.verdict) == ("holds", "fails")


def test_one_run_of_a_figure_decides_nothing(write: Write) -> None:
    points = [point("A", 0, 0.9, 0), point("B", 0, 0.1, 0)]
    made = claim(tables=["figure 1"], pairs=[["A", "B"]])
    one = drawn(write, "bars", points, made)
    assert one.ours.verdict == "undecided"
    assert one.ours.compared[0].difference == pytest.approx(0.8)


def curve(name: str, seed: int, values: Sequence[float]) -> list[figures.Point]:
    return [point(name, epoch, v, seed) for epoch, v in enumerate(values, start=1)]


def test_faster_counts_the_epochs_to_95_per_cent_of_the_best(write: Write) -> None:
    quick, slow = [0.1, 0.96, 1.0, 0.9], [0.1, 0.2, 0.3, 0.94, 0.95, 1.0]
    later = [0.1, 0.1, 0.2, 0.3, 0.94, 0.95, 1.0]
    points = [one for s in (0, 1, 2) for one in curve("A", s, quick)]
    points += [p for s, values in enumerate((slow, slow, later)) for p in curve("B", s, values)]
    made = claim(kind="faster", tables=["figure 1"], pairs=[["A", "B"]])
    one = drawn(write, "curve", points, made)
    # Epoch 2 against 5, 5 and 6.
    assert one.ours.verdict == "holds"
    assert one.ours.compared[0].difference == pytest.approx(10 / 3)


def test_of_a_curve_the_best_or_the_last_point_counts(write: Write) -> None:
    points = [p for s in (0, 1, 2) for p in curve("A", s, [0.9, 0.1 + 0.01 * s])]
    points += [p for s in (0, 1, 2) for p in curve("B", s, [0.2, 0.5])]
    asked: dict[str, Any] = {"tables": ["figure 1"], "pairs": [["A", "B"]]}
    best = drawn(write, "curve", points, claim(**asked))
    last = drawn(write, "curve", points, claim(**asked, at="last"))
    assert best.ours.compared[0].difference == pytest.approx(0.4)
    assert last.ours.compared[0].difference == pytest.approx(0.11 - 0.5)


# Facts


def facts(write: Write, *stated: dict[str, Any], **more: Any) -> JudgedClaim:
    made = claim(kind="equal", facts=list(stated), **more)
    return judged(write, view(), table(), row("A", "ease", params={"l2": 300.0}), made)


def test_numbers_that_follow_from_others(write: Write) -> None:
    fits = {"stated": "73", "computed": "10.0M / 136,677"}
    wrong = {"stated": "3.4", "computed": "435,435 / 136,677"}
    one = facts(write, fits, wrong)
    assert [compared.verdict for compared in one.printed.compared] == ["holds", "fails"]
    assert one.printed.verdict == "fails"
    assert "3.4 is stated, and it is 3.18587" in found(one)
    assert one.ours.verdict == "not run"


@pytest.mark.parametrize(("stated", "verdict"), [("300", "holds"), ("500", "fails")])
def test_a_setting_is_held_against_our_row(write: Write, stated: str, verdict: str) -> None:
    at_row = {"row": "A", "table": "1", "group": "toy"}
    one = facts(write, {"stated": stated, "param": "l2", "row": at_row})
    assert (one.printed.verdict, one.ours.verdict) == ("unsupported", verdict)


def test_a_statistics_table_is_recomputed_from_itself(write: Write) -> None:
    counts = {"U": "users", "I": "items", "N": "interactions", "S": "sparsity"}
    head = view(protocol=None) + table("1", counts, kind="statistics")
    made = claim(kind="equal", tables=["1"])
    cells = ["10", "20", "50", "75.00%"]
    assert judged(write, head, row("Toy", published=cells), made).printed.verdict == "holds"
    cells = ["10", "20", "50", "70.00%"]
    assert judged(write, head, row("Toy", published=cells), made).printed.verdict == "fails"
