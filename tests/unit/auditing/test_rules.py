"""The inequalities against an oracle that shares no formula with them: all small cases."""

from __future__ import annotations

from itertools import combinations, product
from math import sqrt

import numpy as np
import pytest

from builders.printed import ONE, audited, exact, measured, printed, within
from repro import metrics
from repro.auditing import gains
from repro.auditing.intervals import Interval, count, improvement, interval, share
from repro.auditing.one_target import z_allowed
from repro.auditing.programme import certificate, feasible, forced
from repro.auditing.rows import Cell, Known, PrintedRow
from repro.auditing.rules import RULES

CUTS = (1, 2, 4)
NAMES = [f"{name}@{k}" for name in metrics.METRICS for k in CUTS]


def broken(row: PrintedRow, *, one_target: bool) -> list[str]:
    found = []
    for key, rule in RULES.items():
        if one_target or not rule.one_target:
            found += [f"{key}: {b.says}" for b in rule.bounds(row) if b.left > b.right + 1e-9]
    return found


def test_every_rule_holds_for_every_way_to_place_one_target() -> None:
    known = Known(users=3, fewest=1, most=1, mean=Interval(1, 1))
    for ranks in product(range(6), repeat=3):
        hits = np.array(ranks)[:, None] == np.arange(5)
        row = exact(NAMES, measured(NAMES, hits, np.ones(3, dtype=int)), known)
        assert broken(row, one_target=True) == [], ranks


def test_every_rule_holds_for_every_way_to_place_two_users_targets() -> None:
    lists = [
        (np.array(bits, dtype=bool), n)
        for n in (1, 2, 3, 5)
        for bits in product((0, 1), repeat=4)
        if sum(bits) <= n
    ]
    for one, other in combinations(lists, 2):
        hits, targets = np.stack([one[0], other[0]]), np.array([one[1], other[1]])
        mean = float(targets.mean())
        known = Known(users=2, fewest=int(targets.min()), mean=Interval(mean, mean))
        row = exact(NAMES, measured(NAMES, hits, targets), known)
        assert broken(row, one_target=False) == [], (one, other)


def test_the_gains_of_whole_hits_are_those_of_the_first_and_the_last_ranks() -> None:
    for k in (1, 2, 5, 10):
        assert gains.first(k) == pytest.approx(sum(gains.gain(r) for r in range(1, k + 1)))
        assert gains.last(k, k) == pytest.approx(gains.first(k))
        assert gains.last(1, k) == pytest.approx(gains.gain(k))
    assert gains.first(2.5) == pytest.approx((gains.first(2) + gains.first(3)) / 2)


def test_capped_recall_bounds_ndcg_by_a_hull_and_not_by_the_ideal_of_k_targets() -> None:
    k = 7
    points = {
        (h / m, gains.first(h) / gains.first(m)) for m in range(1, k + 1) for h in range(m + 1)
    }
    assert all(y <= gains.highest_ndcg(x, k) + 1e-12 for x, y in points)
    wrong = [(x, y) for x, y in points if y > gains.first(k * x) / gains.first(k) + 1e-9]
    assert wrong, "the simple bound would have held"
    hull = max(gains.highest_ndcg((a + b) / 2, k) for a, b in combinations(np.linspace(0, 1, 9), 2))
    assert hull <= 1 + 1e-12
    for (x0, y0), (x1, y1) in combinations(sorted(points), 2):  # means of two users
        assert (y0 + y1) / 2 <= gains.highest_ndcg((x0 + x1) / 2, k) + 1e-12


NAMES_S7 = ["hit_rate@2", "hit_rate@4", "ndcg@2", "ndcg@4", "mrr@4"]


def of_ranks(ranks: tuple[int, ...]) -> list[float]:
    hits = np.array(ranks)[:, None] == np.arange(5)
    return measured(NAMES_S7, hits, np.ones(len(ranks), dtype=int))


def row_of(numbers: list[str]) -> PrintedRow:
    cells = tuple(Cell(name, name, text) for name, text in zip(NAMES_S7, numbers, strict=True))
    return PrintedRow("1", "v", "V", "v", "row", cells, Known(most=1), one_epoch=True)


