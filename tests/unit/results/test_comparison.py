"""Published beside ours: verdicts, marks, means and spreads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders import Write, records
from builders.papers import at, blocked, paper, row, table, view
from builders.records import asking, compared_cell, frozen_row
from repro.data import prepare, views
from repro.errors import ReproError
from repro.experiment import Experiment, model_spec
from repro.metrics import Result
from repro.papers import library
from repro.papers.paper import Paper
from repro.report.tables import row_name
from repro.results import frozen
from repro.results.comparison import ComparedTable, compare
from repro.results.judgement import VERDICTS
from repro.results.leaders import leaders
from repro.results.verdicts import ComparedCell
from repro.runs import plan
from repro.runs.asked import Asked
from repro.runs.records import Record

GONE = blocked("gone", "gone/all")
TABLE = table(groups=["toy", "gone"], seeds=[0, 1, 2]) + "TABLE\n"
EASE = row(
    "EASE",
    "ease",
    ["PUBLISHED"],
    params={"l2": 5},
    note="a note on the row",
    cell={"notes": {"NDCG@10": "a note on the cell"}},
)
OTHERS = (
    at("gone", "0.2")
    + row("Future", "of_the_future", ["0.3"])
    + row("Old", published=["0.4"], quoted_from="an older paper")
)
PAPER = paper(view(redraw=0.0), GONE, TABLE, EASE, OTHERS)
"""EASE has no random numbers, so that on the paper's own test cases nothing but the printed digits
separates two results."""
DRAWN = PAPER.replace("redraw = 0.0", "redraw = 1.0")

Own = Callable[..., Paper]


@pytest.fixture
def own(write: Write) -> Own:
    """Return what writes the paper with a number for EASE, and lines of the table, and loads it."""

    def load(published: str = "0.420", table: str = "", text: str = PAPER) -> Paper:
        write("tables/mine.toml", text.replace("PUBLISHED", published).replace("TABLE", table))
        return library.load("mine")

    return load


def experiment(paper: Paper, **changed: Any) -> Experiment:
    made = paper.entries["1"][0].experiment()
    assert made is not None
    return replace(made, **changed)


def record(run: Experiment, value: float, *, error: float = 0.01, **changed: Any) -> Record:
    results = {"ndcg@10": Result(value, error, 1)}
    return records.record(run, **({"results": results} | changed))


def cell(compared: ComparedTable, row: str = "EASE", group: str = "Toy") -> ComparedCell:
    (found,) = (c for c in compared.cells if (row_name(c.name), c.group) == (row, group))
    return found


def verdict(
    own: Own, published: str, ours: float, table: str = "", text: str = PAPER
) -> ComparedCell:
    paper = own(published, table, text)
    return cell(compare(paper, "1", [record(experiment(paper), ours)]))


@pytest.mark.parametrize(
    ("published", "ours", "expected"),
    [
        ("0.420", 0.42, "exact"),
        ("0.420", 0.4205, "exact"),
        ("0.420", 0.4195, "exact"),
        ("0.420", 0.42050001, "close"),
        ("0.420", 0.421, "close"),
        ("0.420", 0.42100001, "higher"),
        ("0.420", 0.41899999, "lower"),
        (".063", 0.0634, "exact"),
        (".063", 0.0641, "higher"),
        ("0.42", 0.4205, "exact"),
        ("0.42000", 0.4205, "higher"),
        ("0.632", 0.0, "lower"),
        ("4.20e-1", 0.4196, "exact"),
    ],
)
def test_ours_is_held_against_the_printed_digits(
    own: Own, published: str, ours: float, expected: str
) -> None:
    assert verdict(own, published, ours).verdict == expected


MISPRINT = PAPER.replace('notes = { "NDCG@10" = "a note on the cell" }', 'misprints = ["NDCG@10"]')


def test_ours_is_not_judged_by_a_number_that_cannot_be_the_rows(own: Own) -> None:
    paper = own("0.319", text=MISPRINT)
    found = cell(compare(paper, "1", [record(experiment(paper), 0.39)]))
    assert (found.verdict, found.doubts, found.ours) == ("misprint", "m", 0.39)
    assert cell(compare(paper, "1", [])).verdict == "unrun"
    others = [c for c in compare(paper, "1", []).cells if c is not found and c.row != "EASE"]
    assert not any(c.doubts for c in others)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('misprints = ["NDCG@10"]', 'misprints = ["NDCG@9"]', "NDCG@9"),
        ('note = "a note on the row"', "", "no note says why NDCG@10 cannot be this row's"),
    ],
)
def test_a_misprint_is_of_a_cell_of_the_table_and_has_its_reason(
    own: Own, before: str, after: str, said: str
) -> None:
    with pytest.raises(ReproError, match=said):
        own(text=MISPRINT.replace(before, after))


def test_a_row_printed_at_the_level_of_popularity_is_marked_and_judged(own: Own) -> None:
    paper = own(text=PAPER.replace('note = "a note on', 'at_popularity = true\nnote = "a note on'))
    found = cell(compare(paper, "1", [record(experiment(paper), 0.5)]))
    assert (found.verdict, found.doubts) == ("higher", "p")


def test_a_row_on_other_data_than_its_column_group_is_marked(own: Own) -> None:
    other = view("other", protocol={"name": "given_split", "leaked": "drop"})
    text = PAPER.replace("[tables.1]", other + "[tables.1]").replace(
        'published = ["PUBLISHED"],', 'published = ["PUBLISHED"], view = "other",'
    )
    paper = own(text=text)
    frozen.save("mine", [frozen_row(0.42)])
    found = cell(compare(paper, "1", [record(experiment(paper), 0.42)]))
    assert found.marks == found.reference_marks == "a"


@pytest.mark.parametrize(
    ("ours", "expected"),
    [(0.42, "exact"), (0.422, "close"), (0.418, "close"), (0.4221, "higher"), (0.4179, "lower")],
)
def test_a_tolerance_in_numbers_makes_close(own: Own, ours: float, expected: str) -> None:
    found = verdict(own, "0.420", ours, 'tolerance = [{ within = "0.002", source = "caption" }]')
    assert found.verdict == expected
    assert ("caption" in found.reason) == (expected == "close")


@pytest.mark.parametrize(
    ("ours", "expected"),
    [(0.448, "close"), (0.392, "close"), (0.4485, "higher"), (0.3915, "lower")],
)
def test_two_samples_of_users_may_differ_by_twice_the_error_of_both(
    own: Own, ours: float, expected: str
) -> None:
    # 2 * hypot(0.01 * sqrt(2), 0.0005) = 0.0283
    found = verdict(own, "0.420", ours, text=DRAWN)
    assert (found.verdict, found.chance) == (expected, ("users", "digit"))
    assert found.z == pytest.approx((ours - 0.42) / 0.0141510, rel=1e-4)


def test_what_the_users_vary_does_not_count_on_the_papers_own(own: Own) -> None:
    assert verdict(own, "0.420", 0.43).verdict == "higher"
    assert verdict(own, "0.420", 0.43, text=DRAWN).verdict == "close"


RANDOM = PAPER.replace('model = "ease"', 'model = "bpr"').replace("params = { l2 = 5 }", "")


@pytest.mark.parametrize(
    ("values", "expected", "chance"),
    [
        ([0.41, 0.43, 0.45], "close", ("seeds", "digit")),  # s = 0.02 sqrt(4/3): z = 0.4
        ([0.43, 0.431, 0.432], "higher", ("seeds", "digit")),
        ([0.43, 0.43, 0.43], "undecided", ("users for seeds", "digit")),  # they cannot be alike
        ([0.431], "undecided", ("users for seeds", "digit")),
        ([0.5], "higher", ("users for seeds", "digit")),  # too far even for all that users vary
        ([0.42], "exact", ("users for seeds", "digit")),
    ],
)
def test_how_much_seeds_vary_decides_on_the_papers_own_test_users(
    own: Own, values: list[float], expected: str, chance: tuple[str, ...]
) -> None:
    paper = own("0.420", text=RANDOM)
    known = [record(experiment(paper, seed=n), value) for n, value in enumerate(values)]
    found = cell(compare(paper, "1", known))
    assert (found.verdict, found.chance) == (expected, chance)


def test_a_model_that_collapsed_is_never_close(own: Own) -> None:
    paper = own("0.420")
    found = cell(compare(paper, "1", [record(experiment(paper), 0.42, constant=0.25)]))
    assert (found.verdict, found.marks) == ("collapsed", "c")


def test_a_number_among_fewer_candidates_than_asked_for_is_not_judged_and_leads_nothing(
    own: Own,
) -> None:
    paper = own("0.420")
    made = record(experiment(paper), 0.42, split=asking(15.6, 99))
    table = compare(paper, "1", [made])
    found = cell(table)
    assert (found.verdict, found.marks) == ("easier", "f")
    assert "fewer candidates" in found.reason
    assert leaders([found, compared_cell("Other", verdict="exact", ours=0.1)]) is None


def test_a_tolerance_holds_only_in_its_groups(own: Own) -> None:
    line = 'tolerance = [{ within = "0.5", source = "caption", groups = ["gone"] }]'
    assert verdict(own, "0.420", 0.43, line).verdict == "higher"


def test_a_tolerance_at_one_place_goes_before_that_of_the_table(own: Own) -> None:
    line = 'tolerance = [{ within = "0.5", source = "caption" }]'
    place = '"], tolerance = { within = "0.001", source = "place" }, notes ='
    text = PAPER.replace('"], notes =', place)
    assert text != PAPER
    paper = own("0.420", line, text)
    assert cell(compare(paper, "1", [record(experiment(paper), 0.43)])).verdict == "higher"


def test_without_a_record_there_is_no_number_and_a_reason(own: Own) -> None:
    compared = compare(own(), "1", [])
    told = {(c.row, c.group): (c.verdict, c.reason) for c in compared.cells}
    assert told == {
        ("EASE", "Toy"): ("unrun", "no record"),
        ("EASE", "Gone"): ("blocked", "the owner withdrew it"),
        ("Future", "Toy"): ("unrun", "there is no model of_the_future yet"),
        ("Old", "Toy"): ("quoted", "quoted from an older paper, without a recipe"),
    }
    for found in compared.cells:
        assert found.ours is None
        assert found.spread is None
        assert found.standard_error is None
        assert found.seeds == 0
        assert found.runs == ()
    assert compared.notes == ()


def test_every_verdict_has_its_meaning(own: Own) -> None:
    assert {c.verdict for c in compare(own(), "1", []).cells} <= VERDICTS.keys()


def test_several_seeds_give_mean_and_spread(own: Own) -> None:
    paper = own("0.20")
    runs = [experiment(paper, seed=seed) for seed in (2, 0, 1)]
    values = [(0.3, 0.03), (0.1, 0.01), (0.2, 0.02)]
    known = [record(run, value, error=e) for run, (value, e) in zip(runs, values, strict=True)]
    found = cell(compare(paper, "1", known))
    assert found.ours == pytest.approx(0.2)
    assert found.spread == pytest.approx(0.1)
    assert found.standard_error == pytest.approx(0.02)
    assert found.seeds == 3
    assert found.runs == tuple(run.id("d") for run in sorted(runs, key=lambda run: run.seed))
    assert found.verdict == "exact"


def test_a_single_seed_has_no_spread(own: Own) -> None:
    found = verdict(own, "0.420", 0.42)
    assert found.seeds == 1
    assert found.spread is None


@pytest.mark.parametrize(
    ("changed", "mark"),
    [
        ({}, ""),
        ({"verified": False}, "u"),
        ({"constant": 0.01}, "c"),
        ({"verified": False, "constant": 1.0}, "uc"),
        ({"untrained": 1}, "n"),
        ({"split": asking(98, 99)}, "f"),
        ({"split": asking(98.5, 99)}, ""),
        ({"split": asking(50, None)}, ""),
    ],
)
def test_marks_tell_of_the_data_and_of_collapsed_models(
    own: Own, changed: dict[str, Any], mark: str
) -> None:
    paper = own()
    assert cell(compare(paper, "1", [record(experiment(paper), 0.4, **changed)])).marks == mark


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize(
    ("changed", "mark"),
    [
        ({"verified": False}, "u"),
        ({"constant": 0.01}, "c"),
        ({"code": {"dirty": True}}, "d"),
        ({"attempts": [{"dirty": False}, {"dirty": True}]}, "d"),
    ],
)
def test_one_seed_of_several_is_enough_for_a_mark(
    own: Own, changed: dict[str, Any], mark: str, which: int
) -> None:
    paper = own()
    known = [record(experiment(paper, seed=seed), 0.4) for seed in range(3)]
    assert cell(compare(paper, "1", known)).marks == ""
    known[which] = replace(known[which], **changed)
    assert cell(compare(paper, "1", known)).marks == mark


@pytest.mark.parametrize(
    ("select", "mark"), [("test:ndcg@10", "t"), ("test:each", "t"), ("valid:ndcg@10", "")]
)
def test_a_mark_tells_that_the_epoch_was_chosen_on_test(own: Own, select: str, mark: str) -> None:
    assert verdict(own, "0.420", 0.42, f'select = "{select}"').marks == mark


def test_of_several_versions_the_latest_is_shown_and_marked(own: Own) -> None:
    paper = own("0.50")
    run = experiment(paper)
    late, early = (
        record(run, value, digest=digest, began=f"{year}-01-01T00:00:00+00:00")
        for value, digest, year in ((0.5, "e", 2025), (0.4, "d", 2024))
    )
    found = cell(compare(paper, "1", [late, early]))
    assert found.ours == 0.5
    assert found.marks == "v"
    assert found.seeds == 1


def test_seeds_of_another_version_of_the_data_do_not_enter_the_mean(own: Own) -> None:
    paper = own("0.50")
    known = [
        record(experiment(paper, seed=0), 0.1, began="2024-01-01T00:00:00+00:00"),
        record(experiment(paper, seed=1), 0.5, began="2025-01-01T00:00:00+00:00", digest="e"),
    ]
    found = cell(compare(paper, "1", known))
    assert (found.ours, found.seeds, found.marks) == (0.5, 1, "v")


def test_smoke_runs_count_only_when_asked_for(own: Own) -> None:
    paper = own("0.42")
    known = [record(experiment(paper).smoked(), 0.42)]
    assert cell(compare(paper, "1", known)).verdict == "unrun"
    found = cell(compare(paper, "1", known, smoke=True))
    assert (found.verdict, found.marks, found.ours) == ("smoke", "s", 0.42)


def test_real_runs_do_not_count_as_smoke(own: Own) -> None:
    paper = own()
    assert cell(compare(paper, "1", [record(experiment(paper), 0.4)], smoke=True)).ours is None


@pytest.mark.parametrize(
    ("given", "label"),
    [({}, "bpr (own)"), ({"n_epochs": 3, "l2": 0.5}, "bpr [l2=0.5, n_epochs=3] (own)")],
)
def test_a_model_that_the_paper_does_not_have_is_a_row_of_ours(
    own: Own, given: dict[str, Any], label: str
) -> None:
    paper = own()
    run = experiment(paper, model=model_spec("bpr", given, "here"))
    found = cell(compare(paper, "1", [record(run, 0.25)]), label)
    assert (found.verdict, found.published, found.ours, found.reason) == ("ours", "", 0.25, "")


def test_other_settings_of_a_papers_model_are_a_row_of_ours(own: Own) -> None:
    paper = own("0.42")
    runs = [experiment(paper), experiment(paper, model=model_spec("ease", {"l2": 9}, "here"))]
    compared = compare(paper, "1", [record(run, 0.42) for run in runs])
    assert cell(compared).verdict == "exact"
    assert cell(compared, "ease [l2=9.0] (own)").verdict == "ours"


@pytest.mark.parametrize(
    ("given", "row"),
    [
        ({"n_epochs": 3, "n_pretrain_epochs": 5}, "NeuMF, shortened to n_epochs = 3 of 8"),
        (
            {"n_epochs": 3, "n_pretrain_epochs": 1},
            "NeuMF, shortened to n_epochs = 3 of 8, n_pretrain_epochs = 1 of 5",
        ),
        ({"n_epochs": 9, "n_pretrain_epochs": 5}, None),
        ({"n_epochs": 3, "n_pretrain_epochs": 5, "gmf_dim": 4}, None),
    ],
)
def test_a_row_of_fewer_epochs_says_so_and_is_not_judged(
    own: Own, given: dict[str, Any], row: str | None
) -> None:
    text = PAPER.replace('label = "EASE"\nmodel = "ease"', 'label = "NeuMF"\nmodel = "neumf"')
    epochs = "params = { n_epochs = 8, n_pretrain_epochs = 5 }"
    paper = own(text=text.replace("params = { l2 = 5 }", epochs))
    run = experiment(paper, model=model_spec("neumf", given, "here"))
    known = [record(experiment(paper), 0.42), record(run, 0.40)]
    (found,) = (c for c in compare(paper, "1", known).cells if c.verdict == "ours")
    assert (found.ours, found.published) == (0.40, "")
    shown = row_name(found.name)
    assert shown == row if row else shown.startswith("neumf [")


SECOND = table("2") + row("EASE, stronger", "ease", ["0.42"], table="2", params={"l2": 9})


def test_what_another_table_of_the_paper_prints_is_no_row_of_ours(own: Own) -> None:
    paper = own(text=PAPER + SECOND)
    known = [record(experiment(paper, model=model_spec("ease", {"l2": 9}, "here")), 0.42)]
    assert not any(c.ours for c in compare(paper, "1", known).cells)
    assert [c.verdict for c in compare(paper, "2", known).cells] == ["exact"]


def test_a_run_on_other_data_is_no_row(own: Own) -> None:
    paper = own()
    run = experiment(paper, model=model_spec("bpr", {}, "here"), dataset="toy/ratings")
    assert not any(c.ours for c in compare(paper, "1", [record(run, 0.25)]).cells)


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"select": "test:each"}, "EASE, select = test:each"),
        ({"every": 7}, "EASE, every = 7"),
        ({"select": "valid:ndcg@10", "patience": 3}, "EASE, select = valid:ndcg@10, patience = 3"),
        (
            {"every": 7, "model": model_spec("ease", {"l2": 9}, "here")},
            "ease [l2=9.0] (own), every = 7",
        ),
    ],
)
def test_a_run_under_other_rules_of_evaluation_is_named_by_them(
    own: Own, changed: dict[str, Any], name: str
) -> None:
    paper = own()
    run = experiment(paper, **changed)
    found = [c for c in compare(paper, "1", [record(run, 0.25)]).cells if c.ours]
    assert {row_name(c.name) for c in found} == {name}
    assert {c.verdict for c in found} == {"ours"}  # never judged by the printed number


def test_other_settings_of_a_row_with_a_rule_of_its_own_are_a_row_of_ours(own: Own) -> None:
    text = PAPER.replace("at.gone = {", 'at.gone = { select = "test:ndcg@10",')
    paper = own(text=text.replace('dataset = "gone/all"', 'dataset = "toy/ratings"'))
    gone = next(entry for entry in paper.entries["1"] if entry.group == "gone").experiment()
    assert gone is not None
    run = replace(gone, model=model_spec("ease", {"l2": 9}, "here"))
    rows = {row_name(c.name) for c in compare(paper, "1", [record(run, 0.25)]).cells if c.ours}
    assert rows == {"ease [l2=9.0] (own), test:ndcg@10"}


def test_how_many_of_the_planned_seeds_ran_is_known(own: Own) -> None:
    paper = own()
    found = cell(compare(paper, "1", [record(experiment(paper, seed=1), 0.4)]))
    assert (found.seeds, found.planned) == (1, 3)


def test_notes_come_with_the_rows_that_have_a_number(own: Own) -> None:
    paper = own()
    compared = compare(paper, "1", [record(experiment(paper), 0.4)])
    assert compared.notes == (
        ("EASE", "a note on the row"),
        ("EASE, Toy, NDCG@10", "a note on the cell"),
    )


STATISTICS = paper(
    view(protocol=None),
    blocked("gone", "gone/all", None),
    view("future", "future/all", None),
    table(
        metrics={"Users": "users", "Length": "mean_length"},
        kind="statistics",
        groups=["toy", "gone", "future"],
    ),
    row("Toy", published=["PUBLISHED", "1"]),
    row("Gone", published=["1", ""], group="gone"),
    row("Future", published=["1", ""], group="future"),
)


def statistics(own: Own, published: str) -> dict[tuple[str, str], ComparedCell]:
    compared = compare(own(published, text=STATISTICS), "1", [])
    return {(c.row, c.label): c for c in compared.cells}


def test_statistics_without_data_have_no_number_and_a_reason(own: Own) -> None:
    told = {key: (c.verdict, c.reason, c.ours) for key, c in statistics(own, "1").items()}
    assert told == {
        ("Toy", "Users"): ("unrun", "not prepared: repro fetch toy", None),
        ("Toy", "Length"): ("unrun", "not prepared: repro fetch toy", None),
        ("Gone", "Users"): ("blocked", "the owner withdrew it", None),
        ("Future", "Users"): ("unrun", "there is no manifest of future yet", None),
    }


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        ("240", "exact"),
        ("0.24K", "exact"),
        ("239", "higher"),
        ("240.9", "lower"),
        ("1,240", "lower"),
    ],
)
def test_statistics_are_counted_on_the_view(own: Own, published: str, expected: str) -> None:
    prepare.prepare("toy/split")
    found = statistics(own, published)[("Toy", "Users")]
    assert (found.ours, found.verdict, found.marks) == (240.0, expected, "")


def test_of_several_versions_the_newest_run_decides_whatever_its_seed(own: Own) -> None:
    paper = own("0.50")
    known = [
        record(experiment(paper, seed=0), 0.1, began="2024-01-01T00:00:00+00:00"),
        record(experiment(paper, seed=1), 0.2, began="2024-01-02T00:00:00+00:00"),
        record(experiment(paper, seed=0), 0.5, began="2025-01-01T00:00:00+00:00", digest="e"),
    ]
    found = cell(compare(paper, "1", known))
    assert (found.ours, found.seeds, found.marks) == (0.5, 1, "v")


def test_a_run_that_did_not_follow_a_metric_leaves_its_cell_empty(own: Own) -> None:
    paper = own("0.50", 'select = "test:each"')
    other = record(experiment(paper), 0.5, results={"recall@5": Result(0.5, 0.1, 1)})
    found = cell(compare(paper, "1", [other]))
    assert (found.ours, found.verdict) == (None, "unrun")


@pytest.mark.parametrize("error", [None, 0.0])
def test_without_a_standard_error_nothing_is_decided(own: Own, error: float | None) -> None:
    paper = own("0.50", text=DRAWN)
    alone = record(experiment(paper), 0.4, results={"ndcg@10": Result(0.4, error, 1)})
    found = cell(compare(paper, "1", [alone]))
    assert (found.standard_error, found.verdict, found.z) == (None, "undecided", None)


def test_a_frozen_number_stands_beside_ours_and_changes_no_verdict(own: Own) -> None:
    paper = own("0.420")
    known = [record(experiment(paper), 0.42)]
    alone = cell(compare(paper, "1", known))
    frozen.save("mine", [frozen_row(0.1 + 0.2)])
    beside = cell(compare(paper, "1", known))
    assert alone.reference is None
    assert beside == replace(
        alone,
        reference=0.1 + 0.2,
        reference_verdict="lower",
        reference_seeds=1,
        reference_runs=("0123456789ab",),
    )


@pytest.mark.parametrize(
    ("value", "expected"), [(0.4204, "exact"), (0.429, "close"), (0.5, "higher"), (0.4, "lower")]
)
def test_a_frozen_number_has_a_verdict_of_its_own(own: Own, value: float, expected: str) -> None:
    paper = own("0.420", text=DRAWN)
    rows = [frozen_row(value, seed=s, standard_error=e) for s, e in enumerate((0.002, 0.008))]
    frozen.save("mine", rows)  # the mean of their standard errors is 0.005
    assert cell(compare(paper, "1", [])).reference_verdict == expected


def test_notes_come_with_rows_that_have_a_frozen_number(own: Own) -> None:
    paper = own()
    frozen.save("mine", [frozen_row(0.41)])
    assert compare(paper, "1", []).notes == (
        ("EASE", "a note on the row"),
        ("EASE, Toy, NDCG@10", "a note on the cell"),
    )


def test_a_frozen_number_stands_where_nothing_was_run_here(own: Own) -> None:
    paper = own("0.420")
    frozen.save("mine", [frozen_row(0.41)])
    found = cell(compare(paper, "1", []))
    assert (found.reference, found.ours, found.verdict) == (0.41, None, "unrun")
    assert all(c.reference is None for c in compare(paper, "1", []).cells if c != found)


def test_frozen_seeds_give_their_mean(own: Own) -> None:
    paper = own("0.420")
    frozen.save("mine", [frozen_row(value, seed=s) for s, value in enumerate((0.1, 0.2, 0.6))])
    assert cell(compare(paper, "1", [])).reference == pytest.approx(0.3)


def test_frozen_numbers_carry_their_own_marks_and_seeds(own: Own) -> None:
    paper = own("0.420")
    rows = [frozen_row(0.4), frozen_row(0.4, seed=1, verified=False, select="test:ndcg@10")]
    frozen.save("mine", rows)
    found = cell(compare(paper, "1", [record(experiment(paper), 0.42)]))
    assert (found.reference_marks, found.reference_seeds, found.planned) == ("ut", 2, 3)
    assert (found.marks, found.seeds) == ("", 1)


def test_a_frozen_row_of_ours_stands_beside_ours(own: Own) -> None:
    paper = own()
    run = experiment(paper, model=model_spec("bpr", {}, "here"))
    frozen.save("mine", [frozen_row(0.26, "bpr", origin="other")])
    found = cell(compare(paper, "1", [record(run, 0.25)]), "bpr (own)")
    assert (found.ours, found.reference, found.verdict) == (0.25, 0.26, "ours")


def test_a_row_of_ours_that_is_only_frozen_is_shown(own: Own) -> None:
    paper = own()
    frozen.save(
        "mine",
        [frozen_row(0.2, "bpr", origin="other"), frozen_row(0.4, "bpr", origin="other", seed=1)],
    )
    found = cell(compare(paper, "1", []), "bpr (own)")
    assert found.reference == pytest.approx(0.3)
    assert (found.ours, found.published, found.verdict) == (None, "", "ours")
    assert (found.paper, found.table, found.metric) == ("mine", "1", "ndcg@10")
    assert found.runs == ()


def test_what_is_frozen_of_one_table_does_not_stand_in_another(own: Own) -> None:
    paper = own(text=PAPER + SECOND)
    frozen.save(
        "mine",
        [frozen_row(0.2, "bpr", origin="other"), frozen_row(0.4, "EASE, stronger", table="2")],
    )
    assert {row_name(c.name) for c in compare(paper, "1", []).cells if c.reference} == {"bpr (own)"}
    assert {row_name(c.name) for c in compare(paper, "2", []).cells if c.reference} == {
        "EASE, stronger"
    }


def test_smoke_runs_are_not_held_against_frozen_numbers(own: Own) -> None:
    paper = own("0.42")
    frozen.save("mine", [frozen_row(0.41), frozen_row(0.2, "bpr", origin="other")])
    compared = compare(paper, "1", [record(experiment(paper).smoked(), 0.42)], smoke=True)
    assert all(c.reference is None for c in compared.cells)
    assert "bpr (own)" not in {row_name(c.name) for c in compared.cells}


@pytest.mark.parametrize("n", [1, 2])
def test_seeds_that_still_lack_are_known(own: Own, n: int) -> None:
    paper = own("0.20")
    known = [record(experiment(paper, seed=seed), 0.2) for seed in range(n)]
    found = cell(compare(paper, "1", known))
    assert (found.seeds, found.planned) == (n, 3)
    assert (found.spread is None) == (n == 1)


def test_a_record_from_before_memory_was_noted_counts_for_its_row(own: Own) -> None:
    paper = own("0.42")
    older = record(experiment(paper), 0.42)
    assert older.peak_bytes == {}
    assert "deterministic" not in older.environment
    assert cell(compare(paper, "1", [older])).verdict == "exact"


ADDED = row("EASE, stronger", "ease", (), added=True, params={"l2": 50}, note="a note on our row")
WITH_ADDED = paper(view(), GONE, TABLE, ADDED, EASE, OTHERS)


def test_an_added_row_is_ours_by_its_own_name_and_shows_only_with_a_number(own: Own) -> None:
    paper = own("0.420", text=WITH_ADDED)
    run = next(e for e in paper.entries["1"] if e.row == "EASE, stronger").experiment()
    assert run is not None
    assert "EASE, stronger (added)" not in {row_name(c.name) for c in compare(paper, "1", []).cells}
    compared = compare(paper, "1", [record(run, 0.5)])
    found = cell(compared, "EASE, stronger (added)")
    assert (found.ours, found.published, found.verdict) == (0.5, "", "ours")
    assert ("EASE, stronger", "a note on our row") in compared.notes
    assert [row_name(c.name) for c in compared.cells if c.ours is not None] == [
        "EASE, stronger (added)"
    ]


def test_a_row_of_another_paper_has_its_name_there(own: Own, own_folders: Path) -> None:
    paper = own("0.420")
    text = PAPER.replace("PUBLISHED", "0.5").replace("TABLE", "").replace("l2 = 5", "l2 = 0.5")
    theirs = own_folders / "user" / "tables" / "theirs.toml"
    theirs.write_text(text)
    run = library.load("theirs").entries["1"][0].experiment()
    assert run is not None
    other = replace(run, model=model_spec("ease", {"l2": 0.25}, "here"))
    known = [record(run, 0.5), record(other, 0.4)]

    def named() -> dict[str, float]:
        return {
            row_name(c.name): c.ours for c in compare(paper, "1", known).cells if c.ours is not None
        }

    assert named() == {"EASE of theirs, Table 1 (own)": 0.5, "ease [l2=0.25] (own)": 0.4}
    theirs.write_text(text + "a fault")
    assert named() == {"ease [l2=0.5] (own)": 0.5, "ease [l2=0.25] (own)": 0.4}


def test_an_added_row_with_only_a_frozen_number_shows_that(own: Own) -> None:
    paper = own("0.420", text=WITH_ADDED)
    frozen.save("mine", [frozen_row(0.2, "EASE, stronger", origin="added")])
    found = cell(compare(paper, "1", []), "EASE, stronger (added)")
    assert (found.ours, found.reference, found.verdict) == (None, 0.2, "ours")


def test_an_added_row_cannot_have_published_values(own: Own) -> None:
    text = WITH_ADDED
    with pytest.raises(ReproError, match="an added row has no published values"):
        own("0.420", text=text.replace("at.toy = {}", 'at.toy = { published = ["0.1"] }'))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, {"EASE"}),
        ({"added": True}, {"EASE", "EASE, stronger"}),
        ({"rows": ("ease, stronger",)}, {"EASE, stronger"}),
        ({"rows": ("EASE, stronger", "ease")}, {"EASE", "EASE, stronger"}),
    ],
)
def test_added_rows_run_when_asked_for(own: Own, asked: dict[str, Any], expected: set[str]) -> None:
    own("0.420", text=WITH_ADDED)
    made = plan.plan(Asked(papers=("mine",), table="1", views=("toy",), **asked))
    assert {job.label.split(" | ")[1] for job in made.jobs} == expected


OUR_VIEW = view(
    "more",
    "toy/ratings",
    "random_split",
    label="More, ours",
    added_for="toy",
    params={"ease": {"l2": 7}},
)
WITH_OUR_VIEW = paper(view(), OUR_VIEW, GONE, TABLE, EASE, OTHERS)


def test_a_view_of_ours_runs_every_row_of_the_view_that_it_is_added_for(own: Own) -> None:
    paper = own("0.420", text=WITH_OUR_VIEW)
    (entry,) = (e for e in paper.entries["1"] if e.row == "EASE" and e.view == "more")
    run = entry.experiment()
    assert run is not None
    assert (run.dataset, run.protocol.name, run.model.params["l2"]) == (
        "toy/ratings",
        "random_split",
        7,
    )
    assert {c.group for c in compare(paper, "1", []).cells} == {"Toy", "Gone"}
    found = cell(compare(paper, "1", [record(run, 0.5)]), group="More, ours")
    assert (found.ours, found.published, found.verdict, found.planned) == (0.5, "", "ours", 3)


@pytest.mark.parametrize(
    ("asked", "views"),
    [
        ({}, {"Toy"}),
        ({"views": ("more",)}, {"More, ours"}),
        ({"views": ("more", "TOY")}, None),
        ({"added": True}, None),
    ],
)
def test_a_view_of_ours_runs_when_asked_for(
    own: Own, asked: dict[str, Any], views: set[str] | None
) -> None:
    own("0.420", text=WITH_OUR_VIEW)
    made = plan.plan(Asked(papers=("mine",), table="1", **asked))
    assert {job.label.split(" | ")[2] for job in made.jobs} == (views or {"Toy", "More, ours"})


def test_a_view_of_ours_leaves_the_statistics_of_the_paper_alone(own: Own) -> None:
    counting = table("2", {"Users": "users"}, kind="statistics")
    counting += row("Toy", published=["300"], table="2")
    paper = own("0.420", text=WITH_OUR_VIEW + counting)
    assert [c.published for c in compare(paper, "2", []).cells] == ["300"]


@pytest.mark.parametrize(
    ("asked", "views"),
    [
        ({}, {"Toy"}),
        ({"views": ("more",)}, {"More, ours"}),
        ({"added": True}, {"Toy", "More, ours"}),
    ],
)
def test_any_model_can_be_put_on_a_view_of_ours(
    own: Own, asked: dict[str, Any], views: set[str]
) -> None:
    own("0.420", text=WITH_OUR_VIEW)
    made = plan.plan(Asked(papers=("mine",), model="popularity", **asked))
    assert {job.label.split(" | ")[2] for job in made.jobs} == views


@pytest.mark.parametrize(
    ("right", "faulty", "message"),
    [
        ("{ ease =", "{ eaze =", "did you mean ease"),
        ('added_for = "toy"', 'added_for = "ours"', "no view is called 'ours'"),
    ],
)
def test_faults_of_a_view_of_ours_are_named(
    own: Own, right: str, faulty: str, message: str
) -> None:
    with pytest.raises(ReproError, match=message):
        own("0.420", text=WITH_OUR_VIEW.replace(right, faulty, 1))


def test_a_record_of_another_version_of_the_data_than_is_here_is_marked(own: Own) -> None:
    paper = own("0.50")
    prepare.prepare("toy/split")
    here = views.load("toy/split").digest
    old = record(experiment(paper), 0.5, began="2025-01-01T00:00:00+00:00", digest="e")
    assert cell(compare(paper, "1", [old])).marks == "v"
    now = record(experiment(paper), 0.4, began="2024-01-01T00:00:00+00:00", digest=here)
    assert cell(compare(paper, "1", [now])).marks == ""
    found = cell(compare(paper, "1", [now, old]))
    assert (found.ours, found.marks) == (0.4, "v")
    (views.folder("toy/split") / "view.json").write_text("{}")  # a record needs no view
    assert cell(compare(paper, "1", [now])).marks == ""
