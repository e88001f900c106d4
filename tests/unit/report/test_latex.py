"""Comparisons as LaTeX and as HTML: they compile, and whatever a label holds is text."""

from __future__ import annotations

import re
import shutil
import subprocess
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.commands import repro_
from builders.foreign import NASTY, texts
from builders.pages import Parsed
from builders.records import compared_cell
from repro.papers import library
from repro.report.blocks import blocks, stars
from repro.report.html import html
from repro.report.latex import in_latex, latex
from repro.report.tables import as_csv
from repro.results.comparison import ComparedTable, compare_all
from repro.results.differences import Difference, Pair
from repro.results.frozen import RowName
from repro.text import one_line

DOCUMENT = r"""\documentclass{article}
\usepackage{booktabs}
\begin{document}
%s
\end{document}
"""


def compared(text: str) -> ComparedTable:
    """Return a table with a text wherever one from a file is printed."""
    first = compared_cell(
        text, published="0.50", ours=0.5, seeds=1, verdict="close", reason=text, marks="u", z=0.4
    )
    first = replace(first, group=text, label=text, note=text)
    cells = (
        first,
        replace(first, label=f"{text}@20", metric="recall@20", published="0.4", doubts="m"),
        replace(first, row="EASE", ours=None, reference=0.4, reference_verdict="exact"),
        replace(first, row=f"{text}!", origin="other", published="", verdict="ours"),
        replace(first, row="gone", ours=None, verdict="blocked", seeds=0),
        replace(first, group=f"{text} 2"),
    )
    difference = Difference(text, 0.1, 0.01, 3.0, (0.1,))
    pair = Pair(text, RowName(text), RowName("EASE"), 4, (0,), (difference,))
    return ComparedTable("mine", text, text, text, cells, ((text, text),), (pair,))


UNESCAPED = re.compile(r"(?<!\\)[$&#%_^~{}\\\"]|[^\x20-\x7e]")


@given(texts | st.text(max_size=30))
def test_text_in_latex_is_ascii_in_which_nothing_has_a_meaning(text: str) -> None:
    shown = in_latex(text)
    assert shown.isascii()
    assert shown.isprintable()
    commands = (
        r"\\ensuremath\{(\\[A-Za-z]+|[<>|-]|\^\{\d\})\}|\\[A-Za-z]+\d*\{\w?\}|\\[`'^~\"=.]\{\w\}"
    )
    plain = re.sub(rf"{commands}|\\[{{}}$&#%_]|-\{{\}}|`\{{\}}|'\{{\}}", "", shown)
    assert not set(plain) & set("\\{}$&#%_^\"`'"), plain
    assert "--" not in shown


@given(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=40))
def test_every_ascii_text_can_be_read_back(text: str) -> None:
    back = in_latex(text).replace(r"\allowbreak{}", "").replace("-{}", "-")
    for command, one in {
        r"\textbackslash{}": "\0",
        r"\textasciicircum{}": "^",
        r"\textasciitilde{}": "~",
        r"\char34{}": '"',
        r"\char39{}": "'",
        r"\char96{}": "`",
    }.items():
        back = back.replace(command, one)
    back = re.sub(r"\\ensuremath\{([<>|])\}", r"\1", back)
    back = re.sub(r"\\([{}$&#%_])", r"\1", back).replace("\0", "\\")
    assert back == one_line(text)


def test_letters_that_papers_print_are_typeset() -> None:
    assert in_latex("β-VAE, é, ≥ 10, 1–2") == (
        r"\ensuremath{\beta}-VAE, \'{e}, \ensuremath{\ge} 10, 1\textendash{}2"
    )
    assert in_latex("中") == "[U+4E2D]"
    assert unicodedata.normalize("NFD", "é") != "é"