def test_the_programme_agrees_with_all_rankings_of_a_few_users() -> None:
    every = [of_ranks(ranks) for ranks in product(range(5), repeat=4)]
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(120):
        moved = np.array(every[rng.integers(len(every))]) + rng.choice([0, 0, 0.03, -0.03], 5)
        rows.append(row_of([f"{min(max(x, 0), 1):.2f}" for x in moved]))
    possible = feasible(rows)
    reached = [any(within(row, values) for values in every) for row in rows]
    assert all(p for p, r in zip(possible, reached, strict=True) if r)  # no ranking is accused
    assert 10 < sum(possible) < 110
    for row, can in zip(rows, possible, strict=True):
        assert (certificate(row) is None) == can


def test_a_certificate_can_be_recomputed_rank_by_rank() -> None:
    numbers = dict(zip(NAMES_S7, ["0.50", "0.60", "0.40", "0.60", "0.42"], strict=True))
    bound = certificate(row_of(list(numbers.values())))
    assert bound is not None
    terms = bound.says.partition(" ≤ ")[0].replace("− ", "-").replace("+ ", "").split(" × ")
    words = " ".join(terms).split()
    weights = dict(zip(words[1::2], map(float, words[::2]), strict=True))
    ends = {name: share(text) for name, text in numbers.items()}
    least = sum(w * (ends[n].low if w > 0 else ends[n].high) for n, w in weights.items())
    assert least == pytest.approx(bound.left)
    for rank in range(5):
        at_rank = dict(zip(NAMES_S7, of_ranks((rank,)), strict=True))
        assert sum(w * at_rank[n] for n, w in weights.items()) < least


def test_the_range_that_others_force_on_a_cell_is_the_one_found_by_trying() -> None:
    row = row_of(["0.50", "0.80", "0.45", "0.90", "0.52"])
    of = forced(row, "ndcg@4")
    assert of is not None
    for value in np.arange(0.4, 0.9, 0.01):
        numbers = ["0.50", "0.80", "0.45", f"{value:.2f}", "0.52"]
        inside = of.low - 0.005 <= round(value, 2) <= of.high + 0.005
        assert feasible([row_of(numbers)]) == [inside], value


def test_a_paired_test_lies_between_the_least_and_the_largest_spread() -> None:
    n = 5
    for a, b in product(product((0, 1), repeat=n), repeat=2):
        d = np.array(a) - np.array(b)
        if d.mean() <= 0 or d.std() == 0:
            continue
        first, second = (Interval(sum(x) / n, sum(x) / n) for x in (a, b))
        allowed = z_allowed(first, second, n)
        for ddof in (0, 1):
            z = d.mean() * sqrt(n) / d.std(ddof=ddof)
            assert allowed.low - 1e-9 <= z <= allowed.high + 1e-9


def test_a_printed_number_stands_for_half_a_unit_on_either_side() -> None:
    assert (interval("0.420").low, interval("0.420").high) == pytest.approx((0.4195, 0.4205))
    assert (interval("42.0%").low, interval("42.0%").high) == pytest.approx((0.4195, 0.4205))
    assert (interval("0.42", "cut").low, interval("0.42", "cut").high) == pytest.approx(
        (0.41, 0.43)
    )
    assert share("0.000").low == 0
    assert count("604") == Interval(604, 604)
    assert count("7.4K") == Interval(7350, 7450)
    assert count("580K").low <= 575_272  # zeros before the letter may be rounded, too


def test_an_improvement_is_as_exact_as_its_two_numbers() -> None:
    found = improvement(interval("0.064"), interval("0.070"))
    assert found.low < 0.064 / 0.070 - 1 < found.high
    assert found.high - found.low == pytest.approx(0.001 / 0.07 * (1 + 0.064 / 0.07), rel=0.01)


