"""Who is ahead in a table: a hand-worked one, and what must not be counted."""

from __future__ import annotations

from dataclasses import replace

from builders.records import compared_cell
from repro.report.tables import ahead as told
from repro.results.frozen import RowName
from repro.results.leaders import leaders
from repro.results.verdicts import ComparedCell

CELL = compared_cell("A")
A, B, C, EASE = RowName("A"), RowName("B"), RowName("C"), RowName("EASE", "added")


def table(*rows: tuple[RowName, list[str], list[float | None]]) -> list[ComparedCell]:
    """Return the cells of rows: a name, and per column what is printed and what is ours."""
    return [
        replace(CELL, **vars(row), label=f"column {column}", published=printed, ours=own)
        for row, published, ours in rows
        for column, (printed, own) in enumerate(zip(published, ours, strict=True))
    ]


HAND = table(
    (A, [".41", ".50", ".30"], [0.40, 0.52, 0.31]),
    (B, [".42", ".50", ".20"], [0.424, 0.50, 0.30]),
    (C, [".10", ".10", ".60"], [None, None, None]),
    (EASE, ["", "", ""], [0.426, 0.51, 0.10]),
)


def test_a_table_worked_by_hand() -> None:
    ahead = leaders(HAND)
    assert ahead is not None
    assert ahead.columns == 3
    assert ahead.published == {A: 1, B: 2, C: 1}  # A and B tie in the second column
    assert ahead.here == {A: 2, B: 1}
    assert (ahead.found, ahead.rows) == (2, 3)
    assert ahead.with_added == {A: 2, EASE: 1}
    # 0.424 is .42 when printed, and so not above it; 0.426 is .43, 0.52 and 0.51 are above .50.
    assert ahead.above == {EASE: 2, A: 1}
    assert told(ahead) == (
        "Best of 3 columns. Published: B 2, A 1, C 1. Here (2 of 3 rows run): A 2, B 1. Here, "
        "with further rows (2 of 3 rows run): A 2, EASE (added) 1. Above every published number: "
        "EASE (added) 2, A 1."
    )


def test_the_row_that_leads_most_comes_first() -> None:
    ahead = leaders(HAND)
    assert ahead is not None
    assert list(ahead.published) == [B, A, C]


def test_above_counts_in_the_finest_digits_that_a_column_is_printed_with() -> None:
    column = table((A, [".524"], [0.524]), (B, [".5"], [0.526]), (C, [".4"], [0.5244]))
    ahead = leaders(column)
    assert ahead is not None
    assert ahead.above == {B: 1}  # .526 is above .524, and 0.5244 is .524 when printed


def test_a_frozen_number_stands_in_for_a_missing_record() -> None:
    frozen = [replace(cell, ours=None, reference=cell.ours) for cell in HAND]
    assert leaders(frozen) == leaders(HAND)


def test_without_two_rows_of_numbers_nobody_is_ahead() -> None:
    assert leaders([]) is None
    assert leaders(table((A, [".4"], [0.4]), (B, [".5"], [None]))) is None


def test_smoke_runs_and_counts_of_data_are_no_contest() -> None:
    assert leaders([replace(cell, marks="s") for cell in HAND]) is None
    assert leaders([replace(cell, metric="users") for cell in HAND]) is None


def test_a_number_that_was_not_measured_leads_nothing_and_is_beaten_by_nobody() -> None:
    doubted = [replace(c, doubts="m") if c.published == ".60" else c for c in HAND]
    ahead = leaders(doubted)
    assert ahead is not None
    assert ahead.published == {A: 2, B: 2}
    assert ahead.above == {EASE: 2, A: 2}  # 0.31 is above .30


def test_a_row_that_was_run_on_other_data_is_no_rival() -> None:
    elsewhere = [replace(c, marks="a") if c.row == "A" else c for c in HAND]
    ahead = leaders(elsewhere)
    assert ahead is not None
    assert A not in ahead.published | ahead.above
    assert ahead.here == {}  # one row of the paper's is left
    assert ahead.with_added == {}
    frozen = [replace(c, ours=None, reference=c.ours, reference_marks=c.marks) for c in elsewhere]
    assert leaders(frozen) == ahead


def test_a_row_of_fewer_epochs_is_no_rival() -> None:
    shorter = [replace(c, shortened="n_epochs = 1 of 9", published="") for c in HAND[:3]]
    assert leaders([*HAND, *shorter]) == leaders(HAND)


def test_a_view_of_ours_has_leaders_without_any_published_number() -> None:
    ahead = leaders(table((A, [""], [0.2]), (B, [""], [0.3])))
    assert ahead is not None
    assert told(ahead) == "Best of the column. Here: B 1."
    assert leaders(table((A, [""], [0.2]), (EASE, [""], [0.3]))) is None