@settings(deadline=None)  # the first loads templates or scipy
@given(texts)
def test_a_comparison_in_latex_keeps_its_lines_and_columns(text: str) -> None:
    shown, plain = (latex([compared(one)]).split("\n") for one in (text, "x"))
    assert len(shown) == len(plain)
    for one, wanted in zip(shown, plain, strict=True):
        assert one.isascii()
        assert len(re.findall(r"(?<!\\)&", one)) == len(re.findall(r"(?<!\\)&", wanted))
        depth = len(re.findall(r"(?<!\\)\{", one)) - len(re.findall(r"(?<!\\)\}", one))
        assert depth == len(re.findall(r"(?<!\\)\{", wanted)) - len(
            re.findall(r"(?<!\\)\}", wanted)
        )


def test_bold_marks_the_best_number_as_printed_ties_included() -> None:
    one = compared_cell("A", published="0.50", ours=0.4, seeds=1, verdict="lower")
    two = replace(one, row="B", ours=0.3)
    low = replace(one, row="C", published="0.49", ours=0.2)
    said = latex([ComparedTable("mine", "1", "", "", (one, two, low), ())])
    assert said.count(r"\bfseries 0.50") == 2
    assert r"\bfseries 0.49" not in said
    assert r"\bfseries 0.400" in said


def test_stars_are_of_rows_above_all_that_they_are_compared_with() -> None:
    cells = tuple(compared_cell(name, published="0.5", ours=0.5) for name in "ABC")

    def pair(row: str, against: str, value: float) -> Pair:
        found = Difference("NDCG@10", value, 0.01, 1000.0, (value,))
        return Pair("Toy", RowName(row), RowName(against), 9, (0,), (found,))

    pairs = (pair("A", "B", 0.1), pair("A", "C", 0.029), pair("B", "A", -0.1))
    table = ComparedTable("mine", "1", "", "", cells, (), pairs)
    assert stars(table) == {(RowName("A"), "Toy", "NDCG@10"): 2}
    more = replace(table, pairs=(*pairs, pair("C", "A", 0.001)))
    assert (RowName("C"), "Toy", "NDCG@10") not in stars(more)
    assert r"\ast \ast" in latex([table])


@settings(deadline=None)  # the first loads templates or scipy
@given(texts)
def test_a_comparison_in_html_keeps_its_shape(text: str) -> None:
    shown, plain = (Parsed(html([compared(one)])) for one in (text, "x"))
    assert shown.shape == plain.shape
    assert " ".join(one_line(text).split()) in shown.said
    assert not {"script", "html", "body"} & {tag for tag, _ in shown.elements}


@pytest.mark.parametrize("form", ["latex", "html"])
def test_the_command_prints_every_number(form: str) -> None:
    said = repro_("compare", "dave", "--table", "4", "--format", form).stdout
    table = compare_all([library.load("dave")], [], table="4")
    for cell in table[0].cells:
        assert not cell.published or cell.published in said
    assert "0.46278" in said
    assert as_csv(table)


def test_column_groups_that_do_not_fit_stand_one_below_the_other() -> None:
    (wide,) = compare_all([library.load("acvae")], [], table="2")
    (narrow,) = compare_all([library.load("multvae_ablation")], [], table="I")
    assert len(blocks(wide)) == len({cell.group for cell in wide.cells})
    assert len(blocks(narrow)) == 1


def typeset(folder: Path, content: str) -> str:
    """Compile a document; return its text."""
    if shutil.which("pdflatex") is None:
        pytest.skip("there is no pdflatex: apt-get install texlive-latex-recommended")
    (folder / "all.tex").write_text(DOCUMENT % content, encoding="ascii")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "all"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-3000:]
    assert (folder / "all.pdf").stat().st_size > 1000
    return done.stdout


@pytest.mark.slow
def test_latex_of_all_tables_compiles(tmp_path: Path) -> None:
    every = compare_all([library.load(name) for name in library.papers()], [])
    typeset(tmp_path, r"\clearpage ".join(latex([one]) for one in every))


@pytest.mark.slow
def test_latex_of_texts_that_try_to_be_more_compiles(tmp_path: Path) -> None:
    every = [latex([compared(one)]) for one in (*NASTY, r"\input{/etc/passwd}", "?`!`---''")]
    assert "passwd" not in typeset(tmp_path, r"\clearpage ".join(every))