def test_without_knowledge_of_targets_no_rule_for_one_target_is_applied() -> None:
    row = {"row": ["0.5000", "0.5001"]}  # recall is not the hit rate with many targets
    assert audited(["hit_rate@10", "recall@10"], {"row": ["0.5010", "0.5000"]}).hard == []
    assert audited(["recall@10", "hit_rate@10"], row, view=ONE).hard == []
    found = audited(["hit_rate@10", "recall@10"], {"row": ["0.5010", "0.5000"]}, view=ONE)
    assert [one.rule for one in found.hard] == ["S0"]
    unknown = audited(["hit_rate@10", "recall@10"], {"row": ["0.5010", "0.5000"]})
    assert any("S7" in one.rules and "one target" in one.why for one in unknown.untested)


def test_rules_of_one_epoch_are_off_where_each_metric_has_its_own() -> None:
    names, row = (
        ["hit_rate@5", "hit_rate@10", "ndcg@5", "ndcg@10"],
        ["0.50", "0.51", "0.30", "0.40"],
    )
    assert [f.rule for f in audited(names, {"row": row}, view=ONE).hard] == ["S4"]
    each = audited(names, {"row": row}, view=ONE, select="test:each")
    assert each.hard == []
    assert any("S4" in one.rules and "test:each" in one.why for one in each.untested)


def test_a_number_that_only_passes_when_cut_says_so() -> None:
    names = ["hit_rate@10", "ndcg@10"]
    (one,) = audited(names, {"row": ["0.4000", "0.4002"]}, view=ONE).hard
    assert one.severity == "impossible unless truncated or rounded up"
    (one,) = audited(names, {"row": ["0.4000", "0.4003"]}, view=ONE).hard
    assert one.severity == "impossible"
    assert "too, off by less than a unit" in one.rounding


def test_an_error_over_users_is_bounded_by_the_mean() -> None:
    view = {"cases": {"users": 101, "source": "it"}}
    row = {"label": "A", "at": {"v": {"published": ["0.400"], "errors": ["0.060"]}}}
    found = audited(["ndcg@10"], {}, view=view, rows=[row])
    assert [one.rule for one in found.hard] == ["M5"]
    row = {"label": "A", "at": {"v": {"published": ["0.400"], "errors": ["0.049"]}}}
    assert audited(["hit_rate@10"], {}, view=view, rows=[row]).hard == []
    row = {"label": "A", "at": {"v": {"published": ["0.406"], "errors": ["0.020"]}}}
    found = audited(["hit_rate@10"], {}, view=view, rows=[row], runs=1)
    assert [one.rule for one in found.hard] == ["M5"]
    assert audited(["ndcg@10"], {}, view=view, rows=[row], runs=1).hard == []
    assert audited(["hit_rate@10"], {}, view=view, rows=[row]).hard == []  # over runs it can be


def test_an_average_follows_from_its_rows() -> None:
    for text, rules in (("0.35", []), ("0.36", []), ("0.37", ["G2"])):
        rows = [
            {"label": n, "at": {"v": {"published": [x]}}, "average_of": parts}
            for n, x, parts in (("A", "0.30", []), ("B", "0.41", []), ("Avg.", text, ["A", "B"]))
        ]
        assert [one.rule for one in audited(["ndcg@10"], {}, rows=rows).hard] == rules, text


def test_printed_tests_and_improvements_are_recomputed() -> None:
    view = {"cases": {"users": 1000, "source": "it"}}
    rows = {"A": ["0.400"], "B": ["0.380"]}
    test = {"row": "A", "against": "B", "group": "v", "metric": "hit_rate@10"}
    for z, rules in (("2.0", []), ("9.0", ["S8"]), ("0.1", ["S8"])):
        found = audited(["hit_rate@10"], rows, view=view, significance=[test | {"z": z}], runs=1)
        assert [one.rule for one in found.hard] == rules, z
    for text, rules in (("5.26%", []), ("5.3", []), ("6.26%", ["G1"])):
        gain = {"of": "A", "at": {"v": [text]}}
        found = audited(["hit_rate@10"], rows, improvements=[gain])
        assert [one.rule for one in found.hard] == rules, text


