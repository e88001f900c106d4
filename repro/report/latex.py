"""A comparison as LaTeX: tables with booktabs that compile under pdflatex with nothing else."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from repro.report.blocks import Block, blocks, stars, text
from repro.report.tables import row_name
from repro.results.comparison import ComparedTable
from repro.results.frozen import RowName
from repro.results.judgement import VERDICTS
from repro.results.verdicts import MARKS, ComparedCell
from repro.text import one_line

HEAD = r"""% In the preamble:
%   \usepackage{booktabs}
% To align numbers at the point instead, also:
%   \usepackage{siunitx,etoolbox}  \robustify\bfseries  \sisetup{detect-weight}
% and S[table-format=1.4] for each r of a tabular. Heads stand in braces for that."""

SIGNS = {
    "exact": "=",
    "close": r"\approx",
    "higher": r"\uparrow",
    "lower": r"\downarrow",
    "undecided": r"\sim",
    "misprint": "?",
    "collapsed": r"\emptyset",
    "easier": "<",
}
"""Of verdicts on a printed number, in mathematics."""

_PLAIN = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_\allowbreak{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\ensuremath{<}",
    ">": r"\ensuremath{>}",
    "|": r"\ensuremath{|}",
    '"': r"\char34{}",  # \\textquotedbl needs fonts of another encoding
    "`": r"\char96{}",
    "'": r"\char39{}",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "−": r"\ensuremath{-}",
    "‘": "`{}",
    "’": "'{}",
    "“": r"\textquotedblleft{}",
    "”": r"\textquotedblright{}",
    "…": r"\dots{}",
    "×": r"\ensuremath{\times}",
    "±": r"\ensuremath{\pm}",
    "·": r"\ensuremath{\cdot}",
    "≤": r"\ensuremath{\le}",
    "≥": r"\ensuremath{\ge}",
    "≈": r"\ensuremath{\approx}",
    "≠": r"\ensuremath{\neq}",
    "→": r"\ensuremath{\to}",
    "∞": r"\ensuremath{\infty}",
    "∈": r"\ensuremath{\in}",
    "√": r"\ensuremath{\surd}",
    "²": r"\ensuremath{^{2}}",
    "³": r"\ensuremath{^{3}}",
    "§": r"\S{}",
    "µ": r"\ensuremath{\mu}",
    "ß": r"\ss{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "æ": r"\ae{}",
    "ł": r"\l{}",
    "ı": r"\i{}",
    "\u00a0": "~",
}
_GREEK = {"α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta"}
_GREEK |= {"η": "eta", "θ": "theta", "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu"}
_GREEK |= {"ν": "nu", "ξ": "xi", "π": "pi", "ρ": "rho", "σ": "sigma", "ς": "varsigma"}
_GREEK |= {"τ": "tau", "υ": "upsilon", "φ": "phi", "χ": "chi", "ψ": "psi", "ω": "omega"}
_GREEK |= {"Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi"}
_GREEK |= {"Σ": "Sigma", "Υ": "Upsilon", "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega"}

_ACCENTS = {"\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0308": '"'}
_ACCENTS |= {"\u0304": "=", "\u0306": "u", "\u0307": ".", "\u030a": "r", "\u030b": "H"}
_ACCENTS |= {"\u030c": "v", "\u0327": "c", "\u0323": "d"}


def in_latex(said: object) -> str:
    """Return text in one line that LaTeX typesets as it is; its output is ASCII.

    A character that the standard fonts lack is told by its number: "[U+4E2D]".
    """
    typeset = "".join(map(_typeset, one_line(said)))
    return re.sub("-(?=-)", "-{}", typeset)  # two hyphens are no dash


def _typeset(one: str) -> str:
    if one in _PLAIN:
        return _PLAIN[one]
    if one.isascii():
        return one
    if one in _GREEK:
        return rf"\ensuremath{{\{_GREEK[one]}}}"
    parts = unicodedata.normalize("NFD", one)
    base, accent = parts[0], _ACCENTS.get(parts[1:], "")
    if accent and base.isascii() and base.isalpha():
        return rf"\{accent}{{{base}}}"
    return f"[U+{ord(one):04X}]"


def latex(compared: Sequence[ComparedTable]) -> str:
    """Return comparisons as LaTeX, a table for each block of column groups."""
    tables = [_table(one, n, block) for one in compared for n, block in enumerate(blocks(one))]
    return "\n\n".join([HEAD, *tables]) + "\n"


def _table(table: ComparedTable, n: int, block: Block) -> str:
    found = stars(table)
    label = re.sub(r"[^A-Za-z0-9]+", "-", f"{table.paper}-{table.number}-{n + 1}").strip("-")
    groups = ", ".join(group for group, _ in block.groups if group)
    where = f" ({in_latex(groups)})" if groups and len(block.groups) == 1 else ""
    caption = f"{in_latex(table.caption)}{where}: printed, and ours in the line below."
    lines = [
        r"\begin{table}[p]",
        r"\centering\footnotesize\setlength{\tabcolsep}{4pt}\setlength{\belowcaptionskip}{4pt}",
        rf"\caption{{{caption}}}",
        rf"\label{{tab:{label}}}",
        rf"\begin{{tabular}}{{p{{0.2\linewidth}}l{'r' * len(block.labels)}}}",
        r"\toprule",
    ]
    if len(block.groups) > 1:
        share = 0.7 / len(block.labels)
        spans = [
            rf"\multicolumn{{{k}}}{{c}}{{\parbox[b]{{{k * share:.2f}\linewidth}}"
            rf"{{\centering {in_latex(group)}}}}}"
            for group, k in block.groups
        ]
        lines.append(f"& & {' & '.join(spans)} \\\\")
    lines.append(rf"& & {' & '.join(f'{{{in_latex(one)}}}' for one in block.labels)} \\")
    lines.append(r"\midrule")
    for name, cells in block.rows:
        lines += _row(block, name, cells, found)
    lines += [r"\bottomrule", r"\end{tabular}", *_legend(table, block), r"\end{table}"]
    return "\n".join(lines)


def _row(
    block: Block,
    name: RowName,
    cells: list[ComparedCell | None],
    found: dict[tuple[RowName, str, str], int],
) -> list[str]:
    label = rf"\raggedright {in_latex(row_name(name))}"
    made = []
    for printed in (True, False):
        marked = [_marks(cell, printed) for cell in cells if cell and text(cell, printed)]
        shared = "".join(m for m in MARKS if all(m in marks for marks in marked))
        numbers = [
            _cell(cell, printed, block.best(n, printed), shared, found)
            for n, cell in enumerate(cells)
        ]
        if any(numbers):
            kind = "printed" if printed else "ours"
            kind += rf"$^{{\mathrm{{{shared}}}}}$" if shared else ""
            made.append(f"{label} & {kind} & {' & '.join(numbers)} \\\\")
            label = ""
    return made or [f"{label} & not run & {' & '.join('' for _ in cells)} \\\\"]


def _cell(
    cell: ComparedCell | None,
    printed: bool,
    best: str,
    besides: str,
    found: dict[tuple[RowName, str, str], int],
) -> str:
    shown = text(cell, printed) if cell else ""
    if cell is None or not shown:
        return ""
    marks = "".join(mark for mark in _marks(cell, printed) if mark not in besides)
    after = ""
    if not printed:
        after = SIGNS.get(cell.judged, "")
        after += r"\ast " * found.get((cell.name, cell.group, cell.label), 0)
    after += rf"\mathrm{{{marks}}}" if marks else ""
    bold = r"\bfseries " if shown == best else ""
    return bold + in_latex(shown) + (rf"{{\rlap{{$^{{{after}}}$}}}}" if after else "")


def _marks(cell: ComparedCell, printed: bool) -> str:
    if printed:
        return cell.doubts
    return cell.marks if cell.ours is not None else cell.reference_marks


def _legend(table: ComparedTable, block: Block) -> list[str]:
    cells = [cell for _, row in block.rows for cell in row if cell]
    told = {cell.judged for cell in cells if cell.value is not None and cell.published}
    seen = {m for c in cells for m in c.marks + c.reference_marks + c.doubts}
    said = [rf"${sign}$ {in_latex(VERDICTS[name])}" for name, sign in SIGNS.items() if name in told]
    said += [rf"$^{{\mathrm{{{mark}}}}}$ {in_latex(MARKS[mark])}" for mark in MARKS if mark in seen]
    groups = {group for group, _ in block.groups}
    if any(group in groups for _, group, _ in stars(table)):
        against = dict.fromkeys(row_name(pair.against) for pair in table.pairs)
        said.append(
            r"$^\ast$ above each row of "
            f"{in_latex(', '.join(against))} that it is compared with, user by user (one star 5"
            r"\,\%, two 1\,\%, three 0.1\,\%; Holm)"
        )
    if not said:
        return []
    return [r"\par\smallskip\raggedright\scriptsize", "; ".join(said) + "."]
