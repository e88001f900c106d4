"""Whatever a label, a note, a reason or a name holds, what is printed keeps its shape."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from rich.console import Console

from builders.foreign import cells_of, check_harmless, texts
from builders.records import compared_cell
from repro.data import manifest, views
from repro.data.prepare import Checked
from repro.errors import ReproError, UnsupportedError
from repro.hyperparameters import Field
from repro.papers.paper import Paper
from repro.papers.schema import Figure, PaperFile
from repro.plugins import Plugin
from repro.report import descriptions, drawing, lists, picture, runs, tables
from repro.report.lists import MetricLine, PaperLine, PluginLine
from repro.report.notebook import Comparison
from repro.results.comparison import ComparedTable
from repro.results.differences import Difference, Pair
from repro.results.figures import Point
from repro.results.frozen import RowName
from repro.results.summary import Lead, Summary
from repro.runs.dry_run import PlannedRun
from repro.runs.leftovers import Leftover
from repro.runs.status import State


def compared(text: str) -> ComparedTable:
    """Return a table with a text wherever one from a file is printed."""
    first = compared_cell(
        text, published=text, ours=0.5, seeds=1, verdict="close", reason=text, marks="u"
    )
    first = replace(first, group=text, label=text, note=text, runs=(text,), published="0.5")
    cells = (
        first,
        replace(first, label="Recall@20", published="0.4"),
        replace(first, row="EASE", reference=0.4, reference_seeds=1, reference_verdict="exact"),
        replace(first, row=f"{text}!", origin="other", published="", verdict="ours"),
        replace(first, row="gone", ours=None, verdict="blocked", seeds=0),
    )
    difference = Difference(text, 0.1, 0.01, 3.0, (0.1,))
    pair = Pair(text, RowName(text), RowName("EASE"), 4, (0,), (difference,))
    return ComparedTable("mine", text, text, text, cells, ((text, text),), (pair,))


@given(texts)
def test_a_comparison_in_markdown_keeps_its_lines_and_columns(text: str) -> None:
    shown, plain = (tables.markdown([compared(one)]) for one in (text, "x"))
    check_harmless(shown)
    assert Comparison([compared(text)])._repr_markdown_() == shown
    lines, wanted = shown.split("\n"), plain.split("\n")
    assert [bool(line) for line in lines] == [bool(line) for line in wanted]
    grid = next(block for block in shown.split("\n\n") if "\n|:--" in block)
    assert {len(cells_of(line)) for line in grid.split("\n")} == {4}
    assert not any("<b>" in line.replace("\\<b>", "") for line in lines)


@given(texts)
def test_a_comparison_as_text_keeps_its_lines(text: str) -> None:
    shown, plain = (tables.text([compared(one)]) for one in (text, "x"))
    check_harmless(shown)
    assert shown.count("\n") == plain.count("\n")


@given(texts)
def test_a_comparison_as_csv_has_a_line_for_each_cell(text: str) -> None:
    shown = tables.as_csv([compared(text)])
    check_harmless(shown)
    assert shown.count("\n") == 6
    assert {len(row) for row in csv.reader(StringIO(shown))} == {len(csv_head(shown))}


def csv_head(text: str) -> list[str]:
    return next(csv.reader(StringIO(text)))


def listed(text: str) -> list[list[Any]]:
    lead = [Lead(RowName(text), 1)]
    about: dict[str, Any] = {"paper": "mine", "table": "1", "data": text, "added_view": False}
    about |= {"rows": 1, "rows_printed": 1, "added_rows": 0, "seeds": 1, "seeds_planned": 1}
    about |= {"ahead_printed": lead, "ahead_here": lead, "ahead_with_added": lead}
    about |= {"ahead_found": 2, "ahead_rows": 2, "marks": [], "verdicts": {"exact": 1}}
    return [
        [PaperLine(text, text, text, [text], [text], 1)] * 2,
        [PluginLine(text, text, [text], {text: text})] * 2,
        [MetricLine(text, text)] * 2,
        [Summary(**about)] * 2,
    ]


@given(texts)
def test_lists_keep_their_lines_and_columns(text: str) -> None:
    for lines, plain in zip(listed(text), listed("x"), strict=True):
        shown, wanted = lists.table(lines), lists.table(plain)
        check_harmless(shown)
        assert shown.count("\n") == wanted.count("\n")
        assert shown.split("\n")[1].count(" ") == wanted.split("\n")[1].count(" ")


def states(text: str) -> str:
    return runs.states([State(text, "failed", reason=text), State("x", "done", id=text)])


def checked(text: str) -> str:
    return descriptions.checked({"a": [Checked(text, text, text, True)], "b": []}, missing=True)


def leftovers(text: str) -> str:
    return descriptions.leftovers([Leftover("old view", Path(f"/{text}"), 1)])


def planned(text: str) -> str:
    named = {"name": text, "params": {text: text}}
    run = PlannedRun(
        text, text, text, text, text, 0, None, text, named, named, text, why_unknown=text
    )
    return f"{runs.planned(run)}\n{runs.time_of(run)}"


def outcome(text: str) -> str:
    error = runs.outcome(ReproError(text, "do this"))
    return f"{error}\n{runs.outcome(UnsupportedError(text, text))}"


@pytest.mark.parametrize("render", [states, checked, leftovers, planned, outcome])
@given(texts)
def test_what_is_printed_keeps_its_lines(render: Callable[[str], str], text: str) -> None:
    shown = render(text)
    check_harmless(shown)
    assert shown.count("\n") == render("x").count("\n")


@pytest.mark.parametrize("left", [float("inf"), float("nan")])
def test_a_time_that_is_no_number_is_shown_as_unknown(left: float) -> None:
    assert "an unknown time" in runs.states([State("x", "running", left=left)])


def paper(text: str, *, transposed: bool, many: bool) -> Paper:
    """Return a paper whose file has a text in every place for one."""
    metrics = {f"{text} {n}": f"ndcg@{n}" for n in range(1, 10 if many else 3)}
    numbers = ["0.5" for _ in metrics]
    about = {"title": text, "authors": text, "venue": text, "url": text, "notes": [text]}
    toy = {"label": text, "dataset": "toy/split", "protocol": {"name": "given_split"}}
    row = {"label": text, "quoted_from": text, "note": text, "at": {"toy": {"published": numbers}}}
    table = {"caption": text, "groups": ["toy"], "metrics": metrics, "rows": [row], "note": text}
    content = {
        "paper": about,
        "views": {"toy": toy | {"note": text, "blocked": text}},
        "tables": {"1": table | {"transposed": transposed}},
    }
    return Paper.of("mine", Path("mine.toml"), PaperFile.model_validate(content))


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
@given(texts)
def test_a_paper_keeps_the_lines_of_its_tables(transposed: bool, many: bool, text: str) -> None:
    known, plain = (paper(one, transposed=transposed, many=many) for one in (text, "x"))
    shown = descriptions.paper(known)
    check_harmless(shown)
    assert shown.count("\n") == descriptions.paper(plain).count("\n")
    check_harmless(descriptions.paper_json(known))


@given(texts)
def test_a_plug_in_is_described_without_escapes(text: str) -> None:
    field = Field(text, text, text, text, False)
    entry = Plugin(text, Path(text), text, text, (field,), {}, text)
    check_harmless(descriptions.plugin(entry))
    check_harmless(descriptions.plugin_json(entry))


def test_labels_in_pictures_are_drawn_as_they_are(tmp_path: Path) -> None:
    label = "_[red]$\\frac{$\x1b\n"
    line = {"label": label, "at": {"toy": {}}, "model": "ease"}
    known = paper(label, transposed=False, many=False)
    for kind in ("curve", "bars"):
        told = {"kind": kind, "caption": label, "groups": ["toy"], "metrics": {label: "ndcg@10"}}
        figure = Figure.model_validate(told | {"lines": [line]})
        known.figures["1"] = figure
        drawn = drawing.drawn(known, "1", [point(label, 1.0), point(label, 2.0)])
        drawn.savefig(tmp_path / f"{kind}.svg")  # a formula that is wrong would raise
        assert "\x1b" not in (tmp_path / f"{kind}.svg").read_text()
    cell = compared_cell(label, published="0.5", reference=0.5, reference_verdict="exact")
    grid = picture._grid({(label, "NDCG@10"): cell}, ["NDCG@10"])
    console = Console(record=True, width=100, file=StringIO())
    console.print(grid)
    assert "_[red]$\\frac{$\\x1b" in console.export_text()


def point(label: str, x: float) -> Point:
    return Point("1", label, label, label, x, 0.5, 0, "id", "digest", True, "", False, "")


def test_a_dataset_is_described_without_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = manifest.load("toy")
    nasty = "\x1b[31m\nfile a: \x9b\u202e"
    about = toy.archive.model_copy(update={"title": nasty, "license": nasty, "note": nasty})
    view = toy.views["ratings"].model_copy(update={"source": nasty, "note": nasty})
    monkeypatch.setattr(views, "prepared", lambda _: None)
    known = toy.model_copy(update={"archive": about, "views": {"ratings": view}})
    shown, plain = descriptions.dataset(known), descriptions.dataset(toy)
    check_harmless(shown)
    named = [line for line in shown.split("\n") if line.startswith("file ")]
    assert named == [line for line in plain.split("\n") if line.startswith("file ")]
    check_harmless(descriptions.dataset_json(known))