def test_bold_marks_the_best_ties_included() -> None:
    def of(bold: dict[str, list[str]]) -> list[str]:
        numbers = {"A": "0.40", "B": "0.50", "C": "0.50"}
        rows = [
            {"label": n, "at": {"v": {"published": [x], "bold": bold.get(n, [])}}}
            for n, x in numbers.items()
        ]
        return [one.says for one in audited(["ndcg@10"], {}, rows=rows).findings]

    assert of({"B": ["ndcg@10"], "C": ["ndcg@10"]}) == []
    assert of({}) == []  # nobody copied the marks
    assert "0.50 is not in bold" in of({"B": ["ndcg@10"]})[0]
    assert "0.40 is in bold" in of({"A": ["ndcg@10"]})[0]


def test_rows_that_carry_the_numbers_of_another_are_told_in_any_order() -> None:
    names = ["ndcg@10", "recall@10", "hit_rate@10"]
    rows = {"A": ["0.4123", "0.3456", "0.7891"], "B": ["0.3456", "0.4123", "0.7891"]}
    (one,) = [f for f in audited(names, rows).findings if f.rule == "P3"]
    assert one.severity == "notable"
    assert "another order" in one.says
    short = {"A": ["0.4", "0.3", "0.7"], "B": ["0.4", "0.3", "0.7"]}
    assert [f for f in audited(names, short).findings if f.rule == "P3"] == []  # chance


def test_a_pattern_of_single_runs_is_notable_and_no_fault() -> None:
    rng = np.random.default_rng(0)
    view = {"cases": {"users": 943, "source": "it"}}
    single = {f"r{n}": [f"{rng.integers(943) / 943:.4f}"] for n in range(12)}
    found = audited(["hit_rate@10"], single, view=view)
    assert [(f.rule, f.severity) for f in found.findings] == [("S1", "notable")]
    mean = {f"r{n}": [f"{rng.integers(9430) / 9430:.4f}"] for n in range(12)}
    assert audited(["hit_rate@10"], mean, view=view).findings == ()
    few = audited(
        ["hit_rate@10"], {"r": ["0.5000"]}, view={"cases": {"users": 9999, "source": "it"}}
    )
    assert any("too few digits" in one.why for one in few.untested)


def test_what_is_known_comes_from_the_file_then_the_protocol() -> None:
    names, rows = ["hit_rate@10"], {"r": ["0.5"]}
    told = {"protocol": {"name": "leave_one_out"}, "dataset": "nobody/has"}
    assert printed(names, rows, told).known("v").one_target
    assert printed(names, rows, told).known("v").users is None
    held = {"protocol": {"name": "strong_generalization", "heldout_users": 500}}
    assert printed(names, rows, held).known("v").users == 500
    assert not printed(names, rows, held).known("v").one_target
    own = told | {"cases": {"users": 7, "source": "it"}}
    assert printed(names, rows, own).known("v") == Known(7, "it", 1, 1, None, "it")
    manifest = {"protocol": {"name": "leave_one_out"}, "dataset": "ml-100k/dave"}
    known = printed(names, rows, manifest).known("v")
    assert (known.users, known.users_from) == (943, "the manifest of ml-100k/dave")


def test_an_odd_number_of_decimals_is_notable() -> None:
    rows = {f"r{n}": [f"0.{5000 + n}", f"0.{4000 + n}"] for n in range(10)}
    rows["r3"][0] = "0.500"
    (one,) = [f for f in audited(["hit_rate@10", "ndcg@10"], rows).findings if f.rule == "P5"]
    assert one.cells[0].printed == "0.500"


def test_an_ideal_over_the_hits_found_is_recognised() -> None:
    rng = np.random.default_rng(0)
    hits, targets = rng.uniform(size=(200, 10)) < 0.2, np.full(200, 10)
    found = hits.sum(axis=1)
    names = ["ndcg@10", "capped_recall@10", "hit_rate@10"]
    honest = measured(names, hits, targets)
    assert audited(names, {"A": [f"{x:.4f}" for x in honest]}).hard == []
    some = found > 0
    wrong = float(metrics.per_user("ndcg@10", hits[some], found[some]).sum()) / 200
    (one,) = audited(names, {"A": [f"{x:.4f}" for x in (wrong, *honest[1:])]}).hard
    assert (one.rule, "ideal over the hits" in one.says) == ("M4", True)
