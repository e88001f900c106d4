"""A comparison as a fragment of HTML, for a page of one's own."""

from __future__ import annotations

from collections.abc import Sequence

from repro.report.blocks import blocks
from repro.report.site.build import environment
from repro.report.site.looks import SIGNS, number, step, z_text
from repro.report.tables import row_name
from repro.results.comparison import ComparedTable
from repro.results.judgement import VERDICTS
from repro.results.verdicts import MARKS


def html(compared: Sequence[ComparedTable]) -> str:
    """Return comparisons as HTML without a page around it: tables, and what their signs mean."""
    cells = [cell for table in compared for cell in table.cells]
    seen = {cell.judged or cell.verdict for cell in cells}
    marks = {m for cell in cells for m in cell.marks + cell.reference_marks + cell.doubts}
    return (
        environment()
        .get_template("fragment.html")
        .render(
            tables=[(table, blocks(table)) for table in compared],
            row_name=row_name,
            number=number,
            z_text=z_text,
            step=step,
            signs=SIGNS,
            verdicts={name: said for name, said in VERDICTS.items() if name in seen},
            marks={mark: said for mark, said in MARKS.items() if mark in marks},
        )
    )
