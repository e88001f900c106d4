"""A comparison on a terminal: it fits the window, and colour is never alone."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from builders.foreign import check_harmless, texts
from builders.records import compared_cell
from repro.report.grid import View
from repro.report.terminal import terminal
from repro.results.comparison import ComparedTable
from repro.results.differences import Difference, Pair
from repro.results.frozen import RowName
from repro.results.verdicts import ComparedCell

LABELS = ("HR@5", "HR@10", "HR@20", "NDCG@5", "NDCG@10", "NDCG@20")
Z = {"close": 0.4, "higher": 4.2, "lower": -2.5, "exact": 0.0, "undecided": None}
SIGNS = {"close": "≈", "higher": "↑", "lower": "↓", "exact": "=", "undecided": "~"}


def row(name: str, verdict: str = "close", **changed: object) -> list[ComparedCell]:
    cell = compared_cell(name, published="0.4284", ours=0.46278, seeds=5, planned=5, runs=("id",))
    cell = replace(cell, verdict=verdict, z=Z.get(verdict))
    return [replace(cell, label=label, **changed) for label in LABELS]  # type: ignore[arg-type]


def table(*rows: list[ComparedCell], **changed: object) -> ComparedTable:
    made = ComparedTable(
        "toy", "1", "A caption", "A note.", tuple(c for one in rows for c in one), (("B", "Why."),)
    )
    return replace(made, **changed)  # type: ignore[arg-type]


def shown(table: ComparedTable, width: int = 100, *, colours: bool = False, **view: bool) -> str:
    out = io.StringIO()
    console = Console(
        file=out,
        width=width,
        force_terminal=colours,
        color_system="standard" if colours else None,
    )
    for line in terminal([table], View(width, **view)):
        console.print(line)
    return out.getvalue()


WHOLE = table(*(row(name, name) for name in Z))


@pytest.mark.parametrize("width", [30, 40, 60, 80, 120, 200])
def test_it_is_never_wider_than_the_window(width: int) -> None:
    text = shown(WHOLE, width, notes=True)
    assert max(map(cell_len, text.splitlines())) <= width
    for label in LABELS:
        assert label in text
    for name in Z:
        assert name in text
    assert text.count("0.46278") == len(Z) * len(LABELS)


@given(st.lists(texts, min_size=1, max_size=3, unique=True), st.integers(30, 220))
def test_whatever_a_table_holds_it_fits_and_steers_nothing(names: list[str], width: int) -> None:
    cells = [
        replace(cell, group=name, note=name, label=f"{name}{n}", reason=name)
        for name in names
        for n, cell in enumerate(row(name))
    ]
    difference = Difference(names[0], 0.1, 0.01, 3.0, (0.1,))
    pair = Pair(names[0], RowName(names[0]), RowName("EASE"), 4, (0,), (difference,))
    nasty = table(cells, caption=names[0], note=names[0], pairs=(pair,), notes=((names[0],) * 2,))
    text = shown(nasty, width, notes=True, pairs=True)
    check_harmless(text)
    assert max(map(cell_len, text.splitlines())) <= width
    colourful = shown(nasty, width, notes=True, pairs=True, colours=True)
    check_harmless(re.sub(r"\x1b\[[0-9;]*m", "", colourful))
    assert re.sub(r"\x1b\[[0-9;]*m", "", colourful) == text  # markup in a name is text


def test_a_verdict_is_a_sign_and_a_colour_and_z_has_its_own() -> None:
    text = shown(WHOLE, 200)
    for verdict, sign in SIGNS.items():
        (line,) = (one for one in text.splitlines() if one.startswith(f"{verdict} "))
        z = Z[verdict]
        number = "" if z is None else f"{z:+.1f}".replace("-", "−")
        assert line.count(f"0.46278 {sign}{number}") == len(LABELS)
        assert line.count("0.4284 ") == len(LABELS)
    colours = {
        name: set(
            re.findall(
                r"\x1b\[([0-9;]+)m0\.46278", shown(table(row(name, name)), 200, colours=True)
            )
        )
        for name in Z
    }
    assert len({tuple(one) for one in colours.values()}) == len(Z)
    assert all("1;" in code for code in colours["higher"])  # far off: bold


def test_without_colours_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True)
    for line in terminal([WHOLE], View(80)):
        console.print(line)
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", out.getvalue())


def test_a_wide_window_has_one_line_a_row_and_a_narrow_one_ours_below() -> None:
    wide = shown(WHOLE, 200).splitlines()
    at = next(n for n, line in enumerate(wide) if line.startswith("close "))
    assert wide[at + 1].startswith("higher ")
    narrow = shown(WHOLE, 80).splitlines()
    at = next(n for n, line in enumerate(narrow) if line.startswith("close "))
    assert narrow[at].split()[1:] == ["0.4284"] * 6
    assert narrow[at + 1].split() == ["yours", "5", *["0.46278≈"] * 6]


def test_three_lines_come_first() -> None:
    cells, verdicts, claims, blank = shown(WHOLE, 120).splitlines()[:4]
    assert cells.split()[:5] == ["Cells", "30", "of", "30", "printed"]
    assert "30 yours, 0 frozen" in cells
    assert "≈ close 6   ↑ higher 6   ↓ lower 6   ~ undecided 6" in verdicts
    assert claims.startswith("Claims")
    assert not blank.strip()


def test_whose_number_it_is_and_of_how_many_seeds_is_said() -> None:
    kept = row("B", ours=None, reference=0.4, reference_verdict="close", reference_seeds=2, runs=())
    none = row("C", "unrun", ours=None, runs=(), seeds=0)
    few = row("A", seeds=2, marks="u")
    text = shown(table(few, kept, none), 200)
    lines = {name: re.search(rf"^{name} .*", text, re.MULTILINE)[0] for name in "ABC"}  # type: ignore[index]
    assert "yours 2/5[u]" in lines["A"]
    assert lines["A"].count("[u]") == 1  # it holds for the whole row
    assert "frozen 2/5" in lines["B"]
    assert "unrun" in lines["C"]


def test_rows_that_the_paper_lacks_are_shown_where_they_were_run_or_asked_for() -> None:
    added = row("Added", "ours", origin="added", published="", ours=None, reference=0.3, runs=())
    mine = row("bpr", "ours", origin="other", published="")
    few = shown(table(row("A"), added, mine))
    assert "Added" not in few
    assert "bpr (own)" in few
    assert "--ours shows 1 row more" in few
    assert "Added (added)" in shown(table(row("A"), added, mine), added=True)


def test_a_long_name_is_cut_and_told_in_full() -> None:
    name = "a name that goes on and on " * 3
    text = shown(table(row(name)), 80)
    assert "a name that goes on…" in text
    legend = " ".join(text.partition("\n\n")[2].split())
    assert name.strip() in legend
    assert "..." in shown(table(row(name)), 80, unicode=False)


def test_a_short_name_is_told_in_full() -> None:
    other = row("ease [l2=9.0]", "ours", origin="other", published="")
    text = shown(table(row("A"), other, short={other[0].name: "EASE with l2=9.0"}))
    assert re.search(r"^EASE with l2=9.0 \(own\)", text, re.MULTILINE)
    assert re.search(r"EASE with l2=9.0 \(own\) +ease \[l2=9.0\] \(own\)", text)


def test_notes_stand_only_where_they_are_asked_for() -> None:
    assert "A note." not in shown(WHOLE)
    assert "--notes" in shown(WHOLE)
    text = shown(WHOLE, notes=True)
    assert "- A note." in text
    assert "- B: Why." in text


def test_a_terminal_without_unicode_gets_ascii() -> None:
    assert shown(WHOLE, unicode=False, notes=True).isascii()


def test_pairs_mark_what_is_above_two_standard_errors() -> None:
    far, near = Difference("HR@5", 0.1, 0.01, 3.0, (0.1,)), Difference("HR@10", 0.01, 0.01, 3.0, ())
    pair = Pair("Toy", RowName("A"), RowName("B"), 1234, (0, 1), (far, near))
    text = shown(table(row("A"), row("B"), pairs=(pair,)), 120, pairs=True)
    assert "minus B, user by user" in text
    assert re.search(r"A +1,234 users, 2 seeds +\+0\.1000 ±0\.0100\* +\+0\.0100 ±0\.0100 *\n", text)
    assert "minus B" not in shown(table(row("A"), row("B"), pairs=(pair,)))
