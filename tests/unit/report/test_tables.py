"""Tables as text: what is printed can be read back, and nothing printed is lost."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import asdict, replace
from io import StringIO
from typing import Any

import pytest

from builders.records import compared_cell
from repro.papers import library
from repro.report import tables
from repro.results.comparison import ComparedTable
from repro.results.judgement import VERDICTS
from repro.results.verdicts import MARKS

EASE = compared_cell(
    "EASE (β)",
    published="0.420",
    ours=0.4211111,
    standard_error=0.0123,
    seeds=1,
    verdict="close",
    marks="ut",
    reason="within 0.0123: a caption",
    runs=("0123456789ab",),
)
RECALL = replace(
    EASE,
    label="Recall@20",
    metric="recall@20",
    published=".7",
    ours=0.66,
    verdict="exact",
    marks="",
    reason="",
)
UNRUN = replace(
    RECALL,
    row="Future",
    label="NDCG@10",
    ours=None,
    verdict="unrun",
    reason="no record",
    runs=(),
    seeds=0,
)
OURS = replace(
    EASE,
    row="bpr",
    origin="other",
    published="",
    ours=0.25,
    spread=0.01,
    verdict="ours",
    marks="",
    reason="",
)
ELSEWHERE = replace(EASE, group="Elsewhere", ours=0.1, verdict="lower", reason="by 0.32", marks="")

CELLS = (EASE, RECALL, UNRUN, OURS, ELSEWHERE)
TABLE = ComparedTable("mine", "1", "A caption", "A note.", CELLS, (("EASE", "A row's note."),))


def grid(markdown: str, heading: str) -> list[list[str]]:
    """Return the cells of the Markdown table below a heading."""
    block = markdown.partition(f"**{heading}**")[2].lstrip("\n").partition("\n\n")[0]
    rows = [re.split(r"(?<!\\)\|", line.strip("|")) for line in block.splitlines()]
    return [[text.strip() for text in row] for row in rows if not set(row[0]) <= set(":-")]


def test_markdown_has_a_grid_per_column_group_with_a_line_each_for_published_and_ours() -> None:
    text = tables.markdown([TABLE])
    assert text.startswith("### mine, Table 1\n\nA caption\n")
    assert grid(text, "Toy") == [
        ["", "", "NDCG@10", "Recall@20"],
        ["EASE (β)", "published", "0.420", ".7"],
        ["", "**yours**", "0.4211 [u] [t]", "0.66"],
        ["", "s.e. over users", "0.0123", "0.01"],
        ["", "verdict", "close", "exact"],
        ["Future", "published (unrun)", ".7", ""],
        ["bpr (own)", "yours", "0.2500 ± 0.0100", ""],
        ["", "s.e. over users", "0.0123", ""],
    ]
    assert grid(text, "Elsewhere")[2] == ["", "**yours**", "0.1000"]


def test_marks_of_a_whole_row_stand_once() -> None:
    cells = (EASE, replace(RECALL, marks="ctu"))
    text = tables.markdown([replace(TABLE, cells=cells)])
    assert grid(text, "Toy")[2] == ["", "**yours** [u] [t]", "0.4211", "0.66 [c]"]


@pytest.mark.parametrize("form", ["markdown", "text"])
def test_prose_explains_its_verdicts_marks_reasons_and_notes_and_no_others(form: str) -> None:
    text = tables.FORMATS[form]([TABLE])
    for verdict, meaning in VERDICTS.items():
        shown = verdict != "ours" and any(c.verdict == verdict for c in CELLS)
        assert (f"- {verdict}: {meaning}" in text) == shown
    for mark, meaning in MARKS.items():
        assert (f"- [{mark}] {meaning}" in text) == any(mark in c.marks for c in CELLS)
    assert "- Toy: EASE (β): close, within 0.0123: a caption" in text
    assert "- Toy: Future: unrun, no record" in text
    assert "- A note." in text
    assert "- EASE: A row's note." in text


def test_text_needs_no_markdown() -> None:
    text = tables.text([TABLE])
    assert "**" not in text
    assert "#" not in text
    assert "0.4211 [u] [t]" in text


def test_text_breaks_a_long_name_into_lines_and_markdown_does_not() -> None:
    name = f"slow [{', '.join(f'parameter_{n}=0.{n}' for n in range(9))}] (own)"
    other = replace(OURS, row=name.removesuffix(" (own)"), origin="other")
    table = replace(TABLE, cells=(EASE, other))
    text = tables.text([table]).partition("\n\n- ")[0]
    assert max(map(len, text.splitlines())) < 100
    shown = "".join(line[: tables.LONGEST_NAME] for line in text.splitlines())
    assert "".join(name.split()) in "".join(shown.replace("yours  ", "").split())
    assert name in tables.markdown([table])


def test_json_reads_back_as_the_cells() -> None:
    read = json.loads(tables.as_json([TABLE, TABLE]))
    assert read == json.loads(json.dumps([asdict(cell) for cell in CELLS * 2]))


def test_csv_reads_back_as_the_cells_and_what_is_missing_stays_empty() -> None:
    read = list(csv.DictReader(StringIO(tables.as_csv([TABLE]))))
    assert len(read) == len(CELLS)
    for line, cell in zip(read, CELLS, strict=True):
        expected = asdict(cell) | {"runs": " ".join(cell.runs)}
        assert line == {key: "" if value is None else str(value) for key, value in expected.items()}
    assert read[2]["ours"] == ""


@pytest.mark.parametrize("form", tables.FORMATS)
def test_nothing_compared_is_rendered_too(form: str) -> None:
    text = tables.FORMATS[form]([replace(TABLE, cells=(), notes=())])
    assert "0." not in text


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({}, "0.4211 [u] [t]"),
        ({"marks": ""}, "0.4211"),
        ({"published": "0.42000", "marks": ""}, "0.421111"),
        ({"published": ".4", "marks": "c"}, "0.42 [c]"),
        ({"published": "", "marks": ""}, "0.4211"),
        ({"spread": 0.01, "marks": ""}, "0.4211 ± 0.0100"),
        ({"ours": None}, "close"),
        ({"ours": None, "verdict": "ours"}, ""),
        ({"metric": "users", "published": "6K", "ours": 6034.0, "marks": ""}, "6,034"),
        ({"metric": "sparsity", "published": "93.69%", "ours": 93.6953, "marks": ""}, "93.695"),
        ({"metric": "mean_length", "published": "76", "ours": 75.43, "marks": ""}, "75.4"),
    ],
)
def test_our_number_has_one_digit_more_than_printed(changed: dict[str, Any], shown: str) -> None:
    assert tables.ours_text(replace(EASE, **changed)) == shown


@pytest.mark.parametrize("paper", library.papers())
def test_a_paper_is_shown_with_every_label_and_number_as_printed(paper: str) -> None:
    loaded = library.load(paper)
    for number, table in loaded.tables.items():
        text = tables.published(loaded, number)
        words = re.split(r"\s{2,}|\n", text)
        for entry in loaded.entries[number]:
            for cell in [] if entry.added else entry.cells:
                assert cell.published in words, (number, entry.row, cell.label)
        assert {row.label for row in table.rows if not row.added} <= set(words)
        assert len(table.metrics) == 1 or all(metric in text for metric in table.metrics)
        assert text.startswith(f"Table {number}: {table.caption}")


def test_every_note_of_a_table_is_shown_with_it() -> None:
    paper = library.load("sevae")
    text = " ".join(tables.published(paper, "1").split())
    printed = [entry for entry in paper.entries["1"] if not entry.added]
    notes = [note for entry in printed for _, note in entry.notes]
    assert notes
    for note in notes:
        assert " ".join(note.split()) in text


def test_without_a_standard_error_there_is_no_line_for_it() -> None:
    alone = replace(EASE, standard_error=None)
    text = tables.markdown([replace(TABLE, cells=(alone,))])
    assert "s.e." not in text
    beside = replace(RECALL, standard_error=0.25)
    assert grid(tables.markdown([replace(TABLE, cells=(alone, beside))]), "Toy")[3] == [
        *("", "s.e. over users", "", "0.25")
    ]


def test_the_spread_over_seeds_and_the_error_over_users_are_told_apart() -> None:
    several = replace(EASE, spread=0.02, seeds=3, planned=3, marks="")
    for form in ("markdown", "text"):
        text = tables.FORMATS[form]([replace(TABLE, cells=(several,))])
        assert "0.4211 ± 0.0200" in text
        assert re.search(r"s\.e\. over users\W+0\.0123", text)
        assert re.search(r"yours\W+\(3 seeds\)", text)


@pytest.mark.parametrize(
    ("seeds", "planned", "said"),
    [(1, 1, ""), (1, 3, " (1 of 3 seeds)"), (2, 3, " (2 of 3 seeds)"), (3, 3, " (3 seeds)")],
)
def test_how_many_seeds_a_mean_is_over_is_said(seeds: int, planned: int, said: str) -> None:
    cell = replace(EASE, seeds=seeds, planned=planned, marks="")
    text = tables.markdown([replace(TABLE, cells=(cell,))])
    assert grid(text, "Toy")[2][1] == "**yours**" + said


FROZEN = replace(EASE, reference=0.41987654, reference_seeds=1, marks="")


def test_a_frozen_number_stands_between_the_published_one_and_ours() -> None:
    beside = replace(RECALL, standard_error=None)
    text = tables.markdown([replace(TABLE, cells=(FROZEN, beside))])
    assert grid(text, "Toy")[1:] == [
        ["EASE (β)", "published", "0.420", ".7"],
        ["", "reference", "0.4199", ""],
        ["", "**yours**", "0.4211", "0.66"],
        ["", "s.e. over users", "0.0123", ""],
        ["", "verdict", "close", "exact"],
    ]


@pytest.mark.parametrize(
    ("marks", "kept", "planned", "line"),
    [
        ("", 5, 5, ["", "reference (5 seeds)", "0.4199"]),
        ("", 1, 5, ["", "reference (1 of 5 seeds)", "0.4199"]),
        ("ut", 1, 1, ["", "reference [u] [t]", "0.4199"]),
    ],
)
def test_a_frozen_number_is_shown_with_its_marks_and_seeds(
    marks: str, kept: int, planned: int, line: list[str]
) -> None:
    frozen = replace(FROZEN, reference_marks=marks, reference_seeds=kept, planned=planned)
    table = replace(TABLE, cells=(frozen,))
    assert grid(tables.markdown([table]), "Toy")[2] == line


def test_marks_of_a_frozen_number_are_explained() -> None:
    unrun = replace(UNRUN, published="0.420", reference=0.4, reference_marks="t")
    assert f"[t] {MARKS['t']}" in tables.legend([unrun])


def test_a_frozen_number_is_shown_where_nothing_was_run_here() -> None:
    unrun = replace(
        UNRUN, published="0.420", reference=0.41987654, reference_verdict="close", reference_seeds=1
    )
    text = tables.markdown([replace(TABLE, cells=(unrun,))])
    assert grid(text, "Toy")[1:] == [
        ["Future", "published", "0.420"],
        ["", "reference", "0.4199"],
        ["", "its verdict", "close"],
    ]
    assert "- close: " in text


def test_a_frozen_row_of_ours_is_shown_with_and_without_a_run_here() -> None:
    ran = replace(OURS, reference=0.26, reference_seeds=1, standard_error=None, spread=None)
    only = replace(ran, row="ease", ours=None, seeds=0, runs=())
    text = tables.markdown([replace(TABLE, cells=(ran, only))])
    assert grid(text, "Toy")[1:] == [
        ["bpr (own)", "reference", "0.2600"],
        ["", "yours", "0.2500"],
        ["ease (own)", "reference", "0.2600"],
    ]


def test_text_shows_the_frozen_number_too() -> None:
    lines = tables.text([replace(TABLE, cells=(FROZEN,))]).splitlines()
    (line,) = (line for line in lines if "reference" in line)
    assert line.split() == ["reference", "0.4199"]


def test_programs_read_the_frozen_number_to_the_last_bit() -> None:
    value = 0.1 + 0.2
    table = replace(TABLE, cells=(replace(EASE, reference=value), EASE))
    assert [cell["reference"] for cell in json.loads(tables.as_json([table]))] == [value, None]
    lines = list(csv.DictReader(StringIO(tables.as_csv([table]))))
    assert [line["reference"] for line in lines] == [repr(value), ""]
